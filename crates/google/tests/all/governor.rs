//! The quota holds over every minute, and nobody starves.

use google::governor::{Caller, Decision, Exhausted, Governor, Kind, Limits, Need, Priority, name};
use proptest::prelude::*;

const MINUTE: i64 = 60_000;

fn caller(account: &str, mapping: u64) -> Caller {
    Caller {
        account: name(account),
        project: name("project"),
        mapping,
    }
}

fn most_in_a_minute(grants: &[i64]) -> usize {
    let mut most = 0;
    for (first, start) in grants.iter().enumerate() {
        let inside = grants[first..]
            .iter()
            .take_while(|at| **at < start + MINUTE)
            .count();
        most = most.max(inside);
    }
    most
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_minute_holds_more_than_the_limit(
        limit in 1u32..120,
        project_limit in 1u32..200,
        asks in prop::collection::vec((0i64..1500, 0u64..6, 0usize..3, any::<bool>(), 1u32..4), 1..3000),
    ) {
        let limits = Limits { account_writes: limit, project_writes: project_limit, ..Limits::default() };
        let mut governor = Governor::new();
        let mut now = 1_700_000_000_123;
        let mut grants: [Vec<i64>; 3] = Default::default();
        for (step, mapping, account, interactive, writes) in asks {
            // Bursts: most asks come at the same instant.
            now += if step > 1000 { step } else { step % 7 };
            let priority = if interactive { Priority::Interactive } else { Priority::Background };
            let asked = caller(["a", "b", "c"][account], mapping);
            let need = Need { reads: 0, writes: writes.min(limit).min(project_limit) };
            match governor.ask(now, asked, need, priority, &limits) {
                Decision::Granted => grants[account].extend((0..need.writes).map(|_| now)),
                Decision::WaitUntil(until) => prop_assert!(until > now && until < now + 2 * MINUTE),
            }
        }
        for account in &grants {
            prop_assert!(most_in_a_minute(account) <= limit as usize);
        }
        let mut all = grants.concat();
        all.sort_unstable();
        prop_assert!(most_in_a_minute(&all) <= project_limit as usize);
    }

    #[test]
    fn whoever_waits_as_told_is_served(limit in 1u32..80, mappings in 1u64..12) {
        let limits = Limits { account_reads: limit, ..Limits::default() };
        let mut governor = Governor::new();
        let mut due: Vec<(i64, u64, u32)> = (0..mappings).map(|mapping| (0, mapping, 0)).collect();
        let end = 20 * MINUTE;
        loop {
            due.sort_unstable();
            let (now, mapping, served) = due[0];
            if now >= end {
                break;
            }
            due[0] = match governor.ask(now, caller("a", mapping), Need::READ, Priority::Background, &limits) {
                Decision::Granted => (now + 20, mapping, served + 1),
                Decision::WaitUntil(until) => (until, mapping, served),
            };
        }
        let served: u32 = due.iter().map(|(_, _, served)| served).sum();
        // Most of what the background may have over the time.
        let possible = (limit - limit / 6) * 19;
        prop_assert!(served * 10 >= possible * 9, "{served} of {possible}");
        let least = due.iter().map(|(_, _, served)| *served).min().unwrap_or(0);
        prop_assert!(u64::from(least) * mappings * 3 >= u64::from(possible) || u64::from(limit) < mappings * 4, "{due:?}");
    }
}

#[test]
fn a_small_mapping_is_served_at_once_beside_a_big_load() {
    let limits = Limits::default();
    let mut governor = Governor::new();
    let mut now = 0;
    let mut slowest = 0;
    for _ in 0..600 {
        // The load asks whenever it may, the small mapping every 15 s.
        while governor.ask(
            now,
            caller("a", 1),
            Need::WRITE,
            Priority::Background,
            &limits,
        ) == Decision::Granted
        {}
        if now % 15_000 == 0 {
            let mut at = now;
            while let Decision::WaitUntil(until) = governor.ask(
                at,
                caller("a", 2),
                Need::WRITE,
                Priority::Background,
                &limits,
            ) {
                at = until;
            }
            slowest = slowest.max(at - now);
        }
        now += 500;
    }
    assert_eq!(slowest, 0);
}

