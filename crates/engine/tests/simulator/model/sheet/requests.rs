//! What the tab makes of a request, and what Google would answer.

use super::*;

impl Tab {
    /// `None` where Google refuses the request.
    pub fn carry_out(
        &mut self,
        effect: &SheetEffect,
        cycle: u32,
        now: Timestamp,
    ) -> Verdict<Option<SheetOutcome>> {
        self.note_shown();
        Ok(Some(match effect {
            SheetEffect::Read => SheetOutcome::Snapshot(self.read(now)),
            SheetEffect::Tag {
                rows,
                read,
                sentinel,
                tidy,
            } => {
                self.tidy(tidy);
                self.tagged.clear();
                let last = TagRow {
                    row: self.rows.len() as u32 - 1,
                    anchor: *sentinel,
                    bare: false,
                };
                self.tag(&[last], cycle, now)?;
                let seen = self.tag(rows, cycle, now)?;
                SheetOutcome::Tagged(TaggedRows {
                    rows: if *read { seen } else { Vec::new() },
                    sentinel_row: Some(self.rows.len() as u32 - 1),
                })
            }
            SheetEffect::Formulas => SheetOutcome::Formulas(self.formulas()),
            SheetEffect::ReadRows { rows } => SheetOutcome::Rows(self.read_rows(rows, now)),
            SheetEffect::Inspect { cells } => {
                let detail =
                    |(row, column): &(u32, u32)| self.detail(*row as usize, *column as usize, now);
                SheetOutcome::Inspected(cells.iter().map(detail).collect())
            }
            SheetEffect::Look { header, anchors } => {
                SheetOutcome::Seen(self.look(*header as usize, anchors, cycle, now))
            }
            SheetEffect::Write {
                rows,
                keeps,
                sentinel,
                images,
                stamp,
            } => {
                if let Some(taken) = self.stamp(stamp) {
                    return Ok(Some(taken));
                }
                match self.write_all(rows, *sentinel, images, stamp, cycle, now)? {
                    Some(written) => {
                        if !keeps {
                            let anchors: Vec<_> = rows.iter().map(|row| row.anchor).collect();
                            self.tidy(&anchors);
                            let images = self.images.iter_mut().skip(images.at as usize);
                            images.for_each(|image| image.anchor = None);
                        }
                        SheetOutcome::Written(written)
                    }
                    None => {
                        self.stamps.remove(&stamp.id);
                        return Ok(None);
                    }
                }
            }
            SheetEffect::Images => SheetOutcome::Images {
                images: self.images.clone(),
                end: self.images.len() as u32,
            },
            SheetEffect::Insert {
                at,
                rows,
                stamp,
                tidy,
            } => {
                if let Some(taken) = self.stamp(stamp) {
                    return Ok(Some(taken));
                }
                let at = *at as usize;
                if at > self.rows.len() || at <= self.header() {
                    self.stamps.remove(&stamp.id);
                    return if at > self.header() {
                        Ok(None)
                    } else {
                        broken(format!("rows are inserted at {at}, above the data"))
                    };
                }
                self.tidy(tidy);
                SheetOutcome::Inserted(self.insert(at, rows, now)?)
            }
            SheetEffect::Delete {
                rows,
                sentinel,
                images,
                stamp,
                tidy,
            } => {
                if let Some(taken) = self.stamp(stamp) {
                    return Ok(Some(taken));
                }
                self.images.truncate(images.at as usize);
                let deleted = self.delete(rows, *sentinel, images, stamp, cycle, now)?;
                self.tidy(tidy);
                SheetOutcome::Deleted(deleted)
            }
            SheetEffect::WriteHeader {
                row, cells, stamp, ..
            } => {
                if let Some(taken) = self.stamp(stamp) {
                    return Ok(Some(taken));
                }
                self.write_header(*row as usize, cells)?;
                SheetOutcome::Done
            }
            SheetEffect::Claim { stamp } => match self.stamp(stamp) {
                Some(taken) => taken,
                None => SheetOutcome::Done,
            },
            SheetEffect::TagColumns { header, tags } => {
                let stands = |tag: &ColumnTag| {
                    self.tags.get(&tag.name).copied() == tag.from.map(|at| at as usize)
                };
                if !tags.iter().all(stands) {
                    return Ok(None);
                }
                for tag in tags {
                    self.tags.insert(tag.name.clone(), tag.column as usize);
                }
                let cells = (0..self.columns.len()).map(|at| self.shown(*header as usize, at, now));
                SheetOutcome::Header(cells.collect())
            }
            SheetEffect::FindColumns { names } => {
                let tags = self.tags.iter().filter(|(name, _)| names.contains(name));
                SheetOutcome::Columns(tags.map(|(name, at)| (name.clone(), *at as u32)).collect())
            }
            SheetEffect::Annotate { notes, .. } => {
                SheetOutcome::Annotated(notes.iter().map(|_| Annotated::Done).collect())
            }
            SheetEffect::Notes => SheetOutcome::Notes(Vec::new()),
            SheetEffect::TidyAll => {
                self.anchors.clear();
                let standing = self.stamps.keys().map(|id| StandingStamp {
                    id: *id,
                    age_micros: 0,
                });
                SheetOutcome::Tidied(standing.collect())
            }
        }))
    }

