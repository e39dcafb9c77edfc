//! Where bindings are kept.

mod durable;
mod memory;

use rmi_core::ObjectRef;
use rmi_core::naming::{Name, Tags, Token};
use serde::{Deserialize, Serialize};

pub use durable::Durable;
pub use memory::Memory;

/// A binding as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// The object.
    pub object: ObjectRef,
    /// The change that made it.
    pub revision: u64,
    /// What the host put beside it.
    pub tags: Tags,
    /// The lease it lives by.
    pub owner: Token,
}

/// One change of what is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// The name leads there now.
    Put(Name, Stored),
    /// The name is free.
    Remove(Name),
    /// Fencing tokens up to this one may have been given.
    Tokens(u64),
}

impl Write {
    /// The name that it changes.
    #[must_use]
    pub fn name(&self) -> Option<&Name> {
        match self {
            Self::Put(name, _) | Self::Remove(name) => Some(name),
            Self::Tokens(_) => None,
        }
    }
}

/// What a store held when it was opened.
#[derive(Debug, Clone, Default)]
pub struct Loaded {
    /// The number of the last change, whether or not its binding is still there.
    pub revision: u64,
    /// The largest fencing token that may have been given.
    pub tokens: u64,
    /// The bindings.
    pub bindings: Vec<(Name, Stored)>,
}

/// A place for bindings.
pub trait Store: Send + 'static {
    /// Reads everything.
    ///
    /// # Errors
    /// The file cannot be read or is not a registry's.
    fn load(&mut self) -> Result<Loaded, StoreError>;

    /// Makes changes, all or none, the last of which has number `revision`. When it returns `Ok` they survive the death of
    /// the process and of the machine, if the store is durable at all.
    ///
    /// # Errors
    /// The changes cannot be written; none was made.
    fn apply(&mut self, revision: u64, writes: &[Write]) -> Result<(), StoreError>;
}

/// Why a store cannot do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The database or the operating system refused.
    #[error("{path}: {reason}")]
    File {
        /// The file.
        path: String,
        /// Why.
        reason: String,
    },
    /// Something in the file does not read.
    #[error("{path}: the entry {entry:?} does not read: {reason}")]
    Entry {
        /// The file.
        path: String,
        /// The name or key of the entry.
        entry: String,
        /// Why.
        reason: String,
    },
}
