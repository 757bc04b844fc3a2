//! What is changed in the table while nothing of it can be sent, for however long.

use e2e::World;

const LINES: &str = "SELECT count(*) FROM sheet_sync._dirty_key";

/// More changes than are kept one by one, each in a transaction of its own.
fn change_often(world: &mut World) {
    world.db.run(
        "DO $$ BEGIN FOR n IN 1 .. 11000 LOOP UPDATE products SET price = n WHERE id = 1 + n % 2; COMMIT; END LOOP; END $$",
    );
}

fn is_bounded(world: &mut World) {
    e2e::wait_until("few lines", || match world.db.count(LINES) {
        few if few < 100 => Ok(()),
        many => Err(many),
    });
}

/// Of a row that changes all the time the last change counts. That a key was changed is not
/// forgotten: the row in the sheet keeps what people wrote beside it.
#[test]
fn what_changes_without_a_network_fills_no_disk() {
    let (mut world, sheet) = World::with_products();
    sheet.set("E4", "a remark");
    world.quiet();
    world.google.gate().close();
    world.db.run("UPDATE products SET id = 30 WHERE id = 3");
    change_often(&mut world);
    is_bounded(&mut world);
    world.google.gate().open();
    sheet.shows(
        "id | name | price\n 1 | Bolt | 11000\n 2 | Nut | 10999\n 30 | Gear | 3 | | a remark",
    );
    world.has_no_problem();
}

#[test]
fn what_changes_during_a_pause_fills_no_disk() {
    let (mut world, sheet) = World::with_products();
    world.db.run("SELECT sheet_sync.pause('products')");
    change_often(&mut world);
    world.db.run("DELETE FROM products WHERE id = 3");
    is_bounded(&mut world);
    world.db.run("SELECT sheet_sync.resume('products')");
    world.both_equal("products", &sheet);
    sheet.shows("id | name | price\n 1 | Bolt | 11000\n 2 | Nut | 10999");
}
