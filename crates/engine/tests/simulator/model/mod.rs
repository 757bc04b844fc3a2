//! A model of everything around the engine: a table, a sheet, the people who edit both, the driver,
//! and a ledger that holds the engine to its promises.

pub mod database;
pub mod ledger;
pub mod settled;
pub mod setup;
pub mod sheet;
pub mod values;
pub mod world;

/// A promise that was broken, in words.
#[derive(Clone, Debug, PartialEq)]
pub struct Violation(pub String);

pub type Verdict<T = ()> = Result<T, Violation>;

pub fn broken<T>(words: impl Into<String>) -> Verdict<T> {
    Err(Violation(words.into()))
}

impl Violation {
    /// The words without what names a row, a cell or a value: two violations of one kind have one
    /// cause, as a rule.
    pub fn kind(&self) -> String {
        let mut depth = 0;
        let mut kind = String::new();
        for letter in self.0.split(": ").next().unwrap_or_default().chars() {
            match letter {
                '(' | '[' | '{' => depth += 1,
                ')' | ']' | '}' => depth -= 1,
                letter if depth == 0 && !letter.is_ascii_digit() => kind.push(letter),
                _ => {}
            }
        }
        ["Some", "None", "Empty", "Text", "Number", "Bool"]
            .iter()
            .fold(kind, |kind, word| kind.replace(word, "…"))
    }
}
