//! A mapping is tied to one table. Where another one has its name, where it is gone, or no longer
//! has the key by which rows are known, the mapping says so with the way on, and nothing of either
//! side is lost meanwhile.

use e2e::{GATE, Refusal, Sheet, World, wait_until};

/// As an online schema change does: a copy with other prices takes the table's name.
const COPY: &str = "CREATE TABLE products_new (LIKE products INCLUDING ALL);
     INSERT INTO products_new SELECT id, name, price * 2 FROM products";
const SWAP: &str = "BEGIN;
     ALTER TABLE products RENAME TO products_old;
     ALTER TABLE products_new RENAME TO products;
     COMMIT";

fn swap(world: &mut World) {
    world.db.run(COPY);
    world.db.run(SWAP);
}

/// Waits until the mapping is in this state for this reason; answers what it says to a person.
#[track_caller]
fn is(world: &mut World, state: &str, reason: &str) -> String {
    wait_until(&format!("{state}, {reason}"), || {
        let seen = world
            .db
            .table("SELECT state, reason, hint FROM sheet_sync.status");
        match seen.first() {
            Some(row) if row[0] == state && row[1].starts_with(reason) => {
                Ok(format!("{} {}", row[1], row[2]))
            }
            _ => Err(seen),
        }
    })
}

#[track_caller]
fn goes_on(world: &mut World) {
    let sql = "SELECT state, reason, hint, retry_at FROM sheet_sync.status";
    world.shows(sql, "active |  |  |");
}

#[track_caller]
fn mapping(world: &mut World) -> i64 {
    world.db.count("SELECT id FROM sheet_sync.mapping")
}

#[track_caller]
fn follow(world: &mut World) {
    let id = mapping(world);
    world
        .db
        .run(&format!("SELECT sheet_sync.follow_name({id})"));
}

#[track_caller]
fn refused_to_follow(world: &mut World, id: i64) -> Refusal {
    world
        .db
        .refused(&format!("SELECT sheet_sync.follow_name({id})"))
}

#[track_caller]
fn doctor_says(world: &mut World, words: &str) {
    let found = world
        .db
        .table("SELECT detail, hint FROM sheet_sync.doctor() WHERE NOT ok");
    let fits = |line: &Vec<String>| line.join(" ").contains(words);
    assert!(found.iter().any(fits), "{found:?}");
}

/// Edits on both sides are kept where they are.
#[track_caller]
fn nothing_travels(world: &mut World, sheet: &Sheet, tables: [&str; 2]) {
    sheet.set("B2", "Screw");
    for table in tables {
        world
            .db
            .run(&format!("UPDATE {table} SET price = 70 WHERE id = 3"));
    }
    world.quiet();
    for table in tables {
        let name = format!("SELECT name FROM {table} WHERE id = 1");
        assert_eq!(world.db.one(&name), "Bolt");
    }
    sheet.shows("id | name | price\n 1 | Screw | 1\n 2 | Nut | 2\n 3 | Gear | 3");
}

#[test]
fn a_table_that_is_swapped_by_renaming_stops_and_follows_the_name() {
    let (mut world, sheet) = World::with_products();
    swap(&mut world);
    let said = is(&mut world, "failed", "table_swapped");
    let id = mapping(&mut world);
    assert!(
        said.contains("table public.products was renamed to public.products_old, and another table is named public.products now")
            && said.contains(&format!("follow_name({id})"))
            && said.contains("resume('public.products_old')"),
        "{said}"
    );
    doctor_says(&mut world, "follow_name");
    let unmapped = world
        .db
        .refused("SELECT * FROM sheet_sync.sync('products')");
    let hint = unmapped.hint.unwrap_or_default();
    assert!(hint.contains("follow_name"), "{hint}");
    nothing_travels(&mut world, &sheet, ["products", "products_old"]);
    sheet.type_row(&["4", "Cog", "4"]);
    world.db.run("INSERT INTO products VALUES (5, 'Pin', 5)");

    follow(&mut world);
    world.merged("products");
    // Nothing is deleted, and what one side loses stands in a line.
    world.table_shows(
        "products",
        "id | name | price\n 1 | Bolt | 2\n 2 | Nut | 4\n 3 | Gear | 70\n 4 | Cog | 4\n 5 | Pin | 5",
    );
    world.both_equal("products", &sheet);
    world.shows(
        "SELECT key[1], column_name, sheet_value #>> '{}' FROM sheet_sync.conflict ORDER BY 1, 2",
        "1 | name | Screw\n 1 | price | 1\n 2 | price | 2\n 3 | price | 3",
    );
    let triggers = "SELECT tgrelid::regclass, count(*) FROM pg_trigger WHERE tgname LIKE 'sheet_sync%' GROUP BY 1";
    assert_eq!(world.db.table(triggers), [["products", "3"]]);

    // Both ways, and without the former table.
    world.db.run("DROP TABLE products_old");
    world.db.run("UPDATE products SET price = 8 WHERE id = 2");
    sheet.set(&format!("B{}", sheet.row_where(0, "5")), "Pins");
    world.shows("SELECT name FROM products WHERE id = 5", "Pins");
    world.both_equal("products", &sheet);
    goes_on(&mut world);
}