    /// Columns of dates are formatted as such; other cells have no format.
    fn detail(&self, row: usize, column: usize, now: Timestamp) -> CellDetail {
        let content = self.rows.get(row).and_then(|row| row.cells.get(column));
        let Some(content) = content else {
            return CellDetail::plain(Cell::Empty);
        };
        let mut plain = CellDetail::plain(self.shown(row, column, now));
        if let ColumnUse::Mapped(mapped) = self.columns[column]
            && self.mapping.columns[mapped].kind == Kind::Date
        {
            plain.format = NumberFormat::new("DATE", "yyyy-mm-dd".into());
        }
        let entered = match content.formula() {
            Some(formula) => Entered::Formula(formula.into()),
            None if *content == Content::BLANK => Entered::Nothing,
            None => Entered::Value,
        };
        CellDetail { entered, ..plain }
    }

    fn read(&self, now: Timestamp) -> Snapshot {
        let json = |cell: &Cell| match cell {
            Cell::Empty => "\"\"".to_string(),
            // Google prints integers without a fraction.
            Cell::Number(n) if n.fract() == 0.0 && n.abs() < 1e15 => format!("{n:.0}"),
            cell => serde_json::to_string(cell).expect("a cell is JSON"),
        };
        let line = |row: usize| {
            let mut cells: Vec<Cell> = (0..self.columns.len())
                .map(|column| self.shown(row, column, now))
                .collect();
            trim(&mut cells);
            format!("[{}]", cells.iter().map(json).collect::<Vec<_>>().join(","))
        };
        let mut lines: Vec<String> = (0..self.rows.len()).map(line).collect();
        while lines.last().is_some_and(|line| line == "[]") {
            lines.pop();
        }
        let raw =
            |line: String| serde_json::value::RawValue::from_string(line).expect("a row is JSON");
        Snapshot {
            sent_at: now,
            read_at: now,
            grid_rows: self.rows.len() as u32,
            grid_columns: self.columns.len() as u32,
            rows: lines.into_iter().map(raw).collect(),
        }
    }

