//! Schedules that once broke a promise, as the simulator printed them.

use crate::model::database::DriverBugs;
use crate::model::setup::Setup;
use crate::model::sheet::Rules;
use crate::model::world::genuine;
use crate::schedule::{Op, Schedule};

fn replay(setup: Setup, ops: &[Op]) {
    let schedule = Schedule {
        setup,
        ops: ops.to_vec(),
    };
    if let Err(violation) = schedule.run(genuine, DriverBugs::default(), Rules::default()) {
        panic!(
            "{}\n\n{}",
            violation.0,
            schedule.trace(genuine, DriverBugs::default(), Rules::default())
        );
    }
}

#[test]
fn two_equal_sides_stay_as_they_are() {
    replay(Setup::PLAIN, &[]);
}
