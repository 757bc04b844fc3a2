//! doctor() finds what is wrong and says what to do.

use e2e::{Cluster, Options, World};
use serde_json::json;

/// What it finds amiss: subject, check, detail and hint.
fn amiss(world: &mut World) -> Vec<String> {
    let found = world
        .db
        .table("SELECT subject, \"check\", detail, hint FROM sheet_sync.doctor() WHERE NOT ok");
    found.into_iter().map(|line| line.join(" · ")).collect()
}

#[track_caller]
fn finds(world: &mut World, words: &[&str]) {
    e2e::wait_until(&format!("a finding with {words:?}"), || {
        let found = amiss(world);
        let fits = |line: &String| words.iter().all(|word| line.contains(word));
        if found.iter().any(fits) {
            Ok(())
        } else {
            Err(found)
        }
    });
}

#[track_caller]
fn finds_nothing(world: &mut World) {
    e2e::wait_until("nothing to be amiss", || match amiss(world) {
        found if found.is_empty() => Ok(()),
        found => Err(found),
    });
}

fn checked(world: &mut World) -> Vec<Vec<String>> {
    world.db.table(
        "SELECT subject, \"check\" FROM sheet_sync.doctor() ORDER BY subject COLLATE \"C\", \"check\" COLLATE \"C\"",
    )
}

#[test]
fn a_healthy_mapping_is_examined_from_worker_to_header() {
    let (mut world, _sheet) = World::with_products();
    finds_nothing(&mut world);
    let expected = [
        ["credential default", "capabilities"],
        ["credential default", "clock"],
        ["credential default", "key"],
        ["credential default", "quota"],
        ["credential default", "token"],
        ["public.products", "header"],
        ["public.products", "mapping"],
        ["public.products", "sharing"],
        ["public.products", "tab"],
        ["server", "version"],
        ["server", "worker"],
    ];
    assert_eq!(checked(&mut world), expected);
    // What was found out at the service, and what the view says of it.
    let seen = world
        .db
        .one("SELECT detail FROM sheet_sync.doctor() WHERE \"check\" = 'capabilities'");
    assert!(
        seen.starts_with("as probed: ") && seen.contains("ignored") && !seen.contains("unknown"),
        "{seen}"
    );
    world.shows(
        "SELECT question, answer FROM sheet_sync.capability ORDER BY question",
        "anchor_checks | yes\n cells_in_answer | yes\n missing_metadata | ignored\n writer_exchange | yes",
    );
    assert_eq!(
        world.db.count("SELECT count(*) FROM sheet_sync._finding"),
        0
    );
}

#[test]
fn what_is_wrong_is_named_with_what_to_do() {
    let (mut world, sheet) = World::with_products();
    let email = world.google.email().to_owned();

    sheet.book().share(false);
    finds(&mut world, &["public.products · sharing", "hare", &email]);
    sheet.book().share_as("reader");
    finds(
        &mut world,
        &["public.products · sharing", "as an editor", &email],
    );
    sheet.book().share(true);
    finds_nothing(&mut world);

    sheet.set("B1", "");
    finds(&mut world, &["public.products · header", "name"]);
    sheet.set("B1", "name");
    finds_nothing(&mut world);

    world.google.revoke_key(true);
    finds(&mut world, &["credential default · token"]);
    world.google.revoke_key(false);
    finds_nothing(&mut world);

    sheet.delete_tab();
    finds(&mut world, &["public.products · tab", "unregister_table"]);
}

#[test]
fn a_spreadsheet_without_room_for_what_is_overwritten_is_named() {
    let mut world = World::start();
    world.db.run(
        "CREATE TABLE parts (id int PRIMARY KEY, name text); INSERT INTO parts VALUES (1, 'Bolt')",
    );
    let book = world.google.spreadsheet_of(json!([
        {"title": "parts", "rows": [["id", "name"], [1, "Bolt"]], "rowCount": 100, "columnCount": 2},
        {"title": "vast", "rowCount": 4_999_000, "columnCount": 2}]));
    world.register("parts", &book.first_tab(), "");
    world.merged("parts");
    finds(&mut world, &["public.parts · overwritten", "10,000,000"]);
    book.wait_for_tab("vast").delete_tab();
    finds_nothing(&mut world);
}

/// Follows a setting without a restart.
fn set(world: &mut World, setting: &str, value: &str) {
    let value = e2e::literal(value);
    world
        .db
        .run(&format!("ALTER SYSTEM SET sheet_sync.{setting} = {value}"));
    world.db.run("SELECT pg_reload_conf()");
}

