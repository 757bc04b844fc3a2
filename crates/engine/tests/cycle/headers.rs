//! Headers that people rename, and the tags by which their columns are known.

use crate::world::*;
use engine::effect::Reason;

fn guard(report: Report) -> String {
    match report.stopped {
        Some(Stopped::Guard { reason, .. }) => reason.to_string(),
        other => panic!("no guard but {other:?}"),
    }
}

#[test]
fn a_renamed_header_is_followed_once_and_stored() {
    let mut world = World::agreed(mapping(), 3).warm();
    world.tab[0][1] = text("Nom");
    world.tab[1][2] = Cell::Number(3.0);
    assert_eq!(world.cycle(Scope::Full, &[]).rows_pulled, 1);
    assert_eq!(
        world.requests(),
        ["read", "find columns", "read", "inspect"]
    );
    assert_eq!(world.commits[0].headers, [(1, "Nom".to_owned())]);
    assert_eq!(world.machine.mapping().columns[1].header, "Nom");
    world.cycle(Scope::Full, &[]);
    assert_eq!(world.requests(), ["read"]);
    // The old text is free for a column of a person's own.
    world.tab[0].push(text("name"));
    world.set(2, "pushed");
    world.cycle(Scope::Full, &[2]);
    assert_eq!((&world.tab[3][1], world.tab[3].len()), (&text("pushed"), 3));
}

#[test]
fn a_preview_follows_a_renamed_header_and_stores_nothing() {
    let mut world = World::agreed(mapping(), 3).warm();
    world.tab[0][1] = text("Nom");
    let report = world.start(Start {
        dry_run: true,
        ..world.plain()
    });
    assert_eq!((report.stopped, world.commits.len()), (None, 0));
    assert_eq!(world.machine.mapping().columns[1].header, "name");
}

/// A mapping whose tab was never seen, with people's rows in it.
fn first(tab: Vec<Vec<Cell>>) -> World {
    let mut mapping = mapping();
    for column in &mut mapping.columns {
        column.header_known = false;
    }
    let mut world = World::agreed(mapping, 0);
    world.tab = tab;
    world
}

fn hint(report: Report) -> String {
    match report.stopped {
        Some(Stopped::Guard { hint, .. }) => hint,
        other => panic!("no guard: {other:?}"),
    }
}

#[test]
fn the_hint_names_the_row_that_has_the_headers() {
    let heads = |names: [&str; 2]| names.map(text).to_vec();
    let row = vec![Cell::Number(1.0), text("Bolt")];
    let titled = vec![heads(["Our", "stock"]), heads(["ID", "Name"]), row.clone()];
    let said = hint(first(titled.clone()).cycle(Scope::Everything, &[]));
    assert!(said.contains("SET header_row = 2"), "{said}");
    // A blank row above them.
    let mut blank = titled;
    blank[0].clear();
    let said = hint(first(blank).cycle(Scope::Everything, &[]));
    assert!(said.contains("SET header_row = 2"), "{said}");
    // None reads so.
    let said = hint(first(vec![row.clone(), row]).cycle(Scope::Everything, &[]));
    assert!(said.contains("set header_row"), "{said}");
}

#[test]
fn a_preview_of_a_first_merge_tells_the_headers_that_are_missing_and_writes_none() {
    let row = vec![Cell::Number(1.0), text("Bolt")];
    let mut world = first(vec![vec![text("id"), text("name")], row]);
    let report = world.start(Start {
        scope: Scope::Everything,
        dry_run: true,
        ..world.plain()
    });
    let columns = report
        .planned
        .iter()
        .filter(|line| line.reason == NEW_COLUMN);
    let columns: Vec<_> = columns
        .map(|line| (line.column, line.key.is_some()))
        .collect();
    assert_eq!(columns, [(Some(2), false)]);
    assert_eq!((world.tab[0].len(), world.commits.len()), (2, 0));
}

#[test]
fn headers_that_cannot_be_told_apart_are_not_followed() {
    // A blank, and what another column is called too.
    for new in ["", "Notes"] {
        let mut world = World::agreed(mapping(), 3).warm();
        world.tab[0].push(text("notes"));
        world.tab[0][1] = text(new);
        assert_eq!(guard(world.cycle(Scope::Full, &[])), "header_missing");
    }
    // Two at once are two tags, unless one of them takes the other's name.
    let mut world = World::agreed(mapping(), 3).warm();
    world.tab[0][1] = text("Nom");
    world.tab[0][2] = text("Prix");
    assert_eq!(world.cycle(Scope::Full, &[]).stopped, None);
    world.tab[0][1] = text("Prix");
    world.tab[0][2] = text("Price");
    assert_eq!(guard(world.cycle(Scope::Full, &[])), "header_missing");
}

