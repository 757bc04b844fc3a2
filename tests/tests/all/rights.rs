//! Who sees what of a table's mapping: what they may read of the table, and no more.

use e2e::World;

const SEEN: &str = "SELECT (SELECT count(*) FROM sheet_sync.history), (SELECT count(*) FROM sheet_sync.conflict),
     (SELECT count(*) FROM sheet_sync.problem), (SELECT count(*) FROM sheet_sync.status), (SELECT count(*) FROM sheet_sync._live())";

#[test]
fn what_is_known_of_a_table_is_seen_by_those_who_may_read_it() {
    let (mut world, sheet) = World::with_products();
    world.db.run(
        "CREATE ROLE reader LOGIN; GRANT SELECT ON products TO reader;
         CREATE ROLE reader_of_names LOGIN; GRANT SELECT (id, name) ON products TO reader_of_names;
         CREATE ROLE writer LOGIN; GRANT INSERT, UPDATE, DELETE ON products TO writer;
         CREATE ROLE stranger LOGIN",
    );
    world.at_once("products", |world| {
        world.db.run("UPDATE products SET price = 10 WHERE id = 1");
        sheet.set("C2", "11");
        sheet.set("C3", "much");
    });
    world.shows("SELECT count(*) FROM sheet_sync.problem", "1");
    world.shows(
        "SELECT count(*) FROM sheet_sync.conflict WHERE settled",
        "1",
    );
    world.quiet();
    let all = world.db.table(SEEN);
    assert!(all[0].iter().all(|count| count != "0"), "{all:?}");
    assert_eq!(world.connect_as("reader").table(SEEN), all);
    let nothing = ["0", "0", "0", "0", "0"];
    for role in ["reader_of_names", "writer", "stranger"] {
        assert_eq!(world.connect_as(role).table(SEEN), [nothing], "{role}");
    }
    // Row-level security hides rows from the reader: values of any of them may stand in a line.
    world.db.run(
        "ALTER TABLE products ENABLE ROW LEVEL SECURITY; CREATE POLICY cheap ON products FOR SELECT USING (price < 5)",
    );
    assert_eq!(
        world.connect_as("reader").table(SEEN),
        [["0", "0", "0", "1", "1"]]
    );
}
