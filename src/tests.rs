//! SQL behaviour that needs no worker: declarations, refusals, privileges, capture inside one
//! transaction. What needs commits and the worker is tested end to end in `tests/`.

#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;
    use pgrx::spi::SpiClient;

    use crate::postgres::fields::array_literal;
    use crate::postgres::process;
    use crate::postgres::statement::Session;
    use crate::shared::{RequestKind, Ticket};

    const SPREADSHEET: &str = "1AbCdEfGhIjKlMnOpQrStUvWxYz0123456789abcdefg";

    fn text(client: &mut SpiClient, sql: &str) -> String {
        let table = client
            .update(sql, Some(1), &[])
            .expect("the statement runs");
        table
            .first()
            .get_one::<String>()
            .ok()
            .flatten()
            .unwrap_or_else(|| "NULL".to_owned())
    }

    fn run(client: &mut SpiClient, sql: &str) {
        client.update(sql, None, &[]).expect("the statement runs");
    }

    /// SQLSTATE and hint of the error that a statement raises.
    fn refusal(client: &mut SpiClient, sql: &str) -> (String, String) {
        run(
            client,
            "CREATE OR REPLACE FUNCTION pg_temp.refusal(statement text) RETURNS text LANGUAGE plpgsql AS $$ \
             DECLARE hint text; BEGIN EXECUTE statement; RETURN 'no error'; \
             EXCEPTION WHEN OTHERS THEN GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT; RETURN SQLSTATE || ' ' || hint; END $$",
        );
        let answer = text(client, &format!("SELECT pg_temp.refusal($s${sql}$s$)"));
        let (state, hint) = answer.split_once(' ').unwrap_or((answer.as_str(), ""));
        (state.to_owned(), hint.to_owned())
    }

    fn register(client: &mut SpiClient, table: &str, rest: &str) {
        run(
            client,
            &format!("SELECT sheet_sync.register_table('{table}', '{SPREADSHEET}'{rest})"),
        );
    }

    /// The keys that this transaction has collected, after its set was written as it is before a
    /// commit.
    fn captured(client: &mut SpiClient) -> String {
        crate::capture::flush();
        text(
            client,
            "SELECT COALESCE(string_agg(COALESCE(key::text, 'everything'), ' ' ORDER BY key::text), '') FROM sheet_sync._dirty_key",
        )
    }

    #[pg_test]
    fn keys_are_written_as_postgres_prints_arrays() {
        let hostile = [
            "7", "", "null", "NULL", "nullify", "a b", " ", "a,b", "{", "}", "\"", "\\", "\t",
            "\n", "\r", "\u{b}", "\u{c}", "\u{a0}", "'", "$1", "é", "🙂",
        ];
        let all: Vec<Option<&str>> = hostile.into_iter().map(Some).chain([None]).collect();
        Spi::connect_mut(|client| {
            let mut session = Session::new(client);
            for texts in [all, vec![Some("7"), None], vec![None], Vec::new()] {
                let ours = array_literal(texts.iter().copied());
                let rows = session.select(
                    "SELECT $1::text, $1 = $2::text[]",
                    &[texts.into(), ours.as_str().into()],
                );
                let printed: Vec<Option<&str>> =
                    rows.iter().flatten().map(Option::as_deref).collect();
                assert_eq!(printed, [Some(ours.as_str()), Some("t")]);
            }
        });
    }

    #[pg_test]
    fn every_public_object_has_a_comment() {
        Spi::connect_mut(|client| {
            let bare = text(
                client,
                "SELECT COALESCE(string_agg(o, ', '), '') FROM ( \
                   SELECT p.proname::text AS o FROM pg_proc p WHERE p.pronamespace = 'sheet_sync'::regnamespace AND p.proname NOT LIKE E'\\\\_%' AND obj_description(p.oid, 'pg_proc') IS NULL \
                   UNION ALL SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'sheet_sync'::regnamespace AND c.relkind IN ('r', 'v') AND c.relname NOT LIKE E'\\\\_%' AND obj_description(c.oid, 'pg_class') IS NULL) x",
            );
            assert_eq!(bare, "");
        });
    }

    #[pg_test]
    fn private_objects_grant_nothing() {
        Spi::connect_mut(|client| {
            run(client, "CREATE ROLE nobody_special");
            let tables = text(
                client,
                "SELECT COALESCE(string_agg(relname, ', '), '') FROM pg_class WHERE relnamespace = 'sheet_sync'::regnamespace AND relkind = 'r' AND relname LIKE E'\\\\_%' \
                 AND has_table_privilege('nobody_special', oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE')",
            );
            // Always empty; whoever may dump the database must be able to ask for it.
            assert_eq!(tables, "_dumped_mapping");
            let functions = text(
                client,
                "SELECT COALESCE(string_agg(proname, ', ' ORDER BY proname), '') FROM pg_proc WHERE pronamespace = 'sheet_sync'::regnamespace AND proname LIKE E'\\\\_%' \
                 AND has_function_privilege('nobody_special', oid, 'EXECUTE')",
            );
            // What the views, the checks of an edit, new partitions and pg_dump need of whoever
            // uses them.
            assert_eq!(
                functions,
                "_capture_row, _capture_truncate, _check_conflict_function, _lines_to_dump, _live, _no_worker, _qualified, _unfit, _with_partitions"
            );
        });
    }

    #[pg_test]
    fn a_table_without_a_key_is_refused() {
        Spi::connect_mut(|client| {
            run(client, "CREATE TABLE keyless (a int, b int NOT NULL)");
            let (state, hint) = refusal(
                client,
                &format!("SELECT sheet_sync.register_table('keyless', '{SPREADSHEET}')"),
            );
            assert_eq!(state, "42P16");
            assert!(hint.contains("primary key"), "{hint}");
            let (state, hint) = refusal(
                client,
                &format!(
                    "SELECT sheet_sync.register_table('keyless', '{SPREADSHEET}', key_columns => '{{b}}')"
                ),
            );
            assert_eq!(state, "42P16");
            assert_eq!(hint, "CREATE UNIQUE INDEX ON public.keyless (b);");
        });
    }

    #[pg_test]
    fn a_chosen_unique_key_is_taken_and_stands_in_the_sheet() {
        Spi::connect_mut(|client| {
            run(
                client,
                "CREATE TABLE mails (mail text NOT NULL UNIQUE, name text, age int)",
            );
            register(
                client,
                "mails",
                ", key_columns => '{mail}', columns => '{name}'",
            );
            assert_eq!(
                text(
                    client,
                    "SELECT string_agg(column_name, ' ' ORDER BY position) FROM sheet_sync.mapping_column"
                ),
                "mail name"
            );
        });
    }

    #[pg_test]
    fn what_cannot_be_synced_is_refused_with_a_way_on() {
        Spi::connect_mut(|client| {
            run(
                client,
                "CREATE TABLE good (id int PRIMARY KEY, \"Task ID\" text, task_id text)",
            );
            run(client, "CREATE VIEW seen AS SELECT 1 AS id");
            run(client, "CREATE TEMP TABLE passing (id int PRIMARY KEY)");
            let cases = [
                ("'seen'", "", "42809"),
                ("'passing'", "", "42809"),
                ("'pg_class'", "", "42809"),
                ("'sheet_sync.mapping'", "", "42809"),
                ("'good'", ", columns => '{id,nothing}'", "42703"),
                ("'good'", "", "42702"),
                (
                    "'good'",
                    ", columns => '{id}', direction => 'sideways'",
                    "22023",
                ),
                (
                    "'good'",
                    ", columns => '{id}', credential => 'other'",
                    "42704",
                ),
                (
                    "'good'",
                    ", columns => '{id}', conflict_policy => 'conflict_function'",
                    "22023",
                ),
                (
                    "'good'",
                    ", columns => '{id}', row_filter => 'nothing > 1'",
                    "42703",
                ),
            ];
            for (table, rest, expected) in cases {
                let (state, hint) = refusal(
                    client,
                    &format!("SELECT sheet_sync.register_table({table}, '{SPREADSHEET}'{rest})"),
                );
                assert_eq!(state, expected, "{table}{rest}");
                assert!(
                    !hint.is_empty() || expected == "42703",
                    "{table}{rest} has no hint"
                );
            }
            let (state, _) = refusal(
                client,
                "SELECT sheet_sync.register_table('good', 'not a spreadsheet', columns => '{id}')",
            );
            assert_eq!(state, "22023");
        });
    }

    #[pg_test]
    fn only_the_owner_registers_and_nobody_reads_keys() {
        Spi::connect_mut(|client| {
            run(client, "CREATE TABLE owned (id int PRIMARY KEY)");
            run(
                client,
                "CREATE ROLE stranger; GRANT SELECT ON owned TO stranger; SET ROLE stranger",
            );
            let (state, hint) = refusal(
                client,
                &format!("SELECT sheet_sync.register_table('owned', '{SPREADSHEET}')"),
            );
            assert_eq!(state, "42501");
            assert!(hint.contains("owner"), "{hint}");
            let (state, _) = refusal(client, "SELECT * FROM sheet_sync._credential");
            assert_eq!(state, "42501");
            let (state, _) = refusal(client, "SELECT sheet_sync.set_credential('x', '{}')");
            assert_eq!(state, "42501");
            run(client, "RESET ROLE");
        });
    }

    #[pg_test]
    fn a_wrong_key_file_is_told_from_a_right_one() {
        Spi::connect_mut(|client| {
            let (state, hint) = refusal(
                client,
                "SELECT sheet_sync.set_credential('default', '{\"type\": \"authorized_user\"}')",
            );
            assert_eq!(state, "22023");
            assert!(!hint.is_empty());
        });
    }

    #[pg_test]
    fn a_mapping_that_exists_already_is_refused() {
        Spi::connect_mut(|client| {
            run(client, "CREATE TABLE twice (id int PRIMARY KEY)");
            register(client, "twice", "");
            let (state, hint) = refusal(
                client,
                &format!("SELECT sheet_sync.register_table('twice', '{SPREADSHEET}')"),
            );
            assert_eq!(state, "42710");
            assert!(hint.contains("unregister_table"), "{hint}");
        });
    }

    #[pg_test]
    fn a_conflict_function_must_fit() {
        Spi::connect_mut(|client| {
            run(client, "CREATE TABLE merged (id int PRIMARY KEY)");
            run(
                client,
                "CREATE FUNCTION wrong(jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS 'SELECT $1'",
            );
            run(
                client,
                "CREATE FUNCTION fickle(jsonb, jsonb, jsonb, jsonb) RETURNS jsonb LANGUAGE sql VOLATILE AS 'SELECT $3'",
            );
            run(
                client,
                "CREATE FUNCTION right_one(jsonb, jsonb, jsonb, jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS 'SELECT $3'",
            );
            for name in ["wrong(jsonb)", "fickle(jsonb,jsonb,jsonb,jsonb)"] {
                let (state, _) = refusal(
                    client,
                    &format!(
                        "SELECT sheet_sync.register_table('merged', '{SPREADSHEET}', conflict_function => '{name}')"
                    ),
                );
                assert_eq!(state, "42P13", "{name}");
            }
            register(
                client,
                "merged",
                ", conflict_function => 'right_one(jsonb,jsonb,jsonb,jsonb)'",
            );
            assert_eq!(
                text(client, "SELECT conflict_policy FROM sheet_sync.mapping"),
                "conflict_function"
            );
        });
    }

    #[pg_test]
    fn an_edit_names_a_function_as_its_writer_finds_it() {
        Spi::connect_mut(|client| {
            run(
                client,
                "CREATE TABLE merged (id int PRIMARY KEY);
                 CREATE SCHEMA team; SET LOCAL search_path = team, public;
                 CREATE FUNCTION team.\"Ours\"(jsonb, jsonb, jsonb, jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS 'SELECT $3'",
            );
            register(client, "merged", "");
            for name in ["\"Ours\"(jsonb,jsonb,jsonb,jsonb)", "\"Ours\""] {
                run(
                    client,
                    &format!(
                        "UPDATE sheet_sync.mapping SET conflict_function = '{name}', conflict_policy = 'conflict_function', row_filter = ' id > 3 -- large'"
                    ),
                );
                assert_eq!(
                    text(client, "SELECT conflict_function FROM sheet_sync.mapping"),
                    "team.\"Ours\"(jsonb,jsonb,jsonb,jsonb)"
                );
                run(
                    client,
                    "UPDATE sheet_sync.mapping SET conflict_policy = 'manual', conflict_function = NULL, row_filter = ''",
                );
            }
            assert_eq!(
                text(client, "SELECT row_filter FROM sheet_sync.mapping"),
                "NULL"
            );
            // One that a column still needs stays.
            run(
                client,
                "UPDATE sheet_sync.mapping SET conflict_function = '\"Ours\"'; UPDATE sheet_sync.mapping_column SET conflict_policy = 'conflict_function'",
            );
            let (state, hint) = refusal(
                client,
                "UPDATE sheet_sync.mapping SET conflict_function = NULL",
            );
            assert_eq!(state, "55000");
            assert!(hint.contains("mapping_column"), "{hint}");
        });
    }

    #[pg_test]
    fn confirming_does_not_resume() {
        Spi::connect_mut(|client| {
            run(client, "CREATE TABLE resting (id int PRIMARY KEY)");
            register(client, "resting", "");
            run(
                client,
                "SELECT sheet_sync.pause('resting'); \
                 INSERT INTO sheet_sync._stop SELECT id, 1, 'mass_delete: …' FROM sheet_sync.mapping; \
                 SELECT sheet_sync.confirm_deletes('resting')",
            );
            assert_eq!(
                text(
                    client,
                    "SELECT concat_ws(' ', state, reason, hint IS NOT NULL) FROM sheet_sync.mapping"
                ),
                "paused paused t"
            );
        });
    }

    #[pg_test]
    fn capture_collects_keys_old_and_new() {
        Spi::connect_mut(|client| {
            run(client, "CREATE TABLE items (id int PRIMARY KEY, name text)");
            register(client, "items", "");
            run(
                client,
                "INSERT INTO items SELECT g, 'n' FROM generate_series(1, 4) g",
            );
            assert_eq!(captured(client), "{1} {2} {3} {4}");
            run(client, "DELETE FROM sheet_sync._dirty_key");
            run(
                client,
                "UPDATE items SET id = 40 WHERE id = 4; UPDATE items SET name = 'n'; DELETE FROM items WHERE id = 1",
            );
            // Updates that change nothing are none.
            assert_eq!(captured(client), "{1} {40} {4}");
            // A row's new key names the old one, in the order in which keys were changed.
            run(client, "DELETE FROM sheet_sync._dirty_key");
            run(
                client,
                "UPDATE items SET id = 50 WHERE id = 40; UPDATE items SET id = 40 WHERE id = 3; UPDATE items SET id = 60 WHERE id = 50",
            );
            captured(client);
            assert_eq!(
                text(
                    client,
                    "SELECT string_agg(renamed_from::text || key::text, ' ' ORDER BY id) FROM sheet_sync._dirty_key WHERE renamed_from IS NOT NULL",
                ),
                "{40}{50} {3}{40} {50}{60}"
            );
        });
    }

    #[pg_test]
    fn an_update_of_unmapped_columns_is_none_of_ours() {
        Spi::connect_mut(|client| {
            run(
                client,
                "CREATE TABLE wide (id int PRIMARY KEY, seen text, hidden json)",
            );
            run(client, "INSERT INTO wide VALUES (1, 'a', '{}')");
            register(client, "wide", ", columns => '{seen}'");
            run(client, "UPDATE wide SET hidden = '[1]'");
            assert_eq!(captured(client), "");
            run(client, "UPDATE wide SET seen = 'b'");
            assert_eq!(captured(client), "{1}");
        });
    }

    #[pg_test]
    fn above_the_limit_one_mark_stands_for_all() {
        Spi::connect_mut(|client| {
            run(client, "CREATE TABLE many (id int PRIMARY KEY)");
            register(client, "many", "");
            run(
                client,
                "SET LOCAL sheet_sync.max_dirty_keys_per_transaction = 10",
            );
            run(client, "INSERT INTO many SELECT generate_series(1, 11)");
            assert_eq!(captured(client), "everything");
        });
    }

    #[pg_test]
    fn keys_are_canonical_whatever_the_session_shows() {
        Spi::connect_mut(|client| {
            run(
                client,
                "CREATE TABLE days (day date, \"wh\"\"at,é\" text, PRIMARY KEY (day, \"wh\"\"at,é\"))",
            );
            register(client, "days", "");
            run(client, "SET LOCAL datestyle = 'German'");
            run(
                client,
                "INSERT INTO days VALUES ('2026-03-04', E'a\"b\\\\,ü')",
            );
            run(client, "SET LOCAL datestyle = 'ISO'");
            crate::capture::flush();
            assert_eq!(
                text(
                    client,
                    "SELECT key[1] || '|' || key[2] FROM sheet_sync._dirty_key"
                ),
                "2026-03-04|a\"b\\,ü"
            );
        });
    }

    #[pg_test]
    fn a_trigger_on_another_table_does_not_speak_for_a_mapping() {
        Spi::connect_mut(|client| {
            run(
                client,
                "CREATE TABLE mine (id int PRIMARY KEY); CREATE TABLE theirs (id int PRIMARY KEY)",
            );
            register(client, "mine", "");
            let id = text(client, "SELECT id::text FROM sheet_sync.mapping");
            run(
                client,
                &format!(
                    "CREATE TRIGGER sneaky AFTER INSERT ON theirs FOR EACH ROW EXECUTE FUNCTION sheet_sync._capture_row('{id}', '1', 'id')"
                ),
            );
            run(client, "INSERT INTO theirs VALUES (1)");
            assert_eq!(captured(client), "");
        });
    }

    #[pg_test]
    fn operators_of_the_caller_are_not_used_by_the_owner() {
        Spi::connect_mut(|client| {
            run(client, "CREATE TABLE guarded (id int PRIMARY KEY)");
            register(client, "guarded", "");
            run(
                client,
                "CREATE SCHEMA evil;
                 CREATE FUNCTION evil.bad(float8, int) RETURNS float8 LANGUAGE plpgsql AS $$ BEGIN RAISE 'hijacked'; END $$;
                 CREATE OPERATOR evil./ (leftarg = float8, rightarg = int, function = evil.bad);
                 SET LOCAL search_path = evil, public, pg_catalog",
            );
            run(client, "INSERT INTO public.guarded VALUES (1)");
            assert_eq!(captured(client), "{1}");
        });
    }

    #[pg_test]
    fn truncate_leaves_its_own_mark() {
        Spi::connect_mut(|client| {
            run(client, "CREATE TABLE emptied (id int PRIMARY KEY)");
            register(client, "emptied", "");
            run(client, "TRUNCATE emptied");
            assert_eq!(captured(client), "{}");
        });
    }

    #[pg_test]
    fn a_registered_table_can_still_be_altered() {
        Spi::connect_mut(|client| {
            run(
                client,
                "CREATE TABLE free (id int PRIMARY KEY, a text, b int)",
            );
            register(client, "free", "");
            run(
                client,
                "ALTER TABLE free DROP COLUMN a; ALTER TABLE free ALTER b TYPE bigint; ALTER TABLE free RENAME b TO c; ALTER TABLE free ADD d date",
            );
            run(
                client,
                "SELECT sheet_sync._follow_columns(id) FROM sheet_sync.mapping",
            );
            assert_eq!(
                text(
                    client,
                    "SELECT string_agg(column_name || '=' || header || '/' || kind, ' ' ORDER BY position) FROM sheet_sync.mapping_column"
                ),
                "id=id/integer c=b/integer d=d/date"
            );
        });
    }

    #[pg_test]
    fn triggers_are_missed_only_once_both_sides_are_merged() {
        let count = "SELECT count(*)::text FROM pg_trigger WHERE tgrelid = 'restored'::regclass AND NOT tgisinternal";
        let look = "SELECT sheet_sync._follow_columns(id) FROM sheet_sync.mapping";
        Spi::connect_mut(|client| {
            run(client, "CREATE TABLE restored (id int PRIMARY KEY)");
            register(client, "restored", "");
            run(
                client,
                "SELECT sheet_sync._drop_triggers(id) FROM sheet_sync.mapping",
            );
            run(client, look);
            assert_eq!(text(client, count), "0", "a restore brings its own");
            run(client, "UPDATE sheet_sync._cycle SET merged = true");
            run(client, look);
            assert_eq!(text(client, count), "3");
        });
    }

    #[pg_test]
    fn unregistering_leaves_no_trace_but_the_table() {
        Spi::connect_mut(|client| {
            run(client, "CREATE TABLE leaving (id int PRIMARY KEY)");
            register(client, "leaving", "");
            run(client, "INSERT INTO leaving VALUES (1)");
            assert_eq!(captured(client), "{1}");
            assert_eq!(
                text(
                    client,
                    "SELECT sheet_sync.unregister_table('leaving')::text"
                ),
                "1"
            );
            assert_eq!(
                text(
                    client,
                    "SELECT concat((SELECT count(*) FROM sheet_sync.mapping), (SELECT count(*) FROM sheet_sync._dirty_key), (SELECT count(*) FROM sheet_sync._cycle), (SELECT count(*) FROM pg_trigger WHERE tgrelid = 'leaving'::regclass))"
                ),
                "0000"
            );
        });
    }

    #[pg_test]
    fn edits_of_a_mapping_are_checked() {
        Spi::connect_mut(|client| {
            run(client, "CREATE TABLE edited (id int PRIMARY KEY)");
            register(client, "edited", "");
            for (edit, expected) in [
                ("direction = 'up'", "22023"),
                ("tie = NULL", "22023"),
                ("on_sheet_delete = ''", "22023"),
                ("row_filter = 'nothing'", "42703"),
                ("spreadsheet_id = 'x'", "55000"),
                ("poll_interval = '1 ms'", "22023"),
                ("max_delete_percent = 'NaN'", "22023"),
                ("max_delete_rows = -1", "22023"),
                ("header_row = 0", "22023"),
                ("header_row = 1000000", "22023"),
                ("conflict_policy = 'conflict_function'", "22023"),
                (
                    "conflict_function = 'nobody(jsonb,jsonb,jsonb,jsonb)'",
                    "42883",
                ),
                ("conflict_function = 'nobody'", "42883"),
                ("conflict_function = 'jsonb_typeof(jsonb)'", "42P13"),
            ] {
                let (state, hint) =
                    refusal(client, &format!("UPDATE sheet_sync.mapping SET {edit}"));
                assert_eq!(state, expected, "{edit}");
                assert!(!hint.is_empty() || state == "42703", "{edit} has no hint");
            }
            for edit in [
                "direction = 'up'",
                "conflict_policy = 'whoever'",
                "conflict_policy = 'conflict_function'",
            ] {
                let (state, hint) = refusal(
                    client,
                    &format!("UPDATE sheet_sync.mapping_column SET {edit}"),
                );
                assert_eq!(state, "22023", "{edit}");
                assert!(!hint.is_empty(), "{edit} has no hint");
            }
            run(
                client,
                "UPDATE sheet_sync.mapping SET row_filter = 'id > 3', conflict_policy = 'manual'",
            );
            assert_eq!(
                text(client, "SELECT generation::text FROM sheet_sync.mapping"),
                "2"
            );
        });
    }

    #[pg_test]
    fn pausing_one_table_pauses_no_other() {
        Spi::connect_mut(|client| {
            run(
                client,
                "CREATE TABLE one (id int PRIMARY KEY); CREATE TABLE other (id int PRIMARY KEY)",
            );
            register(client, "one", "");
            register(client, "other", "");
            run(client, "SELECT sheet_sync.pause('one')");
            assert_eq!(
                text(
                    client,
                    "SELECT string_agg(state, ' ' ORDER BY id) FROM sheet_sync.mapping"
                ),
                "paused initialising"
            );
            run(client, "SELECT sheet_sync.resume('one')");
            assert_eq!(
                text(
                    client,
                    "SELECT string_agg(state, ' ' ORDER BY id) FROM sheet_sync.mapping"
                ),
                "initialising initialising"
            );
        });
    }

    #[pg_test]
    fn configuration_is_dumped_and_secrets_are_not() {
        Spi::connect_mut(|client| {
            let dumped = text(
                client,
                "SELECT string_agg(c.relname, ' ' ORDER BY c.relname) FROM pg_extension e, unnest(e.extconfig) t JOIN pg_class c ON c.oid = t WHERE e.extname = 'sheet_sync'",
            );
            assert_eq!(dumped, "_dumped_mapping");
        });
    }

    #[pg_test]
    fn one_role_does_not_keep_the_others_from_calling() {
        let post = || Ticket::post(process::my_database(), 1, RequestKind::Sync);
        Spi::run("CREATE ROLE eager; CREATE ROLE other; SET SESSION AUTHORIZATION eager").unwrap();
        let mut tickets: Vec<Ticket> = std::iter::from_fn(post).take(1_000).collect();
        assert!(tickets.len() < 1_000);
        Spi::run("SET SESSION AUTHORIZATION other").unwrap();
        assert!(post().is_some());
        Spi::run("SET SESSION AUTHORIZATION eager").unwrap();
        assert!(post().is_none());
        tickets.pop();
        assert!(post().is_some());
    }
}
