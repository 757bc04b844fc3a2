//! Which keys are one: by the operator and the collation of the key's index, never by one that is
//! found through a search path.

use engine::effect::{KeyRefusal, Respelled};
use engine::mapping::KeyEquality;
use engine::value::{Key, Text};
use std::cell::Cell;
use std::collections::HashSet;

use super::key_literal;
use crate::postgres::fields::Fields;
use crate::postgres::role::as_reader;
use crate::postgres::statement::{Arg, Session};
use crate::postgres::transaction::{readable, refusable};
use crate::worker::dirty::{LINES, Since};
use crate::worker::mappings::Loaded;

// ------------------------------------------------------------------------------------------------------ parts of statements

/// A FROM item of keys that a statement is given, with their places from 1 on; its first argument
/// has this number.
pub fn given(mapping: &Loaded, name: &str, first: usize) -> String {
    let key = mapping.engine.key.iter().enumerate();
    let array = |(n, place): (usize, &usize)| {
        let type_name = &mapping.columns[*place].type_name;
        format!("pg_catalog.unnest(${}::{type_name}[])", n + first)
    };
    let arrays: Vec<String> = key.clone().map(array).collect();
    let names: Vec<String> = key.map(|(n, _)| format!("k{n}")).collect();
    format!(
        "ROWS FROM ({}) WITH ORDINALITY {name}({}, place)",
        arrays.join(", "),
        names.join(", ")
    )
}

/// What [`given`] is given: one array for each column of the key.
pub fn given_args<'a>(mapping: &Loaded, keys: impl Iterator<Item = &'a Key> + Clone) -> Vec<Arg> {
    let part = |n: usize| {
        let texts = keys.clone().map(|key| key.0.get(n).map(Text::as_str));
        texts.collect::<Vec<Option<&str>>>().into()
    };
    (0..mapping.engine.key.len()).map(part).collect()
}

/// That the table's row `t` has a key that was given.
pub fn equal_to_row(mapping: &Loaded, given: &str) -> String {
    all_parts(mapping, |n, place| {
        (
            format!("t.{}", mapping.columns[place].name),
            format!("{given}.k{n}"),
        )
    })
}

/// That the table's row `t` has the key of which each part is what `part` says.
pub fn row_has(mapping: &Loaded, mut part: impl FnMut(usize, usize) -> String) -> String {
    all_parts(mapping, |n, place| {
        (format!("t.{}", mapping.columns[place].name), part(n, place))
    })
}

fn equal_to_given(mapping: &Loaded, one: &str, other: &str) -> String {
    all_parts(mapping, |n, _| {
        (format!("{one}.k{n}"), format!("{other}.k{n}"))
    })
}

fn all_parts(mapping: &Loaded, mut sides: impl FnMut(usize, usize) -> (String, String)) -> String {
    let key = mapping.engine.key.iter().enumerate();
    let parts: Vec<String> = key
        .map(|(n, place)| {
            let (one, other) = sides(n, *place);
            let equality = &mapping.columns[*place].equality;
            format!("{one} {} {other}{}", equality.operator, equality.collate)
        })
        .collect();
    parts.join(" AND ")
}

// ------------------------------------------------------------------------------------------------------------------- naming

pub fn name(
    session: &mut Session,
    mapping: &Loaded,
    waiting: &Since,
    typed: &[Key],
) -> Vec<Result<Key, KeyRefusal>> {
    let mut named: Vec<Result<Key, KeyRefusal>> =
        typed.iter().map(|typed| printed(mapping, typed)).collect();
    if mapping.engine.key_equality == KeyEquality::ByText {
        return named;
    }
    let keys: Vec<&mut Key> = named.iter_mut().flatten().collect();
    let asked: Vec<Key> = keys.iter().map(|key| (**key).clone()).collect();
    let known = known(session, mapping, waiting, &asked);
    let new: Vec<usize> = (0..asked.len()).filter(|at| known[*at].is_none()).collect();
    let first = in_one_spelling(session, mapping, new.iter().map(|at| &asked[*at]));
    let mut spelled = first.into_iter().map(|at| asked[new[at]].clone());
    for (key, known) in keys.into_iter().zip(known) {
        if let Some(name) = known.or_else(|| spelled.next()) {
            *key = name;
        }
    }
    named
}

/// What Postgres prints for a typed key. Input functions may run code of the user's (domain
/// checks), so as the mapping's role.
fn printed(mapping: &Loaded, typed: &Key) -> Result<Key, KeyRefusal> {
    let at = Cell::new(mapping.engine.key.first().copied().unwrap_or_default());
    let print = |(place, text): (&usize, &Text)| {
        at.set(*place);
        mapping.columns[*place].value.canonical(text)
    };
    let key = mapping.engine.key.iter().zip(&typed.0);
    refusable(|| as_reader(mapping.run_as, || key.map(print).collect())).map_err(|refusal| {
        KeyRefusal {
            column: at.get(),
            refusal,
        }
    })
}

