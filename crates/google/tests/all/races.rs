//! People edit between any two of our requests. Whatever they do: a cell is written only in the row
//! of its key, only rows that were asked for are deleted, and nobody's typing is lost.

use std::collections::BTreeSet;
use std::sync::Mutex;

use crate::support::world::{World, delete, sentinel, tag, text};
use engine::effect::{Note, SheetEffect, SheetOutcome};
use google::sheet::Capabilities;
use proptest::prelude::*;
use serde_json::{Value, json};

const ROWS: u32 = 12;

/// A column of keys, a column that says them again, and one that we write.
fn rows() -> Value {
    let mut rows = vec![json!(["id", "same", "ours"])];
    rows.extend((1..=ROWS).map(|row| json!([format!("k{row}"), format!("k{row}"), ""])));
    Value::Array(rows)
}

#[derive(Clone, Debug)]
struct Race {
    edit: Value,
    after: u32,
}

fn edit() -> impl Strategy<Value = Value> {
    let at = 2..ROWS + 6;
    prop_oneof![
        (at.clone(), 1u32..4)
            .prop_map(|(at, count)| json!({"delete_rows": {"at": at, "count": count}})),
        (at.clone(), 1u32..4)
            .prop_map(|(at, count)| json!({"insert_rows": {"at": at, "count": count}})),
        (at.clone(), at).prop_map(|(from, to)| json!({"move_rows": {"from": from, "to": to}})),
        any::<bool>()
            .prop_map(|descending| json!({"sort": {"column": 1, "descending": descending}})),
        Just(json!({"rename_tab": "Renamed"})),
    ]
}

fn races() -> impl Strategy<Value = Vec<Race>> {
    prop::collection::vec(
        (edit(), 0u32..9).prop_map(|(edit, after)| Race { edit, after }),
        0..3,
    )
}

fn world() -> &'static Mutex<World> {
    static WORLD: std::sync::OnceLock<Mutex<World>> = std::sync::OnceLock::new();
    WORLD.get_or_init(|| Mutex::new(World::new(rows())))
}

