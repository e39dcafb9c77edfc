//! The table of exported objects, and the leases on them.
//!
//! An object is in the table as long as the program pins it or a peer's lease holds it. A lease also holds references to
//! objects of other nodes that were passed on: they stay ours to answer for until the receiver has a claim of its own.

use std::collections::hash_map::Entry as MapEntry;
use std::collections::{BTreeMap, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry as TableEntry;

use crate::call::{Invoke, LocalObject, Target};
use crate::error::ErrorKind;
use crate::id::{LeaseId, ObjectId};
use crate::interface::names::SameName;
use crate::object::lease::{Change, Lease, TooMany};
use crate::wire::holding::{Claimed, Released};

/// Why an object cannot be exported.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TableError {
    #[error(
        "the peer would hold more than the limit of {0} objects; let some go, or raise Limits::references_per_session_max"
    )]
    Full(usize),
    #[error(
        "{count} references exceed the limit of {limit}; send them in parts or as a stream, or raise Limits::references_per_body_max at both ends"
    )]
    TooMany { count: usize, limit: usize },
    #[error("the connection is closed")]
    Closed,
    #[error("the object was revoked")]
    Revoked,
    #[error("the object has another id already, or the id belongs to another object")]
    Taken,
    #[error(transparent)]
    SameName(#[from] SameName),
}

impl TableError {
    pub(crate) fn kind(&self) -> ErrorKind {
        match self {
            Self::Full(_) => ErrorKind::Overloaded,
            Self::TooMany { .. } => ErrorKind::TooLarge,
            Self::Closed => ErrorKind::Disconnected,
            Self::Revoked | Self::Taken | Self::SameName(_) => ErrorKind::Misuse,
        }
    }
}

/// Why the program keeps an object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Pin {
    Exported,
    Bound(String),
}

/// Every pin of an object, and how often it was put on: one object may be bound under very many names.
pub(crate) type Pins = BTreeMap<Pin, usize>;

#[derive(Default)]
pub(crate) struct ObjectTable {
    objects: DashMap<ObjectId, Exported>,
    /// Every change of the table is made under this lock; lookups take none of it.
    leases: Mutex<Leases>,
}

struct Exported {
    object: Arc<LocalObject>,
    /// How many leases hold it.
    leases: u32,
    pinned: bool,
}

/// Who keeps what: leases, by the connection that they were granted to, and the program.
#[derive(Default)]
struct Leases {
    granted: HashMap<u64, Lease<Arc<dyn Invoke>>>,
    /// Of few objects: not in their entries, of which there are many.
    pins: HashMap<ObjectId, Pins>,
    connections: HashMap<LeaseId, u64>,
}

/// What a change leaves to be dropped, with no lock held: the servants' own `drop` runs then.
#[derive(Default)]
struct Dropped(Vec<Arc<LocalObject>>, Vec<Arc<dyn Invoke>>);

impl Drop for Dropped {
    fn drop(&mut self) {
        // What a servant does to itself in its `drop` it does not do to the connection.
        let guarded = |dropped: bool| {
            if !dropped {
                tracing::error!("a servant panicked while it was dropped")
            }
        };
        for object in self.0.drain(..) {
            guarded(catch_unwind(AssertUnwindSafe(|| drop(object))).is_ok());
        }
        for way in self.1.drain(..) {
            guarded(catch_unwind(AssertUnwindSafe(|| drop(way))).is_ok());
        }
    }
}

/// One lease that holds an object.
pub(crate) struct Holder {
    pub(crate) connection: u64,
    pub(crate) copies: u32,
    pub(crate) queued: u32,
}

/// An exported object and who keeps it.
pub(crate) struct Entry {
    pub(crate) id: ObjectId,
    pub(crate) object: Arc<LocalObject>,
    pub(crate) pins: Pins,
    pub(crate) holders: Vec<Holder>,
}

