//! A person's login (authorized_user) as the credential: it syncs, it ends, another one takes its
//! place, and nobody gets to see it.

use e2e::{Fault, Sheet, World, literal};
use serde_json::{Value, json};

const ANNE: &str = "anne@example.com";
const BEN: &str = "ben@example.com";
const LOGIN: &str = "gcloud auth application-default login";
const SPREADSHEETS: &str = "https://www.googleapis.com/auth/spreadsheets";

/// What doctor() says, good or not.
fn said(world: &mut World, check: &str) -> Vec<String> {
    let lines = world.db.table(&format!(
        "SELECT ok, subject, detail, hint FROM sheet_sync.doctor() WHERE \"check\" = {}",
        literal(check)
    ));
    lines.into_iter().map(|line| line.join(" · ")).collect()
}

#[track_caller]
fn goes_on(world: &mut World, sheet: &Sheet, name: &str, other: &str) {
    world
        .db
        .run(&format!("UPDATE products SET name = '{name}' WHERE id = 1"));
    sheet.set("B3", other);
    sheet.shows(&format!(
        "id | name | price\n 1 | {name} | 1\n 2 | {other} | 2\n 3 | Gear | 3"
    ));
    world.table_shows(
        "products",
        &format!("id | name | price\n 1 | {name} | 1\n 2 | {other} | 2\n 3 | Gear | 3"),
    );
}

fn store(world: &mut World, credential: &Value) {
    let file = world.file("login.json", &credential.to_string());
    let file = literal(&file.to_string_lossy());
    world.db.run(&format!(
        "SELECT sheet_sync.set_credential('default', pg_read_file({file})::jsonb)"
    ));
}

/// The parts of a login that are nobody's to see.
fn secrets(login: &Value) -> Vec<String> {
    let secret = |name: &str| login[name].as_str().expect("a login has it").to_owned();
    vec![secret("refresh_token"), secret("client_secret")]
}

/// Neither what is logged, dumped and stored nor what is said of a login shows it.
#[track_caller]
fn is_hidden(world: &mut World, login: &Value) {
    let shown = [
        world.cluster.log(),
        world.dump(),
        world
            .db
            .one("SELECT string_agg(s::text, '') FROM sheet_sync.status s"),
        world
            .db
            .one("SELECT string_agg(d::text, '') FROM sheet_sync.doctor() d"),
        world
            .db
            .one("SELECT string_agg(a::text, '') FROM pg_stat_activity a"),
    ];
    for secret in secrets(login) {
        for (place, text) in shown.iter().enumerate() {
            assert!(!text.is_empty(), "nothing was looked at in place {place}");
            assert!(!text.contains(&secret), "a secret shows in place {place}");
            assert!(!text.contains("ya29."), "a token shows in place {place}");
        }
        let stored = format!(
            "SELECT count(*) FROM sheet_sync._credential c WHERE position({} IN c::text) > 0 OR position({0}::bytea IN c.sealed_key) > 0",
            literal(&secret)
        );
        assert_eq!(world.db.count(&stored), 0, "a secret is stored as it is");
    }
}

