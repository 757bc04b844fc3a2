//! What people and programs do to both sides, chosen by chance.

use crate::journal::{COMMON, Cells, Edit, NAME, PRICE, REMARK, Shown, Side, Table, What};
use e2e::{Db, Dice, Gate};

/// A table is kept near this size.
pub const ROWS: usize = 120;
/// Less than what a guard asks about: mapping.max_delete_rows is 20.
const REMOVALS: usize = 8;

/// Values and keys that occur once, so that each can be traced.
pub struct Tokens(u32);

impl Tokens {
    pub fn new() -> Tokens {
        Tokens(0)
    }

    fn next(&mut self) -> u32 {
        self.0 += 1;
        self.0
    }

    fn cell(&mut self, column: usize, side: Side) -> String {
        let number = self.next();
        match (column, side) {
            (PRICE, _) => (100_000_000 + number).to_string(),
            (_, Side::Database) => format!("d{number}."),
            (_, Side::Sheet) => format!("s{number}."),
        }
    }

    fn row(&mut self, side: Side) -> Cells {
        COMMON.map(|column| self.cell(column, side))
    }

    fn key(&mut self) -> u32 {
        10_000 + self.next()
    }
}

/// One transaction of some changes, a few of which are rolled back. An error leaves none of them.
pub fn transaction(
    table: &mut Table,
    db: &mut Db,
    dice: &mut Dice,
    tokens: &mut Tokens,
) -> Result<(), String> {
    let keys: Vec<u32> = table.held(db)?.into_keys().collect();
    let mut removals = table.round.removals(Side::Database);
    let edits: Vec<Edit> = (0..=dice.below(4))
        .filter_map(|_| {
            let key = dice.one(&keys)?;
            let what = match dice.below(10) {
                0 if keys.len() < ROWS * 3 / 2 => {
                    let edit = What::Insert(tokens.row(Side::Database));
                    return Some(by_database(tokens.key(), edit));
                }
                1 if keys.len() > ROWS / 2 && removals < REMOVALS => {
                    removals += 1;
                    What::Delete
                }
                2 if removals < REMOVALS => {
                    removals += 1;
                    What::Rekey(tokens.key())
                }
                chosen => {
                    let column = COMMON[chosen % 2];
                    What::Set(column, tokens.cell(column, Side::Database))
                }
            };
            Some(by_database(key, what))
        })
        .collect();
    let end = if dice.below(10) == 0 {
        "ROLLBACK"
    } else {
        "COMMIT"
    };
    let statements = edits.iter().enumerate();
    let sql: String = statements
        .map(|(number, edit)| format!("{} RETURNING {number};", statement(&table.name, edit)))
        .collect();
    let done = db.attempt(&format!("BEGIN; {sql} {end}"))?;
    if end == "COMMIT" {
        // A statement that found no row has changed nothing.
        let done: Vec<String> = done.into_iter().flatten().flatten().collect();
        let found = |number: &usize| done.contains(&number.to_string());
        let numbered = edits.into_iter().enumerate();
        let carried_out = numbered.filter(|(number, _)| found(number));
        table.round.edits.extend(carried_out.map(|(_, edit)| edit));
    }
    Ok(())
}

fn by_database(key: u32, what: What) -> Edit {
    Edit {
        side: Side::Database,
        key,
        what,
    }
}

fn statement(table: &str, Edit { key, what, .. }: &Edit) -> String {
    match what {
        What::Insert([name, price]) => {
            format!("INSERT INTO {table} VALUES ({key}, '{name}', {price})")
        }
        What::Set(NAME, value) => format!("UPDATE {table} SET name = '{value}' WHERE id = {key}"),
        What::Set(_, value) => format!("UPDATE {table} SET price = {value} WHERE id = {key}"),
        What::Delete => format!("DELETE FROM {table} WHERE id = {key}"),
        What::Rekey(to) => format!("UPDATE {table} SET id = {to} WHERE id = {key}"),
    }
}

/// Something that a person does to the sheet as they see it at this moment.
pub fn person(table: &mut Table, gate: &Gate, dice: &mut Dice, tokens: &mut Tokens) {
    let _still = gate.still();
    let shown = table.shown();
    let rows: Vec<(usize, u32)> = shown
        .iter()
        .filter_map(|row| Some((row.at, row.key?)))
        .collect();
    let end = shown.len() + 2;
    let Some((at, key)) = dice.one(&rows) else {
        return;
    };
    let removals = table.round.removals(Side::Sheet);
    let mut note = |key: u32, what: What| {
        table.round.edits.push(Edit {
            side: Side::Sheet,
            key,
            what,
        });
    };
    match dice.below(20) {
        0 | 1 if rows.len() < ROWS * 3 / 2 => {
            let (key, cells) = (tokens.key(), tokens.row(Side::Sheet));
            let place = if dice.below(2) == 0 { at } else { end };
            let [name, price] = &cells;
            let typed = [&key.to_string(), "", name, price];
            table.sheet.insert_typed_row(place, &typed);
            note(key, What::Insert(cells));
        }
        2 | 3 if rows.len() > ROWS / 2 && removals < REMOVALS => {
            table.sheet.delete_row(at);
            note(key, What::Delete);
        }
        4 => table.sheet.move_row(at, 2 + dice.below(shown.len())),
        5 => {
            let column = ["A", "C", "D"][dice.below(3)];
            table.sheet.sort(column, dice.below(2) == 0);
        }
        6 if end < ROWS * 2 => table.sheet.insert_row(at),
        7 | 8 => {
            let value = tokens.cell(REMARK, Side::Sheet);
            table.sheet.set(&format!("B{at}"), &value);
            note(key, What::Set(REMARK, value));
        }
        9 | 10 => {
            let below = pasted_over(&shown, at, 1 + dice.below(3));
            let cells: Vec<Cells> = below.iter().map(|_| tokens.row(Side::Sheet)).collect();
            let texts: Vec<Vec<String>> = cells.iter().map(|row| row.to_vec()).collect();
            table.sheet.type_at(&format!("C{at}"), &texts);
            for (key, cells) in below.into_iter().zip(cells) {
                for (column, value) in COMMON.into_iter().zip(cells) {
                    note(key, What::Set(column, value));
                }
            }
        }
        chosen => {
            let column = COMMON[chosen % 2];
            let value = tokens.cell(column, Side::Sheet);
            let letter = if column == NAME { "C" } else { "D" };
            table.sheet.set(&format!("{letter}{at}"), &value);
            note(key, What::Set(column, value));
        }
    }
}

/// The keys of up to so many rows from this one on, none of which is blank.
fn pasted_over(shown: &[Shown], at: usize, count: usize) -> Vec<u32> {
    let from = shown.iter().skip_while(|row| row.at < at);
    from.map_while(|row| row.key).take(count).collect()
}
