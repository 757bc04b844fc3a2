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
            (Side::Database, "deleted_in_sheet", None, None),
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

fn lines(report: &Report) -> Vec<(Side, Operation, &str)> {
    let lines = report.planned.iter();
    lines
        .map(|line| (line.side, line.operation, line.reason.as_str()))
        .collect()
}

#[test]
fn a_preview_says_where_a_guard_would_stop_and_what_would_come_after() {
    let mut world = World::agreed(mapping(), 60).warm();
    world.tab.truncate(21);
    let dry = Start {
        dry_run: true,
        ..world.plain()
    };
    let report = world.start(dry.clone());
    assert_eq!((report.stopped.as_ref(), world.commits.len()), (None, 0));
    let said = lines(&report);
    assert_eq!(said[0], (Side::Database, Operation::Delete, "mass_delete"));
    assert_eq!(
        said[1..],
        vec![(Side::Database, Operation::Delete, "deleted_in_sheet"); 40]
    );
    assert_eq!(report.planned[0].key, None);
    let words = report.planned[0].new.as_deref().unwrap_or_default();
    assert!(words.starts_with("40 of 60 rows are gone"), "{words}");
    // Nothing stops what was confirmed.
    world.cycle(Scope::Full, &[]);
    let report = world.cycle(Scope::Full, &[]);
    let Some(Stopped::Guard { question, .. }) = report.stopped else {
        panic!("no guard")
    };
    let report = world.start(Start {
        confirmed: question,
        ..dry.clone()
    });
    assert!(
        lines(&report)
            .iter()
            .all(|line| line.2 == "deleted_in_sheet")
    );

    // The other way round, and a column sorted alone.
    let mut world = World::agreed(mapping(), 60).warm();
    let names: Vec<Cell> = world.tab[1..].iter().map(|row| row[1].clone()).collect();
    for (row, name) in world.tab[1..].iter_mut().zip(names.into_iter().rev()) {
        row[1] = name;
    }
    let report = world.start(dry.clone());
    assert_eq!(
        lines(&report)[0],
        (Side::Database, Operation::Update, "everything_changed")
    );
    assert_eq!(lines(&report).len(), 61);
    let mut world = World::agreed(mapping(), 60).warm();
    world.table.retain(|key, _| key.0[0].len() == 1);
    let gone: Vec<usize> = (10..60).collect();
    let report = world.start(Start {
        dirty: world.dirty(&gone),
        ..dry
    });
    assert_eq!(
        lines(&report)[0],
        (Side::Sheet, Operation::Delete, "mass_delete")
    );
    assert_eq!(lines(&report).len(), 51);
}

#[test]
fn a_preview_tells_an_edited_key_from_a_row_that_went_and_one_that_came() {
    let mut world = World::agreed(mapping(), 5).warm();
    world.tab[3][0] = Cell::Number(77.0);
    world.tab[3][1] = text("name 2");
    let report = world.start(Start {
        dry_run: true,
        ..world.plain()
    });
    assert_eq!(
        lines(&report),
        [(Side::Database, Operation::Update, "changed_in_sheet")]
    );
    let line = &report.planned[0];
    assert_eq!((&line.key, line.column), (&Some(key(2)), Some(0)));
    assert_eq!(
        (line.old.as_deref(), line.new.as_deref()),
        (Some("2"), Some("77"))
    );
}
