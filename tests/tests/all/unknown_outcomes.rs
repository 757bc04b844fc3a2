//! A request that took effect and was never answered: whatever it was for, it happens once, and
//! both sides end up equal.

use e2e::{Fault, Kind, Sheet, When, World};

/// A table whose sheet has a column of people's own, and the ways in which answers go missing.
struct Case {
    world: World,
    damage: Fault,
    table: &'static str,
    sheet: Sheet,
}

impl Case {
    /// The next requests of these kinds are damaged; then this happens, and both sides must hold
    /// these rows.
    #[track_caller]
    fn damaged(&mut self, kinds: &[(Kind, usize)], act: impl FnOnce(&mut Case), rows: &str) {
        for (kind, times) in kinds {
            let gate = self.world.google.gate();
            gate.fault_on(*kind, self.damage.clone(), *times);
        }
        act(self);
        self.settle();
        let about = format!("{:?} of {kinds:?}", self.damage);
        assert_eq!(
            self.world.google.gate().planned(),
            0,
            "{about}: no such request was sent"
        );
        let expected = e2e::parse(rows);
        let sql = format!("SELECT id, name FROM {} ORDER BY id", self.table);
        assert_eq!(self.world.db.table(&sql), expected, "{about}: the table");
        let mut shown = self.sheet.rows().split_off(1);
        shown.retain(|row| !row.is_empty());
        shown.sort();
        let (own, shown): (Vec<_>, Vec<_>) = shown
            .into_iter()
            .map(|mut row| (row.split_off(2), row))
            .unzip();
        assert_eq!(shown, expected, "{about}: the sheet");
        for (row, own) in shown.iter().zip(own) {
            let expected = match row[0].as_str() {
                "1" | "2" | "3" => vec![format!("of {}", row[0])],
                _ => Vec::new(),
            };
            assert_eq!(own, expected, "{about}: people's own beside {row:?}");
        }
        let conflicts = self
            .world
            .db
            .count("SELECT count(*) FROM sheet_sync.conflict");
        assert_eq!(conflicts, 0, "{about}: conflicts");
    }

    fn sql(&mut self, sql: &str) {
        let sql = sql.replace("TABLE", self.table);
        self.world.db.run(&sql);
    }

    /// A call also ends the pause after a failure.
    fn settle(&mut self) {
        self.sql("SELECT * FROM sheet_sync.sync('TABLE')");
    }
}

#[test]
fn an_answer_that_never_comes_changes_nothing_in_the_end() {
    let mut world = World::start();
    let all = [
        ("lost", Fault::Lost(When::After)),
        ("reset", Fault::Reset(When::After)),
        ("denied", Fault::Denied(500)),
    ];
    for (table, damage) in all {
        world.db.run(&format!(
            "CREATE TABLE {table} (id int PRIMARY KEY, name text);
             INSERT INTO {table} VALUES (1, 'Bolt'), (2, 'Nut'), (3, 'Gear')"
        ));
        let sheet = world.google.spreadsheet(table).first_tab();
        let mut case = Case {
            world,
            damage,
            table,
            sheet,
        };
        every_kind(&mut case);
        world = case.world;
        world.db.run(&format!("DROP TABLE {table}"));
    }
}

fn every_kind(case: &mut Case) {
    case.damaged(
        &[(Kind::Header, 1), (Kind::Insert, 1)],
        |case| {
            case.world.register(case.table, &case.sheet, "");
            case.world.merged(case.table);
            case.sheet
                .type_at("C1", &e2e::parse("remark\n of 1\n of 2\n of 3"));
        },
        "1 | Bolt\n 2 | Nut\n 3 | Gear",
    );
    case.damaged(
        &[(Kind::Tag, 1)],
        |case| case.sql("UPDATE TABLE SET name = 'Screw' WHERE id = 2"),
        "1 | Bolt\n 2 | Screw\n 3 | Gear",
    );
    case.damaged(
        &[(Kind::Write, 1)],
        |case| case.sql("UPDATE TABLE SET name = 'Mother' WHERE id = 2"),
        "1 | Bolt\n 2 | Mother\n 3 | Gear",
    );
    case.damaged(
        &[(Kind::Insert, 1)],
        |case| case.sql("INSERT INTO TABLE VALUES (4, 'Cog'), (5, 'Pin')"),
        "1 | Bolt\n 2 | Mother\n 3 | Gear\n 4 | Cog\n 5 | Pin",
    );
    // So often that the cycle gives up; the next one has to find out what became of it, and that
    // goes wrong too.
    case.damaged(
        &[(Kind::Insert, 3), (Kind::Claim, 1)],
        |case| case.sql("INSERT INTO TABLE VALUES (6, 'Rod')"),
        "1 | Bolt\n 2 | Mother\n 3 | Gear\n 4 | Cog\n 5 | Pin\n 6 | Rod",
    );
    case.damaged(
        &[(Kind::Delete, 1)],
        |case| case.sql("DELETE FROM TABLE WHERE id IN (1, 4, 5)"),
        "2 | Mother\n 3 | Gear\n 6 | Rod",
    );
    // A cell that the table does not take gets a note, which goes when the cell is mended.
    let row = case.sheet.row_where(0, "6");
    let cell = format!("A{row}");
    case.sheet.set(&cell, "six");
    case.world
        .google
        .gate()
        .fault_on(Kind::Note, case.damage.clone(), 1);
    case.settle();
    assert_ne!(case.sheet.note(&cell), "", "{:?}: the note", case.damage);
    case.damaged(
        &[(Kind::Note, 1)],
        |case| case.sheet.set(&cell, "6"),
        "2 | Mother\n 3 | Gear\n 6 | Rod",
    );
    assert_eq!(case.sheet.note(&cell), "", "{:?}: the note", case.damage);
    // A mapping that is loaded anew sweeps away the anchors of the cycles before.
    case.sql("UPDATE TABLE SET name = 'Nut' WHERE id = 2");
    case.settle();
    case.damaged(
        &[(Kind::Tidy, 1)],
        |case| {
            case.sql(
                "UPDATE sheet_sync.mapping SET tie = 'sheet' WHERE table_name = 'TABLE'::regclass",
            )
        },
        "2 | Nut\n 3 | Gear\n 6 | Rod",
    );
}
