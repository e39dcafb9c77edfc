//! Promises without a connection: who waits for what.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::call::{Call, Invocation, Invoke};
use crate::id::{MethodId, NodeId};
use crate::reference::ObjectRef;

/// An object of another node, which nobody calls here.
struct Elsewhere(ObjectRef);

impl Invoke for Elsewhere {
    fn invoke(&self, _: Call) -> Invocation {
        Box::pin(std::future::pending())
    }

    fn reference(&self) -> &ObjectRef {
        &self.0
    }
}

fn object() -> Target {
    Target::Remote(Arc::new(Elsewhere(ObjectRef::new(NodeId::random(), ObjectId::random(), Vec::new(), Vec::new()))))
}

fn id(number: u8) -> ObjectId {
    ObjectId::from_bytes([number; 16])
}

/// A call in place `slot` on object `on`, with these promises beside it, that makes a promise if `makes` is not 0.
fn call(slot: u32, on: u8, beside: &[u8], makes: u8) -> Arrived {
    let call = IncomingCall {
        id: CallId { slot, generation: 1 },
        object: id(on),
        method: MethodId::of("Thing", "act"),
        oneway: false,
        unreliable: false,
        hops: 0,
        timeout: Duration::from_secs(1),
        metadata: Default::default(),
        references: Vec::new(),
        body: Bytes::new(),
        promise: (makes > 0).then(|| id(makes)),
        dependent: true,
    };
    let beside = beside.iter().map(|name| Beside::Promise(id(*name))).collect();
    Arrived { call, object: None, beside }
}

fn admit(promises: &mut Promises, call: Arrived) {
    assert!(promises.admit(call, Instant::now()).is_ok());
}

/// The places of the calls that are due; those that fail are negative.
fn due(promises: &mut Promises) -> Vec<i64> {
    std::iter::from_fn(|| promises.take_due())
        .map(|due| match due {
            Due::Serve(arrived, ..) => i64::from(arrived.call.id.slot),
            Due::Fail(id, error, _) => {
                assert_eq!(error.executed(), Executed::No);
                -i64::from(id.slot)
            }
        })
        .collect()
}

fn broken() -> Result<Target, RemoteError> {
    Err(RemoteError::new(ErrorKind::PromiseBroken, Executed::No, "there is none"))
}

fn is_empty(promises: &Promises) -> bool {
    promises.promises.is_empty()
        && promises.waiting.is_empty()
        && promises.by_call.is_empty()
        && promises.due.is_empty()
}

#[test]
fn calls_on_a_promise_are_due_in_order_when_it_is_kept() {
    let mut promises = Promises::default();
    admit(&mut promises, call(1, 100, &[], 1));
    admit(&mut promises, call(2, 1, &[], 2));
    admit(&mut promises, call(3, 2, &[], 0));
    admit(&mut promises, call(4, 1, &[], 0));
    assert_eq!(due(&mut promises), [1]);
    promises.settle(id(1), Ok(object()));
    assert_eq!(due(&mut promises), [2, 4]);
    promises.settle(id(2), Ok(object()));
    assert_eq!(due(&mut promises), [3]);
    assert_eq!(promises.forget(&[id(1), id(2), id(77)]).len(), 2);
    assert!(is_empty(&promises));
}

#[test]
fn a_call_that_waits_for_its_arguments_holds_back_the_next_on_the_same_promise() {
    let mut promises = Promises::default();
    admit(&mut promises, call(1, 100, &[], 1));
    admit(&mut promises, call(2, 100, &[], 2));
    admit(&mut promises, call(3, 1, &[2, 2], 0));
    admit(&mut promises, call(4, 1, &[], 0));
    promises.settle(id(1), Ok(object()));
    admit(&mut promises, call(5, 1, &[], 0));
    assert_eq!(due(&mut promises), [1, 2]);
    promises.settle(id(2), Ok(object()));
    assert_eq!(due(&mut promises), [3, 4, 5]);
}

