//! Waiting for what another process will do.

use std::time::{Duration, Instant};

/// How long something that must happen may take. Generous: a slow machine is no failure.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Looks again and again, each time afresh, until `look` finds what it looks for; says what it saw
/// last if it never does.
#[track_caller]
pub fn wait_until<T, S: std::fmt::Debug>(what: &str, mut look: impl FnMut() -> Result<T, S>) -> T {
    let started = Instant::now();
    let mut pause = Duration::from_millis(2);
    loop {
        match look() {
            Ok(found) => return found,
            Err(seen) if started.elapsed() > PATIENCE => {
                panic!("waited {PATIENCE:?} for {what}; last seen: {seen:#?}")
            }
            Err(_) => std::thread::sleep(pause),
        }
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

/// Waits until `look` gives `expected`.
#[track_caller]
pub fn wait_for<T: PartialEq + std::fmt::Debug>(
    what: &str,
    expected: T,
    mut look: impl FnMut() -> T,
) {
    wait_until(what, || {
        let seen = look();
        if seen == expected { Ok(()) } else { Err(seen) }
    });
}
