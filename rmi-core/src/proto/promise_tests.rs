//! Promises in the session: what may overtake what, and what a peer may not do with them.

use std::collections::HashSet;

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

use super::tests::Pair;
use super::*;
use crate::id::ObjectId;
use crate::limits::{CHUNK_BYTES, Limits, PROMISES_PER_SESSION_MAX};
use crate::wire::frame::{Body, Frame, ReplyFrame, ReplyStatus};
use crate::wire::reference::WireReference;

/// The id of a promise, which no plain object of these tests has.
fn id(number: u8) -> ObjectId {
    ObjectId::from_bytes([100 + number; 16])
}

/// What a call of these tests is: its order, its body, the promise it makes and the promises it names.
struct Made<'a>(u64, usize, Option<u8>, &'a [u8]);

impl Pair {
    /// Makes a call on the first promise it names, or on a plain object, with the others as its arguments.
    fn make(&mut self, Made(order, bytes, promise, names): Made<'_>) -> CallKey {
        let mut call = self.outgoing(bytes, order);
        call.promise = promise.map(id);
        call.object = names.first().map_or(call.object, |name| id(*name));
        call.references = names.iter().skip(1).map(|name| WireReference::Promised(id(*name))).collect();
        self.a.session.call(call, self.now).unwrap()
    }

    /// Makes a call on a plain object with these promises as its arguments.
    fn pass(&mut self, order: u64, names: &[u8]) -> CallKey {
        let mut call = self.outgoing(1, order);
        call.references = names.iter().map(|name| WireReference::Promised(id(*name))).collect();
        self.a.session.call(call, self.now).unwrap()
    }

    /// What `b` gets next, without an answer of it.
    fn arrive(&mut self) -> Vec<IncomingCall> {
        self.exchange();
        self.b.calls()
    }

    fn forgotten(&mut self) -> Vec<ObjectId> {
        let forgotten = std::mem::take(&mut self.b.events).into_iter();
        forgotten.filter_map(|event| if let Event::Forget(ids) = event { Some(ids) } else { None }).flatten().collect()
    }

    /// Sends `b` a frame that an honest `a` would not.
    fn forge(&mut self, frame: &Frame) -> Option<String> {
        let mut bytes = BytesMut::new();
        frame.encode(&mut bytes);
        self.b.receive(&bytes, self.now);
        self.b.session.closed().map(|closed| closed.error.message().to_owned())
    }
}

#[test]
fn what_names_a_promise_does_not_overtake_the_large_call_that_makes_it() {
    let mut pair = Pair::open(&Limits::default());
    pair.make(Made(1, 20 * CHUNK_BYTES, Some(1), &[]));
    pair.make(Made(2, 1, None, &[1]));
    pair.pass(3, &[1]);
    pair.make(Made(4, 7, None, &[]));
    let first = pair.a.output(pair.now);
    pair.b.receive(&first, pair.now);
    assert_eq!(pair.b.calls().iter().map(|call| call.body.len()).collect::<Vec<_>>(), [7], "it needs no promise");
    let sizes: Vec<_> = pair.arrive().iter().map(|call| (call.body.len(), call.dependent)).collect();
    assert_eq!(sizes, [(20 * CHUNK_BYTES, false), (1, true), (1, true)]);
}

#[test]
fn what_names_a_promise_waits_with_the_call_that_makes_it() {
    let limits = Limits { calls_in_flight_max: 1, ..Limits::default() };
    let mut pair = Pair::open(&limits);
    pair.make(Made(1, 1, None, &[]));
    let making = pair.make(Made(2, 2, Some(1), &[]));
    pair.make(Made(3, 3, None, &[1]));
    let running = pair.arrive();
    pair.a.session.cancel(making);
    pair.a.session.forget(id(1));
    pair.answer(running[0].id, 0);
    let calls = pair.arrive();
    assert_eq!(
        calls.iter().map(|call| call.body.len()).collect::<Vec<_>>(),
        [3],
        "what will never be made holds nothing"
    );
    assert!(!calls[0].dependent && pair.forgotten().is_empty(), "the peer never heard of the promise");
}