#[test]
fn a_swapped_table_may_be_stayed_with() {
    let (mut world, sheet) = World::with_products();
    // In two steps, and the worker sees the first: no other table has the name yet.
    world.db.run(COPY);
    world.db.run("ALTER TABLE products RENAME TO products_old");
    world
        .db
        .run("SELECT * FROM sheet_sync.sync('products_old')");
    goes_on(&mut world);
    world.db.run("ALTER TABLE products_new RENAME TO products");
    is(&mut world, "failed", "table_swapped");
    nothing_travels(&mut world, &sheet, ["products", "products_old"]);
    world.db.run("SELECT sheet_sync.resume('products_old')");
    let merged = "id | name | price\n 1 | Screw | 1\n 2 | Nut | 2\n 3 | Gear | 70";
    world.table_shows("products_old", merged);
    sheet.shows(merged);
    goes_on(&mut world);
    world.table_shows(
        "products",
        "id | name | price\n 1 | Bolt | 2\n 2 | Nut | 4\n 3 | Gear | 70",
    );
    // Its name is the agreed one from now on.
    world
        .db
        .run("DROP TABLE products; CREATE TABLE products (id int)");
    world
        .db
        .run("SELECT * FROM sheet_sync.sync('products_old')");
    goes_on(&mut world);
    let id = mapping(&mut world);
    let refused = refused_to_follow(&mut world, id);
    assert!(refused.message.contains("already"), "{refused}");
}

#[test]
fn a_swap_that_is_undone_goes_on_by_itself() {
    let (mut world, sheet) = World::with_products();
    swap(&mut world);
    is(&mut world, "failed", "table_swapped");
    nothing_travels(&mut world, &sheet, ["products", "products_old"]);
    world.db.run(
        "BEGIN;
         ALTER TABLE products RENAME TO products_new;
         ALTER TABLE products_old RENAME TO products;
         COMMIT",
    );
    let merged = "id | name | price\n 1 | Screw | 1\n 2 | Nut | 2\n 3 | Gear | 70";
    world.table_shows("products", merged);
    sheet.shows(merged);
    goes_on(&mut world);
    let id = mapping(&mut world);
    let refused = refused_to_follow(&mut world, id);
    assert!(refused.message.contains("tied to table"), "{refused}");
}

#[test]
fn a_renamed_table_whose_name_nobody_takes_goes_on() {
    let (mut world, sheet) = World::with_products();
    world.db.run(
        "CREATE SCHEMA shop; ALTER TABLE products SET SCHEMA shop; ALTER TABLE shop.products RENAME TO goods",
    );
    sheet.set("B2", "Screw");
    world.shows("SELECT name FROM shop.goods WHERE id = 1", "Screw");
    // With its schema, too: then nothing of the table itself has changed.
    world.db.run("ALTER SCHEMA shop RENAME TO store");
    world
        .db
        .run("UPDATE store.goods SET price = 20 WHERE id = 2");
    sheet.shows("id | name | price\n 1 | Screw | 1\n 2 | Nut | 20\n 3 | Gear | 3");
    // A view under the former name shows the very table.
    world
        .db
        .run("CREATE VIEW products AS SELECT * FROM store.goods");
    sheet.set("B3", "Mother");
    world.shows("SELECT name FROM products WHERE id = 2", "Mother");
    goes_on(&mut world);
    // One that shows another table does not.
    world.db.run("CREATE TABLE others (id int, name text); DROP VIEW products; CREATE VIEW products AS SELECT * FROM others");
    let said = is(&mut world, "failed", "table_swapped");
    assert!(
        said.contains("a view is named public.products now")
            && said.contains("resume('store.goods')")
            && !said.contains("follow_name"),
        "{said}"
    );
    let id = mapping(&mut world);
    assert_eq!(refused_to_follow(&mut world, id).sqlstate, "42809");
    world.db.run("SELECT sheet_sync.resume('store.goods')");
    goes_on(&mut world);
}

