//! The worker stores something and that does not work, or is the last that it does: the disk is
//! full for a while, or the worker is killed in the middle of its transaction. Nothing is lost or
//! done twice by that, and all goes on by itself afterwards.

use e2e::{Sheet, World, wait_until};
use std::fs;

// ---------------------------------------------------------------------------------------------- a disk that is full for a while

const ALL: &str = "INSERT OR UPDATE";

/// While the flag is up, such changes of this table are refused as a full disk refuses them.
fn fill_disk_under(world: &mut World, changes: &str, table: &str) {
    world.db.run(&format!(
        "CREATE TABLE IF NOT EXISTS disk (is_full bool);
         CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             IF EXISTS (SELECT FROM public.disk) THEN
                 RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full';
             END IF;
             RETURN NEW;
         END $$;
         CREATE TRIGGER a_full_disk BEFORE {changes} ON sheet_sync.{table} FOR EACH ROW EXECUTE FUNCTION refuse()"
    ));
}

/// Each side is edited while such changes of `table` cannot be stored.
fn edited_on_a_full_disk(changes: &str, table: &str) -> (World, Sheet) {
    let (mut world, sheet) = World::with_products();
    fill_disk_under(&mut world, changes, table);
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
    let (mut world, sheet) = edited_on_a_full_disk(ALL, "_base_row");
    goes_on(&mut world, &sheet);
}

#[test]
fn that_a_batch_is_under_way_cannot_be_stored() {
    let (mut world, sheet) = edited_on_a_full_disk(ALL, "_progress");
    goes_on(&mut world, &sheet);
}

#[test]
fn a_turn_cannot_be_stored() {
    let (mut world, sheet) = edited_on_a_full_disk("UPDATE OF turn", "_progress");
    goes_on(&mut world, &sheet);
}

#[test]
fn history_cannot_be_stored() {
    let (mut world, sheet) = edited_on_a_full_disk(ALL, "history");
    goes_on(&mut world, &sheet);
}

#[test]
fn not_even_the_state_can_be_stored() {
    let (mut world, sheet) = World::with_products();
    for table in ["_base_row", "mapping"] {
        fill_disk_under(&mut world, ALL, table);
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

// --------------------------------------------------------------------------------------------------- death in a transaction

/// The worker is killed, as the kernel kills it when memory runs out, where it is about to change
/// its nth row of this table.
fn kill_at(world: &mut World, table: &str, nth: usize) {
    let count = world.cluster.directory().join("writes");
    let _ = fs::remove_file(&count);
    let count = count.display();
    world.db.run(&format!(
        "CREATE OR REPLACE FUNCTION kill() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             IF EXISTS (SELECT FROM pg_stat_activity WHERE pid = pg_backend_pid() AND backend_type = 'sheet_sync worker') THEN
                 EXECUTE format('COPY (SELECT 1) TO PROGRAM %L',
                                format('cat > /dev/null; echo >> {count}; [ $(wc -l < {count}) -ne {nth} ] || kill -9 %s', pg_backend_pid()));
             END IF;
             RETURN COALESCE(NEW, OLD);
         END $$;
         CREATE OR REPLACE TRIGGER a_death BEFORE INSERT OR UPDATE OR DELETE ON sheet_sync.{table} FOR EACH ROW EXECUTE FUNCTION kill()"
    ));
}

/// Each side is edited, and the worker dies at its first change of a row in `table` that follows
/// from it; and again at its second, and so on.
fn killed_at_its_writes(table: &str, times: usize) {
    let (mut world, sheet) = World::with_products();
    for nth in 1..=times {
        world.quiet();
        kill_at(&mut world, table, nth);
        world.db.run(&format!(
            "UPDATE products SET price = 10 + {nth} WHERE id = 1; INSERT INTO products VALUES (10 + {nth}, 'Cog', {nth})"
        ));
        sheet.set("B3", &format!("Mother {nth}"));
        sheet.type_row(&[&format!("2{nth}"), "Pin", "5"]);
        wait_until(&format!("the worker's death at change {nth}"), || {
            let log = world.cluster.log();
            match log.matches("was terminated by signal 9").count() {
                deaths if deaths == nth => Ok(()),
                _ => Err(log),
            }
        });
        world.reconnect();
        world
            .db
            .run(&format!("DROP TRIGGER a_death ON sheet_sync.{table}"));
        world.both_equal("products", &sheet);
        let edited = "SELECT (SELECT price FROM products WHERE id = 1), (SELECT name FROM products WHERE id = 2), \
             (SELECT count(*) FROM products WHERE name = 'Cog'), (SELECT count(*) FROM products WHERE name = 'Pin')";
        world.shows(edited, &format!("1{nth} | Mother {nth} | {nth} | {nth}"));
    }
    world.shows("SELECT state, reason FROM sheet_sync.status", "active | ");
    world.shows("SELECT count(*) FROM sheet_sync.conflict", "0");
    world.has_no_problem();
}

#[test]
fn killed_while_it_stores_what_both_sides_agreed_on() {
    killed_at_its_writes("_base_row", 3);
}

#[test]
fn killed_while_it_stores_how_far_a_cycle_is() {
    killed_at_its_writes("_progress", 5);
}

#[test]
fn killed_while_it_stores_history() {
    killed_at_its_writes("history", 3);
}

#[test]
fn killed_while_it_takes_captured_keys_away() {
    killed_at_its_writes("_dirty_key", 3);
}

/// Logical replication copies each table apart from the others, and people delete what they should
/// not: a line in which the worker says what is under way must not be missed in silence.
#[test]
fn a_line_that_is_gone_is_made_anew_and_nothing_is_sent_before() {
    let (mut world, sheet) = World::with_products();
    world.db.run(
        "BEGIN;
         DELETE FROM sheet_sync._progress;
         DELETE FROM sheet_sync._cycle;
         INSERT INTO products VALUES (4, 'Cog', 4);
         COMMIT",
    );
    world.says(&["_progress is gone", "resume()"]);
    assert_eq!(sheet.rows().len(), 4);
    world.db.run("SELECT sheet_sync.resume('products')");
    // What it last wrote to the tab went with the line, as in a database that was put back.
    world.stopped("sheet_is_ahead");
    assert_eq!(sheet.rows().len(), 4);
    world
        .db
        .run("SELECT sheet_sync.take_over('products', winner => 'merge')");
    sheet.shows("id | name | price\n 1 | Bolt | 1\n 2 | Nut | 2\n 3 | Gear | 3\n 4 | Cog | 4");
    world.both_equal("products", &sheet);
    world.db.run("DELETE FROM products WHERE id = 2");
    sheet.shows("id | name | price\n 1 | Bolt | 1\n 3 | Gear | 3\n 4 | Cog | 4");
}
