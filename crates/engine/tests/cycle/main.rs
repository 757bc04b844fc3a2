//! What a cycle asks for, and how often: the engine against a small table and a small tab.
//!
//! Whether promises hold whatever happens is the simulator's business; here stand the costs and the
//! shapes of requests.

mod costs;
mod deletes;
mod formulas;
mod headers;
mod keys;
mod masses;
mod notes;
mod places;
mod preview;
mod problems;
mod stamps;
mod typed;
mod waiting;
mod winners;
mod world;
