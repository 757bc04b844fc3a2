//! The tab.

use super::*;

impl World {
    pub fn sheet(&mut self, effect: SheetEffect) -> SheetOutcome {
        match effect {
            SheetEffect::Read => {
                let rows = self.tab.iter().map(|row| {
                    let blank = |cell: &Cell| {
                        if *cell == Cell::Empty {
                            text("")
                        } else {
                            cell.clone()
                        }
                    };
                    let cells: Vec<Cell> = row.iter().map(blank).collect();
                    // As Google's answers have them.
                    let raw = serde_json::to_string(&cells).expect("cells");
                    let raw = raw.replace('<', "\\u003c").replace('>', "\\u003e");
                    RawValue::from_string(raw.replace('&', "\\u0026")).expect("JSON")
                });
                SheetOutcome::Snapshot(Snapshot {
                    sent_at: Timestamp(self.now - 500),
                    read_at: Timestamp(self.now),
                    grid_rows: 1_000,
                    grid_columns: 26,
                    rows: rows.collect(),
                })
            }
            SheetEffect::Formulas => {
                let formula = |((row, column), text): (&(u32, u32), &&'static str)| Formula {
                    row: *row,
                    column: *column,
                    text: (*text).into(),
                };
                SheetOutcome::Formulas(self.formulas.iter().map(formula).collect())
            }
            SheetEffect::ReadRows { rows } => {
                let rows = rows.iter().map(|row| self.tab.get(*row as usize).cloned());
                SheetOutcome::Rows(rows.map(Option::unwrap_or_default).collect())
            }
            SheetEffect::Inspect { cells } => {
                let detail = |place: &(u32, u32)| {
                    let row = self.tab.get(place.0 as usize);
                    let cell = row.and_then(|row| row.get(place.1 as usize)).cloned();
                    let mut plain = CellDetail::plain(cell.unwrap_or(Cell::Empty));
                    match self.computed(*place) {
                        Some(Computed::Here) => {
                            plain.entered = Entered::Formula(self.formulas[place].into());
                        }
                        Some(Computed::Elsewhere) => plain.entered = Entered::Nothing,
                        None => {}
                    }
                    match self.formats.get(place) {
                        Some((format, shown)) => CellDetail {
                            format: format.clone(),
                            shown: shown.as_str().into(),
                            ..plain
                        },
                        None => plain,
                    }
                };
                SheetOutcome::Inspected(cells.iter().map(detail).collect())
            }
            SheetEffect::Look { header, anchors } => {
                let row = |anchor: &MetadataId| {
                    let at = *self.anchors.get(anchor)?;
                    Some((*anchor, at as u32, self.tab[at].clone()))
                };
                SheetOutcome::Seen(Look {
                    header: self.tab[header as usize].clone(),
                    rows: anchors.iter().filter_map(row).collect(),
                })
            }
            SheetEffect::Tag { rows, .. } => {
                let seen = rows.into_iter().map(|tag| {
                    self.anchors.insert(tag.anchor, tag.row as usize);
                    SeenRow {
                        anchor: tag.anchor,
                        cells: self.tab.get(tag.row as usize).cloned().unwrap_or_default(),
                        computed: (0..26)
                            .filter_map(|at| Some((at, self.computed((tag.row, at))?)))
                            .collect(),
                    }
                });
                SheetOutcome::Tagged(TaggedRows {
                    rows: seen.collect(),
                    sentinel_row: None,
                })
            }
            SheetEffect::Write { rows, .. } => SheetOutcome::Written(
                rows.iter()
                    .map(|row| {
                        let at = self.anchors[&row.anchor];
                        let before = Some(self.tab[at].clone());
                        for (column, cell) in &row.cells {
                            if self.fixed == Some((at, *column as usize)) {
                                continue;
                            }
                            let row = &mut self.tab[at];
                            row.resize(row.len().max(*column as usize + 1), Cell::Empty);
                            row[*column as usize] = cell.clone();
                        }
                        WrittenRow {
                            anchor: row.anchor,
                            row: at as u32,
                            stood: true,
                            before,
                            after: self.tab[at].clone(),
                        }
                    })
                    .collect(),
            ),
            SheetEffect::Images => SheetOutcome::Images {
                images: Vec::new(),
                end: 0,
            },
            SheetEffect::Insert { at, rows, .. } => {
                let mut shown = Vec::new();
                for (offset, row) in rows.iter().enumerate() {
                    let mut cells = vec![Cell::Empty; self.mapping.columns.len()];
                    for (column, cell) in row {
                        cells[*column as usize] = cell.clone();
                    }
                    self.tab.insert(at as usize + offset, cells.clone());
                    self.move_formulas(at + offset as u32, 1);
                    shown.push(cells);
                }
                SheetOutcome::Inserted(shown)
            }
            SheetEffect::Delete { rows, .. } => {
                if std::mem::take(&mut self.wrong_row) {
                    self.tab.remove(rows[0].row as usize + 1);
                    let moved = rows.into_iter().map(|tag| tag.anchor).collect();
                    return SheetOutcome::Deleted(Deleted {
                        gone: Vec::new(),
                        moved,
                        suspect: true,
                        before: Vec::new(),
                    });
                }
                let mut at: Vec<u32> = rows.iter().map(|tag| tag.row).collect();
                at.sort_unstable();
                for row in at.into_iter().rev() {
                    self.tab.remove(row as usize);
                    self.move_formulas(row + 1, -1);
                }
                let gone = rows.into_iter().map(|tag| tag.anchor).collect();
                SheetOutcome::Deleted(Deleted {
                    gone,
                    ..Deleted::default()
                })
            }
            SheetEffect::WriteHeader { row, cells, .. } => {
                self.tab
                    .resize(self.tab.len().max(row as usize + 1), Vec::new());
                let header = &mut self.tab[row as usize];
                for (column, words) in cells {
                    header.resize(header.len().max(column as usize + 1), Cell::Empty);
                    header[column as usize] = Cell::Text(words.into());
                }
                SheetOutcome::Done
            }
            SheetEffect::TagColumns { header, tags } => {
                self.tags
                    .extend(tags.into_iter().map(|tag| (tag.name, tag.column)));
                SheetOutcome::Header(self.tab[header as usize].clone())
            }
            SheetEffect::FindColumns { names } => {
                let tags = self.tags.clone().into_iter();
                SheetOutcome::Columns(tags.filter(|(name, _)| names.contains(name)).collect())
            }
            SheetEffect::TidyAll => {
                let standing = self.standing.iter().map(|id| StandingStamp {
                    id: *id,
                    age_micros: 0,
                });
                SheetOutcome::Tidied(standing.collect())
            }
            SheetEffect::Annotate { notes, .. } => {
                let gone = self.gives_way.take().map(|(row, cells)| {
                    self.tab[row] = cells;
                    self.notes.retain(|(at, _), _| *at as usize != row);
                    row
                });
                let annotated = notes.into_iter().map(|note| {
                    let is_gone = gone.is_some() && self.anchors.get(&note.anchor) == gone.as_ref();
                    let written = self.annotate(note);
                    if is_gone { Annotated::Stray } else { written }
                });
                SheetOutcome::Annotated(annotated.collect())
            }
            SheetEffect::Notes => {
                let ours = self.notes.iter();
                let ours = ours.filter(|(_, text)| **text != PERSONS);
                let note = |((row, column), text): (&(u32, u32), &String)| StandingNote {
                    row: *row,
                    column: *column,
                    text: text.clone(),
                };
                SheetOutcome::Notes(ours.map(note).collect())
            }
            SheetEffect::Claim { .. } => SheetOutcome::Done,
        }
    }

