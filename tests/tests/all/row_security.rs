//! Rows that rights hide are not gone. A mapping whose role may read other rows than it could stops
//! before any of them leaves the sheet.

use e2e::{GATE, Sheet, World, wait_until};

const REASON: &str = "SELECT state, split_part(reason, ':', 1) FROM sheet_sync.status";
const STOPPED: &str = "failed | row_security";
const NOTES: &str = "id | tenant | body | remark\n 1 | 1 | a |\n 2 | 1 | b | mine\n 3 | 2 | c |";
const BY_SETTING: &str = "ALTER TABLE notes ENABLE ROW LEVEL SECURITY; ALTER TABLE notes FORCE ROW LEVEL SECURITY;
     CREATE POLICY tenants ON notes USING (tenant = NULLIF(current_setting('app.tenant', true), '')::int)";

/// Notes of two tenants, which belong to a role that is no superuser.
fn notes(before: &str) -> World {
    let mut world = World::start();
    world.db.run(&format!(
        "CREATE ROLE keeper;
         CREATE TABLE notes (id int PRIMARY KEY, tenant int, body text); ALTER TABLE notes OWNER TO keeper;
         INSERT INTO notes VALUES (1, 1, 'a'), (2, 1, 'b'), (3, 2, 'c');
         {before}"
    ));
    world
}

/// All of them in the sheet, with a remark of somebody's beside the second.
fn mapped(before: &str) -> (World, Sheet) {
    let mut world = notes(before);
    let sheet = world.map("notes");
    sheet.type_at("D1", &[vec!["remark".into()], vec![], vec!["mine".into()]]);
    sheet.shows(NOTES);
    (world, sheet)
}

/// It has stopped, and what is changed on either side waits: nothing leaves the sheet, whether its
/// row was changed or not.
#[track_caller]
fn stops(world: &mut World, sheet: &Sheet) -> String {
    world.shows(REASON, STOPPED);
    let shown = sheet.rows();
    world.db.run(
        "UPDATE notes SET body = body || 'x' WHERE id = 2; INSERT INTO notes VALUES (4, 1, 'd') ON CONFLICT DO NOTHING",
    );
    world.quiet();
    assert_eq!(sheet.rows(), shown);
    world.shows(REASON, STOPPED);
    let said = "SELECT reason || ' ' || hint FROM sheet_sync.status";
    world.db.one(said)
}

#[track_caller]
fn resume(world: &mut World) {
    world.db.run("SELECT sheet_sync.resume('notes')");
}

#[track_caller]
fn goes_on(world: &mut World) {
    let sql = "SELECT state, reason, hint FROM sheet_sync.status";
    world.shows(sql, "active | |");
}

