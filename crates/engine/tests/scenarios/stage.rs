//! Plays a scenario on the model and compares.

use crate::cells::{blank, content, datum, letter, number, table_key, written};
use crate::format::{Act, Grid, Scenario};
use crate::model::database::DriverBugs;
use crate::model::setup::{Filter, Setup, key_of_cells};
use crate::model::sheet::{ColumnUse, Content, Rules, SheetEdit};
use crate::model::values::meaning;
use crate::model::world::{Fault, World, genuine};
use engine::effect::{Conflict, Decision, Effect, Problem, Stopped};
use engine::mapping::{Direction, Kind, OnSheetDelete, OnTableDelete, Policy, Side};
use engine::value::{Cell, Datum};

pub type Told<T = ()> = Result<T, String>;

pub fn play(scenario: &Scenario) -> Told {
    let setup = setup(scenario)?;
    let mut stage = Stage {
        world: World::new(setup, genuine, DriverBugs::default(), Rules::default()),
    };
    stage.furnish(scenario)?;
    stage.world.trace = Some(Vec::new());
    if scenario
        .settings
        .iter()
        .all(|(name, _)| name != "first_sync")
    {
        stage.world.sync().map_err(|violation| violation.0)?;
    }
    for act in &scenario.acts {
        stage.act(act).map_err(|words| {
            let trace = stage.world.trace.take().unwrap_or_default().join("\n");
            format!(
                "line {}: {}\n{words}\n\n{trace}",
                act.line,
                act.words.join(" ")
            )
        })?;
    }
    Ok(())
}

fn setup(scenario: &Scenario) -> Told<Setup> {
    let names = &scenario.table[0];
    let optional = ["qty", "price", "live", "day", "code", "size"];
    let bits = optional
        .iter()
        .enumerate()
        .filter(|(_, name)| names.iter().any(|other| other == *name));
    let columns = bits.map(|(bit, _)| 1 << bit).sum();
    let composite = names[0] == "shop";
    let mut setup = Setup {
        composite,
        columns,
        common_rows: 0,
        header: false,
        ..Setup::PLAIN
    };
    for (name, value) in &scenario.settings {
        let number = || {
            value
                .parse()
                .map_err(|_| format!("{name}: not a number: {value}"))
        };
        match (name.as_str(), value.as_str()) {
            ("conflict_policy", _) => setup.policy = policy(value)?,
            ("name_policy", _) => setup.name_policy = Some(policy(value)?),
            ("first_sync", "not_yet") => {}
            ("direction", "to_sheet") => setup.direction = Direction::ToSheet,
            ("direction", "from_sheet") => setup.direction = Direction::FromSheet,
            ("foreign_key", "holds_even_rows") => setup.pinned = true,
            ("tie", "sheet") => setup.tie = Side::Sheet,
            ("on_table_delete", "clear") => setup.on_table_delete = OnTableDelete::Clear,
            ("on_table_delete", "keep") => setup.on_table_delete = OnTableDelete::Keep,
            ("on_sheet_delete", "keep") => setup.on_sheet_delete = OnSheetDelete::Keep,
            ("max_delete_percent", _) => setup.max_delete_percent = number()?,
            ("max_delete_rows", _) => setup.max_delete_rows = number()?,
            ("row_filter", "live") => setup.filter = Filter::Live,
            ("key_generated", "yes") => setup.generated = true,
            ("qty", "required") => setup.qty_required = true,
            ("code_trigger", "upper") => setup.upper = true,
            ("header_row", "3") => setup.layout = 2,
            _ => return Err(format!("unknown setting: {name} {value}")),
        }
    }
    let expected: Vec<String> = setup
        .mapping()
        .columns
        .into_iter()
        .map(|column| column.name)
        .collect();
    if *names == expected {
        Ok(setup)
    } else {
        Err(format!(
            "the table's columns are {expected:?}, in this order"
        ))
    }
}

