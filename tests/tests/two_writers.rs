//! Two workers on one sheet that know nothing of each other: two clusters, or a promoted standby beside a primary that was
//! believed dead.

use e2e::{Sheet, When, World};

/// Products in two clusters, both mapped to one tab.
fn two_clusters() -> (World, World, Sheet) {
    let (one, sheet) = World::with_products();
    let mut other = one.neighbour();
    other
        .db
        .run("CREATE TABLE products (id int PRIMARY KEY, name text, price numeric)");
    other.register("products", &sheet, "");
    other.merged("products");
    other.both_equal("products", &sheet);
    (one, other, sheet)
}

/// Waits until both tables and the sheet hold the same rows, then looks that each key stands there once.
#[track_caller]
fn all_equal(one: &mut World, other: &mut World, sheet: &Sheet, keys: &[u32]) {
    let expected: Vec<String> = keys.iter().map(ToString::to_string).collect();
    e2e::wait_until("both tables and the sheet to be equal", || {
        for world in [&mut *one, &mut *other] {
            let said = "SELECT concat_ws(' · ', state, reason, retry_at, dirty_keys, last_cycle_at) FROM sheet_sync.status";
            world.differences("products", sheet).map_err(|mut found| {
                found.push(world.db.one(said));
                found
            })?;
        }
        let mut shown: Vec<String> = sheet
            .rows()
            .into_iter()
            .skip(1)
            .filter_map(|row| row.into_iter().next())
            .collect();
        shown.sort_by_key(|key| key.parse::<u32>().ok());
        if shown == expected {
            Ok(())
        } else {
            Err(shown)
        }
    });
    for world in [one, other] {
        world.quiet();
        world.has_no_problem();
    }
}

#[test]
fn different_rows_inserted_in_both_clusters_at_once() {
    let (mut one, mut other, sheet) = two_clusters();
    let mut keys = vec![1, 2, 3];
    for nth in 1..=5 {
        let (first, second) = (10 + nth, 20 + nth);
        let held = one.google.hold(nth as usize, When::After);
        one.db
            .run(&format!("INSERT INTO products VALUES ({first}, 'one', 1)"));
        held.wait();
        other.db.run(&format!(
            "INSERT INTO products VALUES ({second}, 'other', 2)"
        ));
        other.both_equal("products", &sheet);
        held.release();
        keys.extend([first, second]);
        keys.sort_unstable();
        all_equal(&mut one, &mut other, &sheet, &keys);
    }
    for world in [&mut one, &mut other] {
        assert_eq!(
            world.db.count("SELECT count(*) FROM sheet_sync.conflict"),
            0
        );
    }
}

/// Both plan from one reading; only one of the plans is carried out, and the other writer reads again.
#[test]
fn the_same_row_inserted_in_both_clusters_at_once() {
    let (mut one, mut other, sheet) = two_clusters();
    let mut keys = vec![1, 2, 3];
    // Before and after the first reads the sheet, and when it is about to insert.
    for (nth, when) in [(1, When::Before), (1, When::After), (2, When::Before)] {
        let key = 8 + keys.len() as u32;
        let held = one.google.hold(nth, when);
        one.db
            .run(&format!("INSERT INTO products VALUES ({key}, 'one', 1)"));
        held.wait();
        other
            .db
            .run(&format!("INSERT INTO products VALUES ({key}, 'other', 2)"));
        other.both_equal("products", &sheet);
        held.release();
        keys.push(key);
        all_equal(&mut one, &mut other, &sheet, &keys);
        let told = format!(
            "SELECT string_agg(DISTINCT column_name, ' ' ORDER BY column_name) FROM sheet_sync.conflict WHERE key = '{{{key}}}'"
        );
        assert_eq!(
            one.db.maybe(&told).as_deref(),
            Some("name price"),
            "held {when:?} request {nth}: whoever came second has both rows' values"
        );
    }
}

#[test]
fn the_same_cell_changed_in_both_clusters_at_once() {
    let (mut one, mut other, sheet) = two_clusters();
    // Held before it tags the row, so that it meets in the sheet what the other wrote.
    let held = one.google.hold(1, When::Before);
    one.db
        .run("UPDATE products SET name = 'of one' WHERE id = 1");
    held.wait();
    other
        .db
        .run("UPDATE products SET name = 'of the other' WHERE id = 1");
    e2e::wait_for("the other's name", "of the other".to_owned(), || {
        sheet.cell_of("1", 1)
    });
    held.release();
    all_equal(&mut one, &mut other, &sheet, &[1, 2, 3]);
    one.shows(
        "SELECT column_name, database_value, sheet_value #>> '{}' FROM sheet_sync.conflict",
        "name | of one | of the other",
    );
}

#[test]
fn a_promoted_standby_beside_a_primary_that_goes_on() {
    for nth in [1, 3, 5] {
        let (mut old, sheet) = World::with_products();
        let mut new = old.standby();
        let held = old.google.hold(nth, When::After);
        old.db.run(
            "BEGIN;
             INSERT INTO products VALUES (4, 'Cog', 4), (5, 'Pin', 5);
             UPDATE products SET price = 30 WHERE id = 3;
             DELETE FROM products WHERE id = 2;
             COMMIT",
        );
        held.wait();
        new.promote(&mut old);
        new.both_equal("products", &sheet);
        held.release();
        all_equal(&mut old, &mut new, &sheet, &[1, 3, 4, 5]);
        // Both go on, and neither takes the other's rows for its own plan.
        old.db
            .run("INSERT INTO products VALUES (6, 'of the old', 6)");
        new.db.run(
            "INSERT INTO products VALUES (7, 'of the new', 7); DELETE FROM products WHERE id = 1",
        );
        all_equal(&mut old, &mut new, &sheet, &[3, 4, 5, 6, 7]);
    }
}
