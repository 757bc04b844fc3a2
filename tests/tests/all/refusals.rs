//! What register_table and its neighbours refuse, each with SQLSTATE, message and hint, and
//! changing nothing.

use e2e::{Refusal, When, World, literal};

/// Refused with this SQLSTATE, every one of these words somewhere in what is said, and a hint.
#[track_caller]
fn says(refusal: Refusal, sqlstate: &str, words: &[&str]) {
    assert_eq!(refusal.sqlstate, sqlstate, "{refusal}");
    let whole = refusal.to_string();
    for word in words {
        assert!(whole.contains(word), "{word:?} is missing: {whole}");
    }
    assert!(refusal.hint.is_some(), "no hint: {whole}");
    assert!(
        !whole.contains(".rs"),
        "a backtrace or a source path: {whole}"
    );
}

fn world() -> (World, String) {
    let mut world = World::start();
    world.db.run(
        "CREATE TABLE products (id int PRIMARY KEY, name text);
         CREATE TABLE keyless (name text);
         CREATE TABLE loose (id int, name text UNIQUE);
         CREATE VIEW shown AS SELECT * FROM products;
         CREATE TABLE twins (id int PRIMARY KEY, \"unit price\" int, unit_price int)",
    );
    let id = world.google.spreadsheet("Refusals").id().to_owned();
    (world, id)
}

#[test]
fn a_table_that_cannot_be_synced() {
    let (mut world, id) = world();
    let id = literal(&id);
    let mut register = |table: &str, options: &str| {
        world.db.refused(&format!(
            "SELECT sheet_sync.register_table({table}, {id} {options})"
        ))
    };
    says(
        register("'keyless'", ""),
        "42P16",
        &["keyless", "primary key", "key_columns"],
    );
    says(
        register("'loose'", ", key_columns => '{name}'"),
        "42P16",
        &["name", "NULL"],
    );
    says(
        register("'loose'", ", key_columns => '{id}'"),
        "42P16",
        &["unique"],
    );
    says(
        register("'products'", ", key_columns => '{nothing}'"),
        "42703",
        &["nothing"],
    );
    says(
        register("'products'", ", columns => '{id,colour}'"),
        "42703",
        &["colour", "products"],
    );
    says(register("'shown'", ""), "42809", &["shown", "not a table"]);
    says(
        register("'pg_catalog.pg_class'", ""),
        "42809",
        &["system table"],
    );
    says(
        register("'sheet_sync.mapping'", ""),
        "42809",
        &["system table"],
    );
    says(
        register("'twins'", ""),
        "42702",
        &["unit price", "unit_price", "header"],
    );
    let missing = register("'nowhere'", "");
    assert_eq!(missing.sqlstate, "42P01", "{missing}");
    world.db.run("CREATE TEMP TABLE brief (id int PRIMARY KEY)");
    says(
        world
            .db
            .refused(&format!("SELECT sheet_sync.register_table('brief', {id})")),
        "42809",
        &["temporary"],
    );
    world.shows("SELECT count(*) FROM sheet_sync.mapping", "0");
    world.shows(
        "SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'sheet_sync%'",
        "0",
    );
}

#[test]
fn an_option_that_does_not_exist() {
    let (mut world, id) = world();
    let id = literal(&id);
    for option in [
        "sheet => ' '",
        "key_columns => '{}'",
        "key_columns => '{id,id}'",
        "key_columns => '{NULL}'",
        "columns => '{id,NULL}'",
        "columns => '{}'",
        "max_delete_percent => NULL",
        "poll_interval => '1 ms'",
        "direction => ''",
        "direction => 'sideways'",
        "conflict_policy => 'whoever shouts'",
        "on_table_delete => 'explode'",
        "on_sheet_delete => 'explode'",
        "max_delete_percent => 150",
        "max_delete_percent => 'NaN'",
        "poll_interval => '-1 s'",
        "row_filter => 'no_such_column > 1'",
        "row_filter => 'this is not SQL'",
        "conflict_policy => 'conflict_function'",
        "credential => 'nobody'",
    ] {
        let refusal = world.db.refused(&format!(
            "SELECT sheet_sync.register_table('products', {id}, {option})"
        ));
        assert!(!refusal.sqlstate.starts_with("XX"), "{option}: {refusal}");
        assert!(!refusal.to_string().contains(".rs"), "{option}: {refusal}");
        // What is wrong with a condition says Postgres itself.
        assert!(
            refusal.hint.is_some() || option.starts_with("row_filter"),
            "{option}: {refusal}"
        );
    }
    world.shows("SELECT count(*) FROM sheet_sync.mapping", "0");
}

#[test]
fn a_spreadsheet_that_is_none() {
    let (mut world, _) = world();
    for text in [
        "",
        "   ",
        "my sheet",
        "https://example.org/",
        "https://docs.google.com/document/d/abc/edit",
    ] {
        let refusal = world.db.refused(&format!(
            "SELECT sheet_sync.register_table('products', {})",
            literal(text)
        ));
        says(refusal, "22023", &["spreadsheet"]);
    }
    let null = world
        .db
        .attempt("SELECT sheet_sync.register_table('products', NULL)");
    let mappings = world.db.count("SELECT count(*) FROM sheet_sync.mapping");
    assert_eq!(mappings, 0, "{null:?}");
}

/// Each of them has its own hint, and of two tabs none is chosen silently.
#[test]
fn an_address_that_does_not_say_which_tab() {
    let (mut world, id) = world();
    let mut register = |address: &str, options: &str| {
        world.db.refused(&format!(
            "SELECT sheet_sync.register_table('products', {} {options})",
            literal(address)
        ))
    };
    let address = format!("https://docs.google.com/spreadsheets/d/{id}/edit");
    says(
        register(&format!("{address}#gid=7"), ", sheet => 'Products'"),
        "22023",
        &["gid 7", "\"Products\"", "Leave the argument sheet out"],
    );
    says(
        register(&format!("{address}#gid=first"), ""),
        "22023",
        &["gid", "Click the tab"],
    );
    let published = "https://docs.google.com/spreadsheets/d/e/2PACX-1vQ/pubhtml";
    says(
        register(published, ""),
        "22023",
        &["published", "Open the spreadsheet itself"],
    );
    world.shows("SELECT count(*) FROM sheet_sync.mapping", "0");
}

#[test]
fn a_table_of_somebody_else() {
    let (mut world, id) = world();
    world
        .db
        .run("CREATE ROLE stranger LOGIN; GRANT ALL ON products TO stranger");
    let mut stranger = world.connect_as("stranger");
    let refusal = stranger.refused(&format!(
        "SELECT sheet_sync.register_table('products', {})",
        literal(&id)
    ));
    says(refusal, "42501", &["products", "owner"]);
    world.shows("SELECT count(*) FROM sheet_sync.mapping", "0");
}

/// What an account can read, whoever registers tables with it can have: so somebody must allow it.
#[test]
fn a_credential_that_was_not_granted() {
    let (mut world, id) = world();
    world
        .db
        .run("CREATE ROLE clerk LOGIN; CREATE ROLE office; GRANT CREATE ON SCHEMA public TO clerk");
    let mut clerk = world.connect_as("clerk");
    clerk.run("CREATE TABLE papers (id int PRIMARY KEY)");
    let id = literal(&id);
    let register = format!("SELECT sheet_sync.register_table('papers', {id})");
    says(
        clerk.refused(&register),
        "42501",
        &["clerk", "\"default\"", "grant_credential"],
    );
    // Whether it exists is not told either.
    let of_another =
        format!("SELECT sheet_sync.register_table('papers', {id}, credential => 'other')");
    says(clerk.refused(&of_another), "42501", &["\"other\""]);
    let by_clerk = clerk.refused("SELECT sheet_sync.grant_credential('default', 'clerk')");
    assert_eq!(by_clerk.sqlstate, "42501", "{by_clerk}");

    let grants = [
        ("('nothing', 'clerk')", "42704", "set_credential"),
        ("('default', 'nobody')", "42704", "role"),
        ("('default', 'clerk', '{}')", "22023", "spreadsheets"),
        ("('default', 'clerk', '{here}')", "22023", "here"),
        ("('default', 'clerk', '{NULL}')", "22004", "spreadsheets"),
        ("(NULL, 'clerk')", "22004", "name"),
    ];
    for (arguments, sqlstate, word) in grants {
        let refusal = world
            .db
            .refused(&format!("SELECT sheet_sync.grant_credential{arguments}"));
        says(refusal, sqlstate, &[word]);
    }
    let other = world.google.spreadsheet("Another").id().to_owned();
    world.db.run(&format!(
        "SELECT sheet_sync.grant_credential('default', 'clerk', ARRAY[{}])",
        literal(&other)
    ));
    says(clerk.refused(&register), "42501", &["this spreadsheet"]);
    // Who may grant what they may use may not grant more.
    world
        .db
        .run("GRANT EXECUTE ON FUNCTION sheet_sync.grant_credential TO clerk");
    for grantee in ["clerk", "public"] {
        let for_all = format!("SELECT sheet_sync.grant_credential('default', '{grantee}')");
        let words = ["every spreadsheet", "grant_credential('default', 'clerk');"];
        says(clerk.refused(&for_all), "42501", &words);
    }
    says(clerk.refused(&register), "42501", &["this spreadsheet"]);
    clerk.run(&format!(
        "SELECT sheet_sync.grant_credential('default', 'office', ARRAY[{}])",
        literal(&other)
    ));
    // By an address, and to a role that the clerk is a member of.
    world.db.run(&format!(
        "GRANT office TO clerk;
         SELECT sheet_sync.grant_credential('default', 'office', ARRAY['https://docs.google.com/spreadsheets/d/' || {id} || '/edit#gid=0'])"
    ));
    clerk.run(&register);
    world.merged("papers");
    let revoke = |role| format!("SELECT sheet_sync.revoke_credential('default', '{role}')");
    assert_eq!(world.db.one(&revoke("office")), "t");
    assert_eq!(world.db.one(&revoke("office")), "f");
    clerk.run("SELECT sheet_sync.unregister_table('papers')");
    clerk.refused(&register);
    world
        .db
        .run("SELECT sheet_sync.grant_credential('default', 'public')");
    clerk.run(&register);
    world.shows(
        "SELECT role, spreadsheet_id FROM sheet_sync.credential_grant ORDER BY 1",
        &format!("clerk | {other}\n public | "),
    );
}

#[test]
fn a_mapping_that_exists_already() {
    let (mut world, id) = world();
    world.db.run(&format!(
        "SELECT sheet_sync.register_table('products', {})",
        literal(&id)
    ));
    let refusal = world.db.refused(&format!(
        "SELECT sheet_sync.register_table('products', {})",
        literal(&id)
    ));
    says(refusal, "42710", &["products", "already"]);
    world.shows("SELECT count(*) FROM sheet_sync.mapping", "1");
}

#[test]
fn a_table_that_is_not_mapped() {
    let (mut world, _) = world();
    for function in [
        "unregister_table",
        "sync",
        "push",
        "pull",
        "pause",
        "resume",
        "resync",
        "confirm_deletes",
    ] {
        let refusal = world
            .db
            .refused(&format!("SELECT sheet_sync.{function}('products')"));
        says(refusal, "42704", &["products", "not mapped"]);
    }
}

#[test]
fn what_is_no_credential() {
    let (mut world, _) = world();
    for key in [
        "{}",
        "[]",
        "\"text\"",
        "null",
        r#"{"type": "authorized_user", "client_id": "x"}"#,
        r#"{"client_id": "x", "client_secret": "not a key", "refresh_token": "not a key"}"#,
        r#"{"type": "external_account", "audience": "x"}"#,
        r#"{"type": "impersonated_service_account", "source_credentials": {}}"#,
        r#"{"type": "gdch_service_account", "private_key": "not a key"}"#,
        r#"{"type": "compute_metadata", "host": "http://127.0.0.1"}"#,
        r#"{"type": "service_account", "client_email": "a@b", "private_key": "not a key", "token_uri": "https://oauth2.googleapis.com/token"}"#,
    ] {
        let refusal = world.db.refused(&format!(
            "SELECT sheet_sync.set_credential('second', {})",
            literal(key)
        ));
        assert_eq!(refusal.sqlstate, "22023", "{key}: {refusal}");
        assert!(refusal.hint.is_some(), "{key}: {refusal}");
        assert!(
            !refusal.to_string().contains("not a key"),
            "the key itself was shown: {refusal}"
        );
    }
    world.shows(
        "SELECT count(*) FROM sheet_sync._credential WHERE name = 'second'",
        "0",
    );
}

#[test]
fn the_endpoints_are_the_superusers_to_set() {
    let (mut world, _) = world();
    world.db.run("CREATE ROLE stranger LOGIN");
    let mut stranger = world.connect_as("stranger");
    for setting in [
        "sheets_endpoint",
        "drive_endpoint",
        "metadata_endpoint",
        "credentials_file",
        "ca_file",
        "proxy",
    ] {
        let refusal = stranger.refused(&format!("SET sheet_sync.{setting} = 'http://127.0.0.1:1'"));
        assert!(
            ["42501", "55P02"].contains(&refusal.sqlstate.as_str()),
            "{setting}: {refusal}"
        );
    }
}

#[test]
fn register_table_without_shared_preload_libraries_says_what_is_missing() {
    let cluster = e2e::Cluster::start(e2e::Options {
        settings: vec![("shared_preload_libraries".into(), String::new())],
        ..e2e::Options::temporary()
    });
    let mut db = cluster.connect("postgres");
    db.run("CREATE EXTENSION sheet_sync; CREATE TABLE products (id int PRIMARY KEY)");
    let refusal = db.refused("SELECT sheet_sync.register_table('products', '1aBcD3fGhIjKlMnOpQrStUvWxYz0123456789abcdefg')");
    says(refusal, "55000", &["shared_preload_libraries"]);
}

#[test]
fn a_database_that_is_not_utf8() {
    let (mut world, _) = world();
    world
        .db
        .run("CREATE DATABASE narrow ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0");
    let mut narrow = world.cluster.connect("narrow");
    let refusal = narrow.refused("CREATE EXTENSION sheet_sync");
    says(refusal, "0A000", &["UTF8"]);
}

#[test]
fn a_setting_out_of_bounds() {
    let (mut world, _) = world();
    for (setting, value) in [
        ("http_timeout_ms", "99"),
        ("poll_interval_ms", "49"),
        ("max_request_bytes", "9999"),
        ("max_request_bytes", "10000001"),
        ("history_retention", "-1"),
        ("reads_per_minute", "0"),
        ("writes_per_minute", "100001"),
        ("project_reads_per_minute", "0"),
        ("project_writes_per_minute", "0"),
        ("max_dirty_keys_per_transaction", "0"),
    ] {
        let refusal = world
            .db
            .refused(&format!("ALTER SYSTEM SET sheet_sync.{setting} = {value}"));
        assert_eq!(refusal.sqlstate, "22023", "{setting}: {refusal}");
    }
}

#[test]
fn a_conflict_that_cannot_be_decided() {
    let (mut world, sheet) = World::with_products();
    world
        .db
        .run("UPDATE sheet_sync.mapping SET conflict_policy = 'manual'");
    world.at_once("products", |world| {
        world.db.run("UPDATE products SET price = 10 WHERE id = 1");
        sheet.set("C2", "20");
    });
    world.shows("SELECT winner FROM sheet_sync.conflict", "pending");
    let mut resolve = |arguments: &str| {
        world.db.refused(&format!(
            "SELECT sheet_sync.resolve({arguments}) FROM sheet_sync.conflict"
        ))
    };
    for (arguments, sqlstate) in [
        ("0, 'sheet'", "P0002"),
        ("id, 'nobody'", "22023"),
        ("id, 'sheet', '15'", "22023"),
    ] {
        let refusal = resolve(arguments);
        assert_eq!(refusal.sqlstate, sqlstate, "{arguments}: {refusal}");
    }
    world.shows(
        "SELECT winner, decision FROM sheet_sync.conflict",
        "pending |",
    );
    world
        .db
        .run("SELECT sheet_sync.resolve(id, 'database') FROM sheet_sync.conflict");
    sheet.shows("id | name | price\n 1 | Bolt | 10\n 2 | Nut | 2\n 3 | Gear | 3");
    // The cell shows it a moment before that is recorded.
    world.shows("SELECT settled FROM sheet_sync.conflict", "t");
    let again = world
        .db
        .refused("SELECT sheet_sync.resolve(id, 'sheet') FROM sheet_sync.conflict");
    says(again, "55000", &["decided"]);
}

/// Whoever waits may stop waiting, and a session's own time limit holds.
#[test]
fn a_call_that_waits_can_be_cancelled() {
    let (mut world, _sheet) = World::with_products();
    world.quiet();
    let held = world.google.hold(1, When::Before);
    world.db.run("SET statement_timeout = '300 ms'");
    for call in ["sync", "push", "pull", "preview"] {
        let refusal = world.db.refused(&format!(
            "SELECT * FROM sheet_sync.{call}('products', timeout => '1 hour')"
        ));
        assert_eq!(refusal.sqlstate, "57014", "{refusal}");
    }
    held.release();
    world.db.run("RESET statement_timeout");
    world.sync("products");
}

#[test]
fn a_direction_for_which_the_table_is_not_fit() {
    let (mut world, id) = world();
    world.db.run(&format!(
        "CREATE ROLE owner LOGIN; GRANT CREATE ON SCHEMA public TO owner; ALTER TABLE products OWNER TO owner;
         SELECT sheet_sync.grant_credential('default', 'owner');
         SET ROLE owner; SELECT sheet_sync.register_table('products', {}, direction => 'to_sheet'); RESET ROLE",
        literal(&id)
    ));
    let mut owner = world.connect_as("owner");
    owner.run("CREATE RULE nothing AS ON DELETE TO products DO INSTEAD NOTHING");
    let change = "UPDATE sheet_sync.mapping SET direction = 'both'";
    says(owner.refused(change), "42809", &["rule", "DROP RULE"]);
    owner.run("DROP RULE nothing ON products");
    owner.run(change);
    world.shows("SELECT direction FROM sheet_sync.mapping", "both");
}
