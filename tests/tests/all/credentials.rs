//! What is stored as a credential: by whom, in the place of what, and what is said when it goes.

use e2e::{World, literal, stopped, wait_until};
use serde_json::{Value, json};

const GOOGLES: &str = "https://oauth2.googleapis.com/token";

fn setting(name: &str, key: &Value) -> String {
    format!(
        "SELECT sheet_sync.set_credential({}, {})",
        literal(name),
        literal(&key.to_string())
    )
}

fn exchanges(world: &World) -> usize {
    let passed = world.google.gate().passed();
    passed.iter().filter(|one| one.is_token()).count()
}

/// Whoever names the address has the server send requests there, and reads the answer in `status`.
#[test]
fn nobody_but_a_superuser_has_tokens_asked_for_at_an_address_of_theirs() {
    let mut world = World::start();
    world.db.run(
        "CREATE ROLE clerk LOGIN; GRANT EXECUTE ON FUNCTION sheet_sync.set_credential TO clerk",
    );
    let mut clerk = world.connect_as("clerk");
    for mut key in [
        world.google.key().clone(),
        world.google.login("anne@example.com"),
    ] {
        let here = key["token_uri"].clone();
        for elsewhere in [
            &here,
            &json!("https://example.com/token"),
            &json!("https://169.254.169.254/token"),
        ] {
            key["token_uri"] = elsewhere.clone();
            let refused = clerk.refused(&setting("it's mine", &key));
            assert_eq!(refused.sqlstate, "42501", "{refused}");
            let hint = refused.hint.unwrap_or_default();
            assert!(hint.contains(GOOGLES), "{hint}");
            assert!(
                hint.ends_with(": SELECT sheet_sync.grant_credential('it''s mine', 'clerk');"),
                "{hint}"
            );
        }
        // Nobody may send a secret over an open line.
        key["token_uri"] = json!("http://example.com/token");
        for db in [&mut world.db, &mut clerk] {
            let refused = db.refused(&setting("it's mine", &key));
            assert_eq!(refused.sqlstate, "22023", "{refused}");
        }
        key["token_uri"] = json!(GOOGLES);
        clerk.run(&setting("it's mine", &key));
        key["token_uri"] = here;
        world.db.run(&setting("it's mine", &key));
    }
}

#[test]
fn a_key_that_is_set_again_gets_another_token_although_it_is_the_same() {
    let (mut world, sheet) = World::with_products();
    let key = world.google.key().clone();
    let before = exchanges(&world);
    world.db.run(&setting("default", &key));
    wait_until("another token", || match exchanges(&world) {
        more if more > before => Ok(()),
        same => Err(same),
    });
    world
        .db
        .run("UPDATE products SET name = 'Bolt M4' WHERE id = 1");
    sheet.shows("id | name | price\n 1 | Bolt M4 | 1\n 2 | Nut | 2\n 3 | Gear | 3");
    world.quiet();
}

#[test]
fn a_credential_that_is_dropped_tells_what_takes_its_place() {
    let (mut world, _sheet) = World::with_products();
    let key = world.google.key().clone();
    world.db.run(&setting("it's", &key));
    world.db.run(
        "CREATE TABLE parts (id int PRIMARY KEY, name text); INSERT INTO parts VALUES (1, 'Rod')",
    );
    world.map_with("parts", "credential => 'it''s'");
    world.db.run("SET log_min_messages = notice");
    world.db.run("SELECT sheet_sync.drop_credential('it''s')");
    let said = stopped(&mut world.db, "parts", "no_credential");
    assert!(
        said.ends_with(
            "SELECT sheet_sync.set_credential('it''s', pg_read_file('/path/key.json')::jsonb);"
        ),
        "{said}"
    );
    let waits = "mappings of public.parts wait until credential \"it's\" is set again";
    assert!(world.cluster.log().contains(waits));

    let file = world.file("key.json", &key.to_string());
    world.set("credentials_file", &file.to_string_lossy());
    world.shows("SHOW sheet_sync.credentials_file", &file.to_string_lossy());
    world.db.run("SELECT sheet_sync.drop_credential('default')");
    let taken = "from now on the credential \"default\" is the one in the file of sheet_sync.credentials_file, also for the mappings of public.products";
    assert!(world.cluster.log().contains(taken));
}
