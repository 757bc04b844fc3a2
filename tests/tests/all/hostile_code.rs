//! Code of a table's owner that the worker runs, wherever it stands, gains nothing beyond what the
//! owner may do.

use e2e::{World, wait_until};

/// What the owner tries. None of it is something that an ordinary role may do.
const ATTACKS: [&str; 16] = [
    "RESET ROLE; SET ROLE postgres",
    "SET SESSION AUTHORIZATION postgres",
    "SELECT set_config('role', 'postgres', false)",
    "SELECT set_config('session_authorization', 'postgres', false)",
    "ALTER ROLE mallory SUPERUSER",
    "GRANT pg_execute_server_program TO mallory",
    "COPY (SELECT 1) TO PROGRAM 'true'",
    "SELECT pg_read_file('PG_VERSION')",
    "SELECT lo_import('/etc/hostname')",
    "SELECT key FROM sheet_sync._credential",
    "SELECT sheet_sync.set_credential('mine', '{}')",
    "UPDATE sheet_sync.mapping SET run_as = 'postgres'",
    "INSERT INTO sheet_sync._dirty_key (mapping_id, changed_at) VALUES (1, now())",
    "CREATE FUNCTION mine() RETURNS void LANGUAGE c AS 'sheet_sync', 'resume_wrapper'",
    "ALTER SYSTEM SET shared_preload_libraries = ''",
    "SELECT * FROM secrets",
];

/// Tries everything, and says in the server's log what it gained. As a statement of its own each
/// time, so that one that fails does not end the others.
fn attack() -> String {
    let attacks: Vec<String> = ATTACKS.iter().map(|one| format!("$a${one}$a$")).collect();
    format!(
        "CREATE FUNCTION attack(place text) RETURNS bool LANGUAGE plpgsql AS $f$
         DECLARE
             attempt text;
         BEGIN
             FOREACH attempt IN ARRAY ARRAY[{}] LOOP
                 BEGIN
                     EXECUTE attempt;
                     RAISE LOG 'gained in %: % as %', place, attempt, current_user;
                 EXCEPTION WHEN OTHERS THEN NULL;
                 END;
             END LOOP;
             RAISE LOG 'tried in % as %, session %', place, current_user, session_user;
             RETURN true;
         END $f$",
        attacks.join(", ")
    )
}

/// Where Postgres lets an owner put code that runs when rows are read or written.
const PLACES: &str = "
    CREATE FUNCTION steady(place text) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT attack($1)';
    CREATE DOMAIN word AS text CHECK (attack('domain'));
    CREATE FUNCTION fires() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN
        PERFORM attack(TG_ARGV[0]); RETURN NEW; END $f$;
    CREATE FUNCTION decides(jsonb, jsonb, jsonb, jsonb) RETURNS jsonb LANGUAGE plpgsql STABLE AS $f$ BEGIN
        PERFORM steady('conflict function'); RETURN $4; END $f$;
    CREATE TABLE lures (id int PRIMARY KEY DEFAULT 100 + attack('default')::int, name text, spare word,
        made text GENERATED ALWAYS AS (steady('generated column')::text || id) STORED, CHECK (name IS NULL OR attack('check')));
    CREATE TRIGGER before BEFORE INSERT OR UPDATE ON lures FOR EACH ROW EXECUTE FUNCTION fires('before trigger');
    CREATE TRIGGER zz_after AFTER INSERT OR UPDATE ON lures FOR EACH ROW EXECUTE FUNCTION fires('after trigger');
    CREATE TRIGGER of_statement AFTER UPDATE ON lures EXECUTE FUNCTION fires('statement trigger');
    CREATE CONSTRAINT TRIGGER late AFTER INSERT OR UPDATE ON lures DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION fires('deferred trigger');
    CREATE INDEX ON lures ((steady('index')));
    ALTER TABLE lures ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
    CREATE POLICY all_rows ON lures USING (steady('policy'));";

#[test]
fn an_owner_s_code_gains_nothing_wherever_it_stands() {
    let mut world = World::start();
    world.db.run(
        "CREATE ROLE mallory LOGIN; GRANT CREATE ON SCHEMA public TO mallory; CREATE TABLE secrets (secret text);
         SELECT sheet_sync.grant_credential('default', 'mallory')",
    );
    let mut mallory = world.connect_as("mallory");
    mallory.run(&attack());
    mallory.run(PLACES);
    mallory.run("INSERT INTO lures (id, name) VALUES (1, 'one')");
    let book = world.google.spreadsheet("Lures");
    // A superuser who registers the table lends nothing to it, either.
    world.db.run(&format!(
        "SELECT sheet_sync.register_table('lures', '{}', row_filter => 'steady(''filter'')', conflict_function => 'decides(jsonb,jsonb,jsonb,jsonb)')",
        book.id()
    ));
    let sheet = book.wait_for_tab("lures");
    world.merged("lures");
    sheet.type_row(&["", "typed", "spare"]);
    world.shows("SELECT rows_pulled FROM sheet_sync.status", "1");
    world.at_once("lures", |_| {
        mallory.run("UPDATE lures SET name = 'of SQL' WHERE id = 1");
        sheet.set("B2", "of the sheet");
    });
    let row = "SELECT name FROM lures WHERE id = 1";
    wait_until("the conflict function's decision", || {
        match mallory.one(row) {
            name if name == "of the sheet" => Ok(()),
            name => Err((
                name,
                world
                    .db
                    .table("SELECT code, message FROM sheet_sync.problem"),
            )),
        }
    });
    let places = [
        "domain",
        "conflict function",
        "default",
        "generated column",
        "check",
        "before trigger",
        "after trigger",
        "statement trigger",
        "deferred trigger",
        "index",
        "policy",
        "filter",
    ];
    wait_until("the code to run in every place", || {
        let log = world.cluster.log();
        let tried = |place: &&str| {
            let words = format!("tried in {place} as mallory, session mallory");
            let of_worker =
                |line: &str| line.contains("sheet_sync worker") && line.contains(&words);
            log.lines().any(of_worker)
        };
        let left: Vec<&str> = places.into_iter().filter(|place| !tried(place)).collect();
        if left.is_empty() { Ok(()) } else { Err(left) }
    });
    let log = world.cluster.log();
    let is_more = |line: &&str| {
        line.contains("gained in") || line.contains("tried in") && !line.contains("as mallory")
    };
    let more: Vec<&str> = log.lines().filter(is_more).collect();
    assert!(more.is_empty(), "{more:#?}");
    let mine = "SELECT rolsuper FROM pg_roles WHERE rolname = 'mallory'";
    assert_eq!(world.db.one(mine), "f");
}
