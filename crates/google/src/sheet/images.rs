//! Before-images: what rows held right before a batch of ours changed them, in a hidden tab of
//! ours (G-BATCH-1, G-BATCH-2).
//!
//! Google has no compare-and-swap, but a batch is one: what it copies before it writes is exactly
//! what it writes over. An image is a row of that tab: the batch's stamp, the cells before, and
//! next to them the cells after, so that a process that never saw the answer finds what the batch
//! did. The tab may be removed by anybody at any time: the next batch makes it again.

use std::collections::HashMap;
use std::ops::Range;

use engine::effect::{Image, Images, MetadataId, SheetOutcome, Stamp};
use engine::value::Cell;

use super::room::Growth;
use super::structure::{Applied, joined};
use super::{Session, Tab, Target};
use crate::error::Error;
use crate::requests::{
    CellData, Dimension, ExtendedValue, GridCoordinate, GridProperties, GridRange, Request,
    RowData, SheetProperties,
};

/// What the titles of these tabs begin with.
pub const IMAGES_TITLE: &str = "sheet_sync: what was overwritten in ";

/// Rows that the tab has at first, and grows by.
const ROOM: u32 = 100;

/// As many as Google gives a new tab.
const COLUMNS: u32 = 26;

/// Told from the tab's own, so that every process finds the same.
const DISTANCE: i32 = 0x2f6e_2b1d;

/// The tab that keeps the images of this one.
pub(super) fn images_id(sheet_id: i32) -> i32 {
    sheet_id.wrapping_add(DISTANCE) & i32::MAX
}

/// Where the images of one batch stand.
#[derive(Debug)]
pub(super) struct Place {
    tab: Tab,
    pub rows: Range<u32>,
    layout: Vec<u32>,
    width: u32,
}

impl Session {
    pub(super) fn images_tab(&self, target: &Target) -> Option<Tab> {
        let place = (target.spreadsheet_id.clone(), images_id(target.sheet_id));
        self.state().tabs.get(&place).cloned()
    }

    /// Do something that keeps images, of at least so many columns, in the tab made for them if it
    /// is missing. Where none can be made it is done without.
    pub(super) fn with_images<T>(
        &self,
        target: &Target,
        images: &Images,
        columns: u32,
        rows: usize,
        carry_out: impl Fn(Option<&Place>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let rows = u32::try_from(rows).map_err(|error| Error::Unsendable(error.to_string()))?;
        let placed = |tab| Place {
            tab,
            rows: images.at..images.at + rows,
            layout: images.layout.clone(),
            width: images
                .layout
                .iter()
                .fold(columns, |width, column| width.max(column + 1)),
        };
        let Some(tab) = self.made_images_tab(target)? else {
            return carry_out(None);
        };
        let growth = placed(tab.clone()).growth();
        if !self.has_room(&target.spreadsheet_id, tab.sheet_id, growth) {
            return carry_out(None);
        }
        let error = match carry_out(Some(&placed(tab.clone()))) {
            Err(error)
                if error
                    .refusal()
                    .is_some_and(|refusal| refusal.http_status == 400) =>
            {
                error
            }
            done => return done,
        };
        // Somebody removed the tab, or made it smaller?
        self.overview(&target.spreadsheet_id)?;
        match self.images_tab(target) {
            Some(now) if (now.rows, now.columns) == (tab.rows, tab.columns) => Err(error),
            _ => match self.made_images_tab(target)? {
                Some(tab) => carry_out(Some(&placed(tab))),
                None => carry_out(None),
            },
        }
    }

    /// Whether there is such a tab, or nothing is known that speaks against making one.
    pub(super) fn may_keep_images(&self, target: &Target) -> bool {
        let place = (target.spreadsheet_id.clone(), target.sheet_id);
        let refused = self.state().without_images.contains(&place);
        self.images_tab(target).is_some()
            || !refused && self.has_room_for_tab(target, ROOM, COLUMNS)
    }

    fn made_images_tab(&self, target: &Target) -> Result<Option<Tab>, Error> {
        let place = (target.spreadsheet_id.clone(), target.sheet_id);
        let known = self.images_tab(target);
        if known.is_some() || self.state().without_images.contains(&place) {
            return Ok(known);
        }
        if !self.has_room_for_tab(target, ROOM, COLUMNS) {
            return Ok(None);
        }
        let properties = SheetProperties {
            sheet_id: Some(images_id(target.sheet_id)),
            title: format!("{IMAGES_TITLE}{}", target.sheet_id),
            hidden: true,
            grid_properties: GridProperties {
                row_count: ROOM,
                column_count: COLUMNS,
                frozen_row_count: 0,
            },
        };
        let refused = match self.add_sheet(&target.spreadsheet_id, properties) {
            Ok(tab) => return Ok(Some(tab)),
            Err(error) => error,
        };
        if refused
            .refusal()
            .is_none_or(|refusal| !matches!(refusal.http_status, 400 | 403))
        {
            return Err(refused);
        }
        // It is there already, and we had not looked; or nobody may add a tab.
        self.overview(&target.spreadsheet_id)?;
        let found = self.images_tab(target);
        if found.is_none() {
            self.state().without_images.insert(place);
        }
        Ok(found)
    }

    pub(super) fn read_images(&self, target: &Target) -> Result<SheetOutcome, Error> {
        // The tab may have been removed, or made by a batch whose answer nobody saw.
        self.overview(&target.spreadsheet_id)?;
        let Some(tab) = self.images_tab(target) else {
            return Ok(SheetOutcome::Images {
                images: Vec::new(),
                end: 0,
            });
        };
        let place = Target {
            sheet_id: tab.sheet_id,
            ..target.clone()
        };
        // To its end, wherever that is: a batch without an answer may have made it longer.
        let rows = self.read_span(&place, 0, None)?;
        // A batch that was refused, or wrote fewer rows than it was to, leaves blank ones.
        let images = (1..).zip(rows.into_iter().map(image));
        let images = images.filter_map(|(end, image)| Some((end, image?)));
        let (ends, images): (Vec<u32>, Vec<Image>) = images.unzip();
        let end = ends.last().copied().unwrap_or_default();
        Ok(SheetOutcome::Images { images, end })
    }
}

impl Place {
    /// What the tab lacks, and some rows ahead of need.
    fn growth(&self) -> Growth {
        let rows = self.rows.end.checked_sub(self.tab.rows);
        Growth {
            rows: rows.filter(|lack| *lack > 0).map_or(0, |lack| lack + ROOM),
            columns: (1 + 2 * self.width).saturating_sub(self.tab.columns),
        }
    }

