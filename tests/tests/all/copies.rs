//! This database and no other: copies of it, older states of it and of the sheet, and other
//! databases at the same tab.

use e2e::{Db, Fault, Sheet, When, World, stopped, wait_until};

const THREE: &str = "id | name | price\n 1 | Bolt | 1\n 2 | Nut | 2\n 3 | Gear | 3";

/// What nobody wants to see in production's sheet.
const DAMAGE: &str = "UPDATE products SET price = 0; DELETE FROM products WHERE id = 3";

/// The copy stands still, says why by each way of asking, and leaves sheet and production alone.
fn stands_still(copy: &mut Db, world: &mut World, sheet: &Sheet, reason: &str) {
    copy.run(DAMAGE);
    let said = stopped(copy, "products", reason);
    assert!(said.contains("take_over"), "{said}");
    assert!(said.contains("unregister_table"), "{said}");
    for call in ["sync", "push", "pull", "preview"] {
        let refused = copy.refused(&format!("SELECT * FROM sheet_sync.{call}('products')"));
        assert!(said.contains(&refused.message), "{call}: {refused:?}");
    }
    let found =
        copy.table("SELECT detail FROM sheet_sync.doctor() WHERE \"check\" = 'mapping' AND NOT ok");
    assert!(found[0][0].contains(reason), "{found:?}");
    world.quiet();
    sheet.shows(THREE);
    world.table_shows("products", THREE);
    assert_eq!(copy.count("SELECT count(*) FROM products"), 2);
}

#[test]
fn a_dump_restored_beside_its_database_stands_still() {
    let (mut world, sheet) = World::with_products();
    let dump = world.dump();
    world.db.run("CREATE DATABASE staging");
    world.restore("staging", &dump);
    let mut copy = world.with_credential("staging");
    stands_still(&mut copy, &mut world, &sheet, "copied_database");
}

#[test]
fn a_database_made_with_template_stands_still_and_may_be_kept_apart() {
    let (mut world, sheet) = World::with_products();
    // Nobody may be connected to a template.
    world.db = world.cluster.connect("postgres");
    world.db.run("CREATE DATABASE staging TEMPLATE e2e");
    world.reconnect();
    let mut copy = world.cluster.connect("staging");
    stands_still(&mut copy, &mut world, &sheet, "copied_database");
    // What is captured meanwhile does not fill the disk.
    for first in [1_000, 10_000] {
        copy.run(&format!(
            "INSERT INTO products SELECT n, 'new', 0 FROM generate_series({first}, {first} + 6000) n"
        ));
    }
    copy.refused("SELECT * FROM sheet_sync.sync('products')");
    assert!(copy.count("SELECT count(*) FROM sheet_sync._dirty_key") < 10);
    copy.run("SELECT sheet_sync.unregister_table('products')");
    world.db.run("UPDATE products SET price = 10 WHERE id = 1");
    sheet.shows("id | name | price\n 1 | Bolt | 10\n 2 | Nut | 2\n 3 | Gear | 3");
}

#[test]
fn a_copy_that_takes_the_tab_over_goes_on_and_the_other_database_stops() {
    let (mut world, sheet) = World::with_products();
    let dump = world.dump();
    world.db.run("CREATE DATABASE moved");
    world.restore("moved", &dump);
    let mut copy = world.with_credential("moved");
    stopped(&mut copy, "products", "copied_database");
    // A dump does not hold what both sides have agreed on, so somebody must say whose rows count.
    copy.run("UPDATE products SET price = 20 WHERE id = 2");
    copy.run("SELECT sheet_sync.take_over('products')");
    stopped(&mut copy, "products", "sheet_is_ahead");
    let refused = copy.refused("SELECT sheet_sync.take_over('products')");
    assert!(refused.message.contains("whose rows count"), "{refused:?}");
    copy.run("SELECT sheet_sync.take_over('products', winner => 'database')");
    sheet.shows("id | name | price\n 1 | Bolt | 1\n 2 | Nut | 20\n 3 | Gear | 3");
    world
        .db
        .run("UPDATE products SET price = 0; DELETE FROM products WHERE id = 3");
    let said = world.stopped("tab_taken");
    assert!(said.contains("another database"), "{said}");
    copy.run("UPDATE products SET price = 30 WHERE id = 3");
    sheet.shows("id | name | price\n 1 | Bolt | 1\n 2 | Nut | 20\n 3 | Gear | 30");
    assert_eq!(
        world.db.count("SELECT count(*) FROM products"),
        2,
        "nothing was read into it"
    );
    // And back again.
    world
        .db
        .run("SELECT sheet_sync.take_over('products', winner => 'sheet')");
    world.both_equal("products", &sheet);
    sheet.shows("id | name | price\n 1 | Bolt | 1\n 2 | Nut | 20\n 3 | Gear | 30");
}

