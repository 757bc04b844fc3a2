//! The tests of the client against sheetd and against servers with fixed answers: one program, so
//! that what they share is linked once.

mod auth;
mod columns;
mod effects;
mod facts;
mod faults;
mod governor;
mod inspect;
mod logins;
mod machines;
mod network;
mod notes;
mod pure;
mod races;
mod room;
mod rows;
mod runs;
mod support;
mod vanished;
mod writer;
mod writes;
