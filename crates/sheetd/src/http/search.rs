//! `q` of Drive's files.list: terms joined by `and`.

use crate::store::File;

/// What a file must be.
#[derive(Debug, PartialEq)]
pub struct Search(Vec<Term>);

#[derive(Debug, PartialEq)]
enum Term {
    MimeType {
        equal: bool,
        value: String,
    },
    Name {
        contains: bool,
        equal: bool,
        value: String,
    },
    Trashed(bool),
    /// Folders do not exist here: everything lies in the root.
    In(String),
}

impl Search {
    /// `None` for a query that this server does not understand.
    pub fn parse(text: &str) -> Option<Self> {
        if text.trim().is_empty() {
            return Some(Self(Vec::new()));
        }
        let mut words = tokens(text)?.into_iter().peekable();
        let mut terms = Vec::new();
        loop {
            terms.push(term(&mut words)?);
            match words.next().as_deref() {
                None => return Some(Self(terms)),
                Some("and") => {}
                Some(_) => return None,
            }
        }
    }

    pub fn matches(&self, file: &File) -> bool {
        self.0.iter().all(|term| match term {
            Term::MimeType { equal, value } => (value == "application/vnd.google-apps.spreadsheet") == *equal,
            Term::Name { contains: true, value, .. } => file.book.title.to_lowercase().contains(&value.to_lowercase()),
            Term::Name { equal, value, .. } => (file.book.title == *value) == *equal,
            Term::Trashed(trashed) => file.trashed == *trashed,
            Term::In(folder) => folder == "root",
        })
    }
}

fn term(words: &mut impl Iterator<Item = String>) -> Option<Term> {
    let (field, operator, value) = (words.next()?, words.next()?, words.next()?);
    let quoted = value.strip_prefix('\'').map(str::to_owned);
    Some(match (field.as_str(), operator.as_str()) {
        ("mimeType", "=" | "!=") => Term::MimeType { equal: operator == "=", value: quoted? },
        ("name", "=" | "!=" | "contains") => {
            Term::Name { contains: operator == "contains", equal: operator == "=", value: quoted? }
        }
        ("trashed", "=") => Term::Trashed(value == "true"),
        (folder, "in") if value == "parents" => Term::In(folder.strip_prefix('\'')?.to_owned()),
        _ => return None,
    })
}

/// Words, operators and texts; a text keeps one leading quote to tell it from a word.
fn tokens(text: &str) -> Option<Vec<String>> {
    let mut out = Vec::new();
    let mut rest = text.trim_start();
    while let Some(c) = rest.chars().next() {
        if c == '\'' || c == '"' {
            let mut value = String::from("'");
            let mut chars = rest.char_indices().skip(1);
            let end = loop {
                match chars.next()? {
                    (_, '\\') => value.push(chars.next()?.1),
                    (i, x) if x == c => break i + 1,
                    (_, x) => value.push(x),
                }
            };
            out.push(value);
            rest = &rest[end..];
        } else {
            let end = if let Some(op) = ["!=", "="].iter().find(|o| rest.starts_with(**o)) {
                op.len()
            } else {
                rest.find(|c: char| c.is_whitespace() || c == '=' || c == '!').filter(|e| *e > 0).unwrap_or(rest.len())
            };
            out.push(rest[..end].to_owned());
            rest = &rest[end..];
        }
        rest = rest.trim_start();
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries() {
        let parsed =
            Search::parse("mimeType=\"application/vnd.google-apps.spreadsheet\" and name = \"don't\"").unwrap();
        assert_eq!(
            parsed.0,
            [
                Term::MimeType { equal: true, value: "application/vnd.google-apps.spreadsheet".into() },
                Term::Name { contains: false, equal: true, value: "don't".into() },
            ]
        );
        assert!(Search::parse("name contains 'it\\'s' and trashed=false and 'root' in parents").is_some());
        assert_eq!(Search::parse("owner is me"), None);
    }
}
