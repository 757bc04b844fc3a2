//! Keys that people type, and the sequences from which the table takes others: those are moved past
//! them, so that no application's INSERT is given a key that stands in the table by then.

use engine::effect::{Apply, Change};
use engine::value::Datum;
use pgrx::pg_sys;
use std::collections::BTreeMap;

use crate::postgres::fields::Fields;
use crate::postgres::lock;
use crate::postgres::role::as_reader;
use crate::postgres::statement::Session;
use crate::postgres::transaction::subtransaction;
use crate::worker::mappings::Loaded;

/// At most this many numbers are drawn one by one where the sequence cannot be held for a moment.
const MOST_DRAWS: i128 = 100_000;

/// Before the rows are stored: whoever takes a number meanwhile takes one beyond them. A sequence
/// that cannot be moved costs no row.
pub fn advance(session: &mut Session, mapping: &Loaded, applies: &[Apply]) {
    if !mapping.advance_sequences {
        return;
    }
    let mut typed: BTreeMap<usize, (i64, i64)> = BTreeMap::new();
    for (column, value) in applies.iter().flat_map(values) {
        let is_counted = mapping
            .columns
            .get(*column)
            .is_some_and(|one| one.sequence.is_some());
        let number = value.as_deref().and_then(|text| text.trim().parse().ok());
        if let (true, Some(number)) = (is_counted, number) {
            let range = typed.entry(*column).or_insert((number, number));
            *range = (range.0.min(number), range.1.max(number));
        }
    }
    for (column, (least, greatest)) in typed {
        let Some(sequence) = mapping.columns[column].sequence else {
            continue;
        };
        let moved = subtransaction(|| {
            as_reader(mapping.run_as, || pass(session, sequence, least, greatest))
        });
        if let Err(refusal) = moved {
            pgrx::log!(
                "sheet_sync: the sequence behind column {} of {} was not moved past keys typed in the sheet: {}",
                mapping.columns[column].name,
                mapping.table,
                refusal.message
            );
        }
    }
}

fn values(apply: &Apply) -> &[(usize, Datum)] {
    match &apply.change {
        Change::Insert { values }
        | Change::Update { values, .. }
        | Change::Enter { values, .. } => values,
        Change::Delete { .. } => &[],
    }
}

fn pass(session: &mut Session, sequence: pg_sys::Oid, least: i64, greatest: i64) {
    // Its name is looked up and then read: nobody gives the name to something else between the two.
    lock::keep_table(sequence.to_u32());
    let state = |session: &mut Session| State::read(session, sequence);
    let Some(target) = state(session).and_then(|state| state.target(least, greatest)) else {
        return;
    };
    let lock = pg_sys::ShareRowExclusiveLock as pg_sys::LOCKMODE;
    // SAFETY: takes and gives back a lock of this transaction's, on an oid that need not exist any
    // more.
    if unsafe { pg_sys::ConditionalLockRelationOid(sequence, lock) } {
        // Nobody else moves it now: what is set is never less than what was given out.
        if let Some(target) = state(session).and_then(|state| state.target(least, greatest)) {
            set(session, sequence, target.value);
        }
        unsafe { pg_sys::UnlockRelationOid(sequence, lock) }
    } else if target.steps <= MOST_DRAWS {
        // A transaction that took a number is open. Drawing is safe beside any other.
        session.execute(
            "SELECT pg_catalog.count(pg_catalog.nextval($1::pg_catalog.oid::pg_catalog.regclass)) FROM pg_catalog.generate_series(1, $2)",
            &[oid(sequence), i32::try_from(target.steps).unwrap_or(i32::MAX).into()],
        );
    } else {
        // Nobody takes so many numbers between the look and the setting.
        set(session, sequence, target.value);
    }
}

fn oid(sequence: pg_sys::Oid) -> crate::postgres::statement::Arg {
    i64::from(sequence.to_u32()).into()
}

fn set(session: &mut Session, sequence: pg_sys::Oid, value: i64) {
    session.execute(
        "SELECT pg_catalog.setval($1::pg_catalog.oid::pg_catalog.regclass, $2, true)",
        &[oid(sequence), value.into()],
    );
}