fn texts(row: &Value) -> Vec<&str> {
    row.as_array()
        .unwrap()
        .iter()
        .map(|cell| cell.as_str().unwrap())
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_lands_on_another_row(
        races in races(),
        wanted in prop::collection::btree_set(1..=ROWS, 1..5),
        doomed in prop::collection::btree_set(1..=ROWS, 0..4),
        refuses in any::<bool>(),
    ) {
        let world = world().lock().unwrap();
        world.renew(&rows());
        world.switch(json!({
            "delete_metadata_without_match": if refuses { "400" } else { "ok" },
        }));
        world.session.set_capabilities(Capabilities::default());
        for race in &races {
            world.control("faults", &json!({"after": race.after, "action": {"edit_before": race.edit, "sheet": 0}}));
        }
        let doomed: BTreeSet<u32> = doomed.difference(&wanted).copied().collect();
        let all: BTreeSet<u32> = wanted.union(&doomed).copied().collect();
        let places: Vec<(u32, i32)> = all.iter().map(|row| (*row, 1000 + *row as i32)).collect();
        // The keys that the anchors really got, as the engine checks them.
        let tagged = world.perform(&tag(&places));
        let Ok(SheetOutcome::Tagged(tagged)) = tagged else { return Ok(()) };
        let named: Vec<(i32, String)> = tagged.rows.into_iter().filter_map(|engine::effect::SeenRow { anchor, cells, .. }| match cells.first() {
            Some(engine::value::Cell::Text(key)) if key.starts_with('k') => Some((anchor, key.to_string())),
            _ => None,
        }).collect();
        let is = |set: &BTreeSet<u32>, anchor: i32| set.contains(&(anchor as u32 - 1000));
        let written: Vec<&(i32, String)> = named.iter().filter(|(anchor, _)| is(&wanted, *anchor)).collect();
        let cells: Vec<[(u32, engine::value::Cell); 1]> = written.iter().map(|(_, key)| [(2, text(key))]).collect();
        let write = written.iter().zip(&cells).map(|((anchor, _), cells)| (*anchor as u32 - 1000, *anchor, &cells[..])).collect::<Vec<_>>();
        let outcome = world.perform(&crate::support::world::write(&write, 4000));
        if let Ok(SheetOutcome::Written(rows)) = &outcome {
            for row in rows {
                let key = text(named.iter().find(|(named, _)| *named == row.anchor).map(|(_, key)| key).unwrap());
                let before = row.before.clone().unwrap();
                if before.first() != Some(&key) {
                    // Another row came to stand there, and the sentinel where it was: the image
                    // says so, and what to restore.
                    return Ok(());
                }
                prop_assert_eq!(&before, &[key.clone(), key.clone()]);
                prop_assert_eq!(&row.after, &[key.clone(), key.clone(), key]);
            }
        }
        let places: Vec<(u32, i32)> = written.iter().map(|(anchor, _)| anchor - 1000).map(|row| (row as u32, row + 2000)).collect();
        let noted = match world.perform(&tag(&places)) {
            Ok(SheetOutcome::Tagged(noted)) => noted.rows,
            _ => vec![],
        };
        let notes = noted.into_iter().filter_map(|engine::effect::SeenRow { anchor, cells, .. }| match cells.first() {
            Some(engine::value::Cell::Text(key)) if key.starts_with('k') => Some(Note { anchor, column: 0, text: Some(key.to_string()) }),
            _ => None,
        });
        let _ = world.perform(&SheetEffect::Annotate { notes: notes.collect(), sentinel: sentinel().anchor });
        let gone: Vec<&(i32, String)> = named.iter().filter(|(anchor, _)| is(&doomed, *anchor)).collect();
        let places: Vec<(u32, i32)> = gone.iter().map(|(anchor, _)| (*anchor as u32 - 1000, *anchor)).collect();
        let deletion = world.perform(&delete(&places, 5000));
        // Faults that were met with have left the plan.
        let mut met: Vec<Value> = races.iter().map(|race| race.edit.clone()).collect();
        for waiting in world.server.app.plan().list() {
            let edit = serde_json::to_value(&waiting.action.edit_before).unwrap();
            let kind = |value: &Value| value.as_object().and_then(|value| value.keys().next().cloned());
            if let Some(at) = met.iter().position(|met| kind(met) == kind(&edit)) {
                met.swap_remove(at);
            }
        }
        let look = world.look();
        let mut here = BTreeSet::new();
        for row in look["formulas"].as_array().unwrap().iter().skip(1) {
            let cells = texts(row);
            let Some(key) = cells.first().filter(|key| key.starts_with('k')) else { continue };
            here.insert((*key).to_owned());
            prop_assert_eq!(cells.get(1), Some(key), "a row was torn: {:?}", row);
            prop_assert!(cells.get(2).is_none_or(|ours| ours.is_empty() || ours == key), "{:?}", row);
        }
        for note in look["notes"].as_array().unwrap() {
            let row = &look["formulas"][note["row"].as_u64().unwrap() as usize];
            prop_assert_eq!(note["note"].as_str().unwrap(), format!("sheet_sync: {}", row[0].as_str().unwrap()));
        }
        let suspect = matches!(&deletion, Ok(SheetOutcome::Deleted(deleted)) if deleted.suspect);
        if met.iter().all(|edit| edit.get("delete_rows").is_none()) && !suspect {
            for row in 1..=ROWS {
                let key = format!("k{row}");
                let asked = gone.iter().any(|(_, gone)| *gone == key);
                match here.contains(&key) {
                    true => prop_assert!(!asked || deletion.is_err(), "{key} is still here: {deletion:?} {met:?}"),
                    false => prop_assert!(asked, "{key} is gone: {deletion:?} {met:?}"),
                }
            }
        }
        // Which of two deletions was met with is not known here: both count.
        let deleted_by_people: u64 = races.iter().filter_map(|race| race.edit["delete_rows"]["count"].as_u64()).sum();
        if !suspect {
            let lost = u64::from(ROWS) - here.len() as u64;
            prop_assert!(lost <= deleted_by_people + gone.len() as u64, "{lost} rows lost: {met:?} {gone:?} {deletion:?}");
        }
    }
}

#[test]
fn a_row_that_went_unseen_is_at_least_suspected() {
    // A person takes away the row to be deleted and adds another above the sentinel, both between
    // two requests.
    let world = World::new(rows());
    world.tag(&[(3, 3)]);
    for edit in [
        json!({"delete_rows": {"at": 4}}),
        json!({"insert_rows": {"at": 9}}),
    ] {
        world.control(
            "faults",
            &json!({"match": {"kind": "spreadsheets.batchUpdate"}, "after": 1, "action": {"edit_before": edit, "sheet": 0}}),
        );
    }
    let outcome = world.perform(&delete(&[(3, 3)], 100)).unwrap();
    let SheetOutcome::Deleted(deleted) = outcome else {
        panic!("{outcome:?}")
    };
    assert!(
        deleted.suspect || world.keys().contains(&"k4".to_owned()),
        "{deleted:?} {:?}",
        world.keys()
    );
}