#[test]
fn schemas_that_swap_their_names_swap_their_tables() {
    let mut world = World::start();
    world.db.run(
        "CREATE SCHEMA live; CREATE TABLE live.products (id int PRIMARY KEY, name text);
         INSERT INTO live.products VALUES (1, 'Bolt'), (2, 'Nut');
         CREATE SCHEMA next; CREATE TABLE next.products (id int PRIMARY KEY, name text); INSERT INTO next.products VALUES (1, 'Bolt')",
    );
    let sheet = world.map("live.products");
    world.db.run(
        "BEGIN; ALTER SCHEMA live RENAME TO past; ALTER SCHEMA next RENAME TO live; COMMIT;
         UPDATE past.products SET name = 'Bolts' WHERE id = 1",
    );
    let said = is(&mut world, "failed", "table_swapped");
    assert!(said.contains("renamed to past.products"), "{said}");
    sheet.shows("id | name\n 1 | Bolt\n 2 | Nut");
    follow(&mut world);
    // The row that the table of today does not have is copied, not deleted.
    world.table_shows("live.products", "id | name\n 1 | Bolt\n 2 | Nut");
    goes_on(&mut world);
}

/// How tables are partitioned later: the former one becomes a partition of the one that takes its
/// name.
#[test]
fn a_table_that_becomes_a_partition_of_its_successor() {
    let (mut world, sheet) = World::with_products();
    world.db.run(
        "BEGIN;
         ALTER TABLE products RENAME TO products_low;
         CREATE TABLE products (LIKE products_low INCLUDING DEFAULTS, PRIMARY KEY (id)) PARTITION BY RANGE (id);
         ALTER TABLE products ATTACH PARTITION products_low FOR VALUES FROM (0) TO (100);
         CREATE TABLE products_high PARTITION OF products FOR VALUES FROM (100) TO (200);
         COMMIT;
         INSERT INTO products VALUES (100, 'Cog', 4)",
    );
    is(&mut world, "failed", "table_swapped");
    follow(&mut world);
    sheet.shows("id | name | price\n 1 | Bolt | 1\n 2 | Nut | 2\n 3 | Gear | 3\n 100 | Cog | 4");
    sheet.set("C2", "10");
    world.shows("SELECT price FROM products_low WHERE id = 1", "10");
    world
        .db
        .run("INSERT INTO products_low VALUES (4, 'Pin', 5); UPDATE products_high SET price = 6");
    world.both_equal("products", &sheet);
    // Rows of a partition that is detached are no rows of the table any more; those of one that is
    // attached become so.
    world
        .db
        .run("ALTER TABLE products DETACH PARTITION products_high");
    sheet.shows("id | name | price\n 1 | Bolt | 10\n 2 | Nut | 2\n 3 | Gear | 3\n 4 | Pin | 5");
    world
        .db
        .run("ALTER TABLE products ATTACH PARTITION products_high FOR VALUES FROM (100) TO (200)");
    world.both_equal("products", &sheet);
    assert_eq!(sheet.rows().len(), 6);
    goes_on(&mut world);
}

#[test]
fn a_partition_of_its_own_goes_on_attached_and_detached() {
    let (mut world, sheet) = World::with_products();
    world.db.run(
        "CREATE TABLE everything (LIKE products, PRIMARY KEY (id)) PARTITION BY RANGE (id);
         ALTER TABLE everything ATTACH PARTITION products FOR VALUES FROM (0) TO (100);
         INSERT INTO everything VALUES (4, 'Cog', 4)",
    );
    world.both_equal("products", &sheet);
    sheet.set("C2", "10");
    world.shows("SELECT price FROM everything WHERE id = 1", "10");
    world
        .db
        .run("ALTER TABLE everything DETACH PARTITION products; UPDATE products SET price = 20 WHERE id = 2");
    sheet.shows("id | name | price\n 1 | Bolt | 10\n 2 | Nut | 20\n 3 | Gear | 3\n 4 | Cog | 4");
    goes_on(&mut world);
}