#[test]
fn a_base_backup_started_in_another_place_stands_still() {
    let (mut world, sheet) = World::with_products();
    let mut copy = world.copy();
    stands_still(&mut copy.db, &mut world, &sheet, "copied_database");
    assert_eq!(copy.google.writes().len(), 0);
    // Where it is no copy but the server itself, on another disk by now.
    world.cluster.stop();
    copy.db.run("SELECT sheet_sync.take_over('products')");
    sheet.shows("id | name | price\n 1 | Bolt | 0\n 2 | Nut | 0");
}

#[test]
fn a_promoted_standby_goes_on_by_itself_and_the_old_primary_stops() {
    let (mut old, sheet) = World::with_products();
    let mut new = old.standby();
    old.db.run("UPDATE products SET price = 10 WHERE id = 1");
    sheet.shows("id | name | price\n 1 | Bolt | 10\n 2 | Nut | 2\n 3 | Gear | 3");
    new.promote(&mut old);
    new.db.run("UPDATE products SET price = 20 WHERE id = 2");
    sheet.shows("id | name | price\n 1 | Bolt | 10\n 2 | Nut | 20\n 3 | Gear | 3");
    old.db.run("UPDATE products SET price = 0");
    let said = old.stopped("sheet_is_ahead");
    assert!(said.contains("another copy of it writes"), "{said}");
    sheet.set("B4", "Cog");
    new.table_shows(
        "products",
        "id | name | price\n 1 | Bolt | 10\n 2 | Nut | 20\n 3 | Cog | 3",
    );
    old.table_shows(
        "products",
        "id | name | price\n 1 | Bolt | 0\n 2 | Nut | 0\n 3 | Gear | 0",
    );
}

#[test]
fn an_old_primary_that_comes_back_after_a_promotion_stops_before_it_reads() {
    let (mut old, sheet) = World::with_products();
    let mut new = old.standby();
    old.db.run("SELECT pg_switch_wal()");
    old.cluster.kill();
    new.db.run("SELECT pg_promote()");
    new.merged("products");
    // The promoted one says who it is without having anything to write.
    wait_until("the new primary's turn", || {
        let arrived = new
            .db
            .maybe("SELECT arrived = turn AND time_line = 2 FROM sheet_sync._writer JOIN sheet_sync._progress USING (mapping_id)");
        (arrived.as_deref() == Some("t"))
            .then_some(())
            .ok_or(arrived)
    });
    sheet.set("B4", "Cog");
    new.table_shows(
        "products",
        "id | name | price\n 1 | Bolt | 1\n 2 | Nut | 2\n 3 | Cog | 3",
    );
    old.cluster.start_again();
    old.reconnect();
    old.stopped("sheet_is_ahead");
    old.table_shows("products", THREE);
}

/// The damage that a restore is to take back: prices and a row are gone, on both sides.
fn damaged_and_restored() -> (World, Sheet) {
    let (mut world, sheet) = World::with_products();
    world.quiet();
    world.cluster.stop();
    world.cluster.keep_files();
    world.cluster.start_again();
    world.reconnect();
    world.db.run(
        "UPDATE products SET price = 0; DELETE FROM products WHERE id = 2; INSERT INTO products VALUES (9, 'late', 9)",
    );
    sheet.shows("id | name | price\n 1 | Bolt | 0\n 3 | Gear | 0\n 9 | late | 9");
    world.cluster.stop();
    world.cluster.put_back();
    world.cluster.start_again();
    world.reconnect();
    let said = world.stopped("sheet_is_ahead");
    for way in ["'database'", "'sheet'", "'merge'"] {
        assert!(said.contains(way), "{said}");
    }
    world.table_shows("products", THREE);
    (world, sheet)
}

/// The same rows, whatever their order.
fn sheet_holds(sheet: &Sheet, text: &str) {
    let mut expected = e2e::parse(text);
    expected.sort();
    wait_until("the sheet's rows", || {
        let mut rows = sheet.rows();
        rows.sort();
        if rows == expected { Ok(()) } else { Err(rows) }
    });
}

#[test]
fn a_restored_database_may_win() {
    let (mut world, sheet) = damaged_and_restored();
    world
        .db
        .run("SELECT sheet_sync.take_over('products', winner => 'database')");
    sheet_holds(&sheet, THREE);
    world.table_shows("products", THREE);
    world.quiet();
    sheet.set("B2", "Screw");
    world.table_shows(
        "products",
        "id | name | price\n 1 | Screw | 1\n 2 | Nut | 2\n 3 | Gear | 3",
    );
}

#[test]
fn the_sheet_of_a_restored_database_may_win() {
    let (mut world, sheet) = damaged_and_restored();
    world
        .db
        .run("SELECT sheet_sync.take_over('products', winner => 'sheet')");
    let shown = "id | name | price\n 1 | Bolt | 0\n 3 | Gear | 0\n 9 | late | 9";
    world.table_shows("products", shown);
    sheet.shows(shown);
    world.quiet();
    world.db.run("UPDATE products SET price = 7 WHERE id = 3");
    sheet.shows("id | name | price\n 1 | Bolt | 0\n 3 | Gear | 7\n 9 | late | 9");
}

