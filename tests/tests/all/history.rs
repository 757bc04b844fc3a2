//! What is kept of every change, for how long, and that it is true.

use e2e::World;

#[test]
fn a_line_of_history_is_written_in_the_transaction_of_its_change() {
    let mut world = World::configured(&[("track_commit_timestamp", "on")]);
    world.db.run(
        "CREATE TABLE parts (id int PRIMARY KEY, name text); INSERT INTO parts VALUES (1, 'Bolt')",
    );
    let sheet = world.map("parts");
    sheet.shows("id | name\n 1 | Bolt");
    sheet.set("B2", "Nut");
    world.shows(
        "SELECT h.side, h.operation, h.old_values, h.new_values, pg_xact_commit_timestamp(h.xmin) = pg_xact_commit_timestamp(p.xmin) AS one_transaction
         FROM sheet_sync.history h, parts p WHERE h.operation = 'update'",
        r#"database | update | {"name": "Bolt"} | {"name": "Nut"} | t"#,
    );
    // The base moved in it, too: nobody ever sees one without the other.
    world.shows(
        "SELECT pg_xact_commit_timestamp(b.xmin) = pg_xact_commit_timestamp(p.xmin) FROM sheet_sync._base_row b, parts p",
        "t",
    );
}

#[test]
fn a_change_that_is_refused_leaves_no_line() {
    let mut world = World::start();
    world.db.run("CREATE TABLE parts (id int PRIMARY KEY, stock int CHECK (stock >= 0)); INSERT INTO parts VALUES (1, 1)");
    let sheet = world.map("parts");
    sheet.shows("id | stock\n 1 | 1");
    sheet.set("B2", "-1");
    world.shows("SELECT code FROM sheet_sync.problem", "23514");
    world.shows(
        "SELECT count(*) FROM sheet_sync.history WHERE side = 'database'",
        "0",
    );
}

#[test]
fn old_lines_are_swept_away_and_young_ones_kept() {
    let (mut world, _sheet) = World::with_products();
    world.db.run(
        "UPDATE products SET price = 10 WHERE id = 1; SELECT * FROM sheet_sync.sync('products')",
    );
    let young = world.db.count("SELECT count(*) FROM sheet_sync.history");
    assert!(young > 0);
    world.db.run(
        "INSERT INTO sheet_sync.history (at, mapping_id, cycle_id, side, key, operation, old_values, new_values)
         SELECT clock_timestamp() - interval '8 days', id, 1, 'sheet', '{1}', 'delete', '{}', '{}' FROM sheet_sync.mapping",
    );
    // A worker sweeps when it begins, and now and then.
    world.terminate_worker();
    world.shows(
        "SELECT count(*) FILTER (WHERE operation = 'delete'), count(*) FROM sheet_sync.history",
        &format!("0 | {young}"),
    );
}

#[test]
fn a_retention_of_zero_keeps_none() {
    let mut world = World::configured(&[("sheet_sync.history_retention", "0")]);
    world.db.run(
        "CREATE TABLE parts (id int PRIMARY KEY, name text); INSERT INTO parts VALUES (1, 'Bolt')",
    );
    let sheet = world.map("parts");
    sheet.shows("id | name\n 1 | Bolt");
    sheet.set("B2", "Nut");
    world.shows("SELECT name FROM parts", "Nut");
    world.shows("SELECT count(*) FROM sheet_sync.history", "0");
}