impl Leases {
    /// Takes a pin off; says whether there was one.
    fn unpin(&mut self, id: ObjectId, pin: &Pin) -> bool {
        let MapEntry::Occupied(mut pins) = self.pins.entry(id) else { return false };
        let was_pinned = match pins.get_mut().get_mut(pin) {
            Some(times @ 2..) => {
                *times -= 1;
                true
            }
            _ => pins.get_mut().remove(pin).is_some(),
        };
        if pins.get().is_empty() {
            pins.remove();
        }
        was_pinned
    }

    fn holders(&self) -> HashMap<ObjectId, Vec<Holder>> {
        let mut holders: HashMap<ObjectId, Vec<Holder>> = HashMap::new();
        for (connection, lease) in &self.granted {
            for (id, held) in lease.iter() {
                let (connection, copies, queued) = (*connection, held.copies, held.queued);
                holders.entry(*id).or_default().push(Holder { connection, copies, queued });
            }
        }
        holders
    }
}

/// Lookups.
impl ObjectTable {
    /// The object with this id.
    pub(crate) fn get(&self, id: ObjectId) -> Option<Arc<LocalObject>> {
        self.objects.get(&id).map(|exported| exported.object.clone())
    }

    /// The way to an object of another node that the connection's peer holds through us.
    pub(crate) fn way(&self, connection: u64, id: ObjectId) -> Option<Arc<dyn Invoke>> {
        self.leases().granted.get(&connection)?.get(id)?.way.clone()
    }

    /// How many objects are exported.
    pub(crate) fn len(&self) -> usize {
        self.objects.len()
    }

    /// Whether the peer of the connection holds anything.
    pub(crate) fn holds(&self, connection: u64) -> bool {
        self.leases().granted.get(&connection).is_some_and(|lease| !lease.is_empty())
    }

    /// Whether the peer of the connection holds anything that it has been sent, so that renewals are due.
    pub(crate) fn awaits_renewal(&self, connection: u64) -> bool {
        let sent = |lease: &Lease<_>| lease.iter().any(|(_, held)| held.copies > held.queued);
        self.leases().granted.get(&connection).is_some_and(sent)
    }

    /// Whether the peer of the connection holds objects of other nodes through us.
    pub(crate) fn introduces(&self, connection: u64) -> bool {
        self.leases().granted.get(&connection).is_some_and(|lease| lease.iter().any(|(_, held)| held.way.is_some()))
    }

    /// The connection that a lease was granted to.
    pub(crate) fn connection_of(&self, lease: LeaseId) -> Option<u64> {
        self.leases().connections.get(&lease).copied()
    }

    /// Every object, and who keeps it.
    pub(crate) fn entries(&self) -> Vec<Entry> {
        let (mut holders, mut pins) = {
            let leases = self.leases();
            (leases.holders(), leases.pins.clone())
        };
        let entry = |entry: dashmap::mapref::multiple::RefMulti<'_, ObjectId, Exported>| Entry {
            id: *entry.key(),
            object: entry.object.clone(),
            pins: pins.remove(entry.key()).unwrap_or_default(),
            holders: holders.remove(entry.key()).unwrap_or_default(),
        };
        self.objects.iter().map(entry).collect()
    }
}

/// Pins of the program.
impl ObjectTable {
    /// Exports the object until it is unpinned, under its own id or the one that is asked for.
    pub(crate) fn pin(
        &self,
        object: &Arc<LocalObject>,
        at: Option<ObjectId>,
        pin: Pin,
    ) -> Result<ObjectId, TableError> {
        object.take_names()?;
        let mut leases = self.leases();
        // Of an object that was revoked leases keep the count: its id is no other's as long as they do.
        let counted = |at: ObjectId| leases.granted.values().any(|lease| lease.get(at).is_some());
        if at.is_some_and(|at| !self.objects.contains_key(&at) && counted(at) || !object.claim_id(at)) {
            return Err(TableError::Taken);
        }
        self.insert(object.id(), object)?.pinned = true;
        *leases.pins.entry(object.id()).or_default().entry(pin).or_default() += 1;
        Ok(object.id())
    }