fn policy(name: &str) -> Told<Policy> {
    Ok(match name {
        "last_write_wins" => Policy::LastWriteWins,
        "database_wins" => Policy::DatabaseWins,
        "sheet_wins" => Policy::SheetWins,
        "manual" => Policy::Manual,
        "function" => Policy::Function,
        _ => return Err(format!("unknown policy {name}")),
    })
}

struct Stage {
    world: World,
}

impl Stage {
    fn furnish(&mut self, scenario: &Scenario) -> Told {
        for row in &scenario.table[1..] {
            let values = self.table_row(row)?;
            let now = self.world.now();
            self.world
                .table
                .insert(values, now)
                .map_err(|refusal| refusal.message)?;
        }
        self.furnish_sheet(&scenario.sheet)?;
        self.world.table.dirty.clear();
        self.world.book_person().map_err(|violation| violation.0)
    }

    fn table_row(&self, row: &[String]) -> Told<Vec<Datum>> {
        match row.len() == self.world.table.mapping.columns.len() {
            true => Ok(row.iter().map(|text| datum(text)).collect()),
            false => Err(format!("a table row with {} cells: {row:?}", row.len())),
        }
    }

    fn furnish_sheet(&mut self, grid: &Grid) -> Told {
        let Some(width) = grid.iter().map(Vec::len).max() else {
            return Ok(());
        };
        let header = self.world.tab.header();
        let headings = grid.get(header).ok_or("the sheet has no header row")?;
        let columns = &self.world.table.mapping.columns;
        let mut uses: Vec<ColumnUse> = Vec::new();
        for heading in headings {
            let mapped = columns
                .iter()
                .position(|column| column.header.eq_ignore_ascii_case(heading))
                .map(ColumnUse::Mapped);
            uses.push(
                mapped
                    .filter(|column| !uses.contains(column))
                    .unwrap_or(ColumnUse::Other),
            );
        }
        uses.resize(width, ColumnUse::Other);
        self.world.tab.columns = uses;
        self.world.tab.rows.clear();
        for (index, row) in grid.iter().enumerate() {
            let contents = (0..width).map(|column| {
                let text = row.get(column).map_or("", String::as_str);
                if index <= header {
                    Content::Value(Cell::Text(text.into()))
                } else {
                    content(text)
                }
            });
            let cells = contents
                .map(|content| {
                    if content == Content::Value(Cell::Text("".into())) {
                        blank()
                    } else {
                        content
                    }
                })
                .collect();
            self.world.tab.push_row().cells = cells;
        }
        Ok(())
    }

    // ------------------------------------------------------------------------------------------------------------- steps

