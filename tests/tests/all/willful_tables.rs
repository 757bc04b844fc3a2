//! Tables with a will of their own: triggers that change, refuse or redirect, soft deletion, rules,
//! renamed enum labels, tables that a crash empties. Each is followed, or is one problem that says
//! so, or is refused at once.

use e2e::{Sheet, World};

const PROBLEMS: &str = "SELECT count(*) FROM sheet_sync.problem";

/// Documents, with a trigger around whatever it does.
fn docs(more: &str, trigger: &str, body: &str, options: &str) -> (World, Sheet) {
    let mut world = World::start();
    world.db.run(&format!(
        "CREATE TABLE docs (id int PRIMARY KEY, title text, deleted_at timestamptz);
         INSERT INTO docs VALUES (1, 'a'), (2, 'b'), (3, 'c');
         {more};
         CREATE FUNCTION will() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$;
         CREATE TRIGGER will {trigger} ON docs FOR EACH ROW EXECUTE FUNCTION will()"
    ));
    let options = format!("columns => '{{id,title}}'{options}");
    let sheet = world.map_with("docs", &options);
    sheet.shows("id | title\n 1 | a\n 2 | b\n 3 | c");
    (world, sheet)
}

const SOFT: &str = "UPDATE docs SET deleted_at = now() WHERE id = OLD.id; RETURN NULL;";

#[test]
fn a_soft_deletion_takes_the_row_out_of_the_sheet_for_good() {
    let filter = ", row_filter => 'deleted_at IS NULL'";
    let (mut world, sheet) = docs("", "BEFORE DELETE", SOFT, filter);
    sheet.delete_row(3);
    world.shows("SELECT id FROM docs WHERE deleted_at IS NOT NULL", "2");
    world.quiet();
    sheet.shows("id | title\n 1 | a\n 3 | c");
    assert_eq!(world.db.count("SELECT count(*) FROM docs"), 3);
    assert_eq!(world.db.count(PROBLEMS), 0);
    // The column that the filter is about is not one of the sheet's, and yet its changes count.
    world
        .db
        .run("UPDATE docs SET deleted_at = now() WHERE id = 3");
    sheet.shows("id | title\n 1 | a");
    world
        .db
        .run("UPDATE docs SET deleted_at = NULL WHERE id = 2");
    sheet.shows("id | title\n 1 | a\n 2 | b");
}

#[test]
fn a_row_that_the_table_keeps_comes_back_and_one_problem_says_so() {
    for body in [SOFT, "RETURN NULL;"] {
        let (mut world, sheet) = docs("", "BEFORE DELETE", body, "");
        for _ in 0..2 {
            // To delete it once more is one more request.
            let row = sheet.row_where(0, "2");
            sheet.delete_row(row);
            world.shows(
                "SELECT key, column_name, code FROM sheet_sync.problem",
                "{2} | | kept_by_table",
            );
            sheet.shows("id | title\n 1 | a\n 3 | c\n 2 | b");
            world.quiet();
            assert_eq!(world.db.count("SELECT count(*) FROM docs"), 3);
            let kept = world
                .db
                .count("SELECT count(*) FROM docs WHERE deleted_at IS NOT NULL");
            assert_eq!(kept, i64::from(body == SOFT));
            assert_eq!(world.db.count(PROBLEMS), 1);
        }
        // Somebody has seen it, and goes on with the row.
        sheet.set("B4", "mine");
        world.shows("SELECT title FROM docs WHERE id = 2", "mine");
        world.shows(PROBLEMS, "0");
    }
}

#[test]
fn a_row_that_a_trigger_puts_away_instead_of_deleting_is_gone() {
    let (mut world, sheet) = docs(
        "CREATE TABLE archive (LIKE docs)",
        "BEFORE DELETE",
        "IF pg_trigger_depth() > 1 THEN RETURN OLD; END IF;
         INSERT INTO archive SELECT OLD.*; DELETE FROM docs WHERE id = OLD.id; RETURN NULL;",
        "",
    );
    sheet.delete_row(3);
    world.shows("SELECT id FROM archive", "2");
    world.quiet();
    sheet.shows("id | title\n 1 | a\n 3 | c");
    assert_eq!(world.db.count(PROBLEMS), 0);
}

#[test]
fn a_row_that_a_trigger_turns_away_is_one_problem_and_is_not_tried_all_the_time() {
    let (mut world, sheet) = docs(
        "CREATE SEQUENCE tries",
        "BEFORE INSERT",
        "PERFORM nextval('tries'); RETURN NULL;",
        "",
    );
    sheet.type_row(&["4", "d"]);
    world.shows("SELECT key, code FROM sheet_sync.problem", "{4} | 09000");
    let said = world.db.one("SELECT message FROM sheet_sync.problem");
    assert!(said.contains("did not keep this row"), "{said}");
    world.quiet();
    assert!(world.db.count("SELECT last_value FROM tries") <= 2);
    sheet.set("B2", "still goes on");
    world.shows("SELECT title FROM docs WHERE id = 1", "still goes on");
}