    fn annotate(&mut self, note: Note) -> Annotated {
        let Some(row) = self.anchors.get(&note.anchor) else {
            return Annotated::Moved;
        };
        let cell = (*row as u32, note.column);
        if self.notes.get(&cell).is_some_and(|text| text == PERSONS) {
            return match note.text {
                Some(_) => Annotated::Done,
                None => Annotated::Absent,
            };
        }
        match note.text {
            Some(text) => {
                self.notes.insert(cell, text);
                Annotated::Done
            }
            None => match self.notes.remove(&cell) {
                Some(_) => Annotated::Done,
                None => Annotated::Absent,
            },
        }
    }

    /// A person inserts a row; notes go with their cells, and anchors with their rows.
    pub fn insert_row(&mut self, at: usize, cells: Vec<Cell>) {
        self.tab.insert(at, cells);
        let notes = std::mem::take(&mut self.notes).into_iter();
        let below = |row: u32| row + u32::from(row as usize >= at);
        self.notes = notes
            .map(|((row, column), text)| ((below(row), column), text))
            .collect();
        for row in self.anchors.values_mut().filter(|row| **row >= at) {
            *row += 1;
        }
    }

    /// A person cuts the cell out and pastes it there.
    pub fn cut(&mut self, from: (usize, usize), to: (usize, usize)) {
        let cell = std::mem::replace(&mut self.tab[from.0][from.1], Cell::Empty);
        let row = &mut self.tab[to.0];
        row.resize(row.len().max(to.1 + 1), Cell::Empty);
        row[to.1] = cell;
        let place = |(row, column): (usize, usize)| (row as u32, column as u32);
        self.notes.remove(&place(to));
        if let Some(note) = self.notes.remove(&place(from)) {
            self.notes.insert(place(to), note);
        }
    }
}
