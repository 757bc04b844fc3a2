//! Many rows typed into a sheet at once: the worker has other mappings, too.

use e2e::World;

/// Several chunks: the others' turn may come after the next one, in whatever order the worker has
/// its mappings.
const ROWS: usize = 6_000;

#[test]
fn a_change_in_another_table_is_sent_between_two_chunks_of_a_large_pull() {
    // A chunk is a thousand rows here.
    let mut world = World::configured(&[("sheet_sync.max_request_bytes", "347000")]);
    // The first row of the large table changes the small one, and the last waits until it is told
    // to go on, which is seen by its lock. While the trigger sleeps, the worker's next look at its
    // mappings becomes due.
    world.db.run(
        "CREATE TABLE small (id int PRIMARY KEY, value int); INSERT INTO small VALUES (1, 0);
         CREATE TABLE large (id int PRIMARY KEY, value int);
         CREATE TABLE told ();
         CREATE FUNCTION taken() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN
             IF NEW.id = 1 THEN
                 UPDATE public.small SET value = 1;
                 PERFORM pg_sleep(0.1);
             ELSE
                 PERFORM pg_advisory_xact_lock(7);
                 WHILE NOT EXISTS (SELECT FROM public.told) LOOP
                     PERFORM pg_sleep(0.01);
                 END LOOP;
             END IF;
             RETURN NULL;
         END $$;",
    );
    world.db.run(&format!(
        "CREATE TRIGGER taken AFTER INSERT ON large FOR EACH ROW WHEN (NEW.id IN (1, {ROWS})) EXECUTE FUNCTION taken()"
    ));
    let small = world.map_with("small", "poll_interval => '1 hour'");
    let large = world.map_with("large", "poll_interval => '1 hour'");
    small.shows("id | value\n 1 | 0");
    // Whatever the first merges still had to do is done: from here on both mappings do only what
    // they are asked to.
    for table in ["small", "large"] {
        world.sync(table);
    }
    let before = world.google.gate().count();
    let rows: Vec<Vec<String>> = (1..=ROWS)
        .map(|id| vec![id.to_string(), (id * 2).to_string()])
        .collect();
    large.type_at("A2", &rows);

    let mut caller = world.connect();
    let waiting = std::thread::spawn(move || {
        caller.run("SELECT * FROM sheet_sync.sync('large', timeout => '10 min')");
    });
    world.shows(
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 7",
        "1",
    );
    // The worker stands in the last chunk: what is on its way now was sent before.
    e2e::wait_until("a request for the small table's sheet", || {
        let passed = world.google.gate().passed_since(before);
        match passed.iter().any(|one| one.path.contains(small.id())) {
            true => Ok(()),
            false => Err(passed),
        }
    });
    // Part of the last chunk may be in the table: it is committed a moment's worth of rows at a
    // time.
    let pulled = world.db.count("SELECT count(*) FROM large");
    assert!(
        (ROWS as i64 - 1_000..ROWS as i64).contains(&pulled),
        "{pulled}"
    );
    world.db.run("INSERT INTO told DEFAULT VALUES");
    waiting.join().expect("the call ends");
    small.shows("id | value\n 1 | 1");
    world.both_equal("large", &large);
}

/// Values that no cell takes are one problem each, and however many and large they are the worker
/// holds a few of them at a time.
#[test]
fn large_values_are_not_all_held_at_once() {
    let mut world = World::start();
    world.db.run(
        "CREATE TABLE books (id int PRIMARY KEY, body text);
         INSERT INTO books SELECT n, repeat(n::text || ' ', 2000000) FROM generate_series(1, 50) n",
    );
    let sheet = world.map("books");
    world.shows(
        "SELECT code, count(*) FROM sheet_sync.problem GROUP BY code",
        "too_long | 50",
    );
    let worker = world.worker();
    let status = std::fs::read_to_string(format!("/proc/{worker}/status"));
    let status = status.expect("the worker runs on this machine");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak = peak.and_then(|text| text.split_whitespace().next()?.parse().ok());
    let peak: u64 = peak.expect("Linux tells the largest size of a process");
    // The values alone are 290 MB.
    assert!(peak < 250_000, "{peak} kB");
    world.db.run("UPDATE books SET body = 'short'");
    world.shows("SELECT count(*) FROM sheet_sync.problem", "0");
    assert_eq!(sheet.cell("B51"), "short");
}
