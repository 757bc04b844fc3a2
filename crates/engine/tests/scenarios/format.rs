//! How a scenario is written.
//!
//! Both sides have been synced once before the first step, unless the settings say `first_sync
//! not_yet`.
//!
//! Blocks, each followed by indented lines: `settings`, `table`, `sheet` say how things stand at
//! first; `expect table`, `expect sheet`, `expect conflict`, `expect problem` how they must stand
//! at that point. Every other line is a step:
//!
//! | step | what happens |
//! |---|---|
//! | `table insert id=3 name=nut`, `table update 3 name=bolt`, `table delete 3`, `table truncate` | somebody writes SQL |
//! | `sheet type 3 Name=bolt`, `sheet type row 4 Id=9` | a person types into cells of the row with that key, or in that place |
//! | `sheet add Id=3 Name=nut` | a person types a row below the others |
//! | `sheet delete 3`, `sheet copy 3`, `sheet move 3 2`, `sheet insert 2` | rows are deleted, copied, moved to row 2, a blank row put at row 2 |
//! | `sheet sort Name`, `sheet head B "Full name"` | sorted by a column; the header cell of a column overwritten |
//! | `sheet move column A C`, `sheet insert column B` | columns moved or put in |
//! | `sync` | the worker runs until nothing is left to do |
//! | `push`, `pull`, `preview` | one cycle, one way or dry |
//! | `poll` | the next cycle reads the sheet |
//! | `until Write` | the worker goes on until that effect is about to be carried out |
//! | `once Write` | … until that effect has been carried out and is not yet reported |
//! | `fault AnswerLost` | that effect meets a fault (also Refused, Quota, RequestLost, Late, Stale, Moved, `Partial 1 2`: from the 1st data row, 2 rows) |
//! | `land`, `crash`, `wait 60` | a late batch arrives; the worker dies; seconds pass |
//! | `confirm_deletes`, `resync`, `resolve sheet`, `resolve value 7` | a person decides |
//! | `expect guard mass_delete`, `expect no guard` | whether the last cycle stopped |
//!
//! A sheet's cell is a number, TRUE, FALSE, a date (2024-05-01 is its serial number), a formula of
//! the model (=NOW(), =ROW(), =LEN(name)) or text; "…" is text whatever it looks like. In the table
//! an empty cell is NULL and '' an empty text.

pub struct Scenario {
    pub settings: Vec<(String, String)>,
    pub table: Grid,
    pub sheet: Grid,
    pub acts: Vec<Act>,
}

/// The first line is the heading.
pub type Grid = Vec<Vec<String>>;

pub struct Act {
    /// As it stands in the file, to be told when it fails.
    pub line: usize,
    pub words: Vec<String>,
    pub block: Grid,
}

pub fn parse(text: &str) -> Result<Scenario, String> {
    let mut acts: Vec<Act> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let content = line.trim_end();
        if content.trim().is_empty() || content.starts_with('#') {
            continue;
        }
        if let Some(row) = content.strip_prefix("  ") {
            let act = acts
                .last_mut()
                .ok_or(format!("line {}: a row before any block", number + 1))?;
            act.block
                .push(row.split('|').map(|cell| cell.trim().to_string()).collect());
        } else {
            let words = words(content).map_err(|error| format!("line {}: {error}", number + 1))?;
            acts.push(Act {
                line: number + 1,
                words,
                block: Vec::new(),
            });
        }
    }
    let mut take = |name: &str| {
        let found = acts.iter().position(|act| act.words == [name]);
        found
            .map(|index| acts.remove(index).block)
            .unwrap_or_default()
    };
    let settings = take("settings");
    let (table, sheet) = (take("table"), take("sheet"));
    if table.is_empty() {
        return Err("a scenario begins with a table".into());
    }
    let pair = |row: &Vec<String>| {
        let (name, value) = row
            .join("|")
            .split_once(' ')
            .map(|(a, b)| (a.to_string(), b.trim().to_string()))?;
        Some((name, value))
    };
    let settings = settings
        .iter()
        .map(|row| pair(row).ok_or(format!("a setting is a name and a value, not {row:?}")))
        .collect::<Result<_, _>>()?;
    Ok(Scenario {
        settings,
        table,
        sheet,
        acts,
    })
}

/// Words, where quotes keep together what a space would part; the quotes stay, they mean something
/// in cells.
fn words(line: &str) -> Result<Vec<String>, String> {
    let mut found = vec![String::new()];
    let mut quoted = false;
    for letter in line.chars() {
        match letter {
            ' ' if !quoted => found.push(String::new()),
            _ => {
                quoted ^= letter == '"';
                found.last_mut().expect("never empty").push(letter);
            }
        }
    }
    found.retain(|word| !word.is_empty());
    if quoted {
        Err("a quote is not closed".into())
    } else {
        Ok(found)
    }
}