#[test]
fn a_call_that_has_a_promise_among_its_arguments_is_not_overtaken_by_the_next_of_its_order() {
    let mut pair = Pair::open(&Limits::default());
    pair.make(Made(1, 1, Some(1), &[]));
    pair.pass(2, &[1]);
    pair.make(Made(2, 5, None, &[]));
    pair.make(Made(3, 6, None, &[]));
    let calls = pair.arrive();
    assert_eq!(calls.iter().map(|call| call.body.len()).collect::<Vec<_>>(), [1, 1, 6]);
    pair.answer(calls[0].id, 0);
    assert_eq!(pair.arrive().iter().map(|call| call.body.len()).collect::<Vec<_>>(), [5]);
}

#[test]
fn a_promise_is_forgotten_behind_the_last_call_that_names_it() {
    let mut pair = Pair::open(&Limits::default());
    pair.make(Made(1, 1, Some(1), &[]));
    pair.exchange();
    pair.make(Made(2, 20 * CHUNK_BYTES, None, &[1]));
    pair.a.session.forget(id(1));
    let first = pair.a.output(pair.now);
    pair.b.receive(&first, pair.now);
    assert!(pair.forgotten().is_empty(), "a call that names it is half sent");
    pair.exchange();
    let mut events = std::mem::take(&mut pair.b.events).into_iter();
    assert!(matches!(events.next(), Some(Event::Call(call)) if call.dependent));
    assert!(matches!(events.next(), Some(Event::Forget(ids)) if ids == [id(1)]));
}

#[test]
fn the_promises_of_a_peer_are_bounded_and_have_ids_of_their_own() {
    let call = |pair: &Pair, slot: u32, promise: [u8; 16]| {
        let outgoing = pair.outgoing(0, 0);
        let id = crate::wire::frame::CallId { slot, generation: 1 };
        Frame::Call(crate::wire::frame::CallFrame {
            id,
            oneway: false,
            hops: 0,
            object: outgoing.object,
            method: outgoing.method,
            timeout_ms: 1,
            promise: Some(ObjectId::from_bytes(promise)),
            metadata: outgoing.metadata,
            references: Vec::new(),
            embedded: false,
            body: Body::Whole(Bytes::new()),
        })
    };
    let limits = Limits { calls_in_flight_max: 10_000, ..Limits::default() };
    let mut pair = Pair::open(&limits);
    for slot in 0..u32::try_from(PROMISES_PER_SESSION_MAX).unwrap() {
        let frame = call(&pair, slot, u128::from(slot).to_le_bytes());
        assert_eq!(pair.forge(&frame), None);
    }
    let frame = call(&pair, 5000, u128::MAX.to_le_bytes());
    let text = pair.forge(&frame).unwrap();
    assert!(text.ends_with("promises that were not let go of: 4097 exceeds the limit of 4096"), "{text}");
    let mut pair = Pair::open(&limits);
    let frame = call(&pair, 0, [7; 16]);
    assert_eq!(pair.forge(&frame), None);
    let frame = call(&pair, 1, [7; 16]);
    assert!(pair.forge(&frame).unwrap().ends_with("a promise with the id of another one"));
}

#[test]
fn a_promise_in_a_reply_breaks_the_protocol() {
    let mut pair = Pair::open(&Limits::default());
    pair.b.session.call(pair.outgoing(0, 0), pair.now).unwrap();
    pair.exchange();
    let id = pair.a.calls()[0].id;
    let reference = WireReference::Promised(ObjectId::random());
    let (status, body) = (ReplyStatus::Ok, Body::Whole(Bytes::new()));
    let text = pair.forge(&Frame::Reply(ReplyFrame { id, status, references: vec![reference], embedded: false, body }));
    assert!(text.unwrap().ends_with("a promise in a reply"));
}

