//! Key files that are replaced, and ways to Google that are closed: status and doctor() say which.

use e2e::{Sheet, World};

/// Waits until the mapping's reason begins with this word, and gives reason and hint.
#[track_caller]
fn stopped_by(world: &mut World, reason: &str) -> String {
    e2e::wait_until(&format!("the reason {reason}"), || {
        let said = world.db.one(
            "SELECT concat(reason, ' · ', hint) FROM sheet_sync.status WHERE table_name = 'products'::regclass",
        );
        match said.starts_with(reason) {
            true => Ok(said),
            false => Err(said),
        }
    })
}

#[track_caller]
fn doctor_finds(world: &mut World, words: &[&str]) {
    e2e::wait_until(&format!("a finding with {words:?}"), || {
        let found: Vec<String> = world
            .db
            .table("SELECT subject, detail, hint FROM sheet_sync.doctor() WHERE NOT ok")
            .into_iter()
            .map(|line| line.join(" · "))
            .collect();
        let fits = |line: &String| words.iter().all(|word| line.contains(word));
        match found.iter().any(fits) {
            true => Ok(()),
            false => Err(found),
        }
    });
}

#[track_caller]
fn goes_on(world: &mut World, sheet: &Sheet, name: &str) {
    world
        .db
        .run(&format!("UPDATE products SET name = '{name}' WHERE id = 1"));
    sheet.shows(&format!(
        "id | name | price\n 1 | {name} | 1\n 2 | Nut | 2\n 3 | Gear | 3"
    ));
}

#[test]
fn a_key_file_that_is_replaced_is_used_without_a_reload() {
    let (mut world, sheet) = World::with_products();
    let good = world.google.key().to_string();
    let mut key = world.google.key().clone();
    key["client_email"] = "nobody@nowhere.iam.gserviceaccount.com".into();
    let file = world.file("key.json", &key.to_string());
    world.db.run("SELECT sheet_sync.drop_credential('default')");
    world.set("credentials_file", &file.to_string_lossy());
    stopped_by(&mut world, "key_refused");

    world.file("key.json", &good);
    goes_on(&mut world, &sheet, "Bolt M4");

    // One that is being written does not stop what works, and doctor() says how it is.
    world.file("key.json", &good[..good.len() / 2]);
    doctor_finds(&mut world, &["credential default", "not JSON"]);
    goes_on(&mut world, &sheet, "Bolt M5");
    std::fs::remove_file(&file).unwrap();
    doctor_finds(&mut world, &["credential default", "Put the file"]);
    goes_on(&mut world, &sheet, "Bolt M6");
}

#[test]
fn a_key_file_that_is_missing_at_first_is_used_when_it_is_there() {
    let (mut world, sheet) = World::with_products();
    let file = world.cluster.directory().join("key.json");
    world.set("credentials_file", &file.to_string_lossy());
    world.db.run("SELECT sheet_sync.drop_credential('default')");
    // Until the worker has read the setting, it knows of no file.
    e2e::wait_until("the file to be missed", || {
        let said = stopped_by(&mut world, "no_credential");
        match said.contains("Put the file") && !said.contains("readable") {
            true => Ok(()),
            false => Err(said),
        }
    });
    world.file("key.json", &world.google.key().to_string());
    goes_on(&mut world, &sheet, "Bolt M4");
}

#[test]
fn a_closed_way_is_named_and_the_password_of_a_proxy_is_not() {
    let (mut world, sheet) = World::with_products();
    let file = world.file("proxy", "http://user:s3cret@127.0.0.1:9\n");
    world.set("proxy", &file.to_string_lossy());
    let said = stopped_by(&mut world, "proxy");
    assert!(said.contains("sheet_sync.proxy"), "{said}");
    doctor_finds(&mut world, &["credential default", "proxy"]);
    world.set("proxy", "");
    goes_on(&mut world, &sheet, "Bolt M4");

    world.set("ca_file", "/nope.pem");
    stopped_by(&mut world, "certificate");
    doctor_finds(&mut world, &["credential default", "/nope.pem"]);
    world.set("ca_file", "");
    goes_on(&mut world, &sheet, "Bolt M5");

    assert!(!world.cluster.log().contains("s3cret"));
    world.db.run("CREATE ROLE stranger LOGIN");
    let mut stranger = world.connect_as("stranger");
    let seen = stranger.count(
        "SELECT count(*) FROM pg_settings WHERE name IN ('sheet_sync.proxy', 'sheet_sync.ca_file')",
    );
    assert_eq!(seen, 0, "ordinary roles do not see the way out");
    assert_eq!(stranger.refused("SHOW sheet_sync.proxy").sqlstate, "42501");
}