#[test]
fn the_table_that_has_the_name_must_fit_the_mapping() {
    let (mut world, sheet) = World::with_products();
    world.db.run(
        "ALTER TABLE products RENAME TO products_old;
         CREATE TABLE products (id int, name text, weight int);
         INSERT INTO products VALUES (1, 'Bolt', 5), (4, 'Cog', 6)",
    );
    is(&mut world, "failed", "table_swapped");
    let id = mapping(&mut world);
    let refused = refused_to_follow(&mut world, id);
    assert_eq!(refused.sqlstate, "42P16");
    let hint = refused.hint.unwrap_or_default();
    assert!(
        hint.contains("CREATE UNIQUE INDEX ON public.products (id)"),
        "{hint}"
    );
    assert_eq!(
        world.db.one("SELECT table_name FROM sheet_sync.mapping"),
        "products_old"
    );
    // A column that it has not leaves the mapping and stays in the sheet; one that it has besides
    // joins.
    world.db.run("ALTER TABLE products ADD PRIMARY KEY (id)");
    follow(&mut world);
    world.table_shows(
        "products",
        "id | name | weight\n 1 | Bolt | 5\n 2 | Nut |\n 3 | Gear |\n 4 | Cog | 6",
    );
    sheet.shows(
        "id | name | price | weight\n 1 | Bolt | 1 | 5\n 2 | Nut | 2 |\n 3 | Gear | 3 |\n 4 | Cog | | 6",
    );
    goes_on(&mut world);
}

#[test]
fn nobody_takes_over_another_s_sheet_or_table_by_a_name() {
    let mut world = World::start();
    world.db.run(
        "CREATE ROLE alice; CREATE ROLE bob; CREATE ROLE spokesman; GRANT alice, bob TO spokesman;
         GRANT CREATE ON SCHEMA public TO alice, bob;
         CREATE TABLE products (id int PRIMARY KEY, name text); INSERT INTO products VALUES (1, 'Bolt'); ALTER TABLE products OWNER TO alice",
    );
    let sheet = world.map("products");
    sheet.shows("id | name\n 1 | Bolt");
    let id = mapping(&mut world);
    world.db.run(
        "SET ROLE alice; ALTER TABLE products RENAME TO products_old; RESET ROLE;
         SET ROLE bob; CREATE TABLE products (id int PRIMARY KEY, name text); INSERT INTO products VALUES (2, 'Nut'); RESET ROLE",
    );
    is(&mut world, "failed", "table_swapped");
    for role in ["alice", "bob"] {
        world.db.run(&format!("SET ROLE {role}"));
        assert_eq!(
            refused_to_follow(&mut world, id).sqlstate,
            "42501",
            "{role}"
        );
        let dismissed = world
            .db
            .refused(&format!("SELECT sheet_sync.dismiss({id})"));
        let expected = if role == "bob" { "42501" } else { "55000" };
        assert_eq!(dismissed.sqlstate, expected, "{role}");
        world.db.run("RESET ROLE");
    }
    world.db.run("SET ROLE spokesman");
    follow(&mut world);
    world.db.run("RESET ROLE");
    world.both_equal("products", &sheet);
    assert_eq!(world.db.one("SELECT run_as FROM sheet_sync.mapping"), "bob");
    goes_on(&mut world);
}

