//! The table of what is exported: holds, claims, pins and their bounds.

use super::*;
use crate::call::{Call, Dispatch, Dispatched, Incoming, Invocation};
use crate::id::NodeId;
use crate::interface::Descriptor;
use crate::reference::ObjectRef;

struct Nothing;

static DESCRIPTOR: Descriptor = Descriptor::new("Nothing");

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

const LEASE: LeaseId = LeaseId::from_bytes([7; 16]);

/// A table with the leases of these connections.
fn table(connections: &[u64]) -> ObjectTable {
    let table = ObjectTable::default();
    connections.iter().for_each(|connection| table.open(*connection, LEASE));
    table
}

impl ObjectTable {
    /// Sends the object to the peer.
    fn give(&self, connection: u64, object: &Arc<LocalObject>) -> Result<ObjectId, TableError> {
        let id = self.hold(connection, &Target::Local(object.clone()), 2)?;
        self.sent(connection, &[id]);
        Ok(id)
    }
}

#[test]
fn an_object_lives_as_long_as_the_last_lease_that_holds_it() {
    let (table, object) = (table(&[1, 2]), object());
    let id = table.give(1, &object).unwrap();
    assert_eq!(table.give(1, &object), Ok(id));
    assert_eq!(table.give(2, &object), Ok(id));
    table.close(1, LEASE);
    assert!(table.get(id).is_some());
    table.release(2, &[Released { object: id, copies: 1 }]).unwrap();
    assert!(table.get(id).is_none());
    assert_eq!(Arc::strong_count(&object), 1);
}

#[test]
fn a_pinned_object_outlives_leases() {
    let (table, object) = (table(&[1]), object());
    let id = table.pin(&object, None, Pin::Exported).unwrap();
    table.give(1, &object).unwrap();
    table.close(1, LEASE);
    assert!(table.get(id).is_some());
    assert!(!table.unpin(id, &Pin::Bound("name".into())));
    assert!(table.unpin(id, &Pin::Exported));
    assert!(!table.unpin(id, &Pin::Exported));
    assert_eq!(table.len(), 0);
}

#[test]
fn an_object_that_was_pinned_twice_is_unpinned_twice() {
    let (table, object) = (table(&[1]), object());
    let bound = Pin::Bound("name".into());
    let id = table.pin(&object, None, bound.clone()).unwrap();
    table.pin(&object, None, bound.clone()).unwrap();
    assert!(table.unpin(id, &bound) && table.get(id).is_some());
    assert!(table.unpin(id, &bound) && table.get(id).is_none());
    assert!(!table.unpin(id, &bound));
}

#[test]
fn a_lease_that_ended_holds_nothing_more() {
    let table = table(&[1]);
    table.close(1, LEASE);
    assert_eq!(table.give(1, &object()), Err(TableError::Closed));
    assert_eq!(table.release(1, &[Released { object: ObjectId::random(), copies: 1 }]), Ok(()));
}

#[test]
fn the_references_of_one_peer_are_bounded() {
    let table = table(&[1]);
    let kept: Vec<_> = (0..3).map(|_| object()).collect();
    assert!(kept[..2].iter().all(|object| table.give(1, object).is_ok()));
    let error = table.give(1, &kept[2]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the peer would hold more than the limit of 2 objects; let some go, or raise Limits::references_per_session_max"
    );
    let third = table.pin(&kept[2], None, Pin::Exported).unwrap();
    assert_eq!(table.claim(1, &[third], &[], 2, |_, _| true), [Claimed { object: third, held: false }]);
}

#[test]
fn a_well_known_id_belongs_to_one_object() {
    let (table, first) = (table(&[]), object());
    table.pin(&first, Some(ObjectId::REGISTRY), Pin::Exported).unwrap();
    assert_eq!(table.pin(&object(), Some(ObjectId::REGISTRY), Pin::Exported), Err(TableError::Taken));
    assert_eq!(table.pin(&first, Some(ObjectId::random()), Pin::Exported), Err(TableError::Taken));
}

/// An object of another node, as somebody describes it.
struct Elsewhere(ObjectRef);

impl Invoke for Elsewhere {
    fn invoke(&self, _: Call) -> Invocation {
        Box::pin(std::future::pending())
    }

    fn reference(&self) -> &ObjectRef {
        &self.0
    }
}

#[test]
fn a_peer_gets_no_two_objects_of_one_id_from_us() {
    let (table, own) = (table(&[1, 2]), object());
    let of = |node| Target::Remote(Arc::new(Elsewhere(ObjectRef::new(node, own.id(), vec![], vec![]))));
    let (first, second) = (of(NodeId::random()), of(NodeId::random()));
    table.hold(1, &first, 2).unwrap();
    assert_eq!(table.hold(1, &second, 2), Err(TableError::Taken));
    assert_eq!(table.hold(1, &Target::Local(own.clone()), 2), Err(TableError::Taken));
    assert_eq!(table.hold(1, &first, 2), Ok(own.id()));
    assert_eq!(table.hold(2, &second, 2), Ok(own.id()));
}

#[test]
fn a_frame_that_is_never_sent_holds_nothing() {
    let (table, object) = (table(&[1]), object());
    let id = table.hold(1, &Target::Local(object.clone()), 2).unwrap();
    assert_eq!(table.release(1, &[Released { object: id, copies: 1 }]), Err(TooMany { released: 1, held: 0 }));
    table.unsent(1, &[id]);
    assert_eq!((table.len(), Arc::strong_count(&object)), (0, 1));
}

#[test]
fn a_claim_holds_what_exists_and_what_may_be_held() {
    let (table, object) = (table(&[1, 2]), object());
    let (id, unknown) = (table.give(1, &object).unwrap(), ObjectId::random());
    let answers = |allowed: bool| {
        let claimed = table.claim(2, &[id, unknown], &[], 2, |_, _| allowed);
        claimed.iter().map(|claimed| claimed.held).collect::<Vec<_>>()
    };
    assert_eq!(answers(false), [false, false]);
    assert_eq!(answers(true), [true, false]);
    table.close(1, LEASE);
    assert!(table.get(id).is_some());
    table.close(2, LEASE);
    assert_eq!(table.len(), 0);
}
