//! The service account of the machine (compute_metadata) as the credential: asked for only where a
//! superuser says so, and never because there is nothing else.

use e2e::{Sheet, World};
use serde_json::json;

const ROBOT: &str = "vm@cloud.iam.gserviceaccount.com";
const SET: &str = r#"SELECT sheet_sync.set_credential('default', '{"type": "compute_metadata"}')"#;
const RESUME: &str = "SELECT sheet_sync.resume('products')";

#[track_caller]
fn goes_on(world: &mut World, sheet: &Sheet, name: &str) {
    world
        .db
        .run(&format!("UPDATE products SET name = '{name}' WHERE id = 1"));
    sheet.shows(&format!(
        "id | name | price\n 1 | {name} | 1\n 2 | Nut | 2\n 3 | Gear | 3"
    ));
}

fn asked_for_metadata(world: &World) -> usize {
    let passed = world.google.gate().passed();
    passed
        .iter()
        .filter(|one| one.path.contains("computeMetadata"))
        .count()
}

#[test]
fn a_spreadsheet_is_synced_in_the_name_of_the_machine() {
    let (mut world, sheet) = World::with_products();
    world.google.on_google_cloud(json!({"account": ROBOT}));
    world.db.run(SET);
    // With whom to share it, the metadata server knows.
    world.says(&["not_shared", ROBOT]);
    let token = world
        .db
        .one("SELECT detail FROM sheet_sync.doctor() WHERE \"check\" = 'token' AND ok");
    assert!(token.contains(ROBOT), "{token}");
    sheet.book().share_with(ROBOT);
    goes_on(&mut world, &sheet, "Bolt M4");

    // The file of sheet_sync.credentials_file may say it as well.
    let file = world.file("machine.json", r#"{"type": "compute_metadata"}"#);
    world.set("credentials_file", &file.to_string_lossy());
    world.db.run("SELECT sheet_sync.drop_credential('default')");
    goes_on(&mut world, &sheet, "Bolt M5");
    assert!(!world.cluster.log().contains("ya29."));
}

#[test]
fn what_a_machine_lacks_is_named() {
    let (mut world, sheet) = World::with_products();
    sheet.book().share_with(ROBOT);
    world.db.run(SET);
    world.says(&["no_metadata_server", "on Google Cloud"]);

    // Whoever has mended something need not wait.
    world.google.on_google_cloud(json!({}));
    world.db.run(RESUME);
    world.says(&["no_service_account", "set-service-account"]);

    // A virtual machine as they are made: its tokens are for other things, whatever is asked for.
    let usual =
        json!({"account": ROBOT, "scopes": ["https://www.googleapis.com/auth/cloud-platform"]});
    world.google.on_google_cloud(usual);
    world.db.run(RESUME);
    world.says(&["scope", "set-service-account", "auth/spreadsheets"]);

    world.google.on_google_cloud(json!({"account": ROBOT}));
    world.db.run(RESUME);
    goes_on(&mut world, &sheet, "Bolt M4");
}

#[test]
fn nobody_asks_the_metadata_server_unless_a_superuser_says_so() {
    let (mut world, _sheet) = World::with_products();
    world
        .google
        .on_google_cloud(json!({"account": world.google.email()}));
    world.db.run("SELECT sheet_sync.drop_credential('default')");
    world.stopped("no_credential");
    assert_eq!(asked_for_metadata(&world), 0);

    world.db.run(
        "CREATE ROLE clerk LOGIN; GRANT EXECUTE ON FUNCTION sheet_sync.set_credential TO clerk",
    );
    let mut clerk = world.connect_as("clerk");
    let refused = clerk.refused(SET);
    assert_eq!(refused.sqlstate, "42501", "{refused}");
    assert!(refused.hint.is_some(), "{refused}");
    let refused = clerk.refused("SET sheet_sync.metadata_endpoint = 'http://127.0.0.1:1'");
    assert!(
        ["42501", "55P02"].contains(&refused.sqlstate.as_str()),
        "{refused}"
    );
    assert_eq!(asked_for_metadata(&world), 0);

    world.db.run(SET);
    world.merged("products");
    assert!(asked_for_metadata(&world) > 0);
}
