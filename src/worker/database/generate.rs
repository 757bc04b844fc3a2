//! New keys from the defaults of the key's columns.

use engine::effect::Refusal;
use engine::mapping::KeyEquality;
use engine::value::Key;
use std::collections::HashSet;

use super::keys::{in_one_spelling, known};
use crate::postgres::role::as_reader;
use crate::postgres::statement::Session;
use crate::postgres::transaction::refusable;
use crate::worker::dirty::Since;
use crate::worker::mappings::Loaded;

/// In the first rounds no more keys are drawn than are missing, and then twice as many each time: a
/// sequence may be far behind.
const PLAIN_ROUNDS: u32 = 4;

/// After this many draws in vain the default is given up.
const MOST_DRAWS: usize = 100_000;

/// Each is new to the table and to what is known of the sheet, and equal to none of `taken` and to
/// no other of the new keys.
pub fn keys(
    session: &mut Session,
    mapping: &Loaded,
    waiting: &Since,
    count: usize,
    taken: Vec<Key>,
) -> Vec<Result<Key, Refusal>> {
    let mut found: Vec<Key> = Vec::new();
    let mut drawn: HashSet<Key> = HashSet::new();
    let mut draws = 0;
    let mut round: u32 = 0;
    let refusal = loop {
        let missing = count - found.len();
        if missing == 0 {
            break none_left(mapping);
        }
        let batch = missing << round.saturating_sub(PLAIN_ROUNDS).min(16);
        let batch = batch.min(MOST_DRAWS);
        let new = match refusable(|| draw(session, mapping, batch)) {
            Ok(Some(new)) => new,
            Ok(None) => break no_value(mapping),
            Err(refusal) => break refusal,
        };
        (round, draws) = (round + 1, draws + batch);
        let fresh: Vec<Key> = new
            .into_iter()
            .filter(|key| drawn.insert(key.clone()))
            .collect();
        // A default that gives what it gave before has no others.
        if fresh.is_empty() || draws > MOST_DRAWS + count {
            break none_left(mapping);
        }
        let others = taken.iter().chain(&found);
        let new = unused(session, mapping, waiting, fresh, others.cloned().collect());
        found.extend(new.into_iter().take(missing));
    };
    let mut answers: Vec<Result<Key, Refusal>> = found.into_iter().map(Ok).collect();
    answers.resize_with(count, || Err(refusal.clone()));
    answers
}

/// `None` where a default gives NULL.
fn draw(session: &mut Session, mapping: &Loaded, count: usize) -> Option<Vec<Key>> {
    let mut keys = vec![Key::default(); count];
    for place in &mapping.engine.key {
        let column = &mapping.columns[*place];
        let default = column.default_sql.as_deref()?;
        let sql = format!(
            "SELECT ({default})::{} FROM pg_catalog.generate_series(1, $1)",
            column.full_type_name
        );
        let count = i32::try_from(count).unwrap_or(i32::MAX);
        let rows = as_reader(mapping.run_as, || session.execute(&sql, &[count.into()]));
        for (key, row) in keys.iter_mut().zip(rows) {
            key.0.push(row.into_iter().flatten().next()?);
        }
    }
    Some(keys)
}

fn unused(
    session: &mut Session,
    mapping: &Loaded,
    waiting: &Since,
    drawn: Vec<Key>,
    others: Vec<Key>,
) -> Vec<Key> {
    let known = known(session, mapping, waiting, &drawn);
    let new: Vec<Key> = drawn
        .into_iter()
        .zip(known)
        .filter_map(|(key, known)| known.is_none().then_some(key))
        .collect();
    if mapping.engine.key_equality == KeyEquality::ByText {
        let others: HashSet<Key> = others.into_iter().collect();
        return new
            .into_iter()
            .filter(|key| !others.contains(key))
            .collect();
    }
    // Those that are equal to one before them are spelled like that one.
    let first = others.len();
    let all: Vec<Key> = others.into_iter().chain(new).collect();
    let places = in_one_spelling(session, mapping, all.iter());
    let fresh = places.into_iter().enumerate().skip(first);
    fresh
        .filter(|(at, first)| at == first)
        .filter_map(|(at, _)| all.get(at).cloned())
        .collect()
}

fn names(mapping: &Loaded) -> String {
    let key = mapping.engine.key.iter();
    let names: Vec<&str> = key
        .map(|place| mapping.engine.columns[*place].name.as_str())
        .collect();
    names.join(", ")
}

fn none_left(mapping: &Loaded) -> Refusal {
    Refusal {
        sqlstate: "no_new_key".to_owned(),
        message: format!(
            "The default of {} gives only keys that the table or the sheet has already.",
            names(mapping)
        ),
        hint: Some(
            "Type a key that no other row has. Whoever looks after the database can mend the default, or set its sequence past the keys that are there.".to_owned(),
        ),
    }
}

fn no_value(mapping: &Loaded) -> Refusal {
    Refusal {
        sqlstate: "no_new_key".to_owned(),
        message: format!("The default of {} gives no value.", names(mapping)),
        hint: Some("Type a key that no other row has.".to_owned()),
    }
}