/// The owner of a moment ago agrees to nothing in the new owner's name.
#[test]
fn an_owner_that_changes_while_resume_is_called() {
    let (mut world, _sheet) = World::with_products();
    world.db.run(
        "CREATE ROLE alice LOGIN; CREATE ROLE bob; GRANT CREATE ON SCHEMA public TO alice, bob; ALTER TABLE products OWNER TO alice",
    );
    is(&mut world, "failed", "owner_changed");
    let mut alice = world.connect_as("alice");
    let pid = alice.one("SELECT pg_backend_pid()");
    world.db.run("BEGIN; ALTER TABLE products OWNER TO bob");
    let resumes = std::thread::spawn(move || alice.refused("SELECT sheet_sync.resume('products')"));
    let mut other = world.connect();
    wait_until("the call to wait", || {
        let seen = other.one(&format!(
            "SELECT COALESCE(wait_event_type, '') FROM pg_stat_activity WHERE pid = {pid}"
        ));
        if seen == "Lock" { Ok(()) } else { Err(seen) }
    });
    world.db.run("COMMIT");
    let refusal = resumes.join().expect("the thread");
    assert_eq!(refusal.sqlstate, "42501", "{refusal}");
    let role = world.db.one("SELECT run_as FROM sheet_sync.mapping");
    assert!(role != "alice" && role != "bob", "{role}");
}

#[test]
fn a_table_without_any_column_has_lost_its_key_and_was_not_dropped() {
    let (mut world, sheet) = World::with_products();
    world
        .db
        .run("ALTER TABLE products DROP COLUMN id, DROP COLUMN name, DROP COLUMN price");
    is(&mut world, "failed", "key_gone");
    assert_eq!(sheet.rows().len(), 4);
}

#[test]
fn a_mapping_whose_table_was_dropped_stays_until_it_is_dismissed() {
    let (mut world, sheet) = World::with_products();
    world
        .db
        .run("BEGIN; DROP TABLE products; ROLLBACK; UPDATE products SET price = 10 WHERE id = 1");
    sheet.shows("id | name | price\n 1 | Bolt | 10\n 2 | Nut | 2\n 3 | Gear | 3");
    goes_on(&mut world);

    world.db.run("DROP TABLE products");
    let said = is(&mut world, "ended", "table_dropped");
    let id = mapping(&mut world);
    for words in [
        "public.products".to_owned(),
        format!("dismiss({id})"),
        format!("follow_name({id})"),
    ] {
        assert!(said.contains(&words), "{words}: {said}");
    }
    doctor_says(&mut world, "dismiss");
    let refused = refused_to_follow(&mut world, id);
    assert!(
        refused
            .message
            .contains("no table is named public.products"),
        "{refused}"
    );
    world.db.run("CREATE VIEW products AS SELECT 1 AS id");
    assert_eq!(refused_to_follow(&mut world, id).sqlstate, "42809");
    world.db.run("DROP VIEW products");
    // The tab is left alone, and may be another table's.
    sheet.type_row(&["4", "Cog", "4"]);
    world.db.run("CREATE TABLE parts (id int PRIMARY KEY, name text, price numeric); INSERT INTO parts VALUES (5, 'Pin', 5)");
    world.quiet();
    assert_eq!(sheet.rows().len(), 5);
    world.register("parts", &sheet, "");
    world.both_equal("parts", &sheet);
    assert_eq!(sheet.rows().len(), 6);
    world
        .db
        .run("CREATE TABLE products (id int PRIMARY KEY, name text, price numeric)");
    let refused = refused_to_follow(&mut world, id);
    assert!(refused.message.contains("mapped to the tab"), "{refused}");

    world.db.run(&format!("SELECT sheet_sync.dismiss({id})"));
    world.shows(
        "SELECT table_name, state FROM sheet_sync.status",
        "parts | active",
    );
    for table in [
        "_base_row",
        "_cycle",
        "_progress",
        "history",
        "mapping_column",
    ] {
        let left = format!("SELECT count(*) FROM sheet_sync.{table} WHERE mapping_id = {id}");
        assert_eq!(world.db.count(&left), 0, "{table}");
    }
    let gone = world
        .db
        .refused(&format!("SELECT sheet_sync.dismiss({id})"));
    assert_eq!(gone.sqlstate, "42704");
}

