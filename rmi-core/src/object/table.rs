//! The table of exported objects.
//!
//! An object is in the table as long as the program pins it or a connection holds it: a connection holds every object
//! whose reference was put into one of its frames, until the connection ends.

use std::collections::hash_map::Entry as MapEntry;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry as TableEntry;

use crate::call::LocalObject;
use crate::id::ObjectId;

/// Why an object cannot be exported.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TableError {
    #[error("the connection holds {0} references, which is the limit")]
    Full(usize),
    #[error("the connection is closed")]
    Closed,
    #[error("the object has another id already, or the id belongs to another object")]
    Taken,
}

#[derive(Default)]
pub(crate) struct ObjectTable {
    objects: DashMap<ObjectId, Exported>,
    /// What each open connection holds. Every change of the table is made under this lock; lookups take none of it.
    holdings: Mutex<HashMap<u64, HashSet<ObjectId>>>,
}

struct Exported {
    object: Arc<LocalObject>,
    /// How often the program exported it without taking that back.
    pins: usize,
    holders: usize,
}

impl ObjectTable {
    /// The object with this id.
    pub(crate) fn get(&self, id: ObjectId) -> Option<Arc<LocalObject>> {
        self.objects.get(&id).map(|exported| exported.object.clone())
    }

    /// How many objects are exported.
    pub(crate) fn len(&self) -> usize {
        self.objects.len()
    }

    /// A connection begins; only an open one can hold objects.
    pub(crate) fn open(&self, connection: u64) {
        self.holdings().insert(connection, HashSet::new());
    }

    /// A connection ends, and with it all that it held. What nobody else holds is dropped.
    pub(crate) fn close(&self, connection: u64) {
        let mut dropped = Vec::new();
        {
            let mut holdings = self.holdings();
            for id in holdings.remove(&connection).unwrap_or_default() {
                dropped.extend(self.change(id, |exported| exported.holders -= 1));
            }
        }
        // The servants' own `drop` runs here, with no lock held.
        drop(dropped);
    }

    /// Whether the connection holds anything.
    pub(crate) fn holds(&self, connection: u64) -> bool {
        self.holdings().get(&connection).is_some_and(|held| !held.is_empty())
    }

    /// Exports the object to a connection.
    pub(crate) fn hold(
        &self,
        connection: u64,
        object: &Arc<LocalObject>,
        limit: usize,
    ) -> Result<ObjectId, TableError> {
        let id = object.id();
        let mut holdings = self.holdings();
        let MapEntry::Occupied(mut held) = holdings.entry(connection) else { return Err(TableError::Closed) };
        if held.get().contains(&id) {
            return Ok(id);
        }
        if held.get().len() >= limit {
            return Err(TableError::Full(limit));
        }
        self.insert(id, object)?.holders += 1;
        held.get_mut().insert(id);
        Ok(id)
    }

    /// Exports the object until it is unpinned, under its own id or the one that is asked for.
    pub(crate) fn pin(&self, object: &Arc<LocalObject>, at: Option<ObjectId>) -> Result<ObjectId, TableError> {
        let _guard = self.holdings();
        if at.is_some_and(|at| !object.claim_id(at)) {
            return Err(TableError::Taken);
        }
        self.insert(object.id(), object)?.pins += 1;
        Ok(object.id())
    }

    /// Takes one of the program's pins off; says whether there was one.
    pub(crate) fn unpin(&self, id: ObjectId) -> bool {
        let mut was_pinned = false;
        let dropped = {
            let _guard = self.holdings();
            self.change(id, |exported| {
                was_pinned = exported.pins > 0;
                exported.pins = exported.pins.saturating_sub(1);
            })
        };
        drop(dropped);
        was_pinned
    }

    /// Drops everything: the node is gone.
    pub(crate) fn clear(&self) {
        let ids: Vec<ObjectId> = self.objects.iter().map(|entry| *entry.key()).collect();
        let dropped: Vec<_> = {
            self.holdings().clear();
            ids.iter().filter_map(|id| self.objects.remove(id)).collect()
        };
        drop(dropped);
    }