    /// Takes one of the program's pins off; says whether there was one.
    pub(crate) fn unpin(&self, id: ObjectId, pin: &Pin) -> bool {
        let (was_pinned, dropped) = {
            let mut leases = self.leases();
            let was_pinned = leases.unpin(id, pin);
            let pinned = leases.pins.contains_key(&id);
            (was_pinned, self.change(id, |exported| exported.pinned = pinned))
        };
        drop(dropped);
        was_pinned
    }

    /// Takes the object away from everybody; says whether it was exported. Leases keep their counts of it, so that what
    /// their holders let go later adds up.
    pub(crate) fn revoke(&self, id: ObjectId) -> bool {
        let revoked = {
            let mut leases = self.leases();
            leases.pins.remove(&id);
            self.objects.remove(&id).inspect(|(_, exported)| exported.object.revoke())
        };
        revoked.is_some()
    }

    /// Drops everything: the node is gone.
    pub(crate) fn clear(&self) {
        let ids: Vec<ObjectId> = self.objects.iter().map(|entry| *entry.key()).collect();
        let dropped: (Leases, Vec<_>) = {
            let mut leases = self.leases();
            (std::mem::take(&mut *leases), ids.iter().filter_map(|id| self.objects.remove(id)).collect())
        };
        drop(dropped);
    }
}

/// Leases of peers.
impl ObjectTable {
    /// A connection begins, and with it a lease: only a peer with one can hold objects.
    pub(crate) fn open(&self, connection: u64, lease: LeaseId) {
        let mut leases = self.leases();
        leases.granted.insert(connection, Lease::default());
        leases.connections.insert(lease, connection);
    }

    /// A lease ends, and with it all that it held.
    pub(crate) fn close(&self, connection: u64, lease: LeaseId) {
        let dropped = {
            let mut leases = self.leases();
            leases.connections.remove(&lease);
            self.all_of(leases.granted.remove(&connection))
        };
        drop(dropped);
    }

    /// A lease holds nothing any more. What nobody else holds is dropped.
    pub(crate) fn empty(&self, connection: u64) {
        let dropped = {
            let mut leases = self.leases();
            self.all_of(leases.granted.get_mut(&connection).map(std::mem::take))
        };
        drop(dropped);
    }

    /// Ends what a lease held; called under the lock.
    fn all_of(&self, lease: Option<Lease<Arc<dyn Invoke>>>) -> Dropped {
        let mut dropped = Dropped::default();
        for (id, way) in lease.into_iter().flat_map(Lease::end) {
            self.ended(id, way, &mut dropped);
        }
        dropped
    }

    /// Holds an object for the connection's peer, in a frame that waits to be sent.
    pub(crate) fn hold(&self, connection: u64, target: &Target, limit: usize) -> Result<ObjectId, TableError> {
        let mut leases = self.leases();
        let lease = leases.granted.get_mut(&connection).ok_or(TableError::Closed)?;
        let (id, way) = match target {
            Target::Local(object) => (object.id(), None),
            Target::Remote(remote) => (remote.reference().object, Some(remote)),
        };
        let node = |way: &Arc<dyn Invoke>| way.reference().node;
        match lease.get(id) {
            // Whoever chose an id that is another object's must not be called in its place.
            Some(held) if held.way.as_ref().map(node) != way.map(node) => return Err(TableError::Taken),
            None if lease.len() >= limit => return Err(TableError::Full(limit)),
            _ => {}
        }
        if let Target::Local(object) = target {
            object.take_names()?;
            let mut exported = self.insert(id, object)?;
            exported.leases += u32::from(lease.get(id).is_none());
        }
        lease.add(id, true, || way.cloned());
        Ok(id)
    }

    /// The frame with these references is on its way.
    pub(crate) fn sent(&self, connection: u64, objects: &[ObjectId]) {
        if let Some(lease) = self.leases().granted.get_mut(&connection) {
            objects.iter().for_each(|object| lease.sent(*object));
        }
    }

    /// The frame with these references will never be sent.
    pub(crate) fn unsent(&self, connection: u64, objects: &[ObjectId]) {
        let mut dropped = Dropped::default();
        if let Some(lease) = self.leases().granted.get_mut(&connection) {
            for object in objects {
                self.changed(*object, lease.unsent(*object), &mut dropped);
            }
        }
        drop(dropped);
    }