#[test]
fn a_missing_key_and_a_wrong_one_are_named_before_anything_is_registered() {
    let mut world = World::start();
    world.db.run("SELECT sheet_sync.drop_credential('default')");
    finds(
        &mut world,
        &[
            "credential default · key",
            "sheet_sync.set_credential('default'",
        ],
    );
    let file = world.cluster.directory().join("key.json");
    let path = file.to_string_lossy().into_owned();
    set(&mut world, "credentials_file", &path);
    finds(
        &mut world,
        &["credential default · key", "Put the file", &path],
    );
    // What the console offers beside a service account's key.
    let client = json!({"installed": {"client_id": "1", "client_secret": "s3cret"}});
    std::fs::write(&file, client.to_string()).unwrap();
    e2e::own(&file);
    finds(&mut world, &["credential default · key", "service account"]);
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o000)).unwrap();
    finds(&mut world, &["credential default · key", "readable", &path]);
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
    std::fs::write(&file, world.google.key().to_string()).unwrap();
    finds_nothing(&mut world);
}

#[test]
fn what_is_in_the_way_to_google_is_named() {
    let (mut world, _sheet) = World::with_products();
    world.google.enable_api(false);
    finds(
        &mut world,
        &["public.products · sharing", "Enable it at https://"],
    );
    world.google.enable_api(true);

    let url = world.google.url();
    for (endpoint, cure) in [
        ("http://sheets.invalid", "/etc/resolv.conf"),
        ("http://127.0.0.1:1", "port 443"),
    ] {
        set(&mut world, "sheets_endpoint", endpoint);
        finds(&mut world, &["public.products · sharing", cure]);
        finds(&mut world, &["public.products · mapping", cure]);
    }
    set(&mut world, "sheets_endpoint", &url);
    finds_nothing(&mut world);

    // The mapping's own readings use it up.
    set(&mut world, "reads_per_minute", "1");
    finds(
        &mut world,
        &[
            "credential default · quota",
            "of 1 reads",
            "raise sheet_sync.reads_per_minute",
        ],
    );
    set(&mut world, "reads_per_minute", "100000");
    finds_nothing(&mut world);
}

/// A table for each, so that one server shows all of them.
#[test]
fn what_is_wrong_with_a_table_is_named() {
    let mut world = World::start();
    world.db.run("CREATE ROLE anne; CREATE ROLE bert; CREATE SCHEMA shop; GRANT ALL ON SCHEMA shop TO anne, bert");
    let mut sheets = std::collections::BTreeMap::new();
    for table in [
        "owned", "swapped", "dropped", "hidden", "keyless", "barred", "emptied", "unlogged",
        "checked", "shielded", "headless", "slow",
    ] {
        world.db.run(&format!(
            "CREATE TABLE shop.{table} (id int PRIMARY KEY, name text CHECK (name <> 'no'));
             INSERT INTO shop.{table} VALUES (1, 'Bolt'), (2, 'Nut'), (3, 'Gear');
             ALTER TABLE shop.{table} OWNER TO anne"
        ));
        sheets.insert(table, world.map(&format!("shop.{table}")));
    }
    let protected = json!({"protectedRange": {"protectedRangeId": 7, "editors": {"users": ["boss@example.com"]},
        "range": {"sheetId": sheets["shielded"].gid()}}});
    sheets["shielded"].by_menu(json!([{"addProtectedRange": protected}]));
    sheets["headless"].set("A1", "");
    world.db.run(
        "ALTER TABLE shop.owned OWNER TO bert;
         ALTER TABLE shop.swapped RENAME TO old; CREATE TABLE shop.swapped (LIKE shop.old INCLUDING ALL);
         DROP TABLE shop.dropped;
         ALTER TABLE shop.hidden ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
         ALTER TABLE shop.keyless DROP CONSTRAINT keyless_pkey;
         REVOKE ALL ON shop.barred FROM anne; UPDATE shop.barred SET name = 'Screw' WHERE id = 1;
         TRUNCATE shop.emptied;
         ALTER TABLE shop.unlogged SET UNLOGGED;
         UPDATE shop.shielded SET name = 'Screw' WHERE id = 1;
         CREATE FUNCTION shop.nap() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(3600); RETURN NEW; END';
         CREATE TRIGGER nap BEFORE UPDATE ON shop.slow FOR EACH ROW EXECUTE FUNCTION shop.nap()",
    );
    set(&mut world, "statement_timeout_ms", "500");
    sheets["checked"].type_row(&["4", "no"]);
    sheets["slow"].set("B2", "Screw");

    for words in [
        ["shop.owned · mapping", "sheet_sync.resume('shop.owned')"],
        ["shop.old · mapping", "sheet_sync.follow_name("],
        ["shop.dropped · mapping", "sheet_sync.dismiss("],
        [
            "shop.hidden · mapping",
            "ALTER TABLE shop.hidden NO FORCE ROW LEVEL SECURITY;",
        ],
        [
            "shop.keyless · mapping",
            "ALTER TABLE shop.keyless ADD PRIMARY KEY (id)",
        ],
        [
            "shop.barred · rights",
            "GRANT SELECT, INSERT, UPDATE, DELETE ON shop.barred TO anne;",
        ],
        [
            "shop.barred · mapping",
            "GRANT SELECT, INSERT, UPDATE, DELETE ON shop.barred TO anne;",
        ],
        ["shop.emptied · mapping", "sheet_sync.confirm_deletes()"],
        [
            "shop.unlogged · mapping",
            "ALTER TABLE shop.unlogged SET LOGGED;",
        ],
        ["shop.headless · header", "header back"],
        ["shop.headless · mapping", "id"],
        ["shop.shielded · problem", "allow"],
        [
            "shop.checked · problem",
            "SELECT * FROM sheet_sync.problem WHERE mapping_id = ",
        ],
        ["shop.slow · problem", "57014"],
    ] {
        finds(&mut world, &words);
    }
    // Who is to have rights on a table is a question for later where it got another owner.
    let found = amiss(&mut world);
    let misleading = found
        .iter()
        .find(|line| line.starts_with("shop.owned · rights"));
    assert_eq!(misleading, None);
}

