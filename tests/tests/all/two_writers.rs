//! Two workers at one sheet that know nothing of each other: a promoted standby beside a primary
//! that was believed dead, and two clusters that begin at once. Of two that write only one goes on.

use e2e::{When, World, wait_until};

/// The answer to this request of the primary's write is late, and the standby is promoted
/// meanwhile.
fn promoted_in_mid_write(nth: usize) {
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
    old.db
        .run("INSERT INTO products VALUES (6, 'of the old', 6)");
    old.stopped("sheet_is_ahead");
    new.db
        .run("INSERT INTO products VALUES (7, 'of the new', 7); DELETE FROM products WHERE id = 1");
    new.both_equal("products", &sheet);
    new.quiet();
    let keys = new
        .db
        .one("SELECT string_agg(id::text, ' ' ORDER BY id) FROM products");
    assert_eq!(keys, "3 4 5 7", "held after request {nth}");
    let mut shown: Vec<String> = sheet
        .rows()
        .into_iter()
        .skip(1)
        .filter_map(|row| row.into_iter().next())
        .collect();
    shown.sort();
    assert_eq!(shown, ["3", "4", "5", "7"], "held after request {nth}");
}

#[test]
fn a_promoted_standby_beside_a_primary_that_waits_for_its_first_answer() {
    promoted_in_mid_write(1);
}

#[test]
fn a_promoted_standby_beside_a_primary_that_waits_for_its_second_answer() {
    promoted_in_mid_write(2);
}

#[test]
fn a_promoted_standby_beside_a_primary_that_waits_for_its_third_answer() {
    promoted_in_mid_write(3);
}

#[test]
fn a_promoted_standby_beside_a_primary_that_waits_for_its_fifth_answer() {
    promoted_in_mid_write(5);
}

#[test]
fn of_two_clusters_that_register_one_tab_at_once_one_stops() {
    let mut one = World::start();
    let mut other = one.neighbour();
    let sheet = one.google.spreadsheet("For both").first_tab();
    for (world, id) in [(&mut one, 1), (&mut other, 2)] {
        world.db.run(&format!(
            "CREATE TABLE products (id int PRIMARY KEY, name text); INSERT INTO products VALUES ({id}, 'of {id}')"
        ));
        world.register("products", &sheet, "");
    }
    let states = |one: &mut World, other: &mut World| {
        let said = "SELECT state || ' ' || COALESCE(split_part(reason, ':', 1), '') FROM sheet_sync.status";
        [one.db.one(said), other.db.one(said)]
    };
    let ended = wait_until("one of them to stop and the other to go on", || {
        let mut said = states(&mut one, &mut other);
        said.sort();
        match said == ["active ", "failed tab_taken"] {
            true => Ok(states(&mut one, &mut other)),
            false => Err(said),
        }
    });
    let (winner, loser) = match ended[0].starts_with("active") {
        true => (&mut one, &mut other),
        false => (&mut other, &mut one),
    };
    winner.both_equal("products", &sheet);
    winner.quiet();
    assert_eq!(sheet.rows().len(), 2);
    assert_eq!(loser.db.count("SELECT count(*) FROM products"), 1);
}
