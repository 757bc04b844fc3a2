//! The server's clock is wrong, and somebody sets it.

use e2e::{Clock, Google, Options, Sheet, World, wait_for, wait_until};

const DAY: i64 = 86_400;

fn world() -> (World, Sheet, Clock) {
    let mut options = Options::temporary();
    let clock = Clock::of(&mut options);
    let mut world = World::made(Google::start(), options, "e2e", &[]);
    world.db.run(
        "CREATE TABLE products (id int PRIMARY KEY, name text, price numeric);
         INSERT INTO products VALUES (1, 'Bolt', 1), (2, 'Nut', 2), (3, 'Gear', 3)",
    );
    let sheet = world.map("products");
    world.both_equal("products", &sheet);
    (world, sheet, clock)
}

/// The clock is set, and the worker has noticed.
fn set(world: &mut World, clock: &Clock, seconds_off: i64) {
    let log = world.cluster.log().len();
    clock.is_off_by(seconds_off);
    wait_until("the worker to notice", || {
        match world.cluster.log().split_off(log) {
            said if said.contains("the clock was set") => Ok(()),
            said => Err(said),
        }
    });
}

/// Neither side waits for the time that was, nor is anything concluded from it; and what was under
/// way when the clock was set arrives.
#[test]
fn a_clock_that_is_set_loses_and_delays_nothing() {
    let (mut world, sheet, clock) = world();
    let mut gone = 3;
    for (round, seconds_off) in [DAY, 0, -DAY, 0].into_iter().enumerate() {
        world.quiet();
        // A deletion is believed at a second look only, which is to come some time after the first.
        world.db.run(&format!(
            "INSERT INTO products VALUES ({0}, 'Cog', {round}), ({0} + 1, 'Pin', 0)",
            10 * (round + 1)
        ));
        world.both_equal("products", &sheet);
        sheet.delete_row(sheet.row_where(0, &gone.to_string()));
        sheet.set("B2", &format!("Bolt {round}"));
        world
            .db
            .run(&format!("UPDATE products SET price = {round} WHERE id = 2"));
        set(&mut world, &clock, seconds_off);
        wait_for("the deletion", 0, || {
            world
                .db
                .count(&format!("SELECT count(*) FROM products WHERE id = {gone}"))
        });
        world.both_equal("products", &sheet);
        world.shows(
            "SELECT name, price FROM products WHERE id < 3 ORDER BY id",
            &format!("Bolt {round} | 1\n Nut | {round}"),
        );
        gone = 10 * (round + 1);
    }
    world.shows("SELECT count(*) FROM sheet_sync.conflict", "0");
    world.shows("SELECT state, reason FROM sheet_sync.status", "active | ");
}

/// A change that was made in what is the future by now is no later than everything that follows.
#[test]
fn of_two_edits_of_a_cell_around_a_clock_that_is_set_back_both_are_known() {
    let (mut world, sheet, clock) = world();
    set(&mut world, &clock, DAY);
    world.at_once("products", |world| {
        world
            .db
            .run("UPDATE products SET name = 'of the table' WHERE id = 1");
        clock.is_off_by(0);
        sheet.set("B2", "of the sheet");
    });
    world.both_equal("products", &sheet);
    world.shows(
        "SELECT database_value, sheet_value FROM sheet_sync.conflict",
        "of the table | \"of the sheet\"",
    );
}

/// Google takes no token that was signed at another time.
#[test]
fn a_wrong_clock_is_named() {
    let (mut world, sheet, clock) = world();
    let amiss = |world: &mut World| -> Vec<String> {
        let found = world
            .db
            .table("SELECT \"check\", detail, hint FROM sheet_sync.doctor() WHERE NOT ok");
        found.into_iter().map(|line| line.join(" · ")).collect()
    };
    for (seconds_off, check, cure) in [
        (2 * 3600, "token", "timedatectl set-ntp true"),
        (-2 * 3600, "token", "timedatectl set-ntp true"),
        (120, "clock", "NTP"),
    ] {
        set(&mut world, &clock, seconds_off);
        let found = amiss(&mut world);
        let named = |line: &String| line.starts_with(check) && line.contains(cure);
        assert!(found.iter().any(named), "{seconds_off}: {found:?}");
    }
    set(&mut world, &clock, 0);
    assert_eq!(amiss(&mut world), Vec::<String>::new());
    sheet.set("B2", "Screw");
    world.shows("SELECT name FROM products WHERE id = 1", "Screw");
}
