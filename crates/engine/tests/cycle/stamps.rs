//! What a stamp's id is made from: of two plans from one reading one is carried out, and no other
//! two are taken for one another.

use crate::world::*;

fn tab(sheet_id: i64) -> World {
    let mapping = Mapping {
        sheet_id: Some(sheet_id),
        ..mapping()
    };
    World::agreed(mapping, 3).warm()
}

/// The stamp under which the row gets this name, in a cycle that reads no more than the row.
fn stamp(world: &mut World, id: usize, name: &str) -> MetadataId {
    world.set(id, name);
    world.cycle(Scope::Dirty, &[id]);
    assert_eq!(world.requests(), ["tag", "write"]);
    let mut stamps = world.log.iter().filter_map(|effect| match effect {
        SheetEffect::Write { stamp, .. } => Some(stamp.id),
        _ => None,
    });
    stamps.next_back().expect("a write")
}

#[test]
fn two_writers_that_plan_from_one_look_ask_for_one_stamp() {
    let (mut one, mut other) = (tab(7), tab(7));
    // Processes of their own: what they know besides, and the time, is not the same.
    other.now += 5_000;
    assert_eq!(stamp(&mut one, 1, "one"), stamp(&mut other, 1, "other"));
}

#[test]
fn tabs_of_one_spreadsheet_that_look_the_same_have_stamps_of_their_own() {
    assert_ne!(stamp(&mut tab(7), 1, "one"), stamp(&mut tab(8), 1, "one"));
}

#[test]
fn a_row_that_looks_as_it_did_before_gets_another_stamp() {
    let mut world = tab(7);
    let names = ["a", "b", "a", "b", "a", "b"];
    let mut stamps: Vec<MetadataId> = names.map(|name| stamp(&mut world, 1, name)).into();
    let other = stamp(&mut world, 2, "a");
    stamps.push(other);
    stamps.sort_unstable();
    stamps.dedup();
    assert_eq!(stamps.len(), names.len() + 1);
}

#[test]
fn a_fresh_process_takes_no_stamp_that_it_finds() {
    let mut world = tab(7);
    let first = stamp(&mut world, 1, "a");
    stamp(&mut world, 1, "name 1");
    world.standing = vec![first];
    world.machine = Machine::new(world.mapping.clone());
    let mut world = world.warm();
    assert_ne!(stamp(&mut world, 1, "b"), first);
}
