//! What this node exports and who holds it, and what it holds itself.
//!
//! [`lease`] and [`imports`] are the two books of distributed collection, the owner's and the holder's: values that the
//! tests explore exhaustively. [`table`] has the exported objects and the leases on them.

mod imports;
mod info;
mod lease;
mod table;

#[cfg(test)]
mod explore_tests;

pub(crate) use imports::{Answer, Imports};
pub use info::{Hold, ObjectInfo};
pub(crate) use table::{Entry, Holder, ObjectTable, Pin, TableError};