    fn tag(&mut self, rows: &[TagRow], cycle: u32, now: Timestamp) -> Verdict<Vec<SeenRow>> {
        let mut answers = Vec::new();
        for tag in rows {
            if self.anchors.contains_key(&tag.anchor) || self.stamps.contains_key(&tag.anchor) {
                return broken(format!("anchor {} is in use already", tag.anchor));
            }
            let row = tag.row as usize;
            if row >= self.rows.len() {
                continue;
            }
            if !tag.bare {
                let anchor = Anchor {
                    uid: self.rows[row].uid,
                    place: row,
                    cycle,
                };
                self.anchors.insert(tag.anchor, anchor);
            }
            self.seen.insert(tag.anchor, self.mapped(row, now));
            self.tagged.insert(tag.anchor, row);
            let mut cells = (0..self.columns.len())
                .map(|column| self.shown(row, column, now))
                .collect();
            trim(&mut cells);
            answers.push(SeenRow {
                anchor: tag.anchor,
                cells,
                computed: self.computed(row, now),
            });
        }
        // Google's answers come in an order of their own.
        if cycle.is_multiple_of(2) {
            answers.reverse();
        }
        Ok(answers)
    }

    fn read_rows(&mut self, rows: &[u32], now: Timestamp) -> Vec<Vec<Cell>> {
        let there = rows.iter().map(|row| *row as usize);
        for row in there.clone().filter(|row| *row < self.rows.len()) {
            let cells = self.mapped(row, now);
            let tags = self.tagged.iter().filter(|(_, at)| **at == row);
            self.seen.extend(tags.map(|(tag, _)| (*tag, cells.clone())));
        }
        let cells = |row| match row < self.rows.len() {
            true => self.whole(row, now),
            false => Vec::new(),
        };
        there.map(cells).collect()
    }

    /// From here on these anchors are as good as if they had just been put.
    fn look(&mut self, header: usize, anchors: &[MetadataId], cycle: u32, now: Timestamp) -> Look {
        let mut rows = Vec::new();
        for id in anchors {
            let place = self.anchors.get(id).and_then(|known| self.place_of(known));
            let (Some(place), Some(known)) = (place, self.anchors.get_mut(id)) else {
                continue;
            };
            (known.place, known.cycle) = (place, cycle);
            self.seen.insert(*id, self.mapped(place, now));
            rows.push((*id, place as u32, self.whole(place, now)));
        }
        Look {
            header: self.whole(header, now),
            rows,
        }
    }

    fn tidy(&mut self, ids: &[MetadataId]) {
        for id in ids {
            self.anchors.remove(id);
            self.stamps.remove(id);
        }
    }

    fn stamp(&mut self, stamp: &Stamp) -> Option<SheetOutcome> {
        if let Some(value) = self.stamps.get(&stamp.id) {
            return Some(SheetOutcome::Stamped {
                ours: *value == stamp.value,
            });
        }
        self.stamps.insert(stamp.id, stamp.value.clone());
        None
    }

    /// Where these rows are changed. A batch names positions, and is refused as a whole where an
    /// anchor stands elsewhere; then the anchors are looked for, and those without a row are left
    /// out. An anchor that is gone passes its check: that its row is gone too is noticed by the
    /// sentinel, unless that came back to its place or is gone as well. `None`: there are bare
    /// rows, and their neighbours moved.
    fn places(
        &self,
        rows: &[(MetadataId, u32)],
        bare: bool,
        sentinel: Sentinel,
        cycle: u32,
    ) -> Verdict<Option<Vec<(MetadataId, usize)>>> {
        let stands = |anchor: MetadataId| {
            let known = self.anchors.get(&anchor)?;
            Some((known, self.place_of(known)))
        };
        if let Some((anchor, _)) = rows
            .iter()
            .find(|(anchor, _)| stands(*anchor).is_some_and(|(known, _)| known.cycle != cycle))
        {
            return broken(format!("anchor {anchor} of an earlier cycle is used"));
        }
        let expected = sentinel.row.map(|row| row as usize);
        let unmoved = stands(sentinel.anchor).is_none_or(|(_, place)| place == expected);
        let as_tagged = rows.iter().all(|(anchor, row)| {
            stands(*anchor).is_none_or(|(_, place)| place == Some(*row as usize))
        });
        let by_position = unmoved && as_tagged;
        if bare && !by_position {
            return Ok(None);
        }
        let place = |(anchor, row): &(MetadataId, u32)| match stands(*anchor) {
            Some((_, place)) => Some((*anchor, place?)),
            None if by_position => Some((*anchor, *row as usize)),
            None => None,
        };
        let places = rows.iter().filter_map(place);
        let there = |(_, row): &(MetadataId, usize)| *row < self.rows.len();
        Ok(Some(places.filter(there).collect()))
    }

