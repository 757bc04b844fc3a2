//! Keys that look like another one: they differ by blanks at their ends, by invisible characters,
//! or by the way in which Unicode writes an accent. For the table these are two keys; for the
//! person who typed them they are usually one.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use unicode_normalization::UnicodeNormalization;

use crate::cycle::compare::diff::{Diff, Row, sheet_problem};
use crate::cycle::memory::known::State;
use crate::cycle::state::Cycle;
use crate::cycle::stop::Stop;
use crate::effect::Problem;
use crate::mapping::{KeyEquality, Kind, Mapping};
use crate::value::{Key, Text};

/// A row of the sheet, its key as typed, and the spelling under which it is known.
pub(crate) type Named = (Row, Key, Key);

impl Cycle {
    /// Takes out the rows whose key is new and looks like another key. They are problems, and while
    /// they stand the row of that other key counts neither as gone nor as new.
    pub(crate) async fn without_look_alikes(
        &mut self,
        diff: &mut Diff,
        named: Vec<Named>,
    ) -> Result<Vec<Named>, Stop> {
        let mapping = self.mapping.clone();
        let (new, mut fine) = self.partition_new(named);
        if new.is_empty() || !has_text(&mapping) {
            fine.extend(new);
            return Ok(fine);
        }
        let mut odd = Vec::new();
        let mut others = self.known_looks();
        let mut alike = Vec::new();
        let mut plain = HashSet::new();
        for row in new {
            match (look(&mapping, &row.2), others.get(&row.2)) {
                (Some(look), _) => odd.push((look, row)),
                (None, Some(other)) => alike.push((row, other.clone())),
                (None, None) => {
                    plain.insert(row.2.clone());
                    fine.push(row);
                }
            }
        }
        let looks: Vec<Key> = odd.iter().map(|(look, _)| look.clone()).collect();
        let spelled = self.spell(looks).await?;
        let dirty: HashSet<&Key> = self.dirty.iter().map(|dirty| &dirty.key).collect();
        for ((look, row), spelled) in odd.into_iter().zip(spelled) {
            let is_there =
                |key: &Key| dirty.contains(key) || plain.contains(key) || self.has_base(key);
            let other = Some(spelled).filter(is_there);
            match other.or_else(|| others.get(&look).cloned()) {
                Some(other) if other != row.2 => alike.push((row, other)),
                _ => {
                    others.insert(look, row.2.clone());
                    fine.push(row);
                }
            }
        }
        for ((row, _, key), other) in alike {
            diff.problems
                .push(look_alike(&mapping, row.at, &key, &other));
            self.memory.known(&other);
            diff.unreadable.push(row.refused());
            diff.alike.push((other, row.at));
        }
        Ok(fine)
    }

    /// Rows whose key is new come first: the table has not got it, not even a moment ago, and the
    /// two sides never agreed on it.
    fn partition_new(&self, named: Vec<Named>) -> (Vec<Named>, Vec<Named>) {
        let dirty: HashSet<&Key> = self.dirty.iter().map(|dirty| &dirty.key).collect();
        let is_new = |(_, _, key): &Named| !dirty.contains(key) && !self.has_base(key);
        named.into_iter().partition(is_new)
    }

    fn has_base(&self, key: &Key) -> bool {
        let known = self.memory.rows.get(key);
        known.is_some_and(|known| known.state != State::Unbased)
    }

    /// Known keys that hold something invisible, by what a person sees of them.
    fn known_looks(&self) -> HashMap<Key, Key> {
        let based = self.memory.rows.keys().filter(|key| self.has_base(key));
        let known = based.chain(self.dirty.iter().map(|dirty| &dirty.key));
        known
            .filter_map(|key| Some((look(&self.mapping, key)?, key.clone())))
            .collect()
    }

    /// Under which spelling such keys would be known.
    async fn spell(&mut self, looks: Vec<Key>) -> Result<Vec<Key>, Stop> {
        if looks.is_empty() || self.mapping.key_equality == KeyEquality::ByText {
            return Ok(looks);
        }
        let named = self.name_keys(looks.clone()).await?;
        let spelled = named.into_iter().zip(looks);
        Ok(spelled.map(|(named, look)| named.unwrap_or(look)).collect())
    }
}