/// How a sequence stands.
#[derive(Clone, Copy)]
struct State {
    last: i64,
    /// `last` has been given out.
    called: bool,
    step: i64,
    least: i64,
    greatest: i64,
}

struct Target {
    /// The number that counts as given out from then on.
    value: i64,
    /// How many numbers are passed over.
    steps: i128,
}

impl State {
    fn read(session: &mut Session, sequence: pg_sys::Oid) -> Option<Self> {
        // Its owner may have renamed it since the mapping was loaded, and may give its old name to
        // a view.
        let names = session.execute(
            "SELECT $1::pg_catalog.oid::pg_catalog.regclass::text FROM pg_catalog.pg_sequence WHERE seqrelid = $1::pg_catalog.oid",
            &[oid(sequence)],
        );
        let name = names.into_iter().flatten().flatten().next()?;
        let row = session
            .execute(
                &format!(
                    "SELECT s.last_value, s.is_called, q.seqincrement, q.seqmin, q.seqmax \
                     FROM {name} s, pg_catalog.pg_sequence q WHERE q.seqrelid = $1::pg_catalog.oid"
                ),
                &[oid(sequence)],
            )
            .into_iter()
            .next()?;
        let mut fields = Fields::of(row);
        Some(Self {
            last: fields.number(),
            called: fields.flag(),
            step: fields.number(),
            least: fields.number(),
            greatest: fields.number(),
        })
    }

    /// The last of the sequence's own numbers up to the typed one, unless it was given out already.
    /// A number at the sequence's end or beyond moves nothing: the sequence is unlikely to get
    /// there.
    fn target(self, least: i64, greatest: i64) -> Option<Target> {
        let typed = if self.step > 0 { greatest } else { least };
        let (last, step) = (i128::from(self.last), i128::from(self.step));
        let distance = i128::from(typed) - last;
        let behind = distance.signum() * step.signum() < 0 || distance == 0 && self.called;
        let within =
            |number: i128| (i128::from(self.least)..=i128::from(self.greatest)).contains(&number);
        if step == 0 || behind || !within(typed.into()) {
            return None;
        }
        let whole = distance / step;
        let unused = i128::from(!self.called);
        let misses = distance % step != 0;
        let value = last + whole * step;
        // Before its first number it passes over no number that was not typed.
        if whole + unused == 0 || whole == 0 && misses || !within(value + step) {
            return None;
        }
        Some(Target {
            value: i64::try_from(value).ok()?,
            steps: whole + unused,
        })
    }
}

#[cfg(any(test, feature = "pg_test"))]
#[pgrx::pg_schema]
mod tests {
    use super::State;
    use pgrx::prelude::*;

    fn moved(last: i64, called: bool, step: i64, typed: i64) -> Option<i64> {
        let (least, greatest) = if step > 0 { (1, 100) } else { (-100, -1) };
        let state = State {
            last,
            called,
            step,
            least,
            greatest,
        };
        state.target(typed, typed).map(|target| target.value)
    }

    #[pg_test]
    fn a_sequence_is_moved_past_what_was_typed_and_never_back() {
        assert_eq!(moved(1, true, 1, 2), Some(2));
        assert_eq!(moved(1, false, 1, 1), Some(1));
        assert_eq!(moved(1, false, 1, 3), Some(3));
        assert_eq!(moved(5, true, 1, 5), None);
        assert_eq!(moved(5, true, 1, 4), None);
        // It keeps to its own numbers.
        assert_eq!(moved(1, true, 2, 8), Some(7));
        assert_eq!(moved(7, true, 2, 8), None);
        assert_eq!(moved(1, false, 10, 5), None);
        // It is not brought to its end.
        assert_eq!(moved(1, true, 1, 100), None);
        assert_eq!(moved(1, true, 1, 99), Some(99));
        assert_eq!(moved(1, true, 1, 1000), None);
        // Downwards.
        assert_eq!(moved(-1, true, -1, -4), Some(-4));
        assert_eq!(moved(-5, true, -1, -4), None);
        assert_eq!(moved(-1, true, -1, 7), None);
    }
}