#[test]
fn an_interactive_call_finds_a_token_when_the_background_has_used_its_own() {
    let limits = Limits::default();
    let mut governor = Governor::new();
    for mapping in 0..40 {
        while governor.ask(
            0,
            caller("a", mapping),
            Need::READ,
            Priority::Background,
            &limits,
        ) == Decision::Granted
        {}
    }
    assert_eq!(
        governor.ask(
            0,
            caller("a", 7),
            Need::READ,
            Priority::Interactive,
            &limits
        ),
        Decision::Granted
    );
}

#[test]
fn a_project_with_less_than_its_account_serves_the_background_too() {
    let limits = Limits {
        account_writes: 3_000,
        ..Limits::default()
    };
    let mut governor = Governor::new();
    let mut ask = |priority| governor.ask(0, caller("a", 1), Need::WRITE, priority, &limits);
    let granted = (0..)
        .take_while(|_| ask(Priority::Background) == Decision::Granted)
        .count();
    assert_eq!(granted, 250);
    assert_eq!(ask(Priority::Interactive), Decision::Granted);
}

#[test]
fn a_429_closes_the_quota_for_the_time_given() {
    let limits = Limits::default();
    let mut governor = Governor::new();
    let asked = caller("a", 1);
    governor.close(1_000, asked, Kind::Read, Exhausted::Account, 63_000);
    let ask = |governor: &mut Governor, now, need| {
        governor.ask(now, asked, need, Priority::Interactive, &limits)
    };
    assert_eq!(
        ask(&mut governor, 2_000, Need::READ),
        Decision::WaitUntil(63_000)
    );
    assert_eq!(ask(&mut governor, 2_000, Need::WRITE), Decision::Granted);
    assert_eq!(
        governor.closed_until(2_000, asked, Kind::Read),
        Some(63_000)
    );
    assert_eq!(ask(&mut governor, 63_000, Need::READ), Decision::Granted);
    governor.close(64_000, asked, Kind::Read, Exhausted::Project, 90_000);
    let other = caller("b", 1);
    assert_eq!(
        governor.ask(64_000, other, Need::READ, Priority::Interactive, &limits),
        Decision::WaitUntil(90_000)
    );
}

#[test]
fn a_clock_set_back_opens_nothing_and_locks_nobody_out_for_long() {
    let limits = Limits::default();
    let mut governor = Governor::new();
    let asked = caller("a", 1);
    let mut ask = |now| governor.ask(now, asked, Need::WRITE, Priority::Interactive, &limits);
    let start = 1_000_000_000;
    while ask(start) == Decision::Granted {}
    for back in [5_000, 100_000, 900_000_000] {
        let now = start - back;
        let Decision::WaitUntil(until) = ask(now) else {
            panic!("granted after the clock went back by {back} ms")
        };
        assert!(
            until - now <= 2 * MINUTE + 5_000,
            "waits {} ms",
            until - now
        );
    }
}

#[test]
fn more_accounts_than_entries_share_and_never_exceed() {
    let limits = Limits {
        project_writes: 100_000,
        ..Limits::default()
    };
    let mut governor = Governor::new();
    for account in 0..40 {
        let asked = Caller {
            account: name(&format!("account{account}")),
            project: 5,
            mapping: 1,
        };
        let mut granted = 0;
        while governor.ask(0, asked, Need::WRITE, Priority::Interactive, &limits)
            == Decision::Granted
        {
            granted += 1;
        }
        assert!(granted <= 60);
    }
}

#[test]
fn zeros_are_a_fresh_governor() {
    // SAFETY: the type is plain integers.
    let mut governor: Governor = unsafe { std::mem::zeroed() };
    assert_eq!(
        governor.ask(
            0,
            caller("a", 1),
            Need::READ,
            Priority::Background,
            &Limits::default()
        ),
        Decision::Granted
    );
}