#[test]
fn a_spreadsheet_is_synced_in_the_name_of_the_user() {
    let (mut world, sheet) = World::with_products();
    sheet.book().share(false);
    world.stopped("not_shared");
    let mut login = world.google.login(ANNE);
    login["quota_project_id"] = json!("sheetd");
    store(&mut world, &login);

    // Whose login it is stands in no part of the file: Google tells it with the token.
    world.says(&["not_shared", &format!("add {ANNE} as Editor")]);
    sheet.book().share_with(ANNE);
    goes_on(&mut world, &sheet, "Bolt M4", "Nut M4");
    let projects = world.google.quota_projects();
    assert!(!projects.is_empty() && projects.iter().all(|one| one == "sheetd"));

    let key = said(&mut world, "key");
    assert!(
        key[0].starts_with("t · credential default") && key[0].contains("authorized_user"),
        "{key:?}"
    );
    let token = said(&mut world, "token");
    assert!(
        token[0].contains(ANNE) && token[0].contains("spreadsheets"),
        "{token:?}"
    );
    assert!(said(&mut world, "sharing")[0].contains(&format!("{ANNE} may edit")));
    assert_eq!(said(&mut world, "login"), Vec::<String>::new());
    world
        .google
        .change_login(ANNE, json!({"seconds_left": 7 * 86_400}));
    let ends = said(&mut world, "login");
    assert!(
        ends[0].starts_with("t · ") && ends[0].contains(" in 7 days"),
        "{ends:?}"
    );
    world
        .google
        .change_login(ANNE, json!({"seconds_left": 3600}));
    let ends = said(&mut world, "login");
    assert!(
        ends[0].starts_with("f · ") && ends[0].contains("in testing"),
        "{ends:?}"
    );
    is_hidden(&mut world, &login);

    // A project that the user may not use.
    login["quota_project_id"] = json!("somebody-elses");
    store(&mut world, &login);
    let hint = world.stopped("quota_project");
    assert!(
        hint.contains("somebody-elses") && hint.contains("serviceUsageConsumer"),
        "{hint}"
    );
    is_hidden(&mut world, &login);
}

#[test]
fn a_login_that_ends_waits_for_another_one_in_its_file() {
    let (mut world, sheet) = World::with_products();
    for person in [ANNE, BEN] {
        sheet.book().share_with(person);
    }
    let anne = world.google.login(ANNE);
    let file = world.file("login.json", &anne.to_string());
    world.set("credentials_file", &file.to_string_lossy());
    world.db.run("SELECT sheet_sync.drop_credential('default')");
    goes_on(&mut world, &sheet, "Bolt M4", "Nut M4");

    // An access token lives on for up to an hour: only the next one is refused.
    world.google.change_login(ANNE, json!({"state": "revoked"}));
    world.google.fault(Fault::status(401), 1);
    world.db.run("UPDATE products SET price = 5 WHERE id = 3");
    let said = world.stopped("login_ended");
    for words in [
        ANNE,
        "7 days",
        "gcloud auth application-default login",
        SPREADSHEETS,
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    is_hidden(&mut world, &anne);

    world.google.change_login(ANNE, json!({"state": "rapt"}));
    world.says(&["login_ended", ANNE, "session control", LOGIN]);

    let ben = world.google.login(BEN);
    world.file("login.json", &ben.to_string());
    sheet.shows("id | name | price\n 1 | Bolt M4 | 1\n 2 | Nut M4 | 2\n 3 | Gear | 5");
    is_hidden(&mut world, &ben);
    is_hidden(&mut world, &anne);
}

#[test]
fn a_login_that_does_not_allow_spreadsheets_names_the_command() {
    let (mut world, sheet) = World::with_products();
    sheet.book().share_with(ANNE);
    let login = world.google.login(ANNE);
    // What gcloud asks for unless it is told otherwise.
    let usual = json!({"scopes": ["openid", "https://www.googleapis.com/auth/cloud-platform"]});
    world.google.change_login(ANNE, usual);
    store(&mut world, &login);
    let said = world.stopped("scope");
    for words in [
        ANNE,
        "auth/cloud-platform",
        "gcloud auth application-default login",
        SPREADSHEETS,
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    world
        .google
        .change_login(ANNE, json!({"scopes": [SPREADSHEETS]}));
    goes_on(&mut world, &sheet, "Bolt M4", "Nut M4");
}

#[test]
fn a_client_that_google_does_not_know_is_told_from_a_login_that_ended() {
    let (mut world, sheet) = World::with_products();
    sheet.book().share_with(ANNE);
    let good = world.google.login(ANNE);
    let mut login = good.clone();
    login["client_secret"] = json!("GOCSPX-another");
    store(&mut world, &login);
    let said = world.stopped("client_refused");
    assert!(
        said.contains("client_secret") && !said.contains("GOCSPX-"),
        "{said}"
    );
    store(&mut world, &good);
    goes_on(&mut world, &sheet, "Bolt M4", "Nut M4");
}
