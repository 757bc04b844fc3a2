//! Field masks: `fields` of a request (what to change) and of a query (what to answer).

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Map, Value as Json};

#[derive(Debug, Clone, PartialEq)]
pub enum Mask {
    All,
    Members(Vec<(String, Mask)>),
}

impl Mask {
    /// `.` and `/` descend, `a(b,c)` groups, a trailing comma is tolerated, nothing is trimmed
    /// (G-STANDIN-9).
    pub fn parse(text: &str) -> Option<Self> {
        let mut rest = text;
        let mask = list(&mut rest)?;
        rest.is_empty().then_some(mask)
    }

    pub fn is_all(&self) -> bool {
        *self == Self::All
    }

    /// The mask of one member; `None` where it is left out.
    pub fn member(&self, name: &str) -> Option<&Mask> {
        match self {
            Self::All => Some(&Self::All),
            Self::Members(members) => members
                .iter()
                .find(|(n, _)| n == "*")
                .or_else(|| members.iter().find(|(n, _)| n == name))
                .map(|(_, m)| m),
        }
    }

    pub fn covers(&self, name: &str) -> bool {
        self.member(name).is_some()
    }

    /// Whether a path was named, `*` alone not being a name.
    pub fn names(&self, path: &[&str]) -> bool {
        match (self, path.split_first()) {
            (_, None) | (Self::All, _) => true,
            (Self::Members(members), Some((first, rest))) => members.iter().any(|(n, m)| n == first && m.names(rest)),
        }
    }

    fn insert(&mut self, name: String, mask: Mask) {
        let Self::Members(members) = self else { return };
        match members.iter_mut().find(|(n, _)| *n == name) {
            None => members.push((name, mask)),
            Some((_, old)) => match mask {
                Self::All => *old = Self::All,
                Self::Members(inner) => inner.into_iter().for_each(|(n, m)| old.insert(n, m)),
            },
        }
    }

    /// Members by their JSON names, whatever spelling was used.
    pub fn canonical(self) -> Self {
        match self {
            Self::All => Self::All,
            Self::Members(members) => {
                Self::Members(members.into_iter().map(|(n, m)| (super::proto::camel(&n), m.canonical())).collect())
            }
        }
    }

    /// Leaves only what the mask names; lists are gone through item by item.
    pub fn keep(&self, value: Json) -> Json {
        match (self, value) {
            (Self::All, value) => value,
            (_, Json::Array(items)) => Json::Array(items.into_iter().map(|i| self.keep(i)).collect()),
            (_, Json::Object(members)) => Json::Object(
                members
                    .into_iter()
                    .filter_map(|(name, value)| {
                        let kept = self.member(&name)?.keep(value);
                        Some((name, kept))
                    })
                    .collect(),
            ),
            (_, scalar) => scalar,
        }
    }

    /// Makes `target` equal to `source` in the members named; a named member that `source` lacks is
    /// reset (G-VALUES-7).
    pub fn merge(&self, target: &mut Map<String, Json>, source: &Map<String, Json>) {
        match self {
            Self::All => target.clone_from(source),
            Self::Members(members) => {
                for (name, mask) in members {
                    if name == "*" {
                        target.clone_from(source);
                    } else {
                        merge_member(target, source, name, mask);
                    }
                }
            }
        }
    }
}

/// What a mask leaves of a value, when it is printed: a large answer is not copied for it.
pub struct Kept<'a> {
    pub mask: &'a Mask,
    pub value: &'a Json,
}

impl Serialize for Kept<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match (self.mask, self.value) {
            (Mask::All, value) => value.serialize(serializer),
            (mask, Json::Array(items)) => serializer.collect_seq(items.iter().map(|value| Kept { mask, value })),
            (mask, Json::Object(members)) => {
                let mut map = serializer.serialize_map(None)?;
                for (name, value) in members {
                    if let Some(mask) = mask.member(name) {
                        map.serialize_entry(name, &Kept { mask, value })?;
                    }
                }
                map.end()
            }
            (_, scalar) => scalar.serialize(serializer),
        }
    }
}

fn merge_member(target: &mut Map<String, Json>, source: &Map<String, Json>, name: &str, mask: &Mask) {
    let given = source.get(name);
    if mask.is_all() {
        match given {
            Some(value) => target.insert(name.to_owned(), value.clone()),
            None => target.shift_remove(name),
        };
        return;
    }
    let empty = Map::new();
    let inner = target.entry(name).or_insert_with(|| Json::Object(Map::new()));
    if let Json::Object(inner) = inner {
        mask.merge(inner, given.and_then(Json::as_object).unwrap_or(&empty));
        if inner.is_empty() {
            target.shift_remove(name);
        }
    }
}

fn list(rest: &mut &str) -> Option<Mask> {
    let mut mask = Mask::Members(Vec::new());
    loop {
        let (names, inner) = path(rest)?;
        let nested = names.into_iter().rev().fold(inner, |mask, name| Mask::Members(vec![(name, mask)]));
        if let Mask::Members(members) = nested {
            members.into_iter().for_each(|(n, m)| mask.insert(n, m));
        }
        match rest.strip_prefix(',') {
            None => return Some(mask),
            Some(after) => *rest = after,
        }
        if rest.is_empty() || rest.starts_with(')') {
            return Some(mask);
        }
    }
}

fn path(rest: &mut &str) -> Option<(Vec<String>, Mask)> {
    let mut names = Vec::new();
    loop {
        let end = rest.find([',', '(', ')', '.', '/']).unwrap_or(rest.len());
        let name = &rest[..end];
        if name.is_empty() {
            return None;
        }
        names.push(name.to_owned());
        *rest = &rest[end..];
        match rest.chars().next() {
            Some('.' | '/') => *rest = &rest[1..],
            Some('(') => {
                *rest = &rest[1..];
                let inner = list(rest)?;
                *rest = rest.strip_prefix(')')?;
                return Some((names, inner));
            }
            _ => return Some((names, Mask::All)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn keeps_what_is_named() {
        let value = json!({"a": {"b": 1, "c": 2}, "d": [{"e": 1, "f": 2}, {}], "g": 3});
        for (mask, want) in [
            ("a.b,d(e)", json!({"a": {"b": 1}, "d": [{"e": 1}, {}]})),
            ("a/c,", json!({"a": {"c": 2}})),
            ("*", value.clone()),
            ("a(b,c),g", json!({"a": {"b": 1, "c": 2}, "g": 3})),
        ] {
            let parsed = Mask::parse(mask).unwrap();
            assert_eq!(parsed.keep(value.clone()), want, "{mask}");
            let printed = serde_json::to_string(&Kept { mask: &parsed, value: &value }).unwrap();
            assert_eq!(printed, want.to_string(), "{mask}");
        }
        assert_eq!(Mask::parse(" a(").map(|_| ()), None);
    }

    #[test]
    fn a_named_member_that_is_absent_is_reset() {
        let mut target = json!({"grid": {"frozen": 2, "rows": 5}, "title": "x"}).as_object().cloned().unwrap();
        let source = json!({"grid": {}}).as_object().cloned().unwrap();
        Mask::parse("grid.frozen").unwrap().merge(&mut target, &source);
        assert_eq!(Json::Object(target), json!({"grid": {"rows": 5}, "title": "x"}));
    }
}