    fn insert(
        &self,
        id: ObjectId,
        object: &Arc<LocalObject>,
    ) -> Result<dashmap::mapref::one::RefMut<'_, ObjectId, Exported>, TableError> {
        match self.objects.entry(id) {
            TableEntry::Occupied(entry) if !Arc::ptr_eq(&entry.get().object, object) => Err(TableError::Taken),
            TableEntry::Occupied(entry) => Ok(entry.into_ref()),
            TableEntry::Vacant(entry) => Ok(entry.insert(Exported { object: object.clone(), pins: 0, holders: 0 })),
        }
    }

    /// Changes an entry; returns the object when nothing keeps it any more.
    fn change(&self, id: ObjectId, change: impl FnOnce(&mut Exported)) -> Option<Arc<LocalObject>> {
        let TableEntry::Occupied(mut entry) = self.objects.entry(id) else { return None };
        change(entry.get_mut());
        let kept = entry.get().pins > 0 || entry.get().holders > 0;
        (!kept).then(|| entry.remove().object)
    }

    fn holdings(&self) -> MutexGuard<'_, HashMap<u64, HashSet<ObjectId>>> {
        self.holdings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::{Dispatch, Dispatched, Incoming};
    use crate::interface::Descriptor;

    struct Nothing;

    static DESCRIPTOR: Descriptor =
        Descriptor { name: "Nothing", id: crate::id::InterfaceId::of("Nothing"), methods: &[], parents: &[] };

    impl Dispatch for Nothing {
        fn descriptor(&self) -> &'static Descriptor {
            &DESCRIPTOR
        }

        fn dispatch(&self, call: Incoming) -> Dispatched {
            Dispatched::Unknown(call)
        }
    }

    fn object() -> Arc<LocalObject> {
        Arc::new(LocalObject::new(Box::new(Nothing)))
    }

    #[test]
    fn an_object_lives_as_long_as_the_last_connection_that_holds_it() {
        let (table, object) = (ObjectTable::default(), object());
        table.open(1);
        table.open(2);
        let id = table.hold(1, &object, 10).unwrap();
        assert_eq!(table.hold(1, &object, 10), Ok(id));
        assert_eq!(table.hold(2, &object, 10), Ok(id));
        table.close(1);
        assert!(table.get(id).is_some());
        table.close(2);
        assert!(table.get(id).is_none());
        assert_eq!(Arc::strong_count(&object), 1);
    }

    #[test]
    fn a_pinned_object_outlives_connections() {
        let (table, object) = (ObjectTable::default(), object());
        table.open(1);
        let id = table.pin(&object, None).unwrap();
        table.hold(1, &object, 10).unwrap();
        table.close(1);
        assert!(table.get(id).is_some());
        assert!(table.unpin(id));
        assert!(!table.unpin(id));
        assert_eq!(table.len(), 0);
    }

    #[test]
    fn a_connection_that_ended_holds_nothing_more() {
        let table = ObjectTable::default();
        table.open(1);
        table.close(1);
        assert_eq!(table.hold(1, &object(), 10), Err(TableError::Closed));
    }

    #[test]
    fn the_references_of_one_connection_are_bounded() {
        let table = ObjectTable::default();
        table.open(1);
        let kept: Vec<_> = (0..3).map(|_| object()).collect();
        assert!(kept[..2].iter().all(|object| table.hold(1, object, 2).is_ok()));
        let error = table.hold(1, &kept[2], 2).unwrap_err();
        assert_eq!(error.to_string(), "the connection holds 2 references, which is the limit");
    }

    #[test]
    fn a_well_known_id_belongs_to_one_object() {
        let (table, first) = (ObjectTable::default(), object());
        table.pin(&first, Some(ObjectId::REGISTRY)).unwrap();
        assert_eq!(table.pin(&object(), Some(ObjectId::REGISTRY)), Err(TableError::Taken));
        assert_eq!(table.pin(&first, Some(ObjectId::random())), Err(TableError::Taken));
    }
}