/// Whether it is of the types of the key's columns. One that was may not be any longer: a label of
/// an enum may have been renamed.
pub fn is_readable(mapping: &Loaded, key: &Key) -> bool {
    let read = |(place, text): (&usize, &Text)| {
        mapping.columns[*place].value.canonical(text);
    };
    let parts = mapping.engine.key.iter().zip(&key.0);
    readable(|| as_reader(mapping.run_as, || parts.for_each(read))).is_some()
}

/// The spelling under which each key is known, if it is: that of its base, or of its row in the
/// table.
pub fn known(
    session: &mut Session,
    mapping: &Loaded,
    waiting: &Since,
    keys: &[Key],
) -> Vec<Option<Key>> {
    let table = in_table(session, mapping, keys);
    let spelled: Vec<&Key> = keys
        .iter()
        .zip(&table)
        .map(|(key, row)| row.as_ref().unwrap_or(key))
        .collect();
    let based = with_base(session, mapping, &spelled);
    let mut known: Vec<Option<Key>> = keys
        .iter()
        .zip(table.iter())
        .enumerate()
        .map(|(at, (key, row))| match row {
            Some(row) => Some(row.clone()),
            None => based.contains(&at).then(|| key.clone()),
        })
        .collect();
    if mapping.engine.key_equality == KeyEquality::ByText {
        return known;
    }
    let unsure: Vec<usize> = (0..keys.len()).filter(|at| !based.contains(at)).collect();
    let bases = in_bases(
        session,
        mapping,
        waiting,
        unsure.iter().map(|at| &keys[*at]),
    );
    for (at, base) in unsure.into_iter().zip(bases) {
        if base.is_some() {
            known[at] = base;
        }
    }
    known
}

/// How the table prints those of these keys that it has.
fn in_table(session: &mut Session, mapping: &Loaded, keys: &[Key]) -> Vec<Option<Key>> {
    let columns: Vec<String> = mapping
        .engine
        .key
        .iter()
        .map(|place| format!("t.{}", mapping.columns[*place].name))
        .collect();
    let sql = format!(
        "SELECT k.place, {} FROM {} JOIN {} t ON {}",
        columns.join(", "),
        given(mapping, "k", 1),
        mapping.table,
        equal_to_row(mapping, "k"),
    );
    let args = given_args(mapping, keys.iter());
    let mut found = vec![None; keys.len()];
    for row in as_reader(mapping.run_as, || session.select(&sql, &args)) {
        let mut fields = Fields::of(row);
        let place = fields.number() as usize - 1;
        let key = columns.iter().filter_map(|_| fields.datum()).collect();
        if let Some(slot) = found.get_mut(place) {
            *slot = Some(key);
        }
    }
    found
}

/// Which of these keys, by their places, have a base in just this spelling.
fn with_base(session: &mut Session, mapping: &Loaded, keys: &[&Key]) -> HashSet<usize> {
    let literals: Vec<String> = keys.iter().map(|key| key_literal(key)).collect();
    let rows = session.select(
        "SELECT k.place FROM pg_catalog.unnest($2) WITH ORDINALITY k(key, place) \
         JOIN sheet_sync._base_row b ON b.mapping_id = $1 AND b.key = k.key",
        &[mapping.id.into(), literals.into()],
    );
    rows.into_iter()
        .map(|row| Fields::of(row).number() as usize - 1)
        .collect()
}

/// The bases whose rows the table may have lost: by agreement, or while what is to become of them
/// waits for somebody.
const PARTED: &str = "SELECT b.key FROM sheet_sync._base_row b WHERE b.mapping_id = $1 AND b.database_values = '{}' \
     UNION SELECT b.key FROM sheet_sync._base_row b \
       JOIN sheet_sync.conflict c ON c.mapping_id = b.mapping_id AND c.key::text = b.key AND NOT c.settled WHERE b.mapping_id = $1 \
     UNION SELECT b.key FROM sheet_sync._base_row b \
       JOIN sheet_sync.problem p ON p.mapping_id = b.mapping_id AND p.key::text = b.key WHERE b.mapping_id = $1";

/// The equal keys with a base. A base whose row the table has in the same spelling was found
/// already: what is left are those whose row the table has lost, or changed since anybody looked.
fn in_bases<'a>(
    session: &mut Session,
    mapping: &Loaded,
    waiting: &Since,
    keys: impl Iterator<Item = &'a Key> + Clone,
) -> Vec<Option<Key>> {
    let mut found = vec![None; keys.clone().count()];
    if found.is_empty() {
        return found;
    }
    let [first, open] = waiting.args();
    let rows = session.select(
        &format!(
            "{PARTED} \
             UNION SELECT b.key FROM sheet_sync._base_row b JOIN {LINES} d ON d.key::text = b.key WHERE b.mapping_id = $1"
        ),
        &[mapping.id.into(), first, open],
    );
    let bases: Vec<Key> = rows.into_iter().map(|row| Fields::of(row).key()).collect();
    if bases.is_empty() {
        return found;
    }
    for (place, base) in equal_pairs(session, mapping, keys, bases.iter()) {
        if let (Some(slot), Some(base)) = (found.get_mut(place), bases.get(base)) {
            *slot = Some(base.clone());
        }
    }
    found
}