#[test]
fn an_update_that_a_trigger_refuses_or_makes_in_its_own_way() {
    let (mut world, sheet) = docs(
        "",
        "BEFORE UPDATE",
        "IF NEW.title = 'no' THEN RETURN NULL; END IF;
         IF pg_trigger_depth() > 1 THEN RETURN NEW; END IF;
         IF NEW.title = 'away' THEN DELETE FROM docs WHERE id = OLD.id; RETURN NULL; END IF;
         IF NEW.title = 'other' THEN UPDATE docs SET title = 'its own' WHERE id = OLD.id; RETURN NULL; END IF;
         NEW.title := upper(NEW.title); RETURN NEW;",
        "",
    );
    sheet.type_at(
        "B2",
        &[vec!["no".into()], vec!["other".into()], vec!["up".into()]],
    );
    sheet.shows("id | title\n 1 | no\n 2 | its own\n 3 | UP");
    world.shows("SELECT key, code FROM sheet_sync.problem", "{1} | 09000");
    world.sync("docs");
    assert_eq!(
        world.db.table("SELECT id, title FROM docs ORDER BY id"),
        [["1", "a"], ["2", "its own"], ["3", "UP"]]
    );
    sheet.set("B2", "a");
    world.shows(PROBLEMS, "0");
    sheet.set("B3", "away");
    sheet.shows("id | title\n 1 | a\n 3 | UP");
    world.quiet();
    assert_eq!(world.db.count("SELECT count(*) FROM docs"), 2);
}

#[test]
fn a_row_that_may_not_go_is_one_problem_that_says_what_to_do() {
    let mut world = World::start();
    world.db.run(
        "CREATE TABLE parents (id int PRIMARY KEY, name text); CREATE TABLE kids (id int PRIMARY KEY, parent int REFERENCES parents);
         INSERT INTO parents VALUES (1, 'a'), (2, 'b'), (3, 'c'); INSERT INTO kids VALUES (1, 2);
         CREATE TABLE guarded (id int PRIMARY KEY, name text); INSERT INTO guarded VALUES (1, 'a'), (2, 'b'), (3, 'c');
         CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not this one' USING HINT = 'ask Ann'; END $$;
         CREATE TRIGGER no BEFORE DELETE ON guarded FOR EACH ROW WHEN (OLD.id = 2) EXECUTE FUNCTION no()",
    );
    for (table, code, words) in [
        ("parents", "23503", "type the row into the sheet again"),
        ("guarded", "P0001", "ask Ann"),
    ] {
        let sheet = world.map(table);
        sheet.shows("id | name\n 1 | a\n 2 | b\n 3 | c");
        sheet.delete_row(3);
        world.shows(
            "SELECT key, code FROM sheet_sync.problem",
            &format!("{{2}} | {code}"),
        );
        let hint = world.db.one("SELECT hint FROM sheet_sync.problem");
        assert!(hint.contains(words), "{hint}");
        sheet.set("B2", "goes on");
        world.shows(
            &format!("SELECT id, name FROM {table} ORDER BY id"),
            "1 | goes on\n2 | b\n3 | c",
        );
        // Typed again it is the row that it was.
        sheet.type_row(&["2", "b"]);
        world.shows(PROBLEMS, "0");
        world.both_equal(table, &sheet);
        world
            .db
            .run(&format!("SELECT sheet_sync.unregister_table('{table}')"));
    }
}

#[test]
fn a_trigger_that_speaks_at_the_commit_refuses_its_row_only() {
    let mut world = World::start();
    world.db.run(
        "CREATE TABLE said (id int PRIMARY KEY, name text); INSERT INTO said VALUES (1, 'a'), (2, 'b'), (3, 'c');
         CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.name = 'bad' THEN RAISE EXCEPTION 'at the commit'; END IF; RETURN NULL; END $$;
         CREATE CONSTRAINT TRIGGER late AFTER INSERT OR UPDATE ON said DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION late()",
    );
    let sheet = world.map("said");
    sheet.shows("id | name\n 1 | a\n 2 | b\n 3 | c");
    sheet.type_at(
        "B2",
        &["good", "bad", "fine"].map(|name| vec![name.to_owned()]),
    );
    world.shows(
        "SELECT id, name FROM said ORDER BY 1",
        "1 | good\n 2 | b\n 3 | fine",
    );
    world.shows("SELECT key, code FROM sheet_sync.problem", "{2} | P0001");
    sheet.set("B3", "b");
    world.shows(PROBLEMS, "0");
}