#[test]
fn a_table_that_is_made_anew_is_merged_with_its_sheet() {
    let (mut world, sheet) = World::with_products();
    sheet.set("D1", "remark");
    sheet.set("D3", "mine");
    // Dropped and made anew before the worker looks.
    world.db.run(
        "BEGIN; DROP TABLE products; CREATE TABLE products (id bigint PRIMARY KEY, price numeric, name text);
         INSERT INTO products VALUES (2, 2.5, 'Nut'), (4, 4, 'Cog'); COMMIT",
    );
    is(&mut world, "ended", "table_dropped");
    follow(&mut world);
    world.table_shows(
        "products",
        "id | name | price\n 1 | Bolt | 1\n 2 | Nut | 2.5\n 3 | Gear | 3\n 4 | Cog | 4",
    );
    sheet.shows(
        "id | name | price | remark\n 1 | Bolt | 1 |\n 2 | Nut | 2.5 | mine\n 3 | Gear | 3 |\n 4 | Cog | 4 |",
    );
    world.shows(
        "SELECT key[1], column_name, winner, sheet_value #>> '{}' FROM sheet_sync.conflict",
        "2 | price | database | 2",
    );
    goes_on(&mut world);
    world.db.run("UPDATE products SET price = 5 WHERE id = 4");
    sheet.set("B2", "Screw");
    world.shows("SELECT name FROM products WHERE id = 1", "Screw");
    sheet.shows(
        "id | name | price | remark\n 1 | Screw | 1 |\n 2 | Nut | 2.5 | mine\n 3 | Gear | 3 |\n 4 | Cog | 5 |",
    );
}

#[test]
fn whatever_drops_a_table_ends_its_mapping() {
    let mut world = World::start();
    world.db.run(
        "CREATE ROLE leaver;
         CREATE SCHEMA shop; CREATE TABLE shop.a (id int PRIMARY KEY);
         CREATE TABLE b (id int PRIMARY KEY); ALTER TABLE b OWNER TO leaver;
         CREATE EXTENSION lo; CREATE TABLE c (id int PRIMARY KEY); ALTER EXTENSION lo ADD TABLE c",
    );
    for table in ["shop.a", "b", "c"] {
        world.map(table);
    }
    world
        .db
        .run("DROP SCHEMA shop CASCADE; DROP OWNED BY leaver; DROP EXTENSION lo");
    let ended = "SELECT state, registered_as FROM sheet_sync.mapping ORDER BY 2";
    world.shows(
        ended,
        "ended | public.b\n ended | public.c\n ended | shop.a",
    );
    // Whoever had it may see and dismiss it; nobody else.
    world.db.run("SET ROLE leaver");
    let seen = "SELECT mapping_id FROM sheet_sync.status";
    let id = world.db.one(seen);
    assert_eq!(world.db.table(seen).len(), 1);
    world
        .db
        .run(&format!("SELECT sheet_sync.dismiss({id}); RESET ROLE"));
    world.shows(ended, "ended | public.c\n ended | shop.a");
}

#[test]
fn a_dump_holds_mappings_that_have_ended() {
    let (mut world, _sheet) = World::with_products();
    world
        .db
        .run("CREATE TABLE parts (id int PRIMARY KEY, name text)");
    world.map("parts");
    world.db.run("DROP TABLE products");
    world.shows(
        "SELECT state, registered_as FROM sheet_sync.mapping ORDER BY id",
        "ended | public.products\n active | public.parts",
    );
    // While no worker looks, nobody has noticed yet that this one is gone: its number would be
    // another table's elsewhere.
    world.db.run("CREATE TABLE unseen (id int PRIMARY KEY)");
    world.map("unseen");
    let frozen = world.freeze_worker();
    world.db.run("DROP TABLE unseen");
    let dump = world.dump();
    assert_eq!(world.db.count("SELECT count(*) FROM sheet_sync.mapping"), 3);
    drop(frozen);
    world.db.run("CREATE DATABASE copy");
    world.restore("copy", &dump);
    let mut copy = world.cluster.connect("copy");
    let columns = "SELECT count(*) FROM sheet_sync.mapping_column";
    let lines = "SELECT registered_as, table_name, CASE state WHEN 'ended' THEN state END FROM sheet_sync.mapping ORDER BY id";
    assert_eq!(
        copy.table(lines),
        [
            ["public.products", "∅", "ended"],
            ["public.parts", "parts", "∅"],
            ["public.unseen", "∅", "ended"]
        ]
    );
    assert_eq!(copy.count(columns), 6);
}

