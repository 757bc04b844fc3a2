//! Keys as people type them, with the spelling under which each is known.

use std::collections::{HashMap, HashSet};

use crate::value::Key;

#[derive(Clone, Debug, Default)]
pub(crate) struct Aliases {
    known: HashMap<Key, Key>,
    /// The other way round: what is typed for each known spelling.
    typed: HashMap<Key, HashSet<Key>>,
}

impl Aliases {
    /// The spelling under which what is typed like this is known, where that is another.
    pub(crate) fn get(&self, typed: &Key) -> Option<&Key> {
        self.known.get(typed)
    }

    pub(crate) fn insert(&mut self, typed: Key, known: Key) {
        self.remove(&typed);
        self.typed
            .entry(known.clone())
            .or_default()
            .insert(typed.clone());
        self.known.insert(typed, known);
    }

    pub(crate) fn remove(&mut self, typed: &Key) {
        let Some(known) = self.known.remove(typed) else {
            return;
        };
        if let Some(all) = self.typed.get_mut(&known) {
            all.remove(typed);
            if all.is_empty() {
                self.typed.remove(&known);
            }
        }
    }

    pub(crate) fn clear(&mut self) {
        self.known.clear();
        self.typed.clear();
    }

    /// What meant the one spelling, and that spelling itself, means the other from now on.
    pub(crate) fn respell(&mut self, before: &Key, now: &Key) {
        for typed in self.typed.remove(before).unwrap_or_default() {
            self.known.remove(&typed);
            self.insert(typed, now.clone());
        }
        self.insert(before.clone(), now.clone());
        self.remove(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_typed_follows_a_key_from_spelling_to_spelling() {
        let key = |text: &str| Key::from_iter([text]);
        let mut aliases = Aliases::default();
        aliases.insert(key("ANN"), key("ann"));
        aliases.respell(&key("ann"), &key("Ann"));
        assert_eq!(aliases.get(&key("ANN")), Some(&key("Ann")));
        assert_eq!(aliases.get(&key("ann")), Some(&key("Ann")));
        aliases.respell(&key("Ann"), &key("ANN"));
        assert_eq!(aliases.get(&key("ANN")), None);
        assert_eq!(aliases.get(&key("ann")), Some(&key("ANN")));
        aliases.remove(&key("ann"));
        aliases.respell(&key("ANN"), &key("a"));
        assert_eq!(aliases.get(&key("ann")), None);
    }
}
