//! The tab is read, and its header row is made where it is ours to make.

use crate::cycle::memory::Looked;
use crate::cycle::memory::known::State;
use crate::cycle::read::columns::Followed;
use crate::cycle::read::grid::parse;
use crate::cycle::read::header;
use crate::cycle::state::Cycle;
use crate::cycle::stop::Stop;
use crate::effect::{ColumnFormat, Give, SheetEffect, SheetOutcome, Snapshot};
use crate::io::mismatch;
use crate::mapping::{Direction, Kind, Mapping};
use crate::tab::{Found, Layout, find_columns};
use crate::value::Cell;

impl Cycle {
    /// The whole tab, and where the mapped columns stand. Headers that are missing are written
    /// where that cannot hide a damaged header row; otherwise the cycle stops.
    pub(crate) async fn read(&mut self) -> Result<(Snapshot, Layout), Stop> {
        let (mut written, mut tags) = (Vec::new(), None);
        let mut least = self.expected_rows();
        loop {
            let snapshot = match self.io.sheet(SheetEffect::Read).await? {
                SheetOutcome::Snapshot(snapshot) => snapshot,
                _ => return Err(mismatch().into()),
            };
            let rows = u32::try_from(snapshot.rows.len()).unwrap_or(u32::MAX);
            let rows = rows.max(self.mapping.header_row);
            if std::mem::replace(&mut least, rows) > rows {
                // Rows were deleted, or the answer is not whole: one that shows no fewer tells.
                continue;
            }
            self.memory.looked = Some(Looked {
                asked: snapshot.sent_at,
                arrived: snapshot.read_at,
            });
            self.report.read_at = Some(snapshot.sent_at);
            let header_row = self.mapping.header_row.saturating_sub(1);
            let header = snapshot.rows.get(header_row as usize);
            self.tab.note_reading(header.map_or("", |row| row.get()));
            let header = parse(&snapshot, header_row)?;
            let fresh = self.tab.layout().is_none()
                && self
                    .memory
                    .rows
                    .values()
                    .all(|known| known.state == State::Unbased)
                && written.is_empty();
            let below = snapshot
                .rows
                .iter()
                .skip(header_row as usize + 1)
                .any(|row| !is_blank(row.get()));
            let mapping = self.mapping.clone();
            let is_known = |column: &usize| {
                let column = mapping.columns.get(*column);
                column.is_some_and(|one| one.header_known)
            };
            let established = mapping.columns.iter().any(|column| column.header_known);
            let mut found = find_columns(&self.mapping, &header);
            if let Found::Missing(missing, layout) = &found {
                match self.follow(&header, layout, missing, &mut tags).await? {
                    Followed::ReadAgain => continue,
                    Followed::Renamed => found = find_columns(&self.mapping, &header),
                    Followed::Nowhere => {}
                }
            }
            let write = match found {
                Found::Whole(layout) => {
                    self.format_columns(&layout, &written).await?;
                    return Ok((snapshot, layout));
                }
                Found::Doubled(column, places) => {
                    return Err(header::doubled_guard(&self.mapping, column, &places).into());
                }
                Found::Blank if !fresh || below || established => {
                    let row = header::row_below(&self.mapping, &snapshot)?;
                    return Err(header::blank_guard(&self.mapping, row).into());
                }
                Found::Blank => (0..self.mapping.columns.len())
                    .map(|column| (column, column))
                    .collect(),
                Found::Missing(missing, _) if missing.iter().any(is_known) => {
                    let lost: Vec<usize> = missing.into_iter().filter(is_known).collect();
                    let row = header::row_below(&self.mapping, &snapshot)?;
                    return Err(header::missing_guard(&self.mapping, &lost, row).into());
                }
                // Rows were dealt with under these headers: one that is missing is a damaged one.
                Found::Missing(missing, _) if !established && !fresh => {
                    let row = header::row_below(&self.mapping, &snapshot)?;
                    return Err(header::missing_guard(&self.mapping, &missing, row).into());
                }
                // Above data that we have never seen, a row that does not head the key is more
                // likely data, or something that people have put above the headers.
                Found::Missing(missing, _)
                    if !established && below && has_part_of_key(&mapping, &missing) =>
                {
                    let row = header::row_below(&self.mapping, &snapshot)?;
                    let missing: Vec<usize> = missing
                        .into_iter()
                        .filter(|column| mapping.key.contains(column))
                        .collect();
                    return Err(header::key_missing_guard(&self.mapping, &missing, row).into());
                }
                Found::Missing(missing, _) => {
                    let used = used_columns(&snapshot, header_row)?;
                    missing
                        .into_iter()
                        .enumerate()
                        .map(|(offset, column)| (used + offset, column))
                        .collect::<Vec<_>>()
                }
            };
            if self.start.dry_run {
                self.foresee_headers(&write);
                return Ok((snapshot, planned_layout(&self.mapping, &header, &write)));
            }
            self.write_header(&write).await?;
            written.extend(write.iter().map(|(_, column)| *column));
        }
    }