/// Of each key the place of the first that is equal to it, which stands for all of them.
pub fn in_one_spelling<'a>(
    session: &mut Session,
    mapping: &Loaded,
    keys: impl Iterator<Item = &'a Key> + Clone,
) -> Vec<usize> {
    let mut first: Vec<usize> = (0..keys.clone().count()).collect();
    if first.len() > 1 {
        for (one, other) in equal_pairs(session, mapping, keys.clone(), keys) {
            if let Some(first) = first.get_mut(one) {
                *first = other.min(*first);
            }
        }
    }
    first
}

/// By their places. What a type no longer takes (an enum's label that is gone) is equal to nothing.
fn equal_pairs<'a, 'b>(
    session: &mut Session,
    mapping: &Loaded,
    keys: impl Iterator<Item = &'a Key> + Clone,
    others: impl Iterator<Item = &'b Key> + Clone,
) -> Vec<(usize, usize)> {
    if let Some(pairs) = readable(|| compared(session, mapping, keys.clone(), others.clone())) {
        return pairs;
    }
    let is_key = |(_, key): &(usize, &Key)| is_readable(mapping, key);
    let (places, keys): (Vec<usize>, Vec<&Key>) = keys.enumerate().filter(is_key).unzip();
    let (other_places, others): (Vec<usize>, Vec<&Key>) = others.enumerate().filter(is_key).unzip();
    compared(session, mapping, keys.into_iter(), others.into_iter())
        .into_iter()
        .filter_map(|(one, other)| Some((*places.get(one)?, *other_places.get(other)?)))
        .collect()
}

/// All of them have to be values of the key's types.
fn compared<'a, 'b>(
    session: &mut Session,
    mapping: &Loaded,
    keys: impl Iterator<Item = &'a Key> + Clone,
    others: impl Iterator<Item = &'b Key> + Clone,
) -> Vec<(usize, usize)> {
    let width = mapping.engine.key.len();
    let sql = format!(
        "SELECT k.place, pg_catalog.min(o.place) FROM {} JOIN {} ON {} GROUP BY k.place",
        given(mapping, "k", 1),
        given(mapping, "o", 1 + width),
        equal_to_given(mapping, "k", "o"),
    );
    let mut args = given_args(mapping, keys);
    args.extend(given_args(mapping, others));
    let pairs = as_reader(mapping.run_as, || session.select(&sql, &args));
    let pairs = pairs.into_iter().map(|row| {
        let mut fields = Fields::of(row);
        (fields.number() as usize - 1, fields.number() as usize - 1)
    });
    pairs.collect()
}

/// Keys with a base that the table spells differently by now; and new keys that the table has, of
/// rows which it had lost under another spelling. The queue may name keys that the table had for a
/// moment only.
pub fn respelled(
    session: &mut Session,
    mapping: &Loaded,
    keys: Vec<Key>,
    new: &[Key],
) -> Vec<Respelled> {
    let mut found = printed_otherwise(session, mapping, keys);
    if new.is_empty() {
        return found;
    }
    let table = in_table(session, mapping, new);
    let stands = |(key, row): (&Key, Option<Key>)| row.filter(|row| row == key);
    let new: Vec<Key> = new.iter().zip(table).filter_map(stands).collect();
    let rows = session.select(PARTED, &[mapping.id.into()]);
    let gone: Vec<Key> = rows.into_iter().map(|row| Fields::of(row).key()).collect();
    if new.is_empty() || gone.is_empty() {
        return found;
    }
    for (new_at, gone_at) in equal_pairs(session, mapping, new.iter(), gone.iter()) {
        if let (Some(now), Some(known)) = (new.get(new_at), gone.get(gone_at)) {
            let is_found = found.iter().any(|pair| pair.known == *known);
            if now != known && !is_found {
                found.push(Respelled {
                    known: known.clone(),
                    now: now.clone(),
                });
            }
        }
    }
    found
}

fn printed_otherwise(session: &mut Session, mapping: &Loaded, keys: Vec<Key>) -> Vec<Respelled> {
    let table = in_table(session, mapping, &keys);
    let pairs: Vec<Respelled> = keys
        .into_iter()
        .zip(table)
        .filter_map(|(known, now)| {
            let now = now.filter(|now| *now != known)?;
            Some(Respelled { known, now })
        })
        .collect();
    let spelled: Vec<&Key> = pairs.iter().map(|pair| &pair.now).collect();
    let based = with_base(session, mapping, &spelled);
    let mut places = 0..;
    pairs
        .into_iter()
        .filter(|_| places.next().is_some_and(|place| !based.contains(&place)))
        .collect()
}