fn has_text(mapping: &Mapping) -> bool {
    let mut columns = mapping.key.iter();
    columns.any(|column| is_text(mapping, *column))
}

fn is_text(mapping: &Mapping, column: usize) -> bool {
    let column = mapping.columns.get(column);
    column.is_some_and(|column| column.kind == Kind::Text)
}

/// What a person sees of a key; `None` where nothing in it is invisible.
fn look<'a>(mapping: &Mapping, key: &'a Key) -> Option<Key> {
    let parts = mapping.key.iter().zip(&key.0);
    let seen = |(column, text): (&usize, &'a Text)| match is_text(mapping, *column) {
        true => visible(text),
        false => Cow::Borrowed(text.as_str()),
    };
    let is_plain = parts.clone().all(|part| seen(part) == part.1.as_str());
    (!is_plain).then(|| parts.map(seen).collect())
}

fn visible(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|byte| (b' '..0x7f).contains(&byte)) {
        return Cow::Borrowed(text.trim());
    }
    let seen = text.nfc().filter(|letter| !is_invisible(*letter));
    let blanks = seen.map(|letter| match letter.is_whitespace() {
        true => ' ',
        false => letter,
    });
    Cow::Owned(blanks.collect::<String>().trim().to_owned())
}

/// Characters without a width, and marks that only say how text is set.
fn is_invisible(letter: char) -> bool {
    let control = letter.is_control() && !letter.is_whitespace();
    control
        || matches!(
            letter,
            '\u{ad}'
                | '\u{34f}'
                | '\u{61c}'
                | '\u{180b}'..='\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{202a}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{feff}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

fn look_alike(mapping: &Mapping, at: u32, key: &Key, other: &Key) -> Problem {
    let parts = mapping.key.iter().copied().zip(key.0.iter().zip(&other.0));
    let column = parts
        .clone()
        .find(|(_, (one, other))| one != other)
        .map(|(column, _)| column);
    sheet_problem(
        at,
        column.or(mapping.key.first().copied()),
        "look_alike_key",
        format!(
            "The key {} looks like {}, but it is another key: they differ only in spaces or in characters that cannot be seen.",
            marked(key),
            marked(other)
        ),
        "Type the key again, without spaces before or after it; or delete the row. Until then neither row is changed.".into(),
    )
}

/// A key with its invisible characters made visible.
fn marked(key: &Key) -> String {
    let text = key.shown();
    let inner = text.trim_matches(' ');
    let before = text.len() - text.trim_start_matches(' ').len();
    let after = text.len() - before - inner.len();
    let mut marked = "\"".to_owned();
    marked.push_str(&"␣".repeat(before));
    for letter in inner.chars() {
        let odd = is_invisible(letter) || letter.is_whitespace() && letter != ' ';
        let is_mark = unicode_normalization::char::is_combining_mark(letter);
        match odd || is_mark {
            true => marked.push_str(&format!("<U+{:04X}>", u32::from(letter))),
            false => marked.push(letter),
        }
    }
    marked.push_str(&"␣".repeat(after));
    marked.push('"');
    marked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_seen_is_left_out() {
        for text in [
            "A-1 ",
            " A-1",
            "A-1\u{a0}",
            "\u{feff}A-1",
            "A\u{200b}-1",
            "A-\u{ad}1",
            "A-1\t",
        ] {
            assert_eq!(visible(text), "A-1", "{text:?}");
        }
        assert_eq!(visible("Zu\u{308}rich"), "Z\u{fc}rich");
        assert_eq!(visible("New\u{a0}York"), "New York");
        assert_eq!(visible("A 1"), "A 1");
    }

    #[test]
    fn a_message_shows_it() {
        let key = |text: &str| Key::from_iter([text]);
        assert_eq!(marked(&key("A-1 ")), "\"A-1␣\"");
        assert_eq!(marked(&key("A\u{200b}-1")), "\"A<U+200B>-1\"");
        assert_eq!(marked(&key("Zu\u{308}rich")), "\"Zu<U+0308>rich\"");
    }
}