#[test]
fn a_headers_text_counts_before_its_tag() {
    let mut world = World::agreed(mapping(), 3).warm();
    let first = world.tab[0][1].clone();
    world.tab[0][1] = world.tab[0][2].clone();
    world.tab[0][2] = first;
    world.set(2, "pushed");
    world.cycle(Scope::Dirty, &[2]);
    assert_eq!(world.tab[3][2], text("pushed"));
    assert_eq!(world.tags["name"], 2);
}

#[test]
fn where_columns_cannot_be_tagged_everything_else_goes_on() {
    fn refused(effect: &SheetEffect) -> Option<Failure> {
        let SheetEffect::TagColumns { .. } = effect else {
            return None;
        };
        Some(Failure {
            class: Class::NeedsHuman,
            reason: Reason::Protected,
            message: String::new(),
            hint: String::new(),
            retry_after_ms: None,
            may_have_applied: false,
        })
    }
    let mut world = World::agreed(mapping(), 3);
    world.fault = Some(refused);
    world.set(0, "pushed");
    let report = world.cycle(Scope::Full, &[0]);
    assert_eq!((report.stopped, report.dirty_done), (None, true));
    world.cycle(Scope::Full, &[]);
    assert_eq!(world.requests(), ["read"], "it is not tried at every poll");
    world.tab[0][1] = text("Nom");
    assert_eq!(guard(world.cycle(Scope::Full, &[])), "header_missing");
}

#[test]
fn a_mapping_that_only_reads_puts_no_tags() {
    let mut mapping = mapping();
    mapping.direction = Direction::FromSheet;
    let mut world = World::agreed(mapping, 3);
    world.cycle(Scope::Full, &[]);
    assert_eq!(world.requests(), ["tidy", "read"]);
}

#[test]
fn a_column_of_another_kind_gets_its_format_and_its_values_their_form() {
    let mut world = World::agreed(mapping(), 3).warm();
    // The price was text, and its cells show it so.
    world.mapping.columns[2].reformat = true;
    world.machine = Machine::new(world.mapping.clone());
    for row in &mut world.tab[1..] {
        row[2] = text("1.50");
    }
    for row in world.bases.values_mut() {
        let mut base = row.base.clone();
        base.database[2] = None;
        base.sheet[2] = text("1.50");
        *row = StoredRow::agreed(base);
    }
    world.cycle(Scope::Everything, &[]);
    let format = world.log.iter().find_map(|effect| match effect {
        SheetEffect::WriteHeader { cells, formats, .. } => Some((cells.len(), formats.clone())),
        _ => None,
    });
    let expected = ColumnFormat {
        at: 2,
        column: 2,
        kind: Kind::Numeric,
        give: Give::Anew,
    };
    assert_eq!(format, Some((0, vec![expected])));
    assert_eq!(world.tab[2][2], Cell::Number(1.5));
    world.machine.mark_headers_known();
    world.cycle(Scope::Full, &[]);
    assert_eq!(world.requests(), ["read"]);
}

#[test]
fn dates_under_a_header_that_a_person_typed_get_a_format_where_there_is_none() {
    let mut mapping = mapping();
    for column in &mut mapping.columns {
        column.header_known = false;
    }
    mapping.columns[2].kind = Kind::Date;
    let mut world = World::agreed(mapping.clone(), 0);
    world.cycle(Scope::Everything, &[]);
    let formats: Vec<ColumnFormat> = world
        .log
        .iter()
        .filter_map(|effect| match effect {
            SheetEffect::WriteHeader { cells, formats, .. } => {
                assert!(cells.is_empty(), "the headers are there");
                Some(formats.clone())
            }
            _ => None,
        })
        .flatten()
        .collect();
    let expected = ColumnFormat {
        at: 2,
        column: 2,
        kind: Kind::Date,
        give: Give::WhereNone,
    };
    assert_eq!(formats, [expected]);
    world.machine.mark_headers_known();
    world.cycle(Scope::Full, &[]);
    assert!(!world.requests().contains(&"header"));

    // One that the sheet fills, or that fills the table only, is formatted by whoever fills it.
    for one_way in [true, false] {
        let mut mapping = mapping.clone();
        match one_way {
            true => mapping.direction = Direction::FromSheet,
            false => mapping.columns[2].direction = Direction::FromSheet,
        }
        let mut world = World::agreed(mapping, 0);
        world.cycle(Scope::Everything, &[]);
        assert!(!world.requests().contains(&"header"));
    }
}
