//! What one peer holds: the owner's book. A value, without clocks and locks.
//!
//! A count rises when a frame that carries the reference is made, before its first byte can leave, and falls by what the
//! peer says it has let go. So it is never below what the peer has, and a reference under way keeps its object alive.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use crate::id::ObjectId;

/// The objects that one peer holds. `V` keeps those alive that belong to other nodes.
#[derive(Debug, Clone)]
pub(crate) struct Lease<V> {
    held: HashMap<ObjectId, Held<V>>,
}

/// One object that a peer holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Held<V> {
    /// How many copies of the reference are with the peer, or on their way.
    pub(crate) copies: u32,
    /// How many of these are in frames that wait to be sent.
    pub(crate) queued: u32,
    /// The way to the object, when it belongs to another node.
    pub(crate) way: Option<V>,
}

/// What a change of a count came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Change<V> {
    /// The first copy.
    Began,
    /// Neither the first nor the last.
    Kept,
    /// The last copy is gone, and with it this.
    Ended(Option<V>),
}

/// A peer that lets go what it does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("release of {released} copies of an object of which {held} are held")]
pub(crate) struct TooMany {
    pub(crate) released: u32,
    pub(crate) held: u32,
}

impl<V> Default for Lease<V> {
    fn default() -> Self {
        Self { held: HashMap::new() }
    }
}

impl<V> Lease<V> {
    pub(crate) fn len(&self) -> usize {
        self.held.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    pub(crate) fn get(&self, object: ObjectId) -> Option<&Held<V>> {
        self.held.get(&object)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&ObjectId, &Held<V>)> {
        self.held.iter()
    }

    /// One copy more, in a frame that waits to be sent if `queued`.
    pub(crate) fn add(&mut self, object: ObjectId, queued: bool, way: impl FnOnce() -> Option<V>) -> Change<V> {
        let (held, change) = match self.held.entry(object) {
            Entry::Occupied(held) => (held.into_mut(), Change::Kept),
            Entry::Vacant(none) => (none.insert(Held { copies: 0, queued: 0, way: way() }), Change::Began),
        };
        held.copies = held.copies.saturating_add(1);
        held.queued += u32::from(queued);
        change
    }

    /// A copy that was queued is on its way.
    pub(crate) fn sent(&mut self, object: ObjectId) {
        if let Some(held) = self.held.get_mut(&object) {
            held.queued = held.queued.saturating_sub(1);
        }
    }

    /// A copy that was queued will never be sent.
    pub(crate) fn unsent(&mut self, object: ObjectId) -> Change<V> {
        self.sent(object);
        self.release(object, 1).unwrap_or(Change::Kept)
    }

    /// The peer has let copies go. Those that wait to be sent are not among them: it has never seen them.
    pub(crate) fn release(&mut self, object: ObjectId, released: u32) -> Result<Change<V>, TooMany> {
        let Entry::Occupied(mut entry) = self.held.entry(object) else { return Err(TooMany { released, held: 0 }) };
        let held = entry.get_mut();
        let seen = held.copies - held.queued.min(held.copies);
        if released > seen {
            return Err(TooMany { released, held: seen });
        }
        held.copies -= released;
        if held.copies > 0 {
            return Ok(Change::Kept);
        }
        Ok(Change::Ended(entry.remove().way))
    }

    /// The lease is over.
    pub(crate) fn end(self) -> impl Iterator<Item = (ObjectId, Option<V>)> {
        self.held.into_iter().map(|(object, held)| (object, held.way))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const X: ObjectId = ObjectId::from_bytes([1; 16]);

    fn lease(copies: usize) -> Lease<u8> {
        let mut lease = Lease::default();
        for _ in 0..copies {
            lease.add(X, false, || Some(7));
        }
        lease
    }

    #[test]
    fn the_last_copy_ends_it() {
        let mut lease = lease(3);
        assert_eq!(lease.release(X, 2), Ok(Change::Kept));
        assert_eq!(lease.release(X, 1), Ok(Change::Ended(Some(7))));
        assert!(lease.is_empty());
    }

    #[test]
    fn a_release_of_more_than_is_held_is_refused_and_changes_nothing() {
        let mut lease = lease(2);
        let error = lease.release(X, 3).unwrap_err();
        assert_eq!(error.to_string(), "release of 3 copies of an object of which 2 are held");
        assert_eq!(lease.release(X, 2), Ok(Change::Ended(Some(7))));
        assert_eq!(lease.release(X, 1), Err(TooMany { released: 1, held: 0 }));
    }

    #[test]
    fn a_copy_that_waits_to_be_sent_cannot_be_released() {
        let mut lease = lease(1);
        assert_eq!(lease.add(X, true, || None), Change::Kept);
        assert_eq!(lease.release(X, 2), Err(TooMany { released: 2, held: 1 }));
        lease.sent(X);
        assert_eq!(lease.release(X, 2), Ok(Change::Ended(Some(7))));
    }

    #[test]
    fn a_copy_that_is_never_sent_is_taken_back() {
        let mut lease = Lease::<u8>::default();
        assert_eq!(lease.add(X, true, || None), Change::Began);
        assert_eq!(lease.unsent(X), Change::Ended(None));
        assert_eq!(lease.len(), 0);
    }
}