    fn act(&mut self, act: &Act) -> Told {
        let words: Vec<&str> = act.words.iter().map(String::as_str).collect();
        let verdict = match words[..] {
            ["table", "insert", ref cells @ ..] => {
                let columns = self.world.table.mapping.columns.len();
                let mut values = vec![None; columns];
                self.assign(cells, &mut values)?;
                self.world.statement(|table, now| table.insert(values, now))
            }
            ["table", "update", key, ref cells @ ..] => {
                let key = table_key(key);
                let row = self
                    .world
                    .table
                    .rows
                    .get(&key)
                    .ok_or("no such row in the table")?;
                let mut values = row.values.clone();
                self.assign(cells, &mut values)?;
                self.world
                    .statement(|table, now| table.update(&key, values, now))
            }
            ["table", "delete", key] => self
                .world
                .statement(|table, now| table.delete(&table_key(key), now)),
            ["table", "truncate"] => self
                .world
                .edit_table(crate::model::database::TableEdit::Truncate),
            ["sheet", "type", "row", row, ref cells @ ..] => {
                let row = number(row)? - 1;
                self.type_cells(row, cells)?;
                self.world.book_person()
            }
            ["sheet", "type", key, ref cells @ ..] => {
                let row = self.sheet_row(key)?;
                self.type_cells(row, cells)?;
                self.world.book_person()
            }
            ["sheet", "add", ref cells @ ..] => {
                let row = self.world.tab.first_free_row();
                self.type_cells(row, cells)?;
                self.world.book_person()
            }
            ["sheet", "delete", key] => {
                let row = self.sheet_row(key)?;
                self.world.tab.remove_row(row);
                self.world.book_person()
            }
            ["sheet", "copy", key] => {
                let row = self.sheet_row(key)?;
                let cells = self.world.tab.rows[row].cells.clone();
                self.world.tab.insert_row(row + 1).cells = cells;
                self.world.book_person()
            }
            ["sheet", "move", "column", from, to] => self.world.edit_sheet(SheetEdit::MoveColumn {
                from: letter(from)?,
                to: letter(to)?,
            }),
            ["sheet", "insert", "column", at] => self
                .world
                .edit_sheet(SheetEdit::InsertColumn { at: letter(at)? }),
            ["sheet", "move", key, to] => {
                let (row, to) = (self.sheet_row(key)?, number(to)? - 1);
                let moved = self.world.tab.rows.remove(row);
                self.world.tab.rows.insert(to, moved);
                self.world.book_person()
            }
            ["sheet", "insert", row] => {
                self.world.tab.insert_row(number(row)? - 1);
                self.world.book_person()
            }
            ["sheet", "sort", heading] => {
                let column = self.mapped(heading)? as u8;
                self.world.edit_sheet(SheetEdit::Sort { column })
            }
            ["sheet", "head", column, text] => {
                let (header, column) = (self.world.tab.header(), usize::from(letter(column)?));
                self.world.tab.rows[header].cells[column] = content(text);
                self.world.book_person()
            }
            ["sync"] => self.world.sync(),
            ["push"] => {
                self.world.one_way(true);
                self.world.one_cycle()
            }
            ["pull"] => {
                self.world.one_way(false);
                self.world.one_cycle()
            }
            ["preview"] => {
                self.world.preview();
                self.world.one_cycle()
            }
            ["until", effect] => {
                while !self
                    .world
                    .planned()
                    .is_some_and(|planned| is_named(planned, effect))
                {
                    self.world.advance().map_err(|violation| violation.0)?;
                }
                Ok(())
            }
            ["once", effect] => {
                while !self
                    .world
                    .planned()
                    .is_some_and(|planned| is_named(planned, effect))
                {
                    self.world.advance().map_err(|violation| violation.0)?;
                }
                self.world.step()
            }
            ["fault", "Partial", from, count] => self.world.fault(Fault::Partial {
                from: number(from)? as u8 - 1,
                count: number(count)? as u8 - 1,
            }),
            ["fault", name] => self.world.fault(match name {
                "Refused" => Fault::Refused,
                "Quota" => Fault::Quota,
                "AnswerLost" => Fault::AnswerLost,
                "RequestLost" => Fault::RequestLost,
                "Late" => Fault::Late,
                "Stale" => Fault::Stale,
                "Moved" => Fault::Moved,
                _ => return Err("no such fault".into()),
            }),
            ["poll"] => {
                self.world.poll();
                Ok(())
            }
            ["land"] => self.world.land(),
            ["crash"] => {
                self.world.crash();
                Ok(())
            }
            ["wait", seconds] => {
                self.world.pause(number(seconds)? as u32);
                Ok(())
            }
            ["confirm_deletes"] => {
                self.world.confirm_deletes();
                Ok(())
            }
            ["resync"] => self.world.resync(),
            ["resolve", ref by @ ..] => {
                let decision = match by {
                    ["database"] => Decision::Side(Side::Database),
                    ["sheet"] => Decision::Side(Side::Sheet),
                    ["value", text] => Decision::Value(datum(text)),
                    _ => return Err("resolve database, sheet or value …".into()),
                };
                self.world.resolve(0, |_| decision);
                Ok(())
            }
            ["expect", ref what @ ..] => return self.expect(what, &act.block),
            _ => return Err("no such step".into()),
        };
        verdict.map_err(|violation| violation.0)
    }

