//! Keys that were changed in the table.

use std::collections::HashMap;

use crate::value::Key;

/// Under which other key a row is to be found, after all the changes of keys that nobody has looked
/// at yet.
#[derive(Debug, Default)]
pub struct Renames {
    before: HashMap<Key, Key>,
    after: HashMap<Key, Key>,
}

impl Renames {
    /// From pairs of the old and the new key, oldest first. A key that was freed and given to a new
    /// row in between passes for one row: its cells are compared like any other's. A pair that
    /// never came true (a savepoint that was rolled back) does no harm: what it says is compared
    /// with the table before it is believed.
    pub fn new(pairs: impl IntoIterator<Item = (Key, Key)>) -> Self {
        let mut renames = Self::default();
        for (from, to) in pairs {
            let first = renames.before.remove(&from).unwrap_or(from);
            renames.after.remove(&first);
            if first != to {
                renames.after.insert(first.clone(), to.clone());
                // The row that had this key before is gone: it is nowhere to be found.
                if let Some(gone) = renames.before.insert(to, first.clone())
                    && gone != first
                {
                    renames.after.remove(&gone);
                }
            }
        }
        renames
    }

    /// [`crate::effect::LoadedRow::moved`]: the key that a row had before where the table has it now, the one that it got where
    /// the table does not.
    pub fn moved(&self, key: &Key, stands: bool) -> Option<Key> {
        let other = if stands { &self.before } else { &self.after };
        other.get(key).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        [name].into_iter().collect()
    }

    fn moved(pairs: &[(&str, &str)], name: &str, stands: bool) -> Option<String> {
        let pairs = pairs.iter().map(|(from, to)| (key(from), key(to)));
        let other = Renames::new(pairs).moved(&key(name), stands);
        other.map(|key| key.0.concat())
    }

    #[test]
    fn a_row_is_followed_over_several_changes() {
        let pairs = [("a", "b"), ("b", "c")];
        assert_eq!(moved(&pairs, "a", false).as_deref(), Some("c"));
        assert_eq!(moved(&pairs, "c", true).as_deref(), Some("a"));
        assert_eq!(moved(&pairs, "b", true), None);
    }

    #[test]
    fn a_key_that_another_row_took_over_is_that_row_s() {
        let pairs = [("a", "b"), ("x", "a")];
        assert_eq!(moved(&pairs, "b", true).as_deref(), Some("a"));
        assert_eq!(moved(&pairs, "a", true).as_deref(), Some("x"));
    }

    #[test]
    fn a_row_that_is_gone_leaves_its_key_to_the_row_that_takes_it() {
        let pairs = [("a", "c"), ("b", "c")];
        assert_eq!(moved(&pairs, "c", true).as_deref(), Some("b"));
        assert_eq!(moved(&pairs, "b", false).as_deref(), Some("c"));
        assert_eq!(moved(&pairs, "a", false), None);
    }

    #[test]
    fn the_same_change_twice_is_one_change() {
        let pairs = [("a", "b"), ("a", "b")];
        assert_eq!(moved(&pairs, "a", false).as_deref(), Some("b"));
        assert_eq!(moved(&pairs, "b", true).as_deref(), Some("a"));
    }

    #[test]
    fn there_and_back_is_no_change() {
        let pairs = [("a", "b"), ("b", "a")];
        assert_eq!(moved(&pairs, "a", true), None);
        assert_eq!(moved(&pairs, "a", false), None);
    }
}