#[test]
fn several_rows_go_softly_and_the_number_of_one_is_not_free() {
    let mut world = World::start();
    world.db.run(
        "CREATE TABLE docs (id int PRIMARY KEY, title text, deleted boolean NOT NULL DEFAULT false, updated_at timestamptz DEFAULT now());
         CREATE FUNCTION soft() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE docs SET deleted = true WHERE id = OLD.id; RETURN NULL; END $$;
         CREATE TRIGGER soft BEFORE DELETE ON docs FOR EACH ROW EXECUTE FUNCTION soft();
         CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.updated_at := clock_timestamp(); RETURN NEW; END $$;
         CREATE TRIGGER touch BEFORE UPDATE ON docs FOR EACH ROW EXECUTE FUNCTION touch();
         INSERT INTO docs SELECT n, 'd' || n FROM generate_series(1, 6) n",
    );
    let sheet = world.map_with("docs", "row_filter => 'NOT deleted'");
    e2e::wait_for("seven rows", 7, || sheet.rows().len());
    world.sync("docs");
    sheet.delete_rows(3, 3);
    world.shows("SELECT id FROM docs WHERE deleted ORDER BY 1", "2\n3\n4");
    sheet.set("B2", "edited");
    world.shows("SELECT title FROM docs WHERE id = 1", "edited");
    e2e::wait_for(
        "what is left",
        ["id", "1", "5", "6"].map(str::to_owned).to_vec(),
        || {
            sheet
                .rows()
                .into_iter()
                .filter_map(|row| row.into_iter().next())
                .collect()
        },
    );
    world.shows(PROBLEMS, "0");
    sheet.type_row(&["2", "again"]);
    world.shows(
        "SELECT key, code FROM sheet_sync.problem",
        "{2} | row_filter",
    );
    world.quiet();
    world.shows("SELECT title, deleted FROM docs WHERE id = 2", "d2 | t");
}

#[test]
fn columns_that_the_table_fills_itself_are_shown() {
    let mut world = World::start();
    world.db.run(
        "CREATE TABLE items (id int PRIMARY KEY, price numeric, twice numeric GENERATED ALWAYS AS (price * 2) STORED, changes int DEFAULT 0);
         CREATE FUNCTION count_it() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.changes := COALESCE(OLD.changes, 0) + 1; RETURN NEW; END $$;
         CREATE TRIGGER count_it BEFORE UPDATE ON items FOR EACH ROW EXECUTE FUNCTION count_it();
         INSERT INTO items VALUES (1, 2)",
    );
    let sheet = world.map("items");
    sheet.shows("id | price | twice | changes\n 1 | 2 | 4 | 0");
    sheet.set("B2", "5");
    sheet.shows("id | price | twice | changes\n 1 | 5 | 10 | 1");
    world.quiet();
    assert_eq!(world.db.one("SELECT changes FROM items"), "1");
}

#[test]
fn a_table_with_rules_is_refused_and_one_that_gets_a_rule_stops() {
    let (mut world, sheet) = World::with_products();
    world.db.run(
        "CREATE TABLE docs (id int PRIMARY KEY, deleted_at timestamptz);
         CREATE RULE soft AS ON DELETE TO docs DO INSTEAD UPDATE docs SET deleted_at = now() WHERE id = OLD.id;
         CREATE TABLE log (id int);
         CREATE TABLE logged (id int PRIMARY KEY); CREATE RULE also AS ON INSERT TO logged DO ALSO INSERT INTO log VALUES (NEW.id)",
    );
    for table in ["docs", "logged"] {
        let refusal = world.db.refused(&format!(
            "SELECT sheet_sync.register_table('{table}', '{}')",
            sheet.book().id()
        ));
        assert_eq!(refusal.sqlstate, "42809");
        assert!(refusal.message.contains("has a rule"), "{refusal}");
        assert!(refusal.hint.is_some_and(|hint| hint.contains("trigger")));
    }
    // Where the table is only shown, a rule does no harm.
    let shown = world.map_with("docs", "direction => 'to_sheet'");
    world.db.run("INSERT INTO docs VALUES (1)");
    e2e::wait_for("the row", "1".to_owned(), || shown.cell("A2"));
    let refusal = world.db.refused(
        "UPDATE sheet_sync.mapping SET direction = 'both' WHERE table_name = 'docs'::regclass",
    );
    assert!(refusal.message.contains("has a rule"), "{refusal}");

    world
        .db
        .run("CREATE RULE late AS ON INSERT TO products DO ALSO INSERT INTO log VALUES (NEW.id)");
    let state = "SELECT state, split_part(reason, ':', 1) FROM sheet_sync.mapping WHERE table_name = 'products'::regclass";
    world.shows(state, "failed | table_has_rules");
    sheet.set("B2", "Screw");
    world.db.run("DROP RULE late ON products");
    world.shows("SELECT name FROM products WHERE id = 1", "Screw");
}

