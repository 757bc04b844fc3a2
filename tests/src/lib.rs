//! What end-to-end tests, the demo and the benchmarks stand on: a private Postgres with the
//! extension installed, sheetd, and the people at both ends.

mod clock;
mod cluster;
mod db;
mod dice;
mod gate;
mod google;
mod kind;
mod sheet;
mod wait;
mod world;

pub use self::google::{Google, Office};
pub use clock::Clock;
pub use cluster::{Cluster, Options, bindir, own, share_directory};
pub use db::{Db, Refusal, Row, literal};
pub use dice::Dice;
pub use gate::{Fault, Gate, Held, Passed, Still, When};
pub use kind::Kind;
pub use sheet::{Book, Sheet, parse};
pub use wait::{PATIENCE, wait_for, wait_until};
pub use world::{GATE, World, stopped};