/// A capture trigger that somebody switches off or drops is made again by the worker.
#[test]
fn a_trigger_that_is_switched_off_is_no_fault_for_long() {
    let (mut world, sheet) = World::with_products();
    world.db.run("ALTER TABLE products DISABLE TRIGGER ALL");
    world.db.run("UPDATE products SET price = 7 WHERE id = 1");
    sheet.shows("id | name | price\n 1 | Bolt | 7\n 2 | Nut | 2\n 3 | Gear | 3");
    world.shows(
        "SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'sheet_sync%' AND tgenabled = 'A'",
        "3",
    );
    finds_nothing(&mut world);
}

#[test]
fn what_is_wrong_with_the_server_is_named() {
    let (mut world, _sheet) = World::with_products();
    // The package was replaced, and the server not started again; or the other way round.
    for version in ["0.0.1", "99.0"] {
        world.db.run(&format!(
            "UPDATE pg_extension SET extversion = '{version}' WHERE extname = 'sheet_sync'"
        ));
        finds(
            &mut world,
            &[
                "server · version",
                version,
                "Restart the server",
                "ALTER EXTENSION sheet_sync UPDATE",
            ],
        );
    }
    world.db.run(&format!(
        "UPDATE pg_extension SET extversion = '{}' WHERE extname = 'sheet_sync'",
        env!("CARGO_PKG_VERSION")
    ));
    finds_nothing(&mut world);

    // What is open for long keeps old versions of rows; what is open for a moment is nobody's
    // fault.
    let mut open = world.connect();
    let pid = open.one("SELECT pg_backend_pid()");
    open.run("BEGIN; UPDATE products SET price = 7 WHERE id = 1");
    let mut prepared = world.connect();
    prepared
        .run("BEGIN; UPDATE products SET price = 7 WHERE id = 2; PREPARE TRANSACTION 'it''s left'");
    finds_nothing(&mut world);
    let held = world
        .db
        .table("SELECT detail, hint FROM sheet_sync._held_back('0 s')")
        .into_iter()
        .map(|line| line.join(" · "));
    let held: Vec<String> = held.collect();
    for (what, cure) in [
        (
            format!("session {pid}"),
            format!("SELECT pg_terminate_backend({pid});"),
        ),
        (
            "it's left".to_owned(),
            "ROLLBACK PREPARED 'it''s left';".to_owned(),
        ),
    ] {
        let named = |line: &&String| line.contains(&what) && line.contains(&cure);
        assert!(held.iter().any(|line| named(&line)), "{what}: {held:?}");
    }
    world.db.run("ROLLBACK PREPARED 'it''s left'");
}

#[test]
fn where_not_even_the_launcher_has_a_slot_it_says_so() {
    let cluster = Cluster::start(Options {
        settings: vec![("max_worker_processes".into(), "0".into())],
        ..Options::temporary()
    });
    let mut db = cluster.connect("postgres");
    db.run("CREATE EXTENSION sheet_sync");
    let found = db.table("SELECT \"check\", hint FROM sheet_sync.doctor() WHERE NOT ok");
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0][0], "worker");
    assert!(found[0][1].contains("max_worker_processes"), "{found:?}");
}

#[test]
fn it_is_for_administrators_and_needs_no_mapping() {
    let mut world = World::start();
    finds_nothing(&mut world);
    world.db.run("CREATE ROLE visitor LOGIN");
    let mut visitor = world.connect_as("visitor");
    let refused = visitor.refused("SELECT * FROM sheet_sync.doctor()");
    assert_eq!(refused.sqlstate, "42501", "{refused}");
}
