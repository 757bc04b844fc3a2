//! The sync engine: values, keys, deltas, reconcile, and the cycle as a state machine.
//!
//! Sans-IO: the engine never reads a clock, a socket or a table. A driver starts a cycle of a
//! [`cycle::Machine`], carries out the [`effect::Effect`] it is handed, gives back the
//! [`effect::Outcome`], and so on until the cycle is done. The worker of the extension is one
//! driver, the simulator in `tests/` another.

pub mod codec;
pub mod cost;
pub mod cycle;
pub mod effect;
mod io;
pub mod mapping;
mod reconcile;
pub mod renames;
mod tab;
pub mod value;
pub mod zone;