    fn write_all(
        &mut self,
        rows: &[AnchoredRow],
        sentinel: Sentinel,
        images: &Images,
        stamp: &Stamp,
        cycle: u32,
        now: Timestamp,
    ) -> Verdict<Option<Vec<WrittenRow>>> {
        let tagged: Vec<(MetadataId, u32)> = rows.iter().map(|row| (row.anchor, row.row)).collect();
        let bare = rows.iter().any(|row| row.bare);
        let Some(places) = self.places(&tagged, bare, sentinel, cycle)? else {
            return Ok(None);
        };
        self.images.truncate(images.at as usize);
        let mut answers = Vec::new();
        for (anchor, place) in places {
            let row = rows.iter().find(|row| row.anchor == anchor);
            let row = row.expect("it was asked for");
            let cells = &row.cells;
            let before = self.whole(place, now);
            self.note_unseen(place, anchor, now);
            self.write(place, cells, now)?;
            let after = self.whole(place, now);
            // Checking an anchor puts it where it should be, on another row too where its own is
            // gone.
            let uid = self.rows[place].uid;
            let stood = row.bare || self.anchors.contains_key(&anchor);
            self.anchors.insert(anchor, Anchor { uid, place, cycle });
            self.images.push(Image {
                stamp: stamp.value.clone(),
                layout: images.layout.clone(),
                anchor: Some(anchor),
                before: before.clone(),
                after: after.clone(),
            });
            answers.push(WrittenRow {
                anchor,
                row: place as u32,
                stood,
                before: Some(before),
                after,
            });
        }
        answers.reverse();
        Ok(Some(answers))
    }

    fn whole(&self, row: usize, now: Timestamp) -> Vec<Cell> {
        let mut cells = (0..self.columns.len())
            .map(|column| self.shown(row, column, now))
            .collect();
        trim(&mut cells);
        cells
    }

    fn write(&mut self, row: usize, cells: &[(u32, Cell)], now: Timestamp) -> Verdict {
        let uid = self.rows[row].uid;
        for (column, cell) in cells {
            let column = *column as usize;
            let Some(ColumnUse::Mapped(mapped)) = self.columns.get(column).copied() else {
                return broken(format!(
                    "{cell:?} is written into column {column}, which is not mapped"
                ));
            };
            // A formula that shows nothing may go with its row.
            let is_array = self.rows[row].cells[column] == Content::Array;
            let needless = !self.landing && !is_array && self.shown(row, column, now) == *cell;
            let is_unseen = self.unseen.contains(&(uid, mapped));
            if !self.landing && !is_unseen {
                self.may_be_written(row, column, cell, now)?;
            }
            if needless && !is_unseen {
                return broken(format!(
                    "{cell:?} is written where it stands already (row {row}, column {column})"
                ));
            }
            self.rows[row].cells[column] = Content::Value(cell.clone());
        }
        Ok(())
    }

    /// What changes in this row although nobody has seen it as it is.
    fn note_unseen(&mut self, row: usize, anchor: MetadataId, now: Timestamp) {
        let uid = self.rows[row].uid;
        let current = self.mapped(row, now);
        // Another row that holds the very same is as good.
        let Some(seen) = self.seen.get(&anchor).cloned() else {
            return;
        };
        let changed = (0..current.len()).filter(|&column| current[column] != seen[column]);
        let before = self.unseen.len();
        self.unseen.extend(changed.map(|column| (uid, column)));
        if self.unseen.len() > before {
            self.mistaken.push((uid, seen));
        }
    }