    fn assign(&self, cells: &[&str], values: &mut [Datum]) -> Told {
        for cell in cells {
            let (name, value) = cell
                .split_once('=')
                .ok_or(format!("column=value, not {cell}"))?;
            let column = self
                .world
                .table
                .mapping
                .columns
                .iter()
                .position(|column| column.name == name);
            values[column.ok_or(format!("no column {name}"))?] = datum(value.trim_matches('"'));
        }
        Ok(())
    }

    fn type_cells(&mut self, row: usize, cells: &[&str]) -> Told {
        for cell in cells {
            let (heading, value) = cell
                .split_once('=')
                .ok_or(format!("Heading=value, not {cell}"))?;
            let tab = &mut self.world.tab;
            let header = &tab.rows[tab.header()].cells;
            let column = header
                .iter()
                .position(|content| *content == Content::Value(Cell::Text(heading.into())));
            let column = column.ok_or(format!("no header {heading}"))?;
            while tab.rows.len() <= row {
                tab.push_row();
            }
            tab.rows[row].cells[column] = content(value);
        }
        Ok(())
    }

    fn mapped(&self, heading: &str) -> Told<usize> {
        let columns = &self.world.table.mapping.columns;
        columns
            .iter()
            .position(|column| column.header == heading)
            .ok_or(format!("no header {heading}"))
    }

    fn sheet_row(&self, key: &str) -> Told<usize> {
        let (tab, now) = (&self.world.tab, self.world.now());
        let wanted = Some(table_key(key));
        (tab.header() + 1..tab.rows.len())
            .find(|&row| key_of_cells(&tab.mapping, &tab.mapped(row, now)) == wanted)
            .ok_or(format!("no row {key} in the sheet"))
    }

    // ------------------------------------------------------------------------------------------------------ expectations

    fn expect(&mut self, what: &[&str], block: &Grid) -> Told {
        match what {
            ["table"] => compare("the table", &block[1..], &self.table_grid()),
            ["sheet"] => compare("the sheet", block, &self.sheet_grid(block)),
            ["conflict"] => compare(
                "conflict",
                block,
                &self
                    .world
                    .table
                    .conflicts
                    .iter()
                    .map(|line| self.conflict(&line.conflict))
                    .collect(),
            ),
            ["problem"] => {
                let mut lines: Grid = self
                    .world
                    .table
                    .problems
                    .iter()
                    .map(|problem| self.problem(problem))
                    .collect();
                lines.sort();
                compare("problem", block, &lines)
            }
            ["guard", reason] => match &self
                .world
                .last_report
                .as_ref()
                .and_then(|report| report.stopped.clone())
            {
                Some(Stopped::Guard { reason: got, .. }) if got.as_str() == *reason => Ok(()),
                other => Err(format!("the last cycle stopped for {other:?}")),
            },
            ["no", "guard"] => match self
                .world
                .last_report
                .as_ref()
                .and_then(|report| report.stopped.clone())
            {
                None => Ok(()),
                other => Err(format!("the last cycle stopped for {other:?}")),
            },
            ["silence"] => self.world.check_settled().map_err(|violation| violation.0),
            _ => Err("no such expectation".into()),
        }
    }

    fn table_grid(&self) -> Grid {
        let text = |datum: &Datum| match datum.as_deref() {
            None => String::new(),
            Some("") => "''".into(),
            Some(text) => text.into(),
        };
        self.world
            .table
            .rows
            .values()
            .map(|row| row.values.iter().map(text).collect())
            .collect()
    }

