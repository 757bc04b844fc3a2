//! Owners who share a database share a worker. What the code of one leaves in its session never
//! reaches the rows of another, and nobody's code runs with rights that its owner has not.

use e2e::World;

const PROBLEMS: &str = "SELECT count(*) FROM sheet_sync.problem";

/// A role that may make things in schema public, which is in everybody's search path.
fn with_mallory(more: &str) -> World {
    let mut world = World::start();
    world.db.run(&format!(
        "CREATE ROLE mallory; GRANT CREATE ON SCHEMA public TO mallory;
         CREATE TABLE proof (what text, who name); GRANT INSERT ON proof TO PUBLIC;
         {more}"
    ));
    world
}

#[test]
fn a_temporary_table_of_one_owner_is_not_found_by_the_code_of_another() {
    let mut world = with_mallory(
        "CREATE TABLE audit_log (id int);
         CREATE TABLE prices (id int PRIMARY KEY, price int); INSERT INTO prices VALUES (1, 1);
         CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO audit_log VALUES (NEW.id); RETURN NULL; END $$;
         CREATE TRIGGER audit AFTER UPDATE ON prices FOR EACH ROW EXECUTE FUNCTION audit();
         SET ROLE mallory;
         CREATE TABLE bait (id int PRIMARY KEY, v int); INSERT INTO bait VALUES (1, 1);
         CREATE FUNCTION spring() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.proof VALUES ('sprung', current_user); RETURN NULL; END $$;
         CREATE FUNCTION lay() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             CREATE TEMP TABLE IF NOT EXISTS audit_log (id int);
             GRANT ALL ON pg_temp.audit_log TO PUBLIC;
             DROP TRIGGER IF EXISTS spring ON pg_temp.audit_log;
             CREATE TRIGGER spring AFTER INSERT ON pg_temp.audit_log FOR EACH ROW EXECUTE FUNCTION public.spring();
             RETURN NULL; END $$;
         CREATE TRIGGER lay AFTER UPDATE ON bait FOR EACH ROW EXECUTE FUNCTION lay();
         RESET ROLE",
    );
    let bait = world.map("bait");
    let prices = world.map("prices");
    bait.type_at("B2", &[vec!["2".into()]]);
    world.shows("SELECT v FROM bait", "2");
    prices.type_at("B2", &[vec!["2".into()]]);
    world.shows("SELECT price FROM prices", "2");
    assert_eq!(world.db.table("SELECT id FROM audit_log"), [["1"]]);
    assert_eq!(world.db.count("SELECT count(*) FROM proof"), 0);
    assert_eq!(world.db.count(PROBLEMS), 0);
}

#[test]
fn a_setting_and_a_lock_of_one_owner_s_code_end_with_it() {
    let mut world = with_mallory(
        "CREATE ROLE keeper;
         CREATE TABLE notes (id int PRIMARY KEY, tenant int, body text);
         INSERT INTO notes VALUES (1, 1, 'of one'), (2, 2, 'of two'); ALTER TABLE notes OWNER TO keeper;
         SET ROLE mallory;
         CREATE TABLE bait (id int PRIMARY KEY, v int); INSERT INTO bait VALUES (1, 1);
         CREATE FUNCTION lay() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             PERFORM set_config('app.tenant', '2', false), pg_advisory_lock(4711);
             RETURN NULL; END $$;
         -- At commit, when no statement's own settings are put back any more.
         CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN SET CONSTRAINTS ALL DEFERRED; RETURN NEW; END $$;
         CREATE TRIGGER a_wait BEFORE UPDATE ON bait FOR EACH ROW EXECUTE FUNCTION wait();
         CREATE CONSTRAINT TRIGGER lay AFTER UPDATE ON bait DEFERRABLE INITIALLY DEFERRED
             FOR EACH ROW EXECUTE FUNCTION lay();
         RESET ROLE",
    );
    let bait = world.map("bait");
    let filter = "row_filter => $$tenant = COALESCE(NULLIF(current_setting('app.tenant', true), ''), '1')::int$$";
    let notes = world.map_with("notes", filter);
    notes.shows("id | tenant | body\n 1 | 1 | of one");
    bait.type_at("B2", &[vec!["2".into()]]);
    world.shows("SELECT v FROM bait", "2");
    world
        .db
        .run("UPDATE notes SET body = body || '!'; SELECT * FROM sheet_sync.sync('notes')");
    notes.shows("id | tenant | body\n 1 | 1 | of one!");
    let locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711";
    assert_eq!(world.db.count(locks), 0);
}