    fn insert(
        &mut self,
        at: usize,
        rows: &[Vec<(u32, Cell)>],
        now: Timestamp,
    ) -> Verdict<Vec<Vec<Cell>>> {
        for (offset, cells) in rows.iter().enumerate() {
            self.insert_row(at + offset);
            for (column, cell) in cells {
                let column = *column as usize;
                // A row that is put back has all its cells.
                let is_back = |image: &Image| image.before.get(column) == Some(cell);
                let is_mapped = matches!(self.columns.get(column), Some(ColumnUse::Mapped(_)));
                if !is_mapped && !self.images.iter().any(is_back) {
                    return broken(format!(
                        "a new row fills column {column}, which is not mapped"
                    ));
                }
                if !self.landing {
                    self.may_be_inserted(at + offset, column, cell)?;
                }
                self.rows[at + offset].cells[column] = Content::Value(cell.clone());
            }
        }
        let width = self.columns.len();
        Ok((at..at + rows.len())
            .map(|row| {
                (0..width)
                    .map(|column| self.shown(row, column, now))
                    .collect()
            })
            .collect())
    }

    fn delete(
        &mut self,
        rows: &[TagRow],
        sentinel: Sentinel,
        images: &Images,
        stamp: &Stamp,
        cycle: u32,
        now: Timestamp,
    ) -> Verdict<Deleted> {
        let tagged: Vec<(MetadataId, u32)> = rows.iter().map(|tag| (tag.anchor, tag.row)).collect();
        let places = self.places(&tagged, false, sentinel, cycle)?;
        let mut places = places.unwrap_or_default();
        places.sort_by_key(|(_, place)| std::cmp::Reverse(*place));
        let mut deleted = Deleted {
            gone: rows.iter().map(|tag| tag.anchor).collect(),
            suspect: places
                .iter()
                .any(|(anchor, _)| !self.anchors.contains_key(anchor)),
            ..Deleted::default()
        };
        for (anchor, place) in places {
            let before = self.whole(place, now);
            self.images.push(Image {
                stamp: stamp.value.clone(),
                layout: images.layout.clone(),
                anchor: None,
                before: before.clone(),
                after: Vec::new(),
            });
            deleted.before.push((anchor, before));
            self.note_unseen(place, anchor, now);
            if !self.landing {
                self.may_be_deleted(place, now)?;
            }
            self.remove_row(place);
        }
        Ok(deleted)
    }

    fn write_header(&mut self, row: usize, cells: &[(u32, String)]) -> Verdict {
        if row != self.header() {
            return broken(format!("a header is written into row {row}"));
        }
        for (column, text) in cells {
            let column = *column as usize;
            self.widen(column + 1);
            // A person may have typed the very header in the same moment.
            let same = Content::Value(Cell::Text(text.into()));
            let there = &self.rows[row].cells[column];
            if *there != Content::Value(Cell::Empty) && *there != same {
                return broken(format!(
                    "the header {text} is written over {:?}",
                    self.rows[row].cells[column]
                ));
            }
            let Some(mapped) = self
                .mapping
                .columns
                .iter()
                .position(|column| column.header == *text)
            else {
                return broken(format!("the header {text} is of no column"));
            };
            if let Some(renamed) = self.position(mapped) {
                self.columns[renamed] = ColumnUse::Other;
            }
            self.columns[column] = ColumnUse::Mapped(mapped);
            self.rows[row].cells[column] = Content::Value(Cell::Text(text.into()));
        }
        Ok(())
    }

    fn widen(&mut self, width: usize) {
        while self.columns.len() < width {
            self.columns.push(ColumnUse::Other);
            self.rows
                .iter_mut()
                .for_each(|row| row.cells.push(Content::Value(Cell::Empty)));
        }
    }
}
