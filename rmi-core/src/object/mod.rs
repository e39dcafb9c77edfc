//! What this node exports, and for whom.

mod table;

pub(crate) use table::{ObjectTable, TableError};