#[test]
fn the_session_s_user_is_the_table_s_owner_and_no_superuser() {
    let mut world = with_mallory(
        "CREATE TABLE notes (id int PRIMARY KEY, body text); INSERT INTO notes VALUES (1, 'a'); ALTER TABLE notes OWNER TO mallory;
         CREATE FUNCTION who() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             INSERT INTO public.proof VALUES (current_setting('is_superuser'), session_user); RETURN NULL; END $$;
         CREATE TRIGGER who AFTER UPDATE ON notes FOR EACH ROW EXECUTE FUNCTION who();
         CREATE CONSTRAINT TRIGGER who_at_commit AFTER UPDATE ON notes DEFERRABLE INITIALLY DEFERRED
             FOR EACH ROW EXECUTE FUNCTION who()",
    );
    let notes = world.map("notes");
    notes.type_at("B2", &[vec!["b".into()]]);
    world.shows("SELECT body FROM notes", "b");
    assert_eq!(
        world.db.table("SELECT DISTINCT what, who FROM proof"),
        [["off", "mallory"]]
    );
    // And not for longer than its code runs.
    world.db.run("CREATE TABLE mine (id int PRIMARY KEY)");
    let mine = world.map("mine");
    mine.type_row(&["4"]);
    world.shows("SELECT id FROM mine", "4");
}

#[test]
fn an_operator_in_the_search_path_is_not_taken_for_the_key_s_own() {
    let mut world = with_mallory(
        "CREATE TYPE colour AS ENUM ('red', 'blue');
         CREATE TABLE codes (code varchar(5) PRIMARY KEY, position numeric NOT NULL UNIQUE);
         CREATE TABLE colours (colour colour PRIMARY KEY, n int);
         INSERT INTO codes VALUES ('a', 1), ('b', 2); INSERT INTO colours VALUES ('red', 1);
         SET ROLE mallory;
         CREATE FUNCTION same(a varchar, b varchar) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.proof VALUES ('varchar', current_user); RETURN a::text = b::text; END $$;
         CREATE OPERATOR public.= (LEFTARG = varchar, RIGHTARG = varchar, FUNCTION = same);
         CREATE FUNCTION same(a colour, b colour) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.proof VALUES ('enum', current_user); RETURN a::text = b::text; END $$;
         CREATE OPERATOR public.= (LEFTARG = colour, RIGHTARG = colour, FUNCTION = same);
         CREATE FUNCTION more(a numeric, b int) RETURNS numeric LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.proof VALUES ('numeric', current_user); RETURN a; END $$;
         CREATE OPERATOR public.+ (LEFTARG = numeric, RIGHTARG = int, FUNCTION = more);
         RESET ROLE",
    );
    let codes = world.map("codes");
    let colours = world.map("colours");
    codes.shows("code | position\n a | 1\n b | 2");
    colours.shows("colour | n\n red | 1");
    colours.type_at("B2", &[vec!["2".into()]]);
    world.shows("SELECT n FROM colours", "2");
    world.pause("codes");
    codes.type_at("B2", &[vec!["2".into()], vec!["1".into()]]);
    world.db.run("SELECT sheet_sync.resume('codes')");
    world.sync("codes");
    let held = world
        .db
        .table("SELECT code, position FROM codes ORDER BY 1");
    assert_eq!(held, [["a", "2"], ["b", "1"]]);
    codes.delete_row(2);
    world.shows("SELECT count(*) FROM codes", "1");
    assert!(
        world.db.table("SELECT * FROM proof").is_empty(),
        "{:?}",
        world.db.table("SELECT * FROM proof")
    );
}