/// Rows that somebody holds are not forgotten: the sheet's side of them counts when they are free.
#[test]
fn the_sheet_wins_also_where_a_row_is_locked() {
    let (mut world, sheet) = damaged_and_restored();
    let mut holder = world.connect();
    holder.run("BEGIN; SELECT FROM products WHERE id = 1 FOR UPDATE");
    world
        .db
        .run("SELECT sheet_sync.take_over('products', winner => 'sheet')");
    world.shows("SELECT price FROM products WHERE id = 3", "0");
    world.shows("SELECT count(*) FROM products WHERE id = 9", "1");
    world.shows("SELECT winner FROM sheet_sync._writer", "sheet");
    holder.run("COMMIT");
    let shown = "id | name | price\n 1 | Bolt | 0\n 3 | Gear | 0\n 9 | late | 9";
    world.table_shows("products", shown);
    sheet.shows(shown);
    world.shows("SELECT state FROM sheet_sync.status", "active");
}

#[test]
fn a_restored_database_and_its_sheet_may_be_merged() {
    let (mut world, sheet) = damaged_and_restored();
    world
        .db
        .run("SELECT sheet_sync.take_over('products', winner => 'merge')");
    world.both_equal("products", &sheet);
    world.shows("SELECT id FROM products ORDER BY id", "1\n 2\n 3\n 9");
    assert!(world.db.count("SELECT count(*) FROM sheet_sync.conflict") > 0);
}

#[test]
fn a_spreadsheet_put_back_to_an_older_version_is_asked_about() {
    let (mut world, sheet) = World::with_products();
    world.quiet();
    let book = sheet.book();
    let yesterday = book.version();
    world
        .db
        .run("UPDATE products SET price = 10; INSERT INTO products VALUES (4, 'Cog', 4)");
    let now = "id | name | price\n 1 | Bolt | 10\n 2 | Nut | 10\n 3 | Gear | 10\n 4 | Cog | 4";
    sheet.shows(now);
    world.quiet();
    book.restore(yesterday);
    let said = world.stopped("sheet_put_back");
    assert!(said.contains("Version history"), "{said}");
    world.table_shows("products", now);
    sheet.shows(THREE);
    let refused = world.db.refused("SELECT sheet_sync.take_over('products')");
    assert!(refused.message.contains("whose rows count"), "{refused:?}");
    world
        .db
        .run("SELECT sheet_sync.take_over('products', winner => 'database')");
    sheet.shows(now);
    world.table_shows("products", now);
}

#[test]
fn two_databases_cannot_have_one_tab() {
    let (mut one, sheet) = World::with_products();
    let mut other = one.neighbour();
    other.db.run(
        "CREATE TABLE products (id int PRIMARY KEY, name text, price numeric); INSERT INTO products VALUES (9, 'of the other', 9)",
    );
    other.register("products", &sheet, "");
    let said = other.stopped("tab_taken");
    assert!(said.contains("another database"), "{said}");
    one.db.run("UPDATE products SET price = 10 WHERE id = 1");
    sheet.shows("id | name | price\n 1 | Bolt | 10\n 2 | Nut | 2\n 3 | Gear | 3");
    assert_eq!(other.db.count("SELECT count(*) FROM products"), 1);
    assert_eq!(
        other
            .google
            .writes()
            .iter()
            .filter(|one| !one.is_token())
            .count(),
        0
    );
}

#[test]
fn a_table_may_be_registered_again_in_its_own_database() {
    let (mut world, sheet) = World::with_products();
    for _ in 0..2 {
        world
            .db
            .run("SELECT sheet_sync.unregister_table('products')");
        world.register("products", &sheet, "");
        world.merged("products");
    }
    world.db.run("UPDATE products SET price = 10 WHERE id = 1");
    sheet.shows("id | name | price\n 1 | Bolt | 10\n 2 | Nut | 2\n 3 | Gear | 3");
}

#[test]
fn take_over_is_refused_where_nothing_waits_for_it() {
    let (mut world, _sheet) = World::with_products();
    let refused = world
        .db
        .refused("SELECT sheet_sync.take_over('products', winner => 'database')");
    assert!(
        refused.message.contains("waits to be taken over"),
        "{refused:?}"
    );
    let refused = world
        .db
        .refused("SELECT sheet_sync.take_over('products', winner => 'both')");
    assert_eq!(refused.sqlstate, "22023");
}

/// A turn whose answer was lost is taken for what it is, whether it has arrived or not.
#[test]
fn a_turn_without_an_answer_is_no_reason_to_stop() {
    for when in [When::Before, When::After] {
        let (mut world, sheet) = World::with_products();
        world.quiet();
        world.google.fault(Fault::Lost(when), 3);
        world.db.run("UPDATE products SET price = 10 WHERE id = 1");
        sheet.shows("id | name | price\n 1 | Bolt | 10\n 2 | Nut | 2\n 3 | Gear | 3");
        world.quiet();
        world.kill_worker();
        world.db.run("UPDATE products SET price = 20 WHERE id = 2");
        sheet.shows("id | name | price\n 1 | Bolt | 10\n 2 | Nut | 20\n 3 | Gear | 3");
    }
}
