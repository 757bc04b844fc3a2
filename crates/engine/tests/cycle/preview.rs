//! A dry run.

use crate::world::*;

#[test]
fn a_preview_changes_nothing_and_leaves_no_trace() {
    let mut world = World::agreed(mapping(), 5).warm();
    world.tab[1][1] = text("typed");
    world.tab.remove(5);
    world.set(1, "changed");
    let report = world.start(Start {
        dry_run: true,
        dirty: world.dirty(&[1]),
        ..world.plain()
    });
    let lines: Vec<(Side, &str, Datum, Datum)> = report
        .planned
        .iter()
        .map(|line| {
            (
                line.side,
                line.reason.as_str(),
                line.old.clone(),
                line.new.clone(),
            )
        })
        .collect();
    let some = |words: &str| -> Datum { Some(words.into()) };
    assert_eq!(
        lines,
        [
            (
                Side::Database,
                "changed_in_sheet",
                some("warm"),
                some("typed")
            ),
            (
                Side::Sheet,
                "changed_in_table",
                some("name 1"),
                some("changed")
            ),
        ]
    );
    assert_eq!(
        (world.requests(), world.commits.len()),
        (vec!["read", "read"], 0)
    );
    assert!(!report.dirty_done);
}
