//! Postgres can store nothing for a while, as when a disk is full: nothing is lost or done twice by
//! that, and all goes on by itself afterwards.

use e2e::{Sheet, World, wait_until};

/// While the flag is up, whatever is to be stored in this table is refused as a full disk refuses it.
fn fill_disk_under(world: &mut World, table: &str) {
    world.db.run(&format!(
        "CREATE TABLE IF NOT EXISTS disk (is_full bool);
         CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             IF EXISTS (SELECT FROM public.disk) THEN
                 RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full';
             END IF;
             RETURN NEW;
         END $$;
         CREATE TRIGGER a_full_disk BEFORE INSERT OR UPDATE ON sheet_sync.{table} FOR EACH ROW EXECUTE FUNCTION refuse()"
    ));
}

/// Each side is edited while nothing can be stored in `table`.
fn edited_on_a_full_disk(table: &str) -> (World, Sheet) {
    let (mut world, sheet) = World::with_products();
    fill_disk_under(&mut world, table);
    world.quiet();
    let log = world.cluster.log().len();
    world.db.run("INSERT INTO disk VALUES (true)");
    world.db.run(
        "UPDATE products SET price = 10 WHERE id = 1; INSERT INTO products VALUES (4, 'Cog', 4)",
    );
    sheet.set("B3", "Mother");
    sheet.type_row(&["5", "Pin", "5"]);
    wait_until("the disk to be found full", || {
        let log = world.cluster.log().split_off(log);
        let state = world
            .db
            .maybe("SELECT reason FROM sheet_sync.status")
            .unwrap_or_default();
        match format!("{log}{state}") {
            said if said.contains("No space left on device") => Ok(()),
            said => Err(said),
        }
    });
    world.db.run("TRUNCATE disk");
    (world, sheet)
}

fn goes_on(world: &mut World, sheet: &Sheet) {
    world.both_equal("products", sheet);
    world.table_shows(
        "products",
        "id | name | price\n 1 | Bolt | 10\n 2 | Mother | 2\n 3 | Gear | 3\n 4 | Cog | 4\n 5 | Pin | 5",
    );
    world.shows("SELECT state, reason FROM sheet_sync.status", "active | ");
    world.shows("SELECT count(*) FROM sheet_sync.conflict", "0");
    world.quiet();
}

#[test]
fn what_both_sides_agreed_on_cannot_be_stored() {
    let (mut world, sheet) = edited_on_a_full_disk("_base_row");
    goes_on(&mut world, &sheet);
}

#[test]
fn that_a_batch_is_under_way_cannot_be_stored() {
    let (mut world, sheet) = edited_on_a_full_disk("_cycle");
    goes_on(&mut world, &sheet);
}

#[test]
fn a_turn_cannot_be_stored() {
    let (mut world, sheet) = edited_on_a_full_disk("_writer");
    goes_on(&mut world, &sheet);
}

#[test]
fn history_cannot_be_stored() {
    let (mut world, sheet) = edited_on_a_full_disk("history");
    goes_on(&mut world, &sheet);
}

#[test]
fn not_even_the_state_can_be_stored() {
    let (mut world, sheet) = World::with_products();
    for table in ["_base_row", "mapping"] {
        fill_disk_under(&mut world, table);
    }
    world.quiet();
    world.db.run("INSERT INTO disk VALUES (true)");
    world.db.run(
        "UPDATE products SET price = 10 WHERE id = 1; INSERT INTO products VALUES (4, 'Cog', 4)",
    );
    sheet.set("B3", "Mother");
    sheet.type_row(&["5", "Pin", "5"]);
    wait_until("a state that could not be stored", || {
        let log = world.cluster.log();
        match log.contains("a state could not be stored") {
            true => Ok(()),
            false => Err(log),
        }
    });
    world.db.run("TRUNCATE disk");
    goes_on(&mut world, &sheet);
}