#[test]
fn a_broken_promise_fails_everything_behind_it_and_nothing_beside_it() {
    let mut promises = Promises::default();
    admit(&mut promises, call(1, 100, &[], 1));
    admit(&mut promises, call(2, 100, &[], 2));
    admit(&mut promises, call(3, 1, &[2], 3));
    admit(&mut promises, call(4, 1, &[], 0));
    admit(&mut promises, call(5, 3, &[], 0));
    assert_eq!(due(&mut promises), [1, 2]);
    promises.settle(id(2), broken());
    assert_eq!(due(&mut promises), [-3, -5]);
    admit(&mut promises, call(6, 3, &[], 6));
    admit(&mut promises, call(7, 100, &[6], 0));
    assert_eq!(due(&mut promises), [-6, -7], "they came too late to wait");
    promises.settle(id(1), Ok(object()));
    assert_eq!(due(&mut promises), [4]);
}

#[test]
fn a_promise_that_is_forgotten_still_serves_the_calls_that_named_it() {
    let mut promises = Promises::default();
    admit(&mut promises, call(1, 100, &[], 1));
    admit(&mut promises, call(2, 1, &[], 0));
    assert!(promises.forget(&[id(1)]).is_empty());
    promises.settle(id(1), Ok(object()));
    assert_eq!(due(&mut promises), [1, 2]);
    assert!(is_empty(&promises));
}

#[test]
fn a_call_whose_caller_is_gone_waits_no_more() {
    let mut promises = Promises::default();
    admit(&mut promises, call(1, 100, &[], 1));
    admit(&mut promises, call(2, 1, &[], 2));
    admit(&mut promises, call(3, 1, &[], 0));
    admit(&mut promises, call(4, 2, &[], 0));
    assert_eq!(due(&mut promises), [1]);
    assert!(promises.cancel(CallId { slot: 2, generation: 1 }));
    assert!(!promises.cancel(CallId { slot: 2, generation: 1 }) && !promises.cancel(CallId { slot: 1, generation: 1 }));
    assert_eq!(due(&mut promises), [-2, -4]);
    promises.settle(id(1), Ok(object()));
    assert!(promises.cancel(CallId { slot: 3, generation: 1 }), "it is due, and does not run");
    assert_eq!(due(&mut promises), [-3]);
}

#[test]
fn a_call_that_names_what_was_never_promised_is_refused_and_breaks_its_own_promise() {
    let mut promises = Promises::default();
    let refused = promises.admit(call(1, 100, &[9], 1), Instant::now()).err().unwrap();
    assert_eq!(refused.0, Refused::Unknown);
    promises.broken(id(1), &RemoteError::new(ErrorKind::NoSuchObject, Executed::No, "no such object"));
    admit(&mut promises, call(2, 1, &[], 0));
    assert_eq!(due(&mut promises), [-2]);
    // A call knows nothing of its own promise.
    assert_eq!(promises.admit(call(3, 100, &[3], 3), Instant::now()).err().unwrap().0, Refused::Unknown);
    assert_eq!(promises.admit(call(4, 100, &[], 1), Instant::now()).err().unwrap().0, Refused::Reused);
}

#[test]
fn a_chain_as_long_as_there_are_places_settles_without_end_in_sight_of_the_stack() {
    let mut promises = Promises::default();
    for number in 1..=50_000u32 {
        let mut next = call(number, 100, &[], 0);
        let named = |number: u32| ObjectId::from_bytes(u128::from(number).to_be_bytes());
        (next.call.object, next.call.promise) = (named(number - 1), Some(named(number)));
        admit(&mut promises, next);
    }
    assert_eq!(due(&mut promises), [1]);
    promises.settle(ObjectId::from_bytes(1u128.to_be_bytes()), broken());
    assert_eq!(due(&mut promises).len(), 49_999);
}
