//! Notices that somebody has set the clock. Moments are compared with those of the table's changes
//! and with one another: what was remembered under the former clock would be believed too early, or
//! waited for as long as the clock was set back.

use std::time::{Duration, Instant, SystemTime};

/// Less than any wait that is counted on the clock. What keeps a clock right moves it by less at a
/// time.
const MOST: Duration = Duration::from_secs(1);

pub struct Clock {
    wall: SystemTime,
    at: Instant,
}

impl Clock {
    pub fn start() -> Self {
        Self {
            wall: SystemTime::now(),
            at: Instant::now(),
        }
    }

    /// Whether it was set since this was last asked. A machine that was suspended counts as well.
    pub fn was_set(&mut self) -> bool {
        let before = Instant::now();
        let wall = SystemTime::now();
        self.is_set(wall, before, before.elapsed())
    }

    /// `pause` is how long it may have taken to read the clock.
    fn is_set(&mut self, wall: SystemTime, at: Instant, pause: Duration) -> bool {
        let expected = self.wall + at.saturating_duration_since(self.at);
        let off = wall
            .duration_since(expected)
            .unwrap_or_else(|early| early.duration());
        *self = Self { wall, at };
        off > MOST + pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(wall: Duration, at: Duration, back: Duration) -> bool {
        let mut clock = Clock::start();
        let (wall, at) = (clock.wall + wall - back, clock.at + at);
        clock.is_set(wall, at, Duration::ZERO)
    }

    #[test]
    fn a_clock_that_is_set_is_noticed_either_way() {
        let second = Duration::from_secs(1);
        assert!(after(3_600 * second, second, Duration::ZERO));
        assert!(after(second, second, 3_600 * second));
    }

    #[test]
    fn one_that_is_kept_right_is_not() {
        let second = Duration::from_secs(1);
        assert!(!after(60 * second, 60 * second, second / 2));
        assert!(!after(
            60 * second + second / 2,
            60 * second,
            Duration::ZERO
        ));
    }
}