#[test]
fn a_renamed_enum_label_is_followed() {
    let mut world = World::start();
    world.db.run(
        "CREATE TYPE mood AS ENUM ('sad', 'ok');
         CREATE TABLE moods (id int PRIMARY KEY, mood mood); INSERT INTO moods VALUES (1, 'sad'), (2, 'ok'), (3, 'sad')",
    );
    let sheet = world.map("moods");
    sheet.shows("id | mood\n 1 | sad\n 2 | ok\n 3 | sad");
    sheet.set("D2", "beside it");
    world.db.run("ALTER TYPE mood RENAME VALUE 'sad' TO 'blue'");
    sheet.shows("id | mood\n 1 | blue | | beside it\n 2 | ok\n 3 | blue");
    sheet.set("B3", "blue");
    world.shows("SELECT count(*) FROM moods WHERE mood = 'blue'", "3");
    world.shows(PROBLEMS, "0");
}

#[test]
fn a_renamed_enum_label_of_a_key_keeps_its_row_in_the_sheet() {
    for (key, table, before, after) in [
        (
            "kind",
            "kind mood PRIMARY KEY, n int, CHECK (n > 0)",
            "kind | n\n sad | 1\n ok | 2",
            "kind | n\n blue | 1 | | beside it\n ok | 2",
        ),
        (
            "kind, n",
            "kind mood, n int, PRIMARY KEY (kind, n)",
            "kind | n\n sad | 1\n ok | 2",
            "kind | n\n blue | 1 | | beside it\n ok | 2",
        ),
    ] {
        let mut world = World::start();
        world.db.run(&format!(
            "CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE TABLE moods ({table}); INSERT INTO moods VALUES ('sad', 1), ('ok', 2)"
        ));
        let sheet = world.map("moods");
        sheet.shows(before);
        sheet.set("D2", "beside it");
        world.db.run(
            "BEGIN; ALTER TYPE mood RENAME VALUE 'sad' TO 'blue'; UPDATE moods SET n = n; COMMIT",
        );
        sheet.shows(after);
        world.quiet();
        sheet.shows(after);
        assert_eq!(
            world.db.table("SELECT kind, n FROM moods ORDER BY n"),
            [["blue", "1"], ["ok", "2"]],
            "{key}"
        );
        assert_eq!(world.db.count(PROBLEMS), 0);
    }
}

#[test]
fn unlogged_and_temporary_tables_are_refused() {
    let (mut world, sheet) = World::with_products();
    world.db.run(
        "CREATE UNLOGGED TABLE loose (id int PRIMARY KEY);
         CREATE TABLE parted (id int PRIMARY KEY) PARTITION BY LIST (id); CREATE UNLOGGED TABLE part PARTITION OF parted DEFAULT;
         CREATE TEMP TABLE brief (id int PRIMARY KEY)",
    );
    for (table, word) in [
        ("loose", "UNLOGGED"),
        ("parted", "UNLOGGED"),
        ("brief", "temporary"),
    ] {
        let refusal = world.db.refused(&format!(
            "SELECT sheet_sync.register_table('{table}', '{}')",
            sheet.book().id()
        ));
        assert!(refusal.message.contains(word), "{refusal}");
        assert!(refusal.hint.is_some());
    }
}

#[test]
fn a_table_that_a_crash_has_emptied_does_not_empty_the_sheet() {
    let (mut world, sheet) = World::with_products();
    let state = "SELECT state, split_part(reason, ':', 1) FROM sheet_sync.mapping";
    world.db.run("ALTER TABLE products SET UNLOGGED");
    world.shows(state, "failed | unlogged");
    world.kill_worker();
    assert_eq!(world.db.count("SELECT count(*) FROM products"), 0);
    world.shows(state, "failed | unlogged");
    world.db.run("ALTER TABLE products SET LOGGED");
    world.shows(state, "failed | truncated");
    sheet.shows("id | name | price\n 1 | Bolt | 1\n 2 | Nut | 2\n 3 | Gear | 3");
    world.db.run("SELECT sheet_sync.resync('products')");
    world.table_shows(
        "products",
        "id | name | price\n 1 | Bolt | 1\n 2 | Nut | 2\n 3 | Gear | 3",
    );
}
