//! Killed while a request is under way, whatever it is for. A request that is held before it is
//! applied is one that was about to be sent, or was lost on its way; one that is held afterwards
//! has changed the sheet, and nobody has recorded it.

use e2e::{Kind, Sheet, When, World, wait_for};

/// What both sides hold when a round is over: nobody's edit is lost, and none is made twice.
fn is_right(world: &mut World, sheet: &Sheet, round: usize, typed: &[&str]) {
    world.both_equal("products", sheet);
    let mut kept = format!(
        "1 | Bolt | {round}\n 2 | Mother {round} | 2\n 3 | Gear | 3\n 1{round:02} | Cog | {round}"
    );
    for key in typed {
        kept.push_str(&format!("\n {key} | Pin | 0"));
    }
    world.shows("SELECT * FROM products ORDER BY id", &kept);
}

/// Each side changes a row, gets one and loses one; one cell is typed that the table does not take.
/// What causes a request of this kind comes first: it is held, and there is the kill.
fn killed_in(
    world: &mut World,
    sheet: &Sheet,
    round: usize,
    kind: Kind,
    when: When,
    kill: fn(&mut World),
) {
    world.quiet();
    let last = round - 1;
    let of = |key: &str| sheet.row_where(0, key);
    let mut changes = vec![
        format!("UPDATE products SET price = {round} WHERE id = 1"),
        format!("INSERT INTO products VALUES (1{round:02}, 'Cog', {round})"),
        format!("DELETE FROM products WHERE id = 1{last:02}"),
    ];
    let first = match kind {
        Kind::Insert => 1,
        Kind::Delete => 2,
        _ => 0,
    };
    let first = changes.remove(first);
    let held = world.google.gate().hold_on(kind, when);
    sheet.set(&format!("B{}", of("2")), &format!("Mother {round}"));
    // Not both at once: nobody could tell whether the new row is the missing one.
    let typed: &[&str] = if last.is_multiple_of(2) {
        sheet.type_row(&["900", "Pin", "0"]);
        &["900"]
    } else {
        sheet.delete_row(of("900"));
        &[]
    };
    let refused = format!("C{}", of("3"));
    if kind == Kind::Note {
        sheet.set(&refused, "none");
    } else {
        world.db.run(&first);
    }
    held.wait();
    kill(world);
    held.release();
    // The note comes, and goes when the cell is mended.
    if kind == Kind::Note {
        world.db.run(&first);
    } else {
        sheet.set(&refused, "none");
    }
    for change in changes {
        world.db.run(&change);
    }
    world.shows("SELECT key FROM sheet_sync.problem", "{3}");
    wait_for("the note", true, || {
        !sheet.note(&format!("C{}", of("3"))).is_empty()
    });
    sheet.set(&format!("C{}", of("3")), "3");
    is_right(world, sheet, round, typed);
    world.shows("SELECT count(*) FROM sheet_sync.problem", "0");
    wait_for("no note", 0, || sheet.notes().len());
}

fn killed_in_each_kind(when: When, kill: fn(&mut World)) {
    let (mut world, sheet) = World::with_products();
    let kinds = [
        Kind::Read,
        Kind::Tag,
        Kind::Write,
        Kind::Insert,
        Kind::Delete,
        Kind::Note,
    ];
    for (last, kind) in kinds.into_iter().enumerate() {
        killed_in(&mut world, &sheet, last + 1, kind, when, kill);
    }
    world.shows("SELECT count(*) FROM sheet_sync.conflict", "0");
    world.shows("SELECT state, reason FROM sheet_sync.status", "active | ");
    world.quiet();
}

fn kill_server(world: &mut World) {
    world.cluster.kill();
    world.cluster.start_again();
    world.reconnect();
}

#[test]
fn the_worker_killed_before_a_request_of_each_kind() {
    killed_in_each_kind(When::Before, World::kill_worker);
}

#[test]
fn the_worker_killed_after_a_request_of_each_kind() {
    killed_in_each_kind(When::After, World::kill_worker);
}

#[test]
fn the_server_killed_before_a_request_of_each_kind() {
    killed_in_each_kind(When::Before, kill_server);
}

#[test]
fn the_server_killed_after_a_request_of_each_kind() {
    killed_in_each_kind(When::After, kill_server);
}

/// Whoever comes after a death finds out what has arrived, gives back what was overwritten, and
/// takes away what was left behind: and may be killed in each request that this takes.
#[test]
fn killed_again_at_every_request_of_the_recovery() {
    let (mut world, sheet) = World::with_products();
    for step in 1..=9 {
        world.quiet();
        let kind = [Kind::Write, Kind::Insert, Kind::Delete][step % 3];
        let held = world.google.gate().hold_on(kind, When::After);
        let last = step - 1;
        world.db.run(&format!(
            "BEGIN;
             UPDATE products SET price = {step} WHERE id = 1;
             INSERT INTO products VALUES (1{step:02}, 'Cog', {step});
             DELETE FROM products WHERE id = 1{last:02};
             COMMIT"
        ));
        held.wait();
        let row = sheet.row_where(0, "2");
        sheet.set(&format!("B{row}"), &format!("Mother {step}"));
        let again = world.google.hold(step, When::After);
        world.kill_worker();
        held.release();
        again.wait();
        world.kill_worker();
        again.release();
        is_right(&mut world, &sheet, step, &[]);
    }
    world.shows("SELECT count(*) FROM sheet_sync.conflict", "0");
    world.has_no_problem();
    world.quiet();
}

/// Of two databases that want the tab one has it afterwards, and says so before it writes anything
/// else.
#[test]
fn killed_while_it_says_on_the_tab_who_writes() {
    let (mut world, sheet) = World::with_products();
    world.quiet();
    // Nobody may be connected to a template.
    world.db = world.cluster.connect("postgres");
    world.db.run("CREATE DATABASE moved TEMPLATE e2e");
    for (database, other, when, price) in [
        ("moved", "e2e", When::Before, "10"),
        ("e2e", "moved", When::After, "20"),
    ] {
        let held = world.google.gate().hold_on(Kind::Turn, when);
        let mut db = world.cluster.connect(database);
        let stands = format!("waits for take_over() in {database}");
        wait_for(&stands, "failed".to_owned(), || {
            db.one("SELECT state FROM sheet_sync.status")
        });
        db.run("SELECT sheet_sync.take_over('products', winner => 'sheet')");
        held.wait();
        world.reconnect();
        world.kill_worker();
        held.release();
        let mut db = world.cluster.connect(database);
        wait_for("the end of the merge", "active".to_owned(), || {
            db.one("SELECT state FROM sheet_sync.status")
        });
        db.run("SELECT * FROM sheet_sync.sync('products')");
        db.run(&format!("UPDATE products SET price = {price} WHERE id = 1"));
        wait_for("the new price", price.to_owned(), || sheet.cell("C2"));
        let mut other = world.cluster.connect(other);
        other.run("UPDATE products SET price = 0");
        e2e::stopped(&mut other, "products", "tab_taken");
    }
    sheet.shows("id | name | price\n 1 | Bolt | 20\n 2 | Nut | 2\n 3 | Gear | 3");
}