    /// Written the way the scenario writes it, where it means the same.
    fn sheet_grid(&self, expected: &Grid) -> Grid {
        let tab = &self.world.tab;
        let mut grid: Grid = Vec::new();
        for (index, row) in tab.rows.iter().enumerate() {
            let cell = |(column, got): (usize, &Content)| {
                let wanted = expected
                    .get(index)
                    .and_then(|row| row.get(column))
                    .map_or("", String::as_str);
                let same =
                    content(wanted) == *got || *got == Content::Value(Cell::Text(wanted.into()));
                let title = index <= tab.header();
                if same && (title || content(wanted) == *got) {
                    wanted.into()
                } else {
                    written(got, self.kind_at(column))
                }
            };
            grid.push(row.cells.iter().enumerate().map(cell).collect());
        }
        while grid
            .last()
            .is_some_and(|row| row.iter().all(String::is_empty))
        {
            grid.pop();
        }
        grid
    }

    fn kind_at(&self, column: usize) -> Kind {
        match self.world.tab.columns[column] {
            ColumnUse::Mapped(mapped) => self.world.table.mapping.columns[mapped].kind,
            ColumnUse::Other => Kind::Text,
        }
    }

    fn conflict(&self, conflict: &Conflict) -> Vec<String> {
        let column = conflict
            .column
            .map(|column| &self.world.table.mapping.columns[column]);
        let datum = |datum: &Option<Datum>| match datum {
            None => "absent".to_string(),
            Some(datum) => datum.clone().unwrap_or_default().to_string(),
        };
        let (database, sheet) = match &conflict.rows {
            Some(rows) => (
                presence(rows.database.is_some()),
                presence(rows.sheet.is_some()),
            ),
            None => (
                datum(&conflict.database),
                conflict.sheet.as_ref().map_or("absent".into(), |cell| {
                    let kind = column.map_or(Kind::Text, |column| column.kind);
                    meaning(kind, true, cell).flatten().map_or_else(
                        || written(&Content::Value(cell.clone()), kind),
                        String::from,
                    )
                }),
            ),
        };
        vec![
            conflict.key.0.join("/"),
            column.map_or("row".into(), |column| column.name.clone()),
            if conflict.rows.is_some() {
                String::new()
            } else {
                datum(&conflict.base)
            },
            database,
            sheet,
            format!("{:?}", conflict.winner).to_lowercase(),
            if conflict.settled {
                "settled".into()
            } else {
                "open".into()
            },
        ]
    }

    fn problem(&self, problem: &Problem) -> Vec<String> {
        let place = &problem.place;
        let row = place
            .sheet_row
            .map_or(String::new(), |row| format!("row {row}"));
        vec![
            place.key.as_ref().map_or(row, |key| key.0.join("/")),
            place.column.map_or("row".into(), |column| {
                self.world.table.mapping.columns[column].name.clone()
            }),
            problem.code.clone(),
        ]
    }
}

fn presence(there: bool) -> String {
    if there { "row".into() } else { "absent".into() }
}

fn compare(what: &str, expected: &[Vec<String>], got: &Grid) -> Told {
    let trimmed = |grid: &[Vec<String>]| -> Grid {
        let row = |row: &Vec<String>| {
            let last = row
                .iter()
                .rposition(|cell| !cell.is_empty())
                .map_or(0, |last| last + 1);
            row[..last].to_vec()
        };
        let mut grid: Grid = grid.iter().map(row).collect();
        while grid.last().is_some_and(Vec::is_empty) {
            grid.pop();
        }
        grid
    };
    if trimmed(expected) == trimmed(got) {
        return Ok(());
    }
    let lines = |grid: &[Vec<String>]| {
        grid.iter()
            .map(|row| format!("  {}\n", row.join(" | ")))
            .collect::<String>()
    };
    Err(format!(
        "{what}, expected:\n{}got:\n{}",
        lines(expected),
        lines(got)
    ))
}

fn is_named(effect: &Effect, name: &str) -> bool {
    let told = format!("{effect:?}");
    told.split(['(', ' ', ')']).nth(1) == Some(name)
}