#[test]
fn forgetting_what_was_never_promised_is_a_control_frame() {
    let mut pair = Pair::open(&Limits::default());
    let forget = Frame::Forget(vec![ObjectId::random()]);
    let frames = 0..=crate::limits::CONTROL_FRAMES_PER_SECOND_MAX;
    let text = frames.into_iter().find_map(|_| pair.forge(&forget)).unwrap();
    assert!(text.contains("more than 20000 control frames"), "{text}");
}

#[test]
fn letting_go_of_promises_is_paid_for_by_making_them() {
    let mut pair = Pair::open(&Limits::default());
    for _ in 0..=crate::limits::CONTROL_FRAMES_PER_SECOND_MAX / 100 {
        for number in 0..100 {
            pair.make(Made(1, 0, Some(number), &[]));
        }
        for call in pair.arrive() {
            pair.answer(call.id, 0);
        }
        pair.exchange();
        // Each in a frame of its own.
        for number in 0..100 {
            pair.a.session.forget(id(number));
            let output = pair.a.output(pair.now);
            pair.b.receive(&output, pair.now);
        }
        assert_eq!(pair.forgotten().len(), 100);
    }
    assert!(pair.a.session.takes_promises() && pair.b.session.closed().is_none());
}

#[test]
fn a_caller_makes_no_more_promises_than_its_peer_takes() {
    let mut pair = Pair::open(&Limits::default());
    for number in 0..PROMISES_PER_SESSION_MAX {
        assert!(pair.a.session.takes_promises());
        let mut call = pair.outgoing(0, 0);
        call.promise = Some(ObjectId::from_bytes((number as u128).to_le_bytes()));
        pair.a.session.call(call, pair.now).unwrap();
    }
    assert!(!pair.a.session.takes_promises());
    pair.a.session.forget(ObjectId::from_bytes(0u128.to_le_bytes()));
    pair.a.output(pair.now);
    assert!(pair.a.session.takes_promises());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// Whatever the sizes, places and orders: nothing names a promise that the peer does not know, and each order is kept.
    #[test]
    fn no_promise_is_named_before_it_is_made(
        calls in proptest::collection::vec((1u64..5, 0usize..3, any::<bool>(), 0u8..8, 0u8..8), 1..40),
        places in 1usize..6,
    ) {
        let limits = Limits { calls_in_flight_max: places, ..Limits::default() };
        let mut pair = Pair::open(&limits);
        let mut made = 0u8;
        for (number, (order, large, promises, first, second)) in calls.iter().enumerate() {
            let names: Vec<u8> = [*first, *second].into_iter().filter(|name| *name < made).collect();
            let promise = promises.then_some(made);
            made += u8::from(*promises);
            // The size says which call it was, and its order.
            let size = large * 2 * CHUNK_BYTES + 1000 * usize::try_from(*order).unwrap() + number;
            pair.make(Made(*order, size, promise, &names));
        }
        let (mut known, mut seen, mut arrived) = (HashSet::new(), Vec::new(), 0);
        for _ in 0..1000 {
            if arrived == calls.len() {
                break;
            }
            let output = pair.a.output(pair.now);
            pair.b.receive(&output, pair.now);
            for call in pair.b.calls() {
                let named = call.references.iter().filter_map(|reference| match reference {
                    WireReference::Promised(id) => Some(*id),
                    _ => None,
                });
                let object = Some(call.object).filter(|object| object.to_bytes()[0] >= 100);
                for name in named.chain(object) {
                    prop_assert!(known.contains(&name));
                }
                known.extend(call.promise);
                seen.push(call.body.len());
                arrived += 1;
                pair.answer(call.id, 0);
            }
            let answers = pair.b.output(pair.now);
            pair.a.receive(&answers, pair.now);
        }
        prop_assert_eq!(arrived, calls.len());
        for order in 1..5usize {
            let numbers: Vec<usize> =
                seen.iter().map(|size| size % (2 * CHUNK_BYTES)).filter(|rest| rest / 1000 == order).collect();
            prop_assert!(numbers.is_sorted(), "{:?}", numbers);
        }
    }
}