    /// The peer has let copies go.
    pub(crate) fn release(&self, connection: u64, released: &[Released]) -> Result<(), TooMany> {
        let mut dropped = Dropped::default();
        let mut result = Ok(());
        // A lease that has ended holds nothing: its releases were under way.
        if let Some(lease) = self.leases().granted.get_mut(&connection) {
            for Released { object, copies } in released {
                match lease.release(*object, *copies) {
                    Ok(change) => self.changed(*object, change, &mut dropped),
                    Err(error) => {
                        result = Err(error);
                        break;
                    }
                }
            }
        }
        drop(dropped);
        result
    }

    /// The peer wants to hold objects, among them such that it holds through us here or held over `earlier` connections. Those that
    /// `may` refuses are answered as if they did not exist.
    pub(crate) fn claim(
        &self,
        connection: u64,
        objects: &[ObjectId],
        earlier: &[u64],
        limit: usize,
        may: impl Fn(ObjectId, &LocalObject) -> bool,
    ) -> Vec<Claimed> {
        let found = objects.iter().map(|id| (*id, self.get(*id).filter(|object| may(*id, object))));
        let found: Vec<_> = found.collect();
        let mut leases = self.leases();
        let mut claim_one = |(id, object): &(ObjectId, Option<Arc<LocalObject>>)| {
            let way_of = |before: &u64| leases.granted.get(before)?.get(*id)?.way.clone();
            // Only for what is none of ours: a peer can have thousands of connections.
            let held_before = match object {
                Some(_) => None,
                None => earlier.iter().chain([&connection]).find_map(way_of),
            };
            let Some(lease) = leases.granted.get_mut(&connection) else { return false };
            let known = lease.get(*id).is_some();
            if !known && lease.len() >= limit {
                return false;
            }
            let way = match object {
                Some(object) => {
                    // It may have gone while the lock was not held.
                    if !self.objects.contains_key(id) || self.insert(*id, object).is_err() {
                        return false;
                    }
                    None
                }
                None if held_before.is_some() => held_before,
                None => return false,
            };
            let local = way.is_none();
            if matches!(lease.add(*id, false, || way), Change::Began)
                && local
                && let Some(mut exported) = self.objects.get_mut(id)
            {
                exported.leases += 1;
            }
            true
        };
        found.iter().map(|one| Claimed { object: one.0, held: claim_one(one) }).collect()
    }

    fn changed(&self, id: ObjectId, change: Change<Arc<dyn Invoke>>, dropped: &mut Dropped) {
        if let Change::Ended(way) = change {
            self.ended(id, way, dropped);
        }
    }

    fn ended(&self, id: ObjectId, way: Option<Arc<dyn Invoke>>, dropped: &mut Dropped) {
        match way {
            Some(way) => dropped.1.push(way),
            None => dropped.0.extend(self.change(id, |exported| exported.leases = exported.leases.saturating_sub(1))),
        }
    }

    fn insert(
        &self,
        id: ObjectId,
        object: &Arc<LocalObject>,
    ) -> Result<dashmap::mapref::one::RefMut<'_, ObjectId, Exported>, TableError> {
        match self.objects.entry(id) {
            _ if object.is_revoked() => Err(TableError::Revoked),
            TableEntry::Occupied(entry) if !Arc::ptr_eq(&entry.get().object, object) => Err(TableError::Taken),
            TableEntry::Occupied(entry) => Ok(entry.into_ref()),
            TableEntry::Vacant(entry) => {
                Ok(entry.insert(Exported { object: object.clone(), leases: 0, pinned: false }))
            }
        }
    }

    /// Changes an entry; returns the object when nothing keeps it any more.
    fn change(&self, id: ObjectId, change: impl FnOnce(&mut Exported)) -> Option<Arc<LocalObject>> {
        let TableEntry::Occupied(mut entry) = self.objects.entry(id) else { return None };
        change(entry.get_mut());
        let kept = entry.get().pinned || entry.get().leases > 0;
        (!kept).then(|| entry.remove().object)
    }

    fn leases(&self) -> MutexGuard<'_, Leases> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