/// Ten mappings that change as fast as they can, for an hour: each asks again as soon as it may,
/// and sends a little after it was granted.
#[test]
fn ten_busy_mappings_never_exceed_the_quota_in_any_minute() {
    const MAPPINGS: u64 = 10;
    const LATE: i64 = 900;
    let limits = Limits::default();
    for seed in 0..20 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut governor = Governor::new();
        let mut due: Vec<(i64, u64)> = (0..MAPPINGS).map(|mapping| (0, mapping)).collect();
        let (mut reads, mut writes) = (Vec::new(), Vec::new());
        let mut served = [0; MAPPINGS as usize];
        loop {
            due.sort_unstable();
            let (now, mapping) = due[0];
            if now > 60 * MINUTE {
                break;
            }
            let asked = caller("a", mapping);
            let need = Need {
                reads: random.u32(0..3),
                writes: random.u32(0..3),
            };
            let priority = match random.u32(0..20) {
                0 => Priority::Interactive,
                _ => Priority::Background,
            };
            due[0].0 = match governor.ask(now, asked, need, priority, &limits) {
                Decision::WaitUntil(until) => until,
                Decision::Granted => {
                    let sent = now + random.i64(0..LATE);
                    reads.extend((0..need.reads).map(|_| sent));
                    writes.extend((0..need.writes).map(|_| sent));
                    served[mapping as usize] += need.reads + need.writes;
                    sent + random.i64(1..500)
                }
            };
        }
        for sent in [&mut reads, &mut writes] {
            sent.sort_unstable();
            assert!(most_in_a_minute(sent) <= 60, "seed {seed}");
            // The background's part of an hour is used, too.
            assert!(sent.len() > 50 * 58, "seed {seed}: only {}", sent.len());
        }
        let (least, most) = (served.iter().min(), served.iter().max());
        assert!(
            least
                .zip(most)
                .is_some_and(|(least, most)| least * 2 > *most),
            "seed {seed}: {served:?}"
        );
    }
}

/// What an effect took beyond what it asked for delays the next, and is not granted a second time.
#[test]
fn a_surplus_counts_like_what_was_granted() {
    let limits = Limits::default();
    let mut governor = Governor::new();
    let asked = caller("a", 1);
    let surplus = Need {
        reads: 0,
        writes: 57,
    };
    governor.count(0, asked, surplus);
    let mut granted = 0;
    while governor.ask(0, asked, Need::WRITE, Priority::Interactive, &limits) == Decision::Granted {
        granted += 1;
    }
    assert_eq!(granted, 3);
}

#[test]
fn calls_in_a_loop_leave_the_others_their_share() {
    let mut governor = Governor::new();
    let limits = Limits::default();
    let need = Need {
        reads: 1,
        writes: 1,
    };
    let (mut served, mut due) = ([0; 2], [0; 2]);
    for now in (0..10 * MINUTE).step_by(10) {
        for (mapping, priority) in [(0, Priority::Interactive), (1, Priority::Background)] {
            if now < due[mapping] {
                continue;
            }
            let asked = caller("a", mapping as u64);
            due[mapping] = match governor.ask(now, asked, need, priority, &limits) {
                Decision::WaitUntil(until) => until,
                Decision::Granted => {
                    served[mapping] += 1;
                    // The calls follow one another; the other mapping looks every two seconds.
                    now + if mapping == 0 { 50 } else { 2_000 }
                }
            };
        }
    }
    let [calls, other] = served;
    assert!(other >= 150, "{other} beside {calls} calls");
    assert!(calls >= 150, "{calls} calls beside {other}");
}

#[test]
fn a_call_among_many_mappings_that_look_now_and_then_comes_before_them() {
    let mut governor = Governor::new();
    let limits = Limits::default();
    let mut due = [0; 30];
    let mut waited = None;
    for now in (0..5 * MINUTE).step_by(50) {
        for mapping in 0..30 {
            if now >= due[mapping as usize] {
                let asked = caller("a", mapping);
                let need = Need::READ;
                due[mapping as usize] =
                    match governor.ask(now, asked, need, Priority::Background, &limits) {
                        Decision::WaitUntil(until) => until,
                        Decision::Granted => now + 10,
                    };
            }
        }
        // Somebody calls in the fourth minute.
        if now >= 4 * MINUTE && waited.is_none() {
            let asked = caller("a", 7);
            let need = Need::READ;
            if governor.ask(now, asked, need, Priority::Interactive, &limits) == Decision::Granted {
                waited = Some(now - 4 * MINUTE);
            }
        }
    }
    assert_eq!(waited, Some(0));
}
