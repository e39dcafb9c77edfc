//! What a registry knows about a name, and how that changes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::naming::name::Name;
use crate::reference::ObjectRef;

/// Words that a host puts beside a binding: `version = 3`. For people and for choosing; the registry does not read them.
pub type Tags = BTreeMap<String, String>;

/// The most tags of a binding, and the most bytes of their keys and values together. What the registry keeps per name is
/// bounded by this.
pub(crate) const TAGS_MAX: usize = 16;
pub(crate) const TAGS_BYTES_MAX: usize = 4096;

/// Tags that are too many or too long.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[non_exhaustive]
pub enum TagsError {
    /// Too many.
    #[error("{0} tags exceed the limit of {TAGS_MAX}")]
    TooMany(usize),
    /// Too long.
    #[error("tags of {0} bytes exceed the limit of {TAGS_BYTES_MAX}")]
    TooLong(usize),
}

impl TagsError {
    /// Checks tags against the limits.
    ///
    /// # Errors
    /// More than 16 tags, or more than 4,096 bytes.
    pub fn check(tags: &Tags) -> Result<(), Self> {
        if tags.len() > TAGS_MAX {
            return Err(Self::TooMany(tags.len()));
        }
        let bytes: usize = tags.iter().map(|(key, value)| key.len() + value.len()).sum();
        if bytes > TAGS_BYTES_MAX { Err(Self::TooLong(bytes)) } else { Ok(()) }
    }
}

/// One name and the object it leads to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Binding {
    /// The name.
    pub name: Name,
    /// The object.
    pub object: ObjectRef,
    /// The number of the change that made the binding: larger than that of every earlier change of this registry, whatever
    /// the name. Usable as a fencing token.
    pub revision: u64,
    /// What the host put beside it.
    pub tags: Tags,
    /// Whether the host has renewed its lease since the registry was started.
    pub verified: bool,
}

impl Binding {
    /// A binding made of these parts.
    #[must_use]
    pub fn new(name: Name, object: ObjectRef, revision: u64, tags: Tags, verified: bool) -> Self {
        Self { name, object, revision, tags, verified }
    }
}

/// How a binding changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// The name leads to an object now, whether or not it led to another before.
    Bound(Binding),
    /// The name is free: it was unbound, or its host is gone.
    Unbound,
}

/// A change of a registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Event {
    /// The number of the change. Numbers rise from event to event.
    pub revision: u64,
    /// The name that changed.
    pub name: Name,
    /// What happened.
    pub change: Change,
}

impl Event {
    /// An event made of these parts.
    #[must_use]
    pub fn new(revision: u64, name: Name, change: Change) -> Self {
        Self { revision, name, change }
    }
}

/// A part of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Page {
    /// The bindings, in the order of their names.
    pub bindings: Vec<Binding>,
    /// Whether there are more after the last one.
    pub more: bool,
    /// The last change of the registry before the page was made.
    pub revision: u64,
}

impl Page {
    /// A page made of these parts.
    #[must_use]
    pub fn new(bindings: Vec<Binding>, more: bool, revision: u64) -> Self {
        Self { bindings, more, revision }
    }
}