    /// Room for the images, and nothing left in it of earlier ones.
    pub(super) fn cleared(&self) -> Vec<Request> {
        let sheet_id = self.tab.sheet_id;
        let grown = |length: u32, dimension| {
            (length > 0).then_some(Request::AppendDimension {
                sheet_id,
                dimension,
                length,
            })
        };
        let Growth { rows, columns } = self.growth();
        let (rows, columns) = (
            grown(rows, Dimension::Rows),
            grown(columns, Dimension::Columns),
        );
        let cleared = Request::RepeatCell {
            range: GridRange {
                sheet_id,
                start_row_index: Some(self.rows.start),
                ..GridRange::default()
            },
            cell: CellData::default(),
            fields: "userEnteredValue",
        };
        rows.into_iter().chain(columns).chain([cleared]).collect()
    }

    /// What the images of so many rows begin with.
    pub(super) fn stamped(&self, stamp: &Stamp, rows: usize) -> Option<Request> {
        let images = self.rows.start..self.rows.start + rows as u32;
        Some(Request::RepeatCell {
            range: GridRange::block(self.tab.sheet_id, images, 0..1),
            cell: headed(self.head(stamp)),
            fields: "userEnteredValue",
        })
    }

    /// The same for rows whose anchors stay; in the rows' order.
    pub(super) fn named(
        &self,
        stamp: &Stamp,
        anchors: impl Iterator<Item = MetadataId>,
    ) -> Option<Request> {
        let head = self.head(stamp);
        let row = |anchor| RowData {
            values: vec![headed(format!("{head} {anchor}"))],
        };
        Some(Request::UpdateCells {
            rows: anchors.map(row).collect(),
            fields: "userEnteredValue",
            start: GridCoordinate {
                sheet_id: self.tab.sheet_id,
                row_index: self.rows.start,
                column_index: 0,
            },
        })
    }

    fn head(&self, stamp: &Stamp) -> String {
        let layout: Vec<String> = self.layout.iter().map(u32::to_string).collect();
        format!("{} {} {}", stamp.value, self.width, layout.join(","))
    }

    /// Copies these rows (ascending) as they are when the batch comes to it (G-ROWS-7).
    pub(super) fn before(&self, sheet_id: i32, rows: &[u32]) -> Vec<Request> {
        self.copies(sheet_id, rows, 1).collect()
    }

    pub(super) fn after(&self, sheet_id: i32, rows: &[u32]) -> Vec<Request> {
        self.copies(sheet_id, rows, 1 + self.width).collect()
    }

    fn copies(
        &self,
        sheet_id: i32,
        rows: &[u32],
        column: u32,
    ) -> impl Iterator<Item = Request> + use<> {
        let (images, width) = (self.tab.sheet_id, self.width);
        let mut to = self.rows.start;
        joined(rows, 0).into_iter().map(move |run| {
            let from = to;
            to += run.end - run.start;
            Request::CopyPaste {
                source: GridRange::block(sheet_id, run, 0..width),
                destination: GridRange::block(images, from..to, column..column + width),
                paste_type: "PASTE_VALUES",
            }
        })
    }

    /// The images of these rows (ascending), by row.
    pub(super) fn shown(&self, applied: &mut Applied, rows: &[u32]) -> HashMap<u32, Image> {
        let images = (self.rows.start..).map(|at| applied.images.remove(&at));
        let images = images.map(|cells| cells.and_then(image));
        let pairs = rows.iter().copied().zip(images);
        pairs
            .filter_map(|(row, image)| Some((row, image?)))
            .collect()
    }
}

fn headed(head: String) -> CellData {
    CellData {
        user_entered_value: Some(ExtendedValue::StringValue(head.into())),
        ..CellData::default()
    }
}

fn image(cells: Vec<Cell>) -> Option<Image> {
    let Some(Cell::Text(head)) = cells.first() else {
        return None;
    };
    let mut head = head.split(' ');
    let (stamp, width, layout) = (head.next()?, head.next()?, head.next()?);
    let anchor = head.next().and_then(|anchor| anchor.parse().ok());
    let width: usize = width.parse().ok()?;
    let layout = layout.split(',').map(|column| column.parse().ok());
    let layout = layout.collect::<Option<Vec<u32>>>()?;
    let mut rest = cells.iter().skip(1);
    let before = trimmed(rest.by_ref().take(width));
    Some(Image {
        stamp: stamp.to_owned(),
        layout,
        anchor,
        before,
        after: trimmed(rest),
    })
}

fn trimmed<'a>(cells: impl Iterator<Item = &'a Cell>) -> Vec<Cell> {
    let mut cells: Vec<Cell> = cells.cloned().collect();
    while cells.last() == Some(&Cell::Empty) {
        cells.pop();
    }
    cells
}