    fn expected_rows(&self) -> u32 {
        let based = u32::try_from(self.memory.based()).unwrap_or(u32::MAX);
        let least = self.mapping.header_row.saturating_add(based);
        self.tab.end_of_last_cycle().max(least)
    }

    /// Columns whose kind has changed get its number format before any value of it; dates in
    /// columns that people headed need one where there is none, or they show as serial numbers.
    async fn format_columns(&mut self, layout: &Layout, written: &[usize]) -> Result<(), Stop> {
        if self.mapping.direction == Direction::FromSheet || self.start.dry_run {
            return Ok(());
        }
        let columns = self.mapping.columns.iter().zip(&layout.columns).enumerate();
        let formats: Vec<ColumnFormat> = columns
            .filter_map(|(number, (column, at))| {
                let found = !column.header_known && !written.contains(&number);
                let give = match () {
                    () if column.reformat => Give::Anew,
                    () if found && is_of_time(column.kind) && self.mapping.pushes(number) => {
                        Give::WhereNone
                    }
                    () => return None,
                };
                Some(ColumnFormat {
                    at: *at,
                    column: number,
                    kind: column.kind,
                    give,
                })
            })
            .collect();
        if formats.is_empty() {
            return Ok(());
        }
        self.tab.write_header(Vec::new(), formats).await?;
        Ok(())
    }

    async fn write_header(&mut self, write: &[(usize, usize)]) -> Result<(), Stop> {
        let mapping = self.mapping.clone();
        let at = |column: usize| u32::try_from(column).unwrap_or(u32::MAX);
        let named = |column: usize| {
            mapping
                .columns
                .get(column)
                .map(|description| description.header.clone())
        };
        let cells = write
            .iter()
            .filter_map(|(at_column, column)| Some((at(*at_column), named(*column)?)))
            .collect();
        let formats: Vec<ColumnFormat> = write
            .iter()
            .filter_map(|(at_column, column)| {
                Some(ColumnFormat {
                    at: at(*at_column),
                    column: *column,
                    kind: mapping.columns.get(*column)?.kind,
                    give: Give::First,
                })
            })
            .collect();
        self.tab.write_header(cells, formats).await?;
        Ok(())
    }
}

/// How many columns from the left the headers, and what stands below them, take.
fn used_columns(snapshot: &Snapshot, header_row: u32) -> Result<usize, Stop> {
    let mut used = 0;
    for (at, _) in (0u32..).zip(&snapshot.rows).skip(header_row as usize) {
        let cells = parse(snapshot, at)?;
        let last = cells.iter().rposition(|cell| *cell != Cell::Empty);
        used = used.max(last.map_or(0, |last| last + 1));
    }
    Ok(used)
}

fn has_part_of_key(mapping: &Mapping, columns: &[usize]) -> bool {
    columns.iter().any(|column| mapping.key.contains(column))
}

fn planned_layout(mapping: &Mapping, header: &[Cell], write: &[(usize, usize)]) -> Layout {
    let mut layout = match find_columns(mapping, header) {
        Found::Missing(_, layout) => layout,
        _ => Layout {
            columns: vec![0; mapping.columns.len()],
        },
    };
    for (at, column) in write {
        if let Some(slot) = layout.columns.get_mut(*column) {
            *slot = u32::try_from(*at).unwrap_or(u32::MAX);
        }
    }
    layout
}

/// Travels as a serial number.
fn is_of_time(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Date | Kind::Time | Kind::Timestamp | Kind::TimestampTz
    )
}

fn is_blank(raw: &str) -> bool {
    serde_json::from_str::<Vec<Cell>>(raw)
        .is_ok_and(|cells| cells.iter().all(|cell| *cell == Cell::Empty))
}
