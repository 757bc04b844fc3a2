//! doctor() finds what is wrong and says what to do.

use e2e::World;
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

#[test]
fn it_is_for_administrators_and_needs_no_mapping() {
    let mut world = World::start();
    finds_nothing(&mut world);
    world.db.run("CREATE ROLE visitor LOGIN");
    let mut visitor = world.connect_as("visitor");
    let refused = visitor.refused("SELECT * FROM sheet_sync.doctor()");
    assert_eq!(refused.sqlstate, "42501", "{refused}");
}
