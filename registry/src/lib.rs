//! The registry: a service that maps names to object references.
//!
//! A change walks [`servant`] (the remote object) → [`writer`] (one thread that decides and stores, in order) →
//! [`store`] (a file, or nothing) → `watchers`. A lookup reads what was stored. `semaphores` lie in memory; their `tokens`
//! are reserved through the writer, many at a time.

pub mod command;
pub mod config;
pub mod keys;
pub mod leases;
pub mod process;
mod room;
mod semaphores;
pub mod servant;
pub mod state;
pub mod store;
mod tokens;
mod watchers;
pub mod writer;

pub use servant::{Running, StartError};