#[test]
fn a_new_owner_agrees_before_expressions_of_the_old_one_run_as_the_new_one() {
    let mut world = with_mallory(
        "SET ROLE mallory;
         CREATE TABLE notes (id int PRIMARY KEY, body text); INSERT INTO notes VALUES (1, 'a');
         CREATE FUNCTION public.spy(x int) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN
             IF current_setting('is_superuser') = 'on' OR current_user <> 'mallory' THEN RAISE EXCEPTION 'ran as %', current_user; END IF;
             RETURN true; END $$;
         RESET ROLE",
    );
    let notes = world.map_with("notes", "row_filter => 'spy(id)'");
    notes.shows("id | body\n 1 | a");
    world.db.run("ALTER TABLE notes OWNER TO CURRENT_USER");
    world.shows(
        "SELECT state, split_part(reason, ':', 1) FROM sheet_sync.status",
        "failed | owner_changed",
    );
    world.db.run("UPDATE notes SET body = 'b'");
    notes.type_row(&["2", "typed"]);
    let hint = world.db.one("SELECT hint FROM sheet_sync.status");
    assert!(hint.contains("resume"), "{hint}");
    // The former owner cannot agree for the new one.
    let refused = world
        .db
        .refused("SET ROLE mallory; SELECT sheet_sync.resume('notes')");
    assert_eq!(refused.sqlstate, "42501");
    world.db.run("RESET ROLE");
    assert_eq!(
        world.db.one("SELECT run_as FROM sheet_sync.mapping"),
        "mallory"
    );
    // Somebody who has read the filter, and mended it, goes on with it.
    world.db.run(
        "UPDATE sheet_sync.mapping SET row_filter = 'id > 0'; SELECT sheet_sync.resume('notes')",
    );
    notes.shows("id | body\n 1 | b\n 2 | typed");
    world.shows("SELECT count(*) FROM notes", "2");
    assert_eq!(world.db.count(PROBLEMS), 0);
}

#[test]
fn what_takes_the_name_of_a_sequence_is_not_read_with_the_worker_s_rights() {
    let mut world = with_mallory(
        "SET ROLE mallory;
         CREATE TABLE bait (id serial PRIMARY KEY, v int); INSERT INTO bait (v) VALUES (1);
         CREATE FUNCTION spring() RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN
             INSERT INTO public.proof VALUES ('read', current_user); RETURN 1; END $$;
         RESET ROLE",
    );
    let bait = world.map("bait");
    bait.shows("id | v\n 1 | 1");
    world.db.run(
        "SET ROLE mallory; ALTER SEQUENCE bait_id_seq RENAME TO renamed;
         CREATE VIEW bait_id_seq AS SELECT public.spring() AS last_value, true AS is_called;
         RESET ROLE",
    );
    bait.type_row(&["5", "2"]);
    world.shows("SELECT v FROM bait WHERE id = 5", "2");
    assert_eq!(world.db.one("SELECT nextval('renamed')"), "6");
    assert_eq!(world.db.count("SELECT count(*) FROM proof"), 0);
    assert_eq!(world.db.count(PROBLEMS), 0);
}

#[test]
fn a_sequence_that_became_another_s_is_not_moved_with_the_worker_s_rights() {
    let mut world = with_mallory(
        "CREATE SEQUENCE numbers; GRANT USAGE ON SEQUENCE numbers TO mallory;
         SET ROLE mallory;
         CREATE TABLE bait (id int PRIMARY KEY DEFAULT nextval('numbers'), v int); INSERT INTO bait (v) VALUES (1);
         RESET ROLE",
    );
    let bait = world.map("bait");
    bait.shows("id | v\n 1 | 1");
    bait.type_row(&["5000", "2"]);
    world.shows("SELECT v FROM bait WHERE id = 5000", "2");
    assert_eq!(world.db.one("SELECT nextval('numbers')"), "2");
    assert_eq!(world.db.count(PROBLEMS), 0);
}