#[test]
fn another_key_stops_the_mapping_and_the_same_one_goes_on() {
    let (mut world, sheet) = World::with_products();
    world
        .db
        .run("ALTER TABLE products ADD COLUMN code text NOT NULL DEFAULT 'x'; UPDATE products SET code = 'c' || id");
    world.both_equal("products", &sheet);
    // Renamed, and of another type: the same key.
    world
        .db
        .run("ALTER TABLE products RENAME COLUMN id TO nr; ALTER TABLE products ALTER COLUMN nr TYPE bigint; UPDATE products SET price = 10 WHERE nr = 1");
    sheet.shows(
        "id | name | price | code\n 1 | Bolt | 10 | c1\n 2 | Nut | 2 | c2\n 3 | Gear | 3 | c3",
    );
    assert_eq!(
        world.db.one("SELECT key_columns FROM sheet_sync.mapping"),
        "{nr}"
    );
    sheet.set("B3", "Mother");
    world.shows("SELECT name FROM products WHERE nr = 2", "Mother");
    world
        .db
        .run("ALTER TABLE products ALTER COLUMN nr TYPE text; INSERT INTO products VALUES ('x4', 'Cog', 4, 'c4')");
    world.shows("SELECT count(*) FROM sheet_sync.problem", "0");
    sheet.shows(
        "id | name | price | code\n 1 | Bolt | 10 | c1\n 2 | Mother | 2 | c2\n 3 | Gear | 3 | c3\n x4 | Cog | 4 | c4",
    );
    assert_eq!(world.db.count("SELECT count(*) FROM products"), 4);

    world
        .db
        .run("ALTER TABLE products DROP CONSTRAINT products_pkey; ALTER TABLE products ADD PRIMARY KEY (code)");
    let said = is(&mut world, "failed", "key_gone");
    assert!(
        said.contains("(nr)")
            && said.contains("ADD UNIQUE (nr)")
            && said.contains("unregister_table"),
        "{said}"
    );
    sheet.set("B2", "Screw");
    world
        .db
        .run("UPDATE products SET price = 30 WHERE nr = '3'");
    // As the hint says.
    world
        .db
        .run("ALTER TABLE public.products ALTER COLUMN nr SET NOT NULL, ADD UNIQUE (nr)");
    sheet.shows(
        "id | name | price | code\n 1 | Screw | 10 | c1\n 2 | Mother | 2 | c2\n 3 | Gear | 30 | c3\n x4 | Cog | 4 | c4",
    );
    goes_on(&mut world);
}

#[test]
fn a_table_that_gets_inheritance_children_stops() {
    let (mut world, sheet) = World::with_products();
    world
        .db
        .run("CREATE TABLE more () INHERITS (products); INSERT INTO more VALUES (4, 'Cog', 4)");
    let said = is(&mut world, "failed", "table_has_children");
    assert!(said.contains("partitioned"), "{said}");
    assert_eq!(sheet.rows().len(), 4);
    world.db.run("ALTER TABLE more NO INHERIT products");
    world.db.run("UPDATE products SET price = 10 WHERE id = 1");
    sheet.shows("id | name | price\n 1 | Bolt | 10\n 2 | Nut | 2\n 3 | Gear | 3");
    goes_on(&mut world);
}

/// Between two steps of a cycle no turn of the worker looks at the catalog, and its statements find
/// tables by name.
#[test]
fn a_swap_in_the_middle_of_a_cycle_types_nothing_into_the_other_table() {
    let mut world = World::start();
    world.db.run(&format!(
        "{GATE}
         CREATE TABLE products (id int PRIMARY KEY, host host);
         INSERT INTO products VALUES (1, '10.0.0.1'), (2, '10.0.0.2');
         CREATE TABLE products_new (LIKE products INCLUDING ALL); INSERT INTO products_new SELECT * FROM products"
    ));
    let sheet = world.map("products");
    world.in_mid_cycle(|| sheet.set("B2", "10.0.0.9"), |world| world.db.run(SWAP));
    is(&mut world, "failed", "table_swapped");
    for table in ["products", "products_old"] {
        let host = format!("SELECT host FROM {table} WHERE id = 1");
        assert_eq!(world.db.one(&host), "10.0.0.1", "{table}");
    }
    world.db.run("SELECT sheet_sync.resume('products_old')");
    world.shows("SELECT host FROM products_old WHERE id = 1", "10.0.0.9");
    goes_on(&mut world);
}