#[test]
fn row_level_security_that_is_forced_takes_no_row_from_the_sheet() {
    let (mut world, sheet) = mapped("");
    world.db.run(BY_SETTING);
    let said = stops(&mut world, &sheet);
    for words in [
        "keeper",
        "public.notes",
        "app.tenant",
        "NO FORCE ROW LEVEL SECURITY",
        "resume('public.notes')",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    let found = world
        .db
        .table("SELECT hint FROM sheet_sync.doctor() WHERE NOT ok");
    assert!(found[0][0].contains("NO FORCE"), "{found:?}");
    // A table whose rows are hidden is not empty either.
    world.db.run("SELECT sheet_sync.resync('notes')");
    world.shows(REASON, STOPPED);

    sheet.set("C4", "typed");
    world
        .db
        .run("ALTER TABLE notes NO FORCE ROW LEVEL SECURITY");
    sheet.shows(
        "id | tenant | body | remark\n 1 | 1 | a |\n 2 | 1 | bx | mine\n 3 | 2 | c |\n 4 | 1 | d |",
    );
    goes_on(&mut world);
    // It was asked to merge afresh, so this one is a conflict.
    world.shows(
        "SELECT key[1], sheet_value #>> '{}' FROM sheet_sync.conflict WHERE key = '{3}'",
        "3 | typed",
    );
}

#[test]
fn a_policy_that_shows_all_rows_again_goes_on_by_itself() {
    let (mut world, sheet) = mapped("");
    world.db.run(BY_SETTING);
    stops(&mut world, &sheet);
    world
        .db
        .run("CREATE POLICY all_of_it ON notes TO keeper USING (true)");
    sheet.shows(
        "id | tenant | body | remark\n 1 | 1 | a |\n 2 | 1 | bx | mine\n 3 | 2 | c |\n 4 | 1 | d |",
    );
    goes_on(&mut world);
    // Restrictive ones count whatever the others allow.
    world
        .db
        .run("CREATE POLICY less ON notes AS RESTRICTIVE USING (tenant = 2)");
    stops(&mut world, &sheet);
}

#[test]
fn what_a_role_may_read_moves_with_its_attributes_and_its_owner() {
    let (mut world, sheet) = mapped("ALTER ROLE keeper BYPASSRLS");
    world.db.run(BY_SETTING);
    world.db.run("UPDATE notes SET body = 'a1' WHERE id = 1");
    sheet.shows("id | tenant | body | remark\n 1 | 1 | a1 |\n 2 | 1 | b | mine\n 3 | 2 | c |");
    goes_on(&mut world);
    world.db.run("ALTER ROLE keeper NOBYPASSRLS");
    stops(&mut world, &sheet);
    world.db.run("ALTER ROLE keeper BYPASSRLS");
    let all = "id | tenant | body | remark\n 1 | 1 | a1 |\n 2 | 1 | bx | mine\n 3 | 2 | c |\n 4 | 1 | d |";
    sheet.shows(all);
    goes_on(&mut world);

    // A new owner agrees to the mapping first, and then to what it hides.
    world
        .db
        .run("CREATE ROLE tenant; ALTER TABLE notes OWNER TO tenant");
    world.shows(REASON, "failed | owner_changed");
    resume(&mut world);
    stops(&mut world, &sheet);
    assert_eq!(sheet.rows().len(), 5);
}

#[test]
fn rows_that_policies_let_a_role_read_are_agreed_on_when_it_registers() {
    let mut world = notes(
        "ALTER TABLE notes ENABLE ROW LEVEL SECURITY; ALTER TABLE notes FORCE ROW LEVEL SECURITY;
         CREATE FUNCTION tenant_of(name) RETURNS int LANGUAGE sql STABLE AS 'SELECT 1';
         CREATE POLICY own ON notes USING (tenant = tenant_of(current_user))",
    );
    let sheet = world.map("notes");
    let own = "id | tenant | body\n 1 | 1 | a\n 2 | 1 | b";
    sheet.shows(own);
    let log = world.cluster.log();
    assert!(
        log.contains("row-level security applies to role keeper on table public.notes")
            && log.contains("current_setting()"),
        "{log}"
    );
    world.db.run(
        "UPDATE notes SET body = 'b2' WHERE id = 2; UPDATE notes SET body = 'c2' WHERE id = 3",
    );
    sheet.shows("id | tenant | body\n 1 | 1 | a\n 2 | 1 | b2");
    goes_on(&mut world);
    // What decides who may change rows takes none from the sheet.
    world
        .db
        .run("CREATE POLICY changes ON notes AS RESTRICTIVE FOR UPDATE USING (id < 100); UPDATE notes SET body = 'b' WHERE id = 2");
    sheet.shows(own);
    goes_on(&mut world);

    // Another policy, or what one calls.
    world.db.run(
        "CREATE OR REPLACE FUNCTION tenant_of(name) RETURNS int LANGUAGE sql STABLE AS 'SELECT 2'",
    );
    let said = stops(&mut world, &sheet);
    assert!(said.contains("tenant_of"), "{said}");
    world.db.run(
        "CREATE OR REPLACE FUNCTION tenant_of(name) RETURNS int LANGUAGE sql STABLE AS 'SELECT 1'",
    );
    sheet.shows("id | tenant | body\n 1 | 1 | a\n 2 | 1 | bx\n 4 | 1 | d");
    goes_on(&mut world);

    world.db.run("ALTER POLICY own ON notes USING (tenant = 2)");
    let said = stops(&mut world, &sheet);
    assert!(
        said.contains("tenant_of") && said.contains("tenant = 2"),
        "{said}"
    );
    // Somebody who has seen other policies than there are by now has not agreed to these.
    world.db.run(
        "BEGIN; ALTER POLICY own ON notes USING (tenant = 7); SELECT sheet_sync.resume('notes'); COMMIT",
    );
    wait_until("the question of now", || {
        let seen = world
            .db
            .one("SELECT COALESCE(reason, '') FROM sheet_sync.status");
        match seen.contains("tenant = 7") {
            true => Ok(()),
            false => Err(seen),
        }
    });
    assert_eq!(sheet.rows().len(), 4);
    // A pause is no question.
    world
        .db
        .run("ALTER POLICY own ON notes USING (tenant = 2); SELECT sheet_sync.pause('notes'); SELECT sheet_sync.resume('notes')");
    world.shows(REASON, STOPPED);
    assert_eq!(sheet.rows().len(), 4);
    wait_until("the question of now", || {
        let seen = world
            .db
            .one("SELECT COALESCE(reason, '') FROM sheet_sync.status");
        match seen.contains("now: own USING ((tenant = 2))") {
            true => Ok(()),
            false => Err(seen),
        }
    });
    resume(&mut world);
    sheet.shows("id | tenant | body\n 3 | 2 | c2");
    goes_on(&mut world);
    world.shows("SELECT count(*) FROM notes", "4");

    // All that were hidden come back, once somebody has agreed to that: others read the sheet.
    world.db.run("ALTER TABLE notes DISABLE ROW LEVEL SECURITY");
    let said = stops(&mut world, &sheet);
    assert!(said.contains("come into the sheet"), "{said}");
    resume(&mut world);
    world.both_equal("notes", &sheet);
    goes_on(&mut world);
}

#[test]
fn the_agreed_policies_are_in_a_dump() {
    let mut world = notes(
        "ALTER TABLE notes ENABLE ROW LEVEL SECURITY; ALTER TABLE notes FORCE ROW LEVEL SECURITY;
         CREATE FUNCTION one() RETURNS int LANGUAGE sql STABLE AS 'SELECT 1';
         CREATE POLICY own ON notes USING (tenant = one())",
    );
    world.map("notes");
    let dump = world.dump();
    world.db.run("CREATE DATABASE copy");
    world.restore("copy", &dump);
    let mut copy = world.cluster.connect("copy");
    let same = "SELECT readable_rows = sheet_sync._readable_rows(table_name, run_as) FROM sheet_sync.mapping";
    assert_eq!(copy.one(same), "t");
}

#[test]
fn a_right_that_is_revoked_takes_no_row_from_the_sheet() {
    let (mut world, sheet) = mapped("");
    for (revoke, grant) in [
        (
            "REVOKE SELECT ON notes FROM keeper",
            "GRANT SELECT ON notes TO keeper",
        ),
        (
            "REVOKE SELECT ON notes FROM keeper; GRANT SELECT (id, body) ON notes TO keeper",
            "GRANT SELECT ON notes TO keeper",
        ),
        (
            "REVOKE USAGE ON SCHEMA public FROM PUBLIC",
            "GRANT USAGE ON SCHEMA public TO PUBLIC",
        ),
    ] {
        world.db.run(revoke);
        world.db.run("UPDATE notes SET body = 'b1' WHERE id = 2");
        world.shows(REASON, "failed | database");
        assert_eq!(sheet.rows().len(), 4, "{revoke}");
        world.db.run(grant);
        resume(&mut world);
        sheet.shows("id | tenant | body | remark\n 1 | 1 | a |\n 2 | 1 | b1 | mine\n 3 | 2 | c |");
        goes_on(&mut world);
        world.db.run("UPDATE notes SET body = 'b' WHERE id = 2");
        sheet.shows(NOTES);
    }
}

/// Between two steps of a cycle no turn of the worker looks at the catalog.
#[test]
fn rows_that_are_hidden_in_the_middle_of_a_cycle_are_not_gone() {
    let mut world = notes(&format!(
        "{GATE} ALTER TABLE notes ADD host host DEFAULT '10.0.0.1'"
    ));
    let sheet = world.map("notes");
    world.in_mid_cycle(
        || sheet.set("D2", "10.0.0.9"),
        |world| world.db.run(BY_SETTING),
    );
    world.shows(REASON, STOPPED);
    assert_eq!(sheet.rows().len(), 4);
    world
        .db
        .run("ALTER TABLE notes NO FORCE ROW LEVEL SECURITY");
    world.shows("SELECT host FROM notes WHERE id = 1", "10.0.0.9");
    goes_on(&mut world);
    assert_eq!(
        world.db.count("SELECT count(*) FROM sheet_sync.conflict"),
        0
    );
    sheet.shows(
        "id | tenant | body | host\n 1 | 1 | a | 10.0.0.9\n 2 | 1 | b | 10.0.0.1\n 3 | 2 | c | 10.0.0.1",
    );
}
