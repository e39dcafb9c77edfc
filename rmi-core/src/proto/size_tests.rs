//! Values with more references than a frame has room for: they travel at the front of their body, under its bounds.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::{Bytes, BytesMut};

use crate::error::{ErrorKind, Executed};
use crate::id::ObjectId;
use crate::limits::{CHUNK_BYTES, Limits, REFERENCES_PER_FRAME_MAX};
use crate::proto::tests::Pair;
use crate::proto::{Cargo, Event, OutgoingCall, RawReply};
use crate::wire::frame::{Body, CallFrame, CallId, Frame, ReplyStatus};
use crate::wire::reference::WireReference;

fn references(count: u32) -> Vec<WireReference> {
    let id = |number: u32| ObjectId::from_bytes(u128::from(number).to_be_bytes());
    (0..count).map(|number| WireReference::Sender { object: id(number), interfaces: ["a.B".into()].into() }).collect()
}

/// Counts how often it was told that it goes out, and how often it was dropped.
#[derive(Default, Clone)]
struct Watched {
    sent: Arc<AtomicU32>,
    dropped: Arc<AtomicU32>,
}

impl Cargo for Watched {
    fn sent(&mut self) {
        self.sent.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }
}

impl Watched {
    fn counts(&self) -> (u32, u32) {
        (self.sent.load(Ordering::Relaxed), self.dropped.load(Ordering::Relaxed))
    }
}

fn referring(pair: &Pair, count: u32, body: usize) -> OutgoingCall {
    OutgoingCall { references: references(count), ..pair.outgoing(body, 1) }
}

#[test]
fn as_many_references_travel_as_a_body_may_have() {
    let most = u32::try_from(REFERENCES_PER_FRAME_MAX).unwrap();
    for count in [most, most + 1, 5000, 65_536] {
        let mut pair = Pair::open(&Limits::default());
        let key = pair.a.session.call(referring(&pair, count, 3), pair.now).unwrap();
        pair.exchange();
        let calls = pair.b.calls();
        assert_eq!((calls[0].references.len(), &calls[0].body[..]), (count as usize, &[7, 7, 7][..]));
        assert_eq!(calls[0].references, references(count));
        let body = Bytes::from_static(&[1]);
        let reply = RawReply { status: ReplyStatus::Ok, references: references(count), cargo: None, body };
        pair.b.session.reply(calls[0].id, Ok(reply));
        pair.exchange();
        let reply = pair.a.outcome(key).unwrap().unwrap();
        assert_eq!((reply.references.len(), &reply.body[..]), (count as usize, &[1][..]));
        // All credit is back, so as much can be sent again.
        for _ in 0..20 {
            let key = pair.a.session.call(referring(&pair, count, 3), pair.now).unwrap();
            pair.exchange();
            let id = pair.b.calls()[0].id;
            pair.answer(id, 0);
            pair.exchange();
            assert!(pair.a.outcome(key).unwrap().is_ok());
        }
    }
}

#[test]
fn more_references_than_the_peer_takes_are_refused_before_they_are_sent() {
    let limits = Limits { references_per_body_max: 2000, ..Limits::default() };
    let mut pair = Pair::open(&limits);
    let error = pair.a.session.call(referring(&pair, 2001, 0), pair.now).unwrap_err();
    assert_eq!((error.kind(), error.executed()), (ErrorKind::TooLarge, Executed::No));
    let way_out = "send them in parts or as a stream, or raise Limits::references_per_body_max at both ends";
    assert_eq!(error.message(), format!("arguments with 2001 references exceed the limit of 2000; {way_out}"));
    let key = pair.a.session.call(pair.outgoing(0, 1), pair.now).unwrap();
    pair.exchange();
    let id = pair.b.calls()[0].id;
    let (cargo, body) = (Watched::default(), Bytes::new());
    let boxed: Option<Box<dyn Cargo>> = Some(Box::new(cargo.clone()));
    let reply = RawReply { status: ReplyStatus::Ok, references: references(2001), cargo: boxed, body };
    pair.b.session.reply(id, Ok(reply));
    drop(pair.b.session.take_after());
    assert_eq!(cargo.counts().0, 0);
    pair.exchange();
    let error = pair.a.failure(key);
    assert_eq!((error.kind(), error.executed()), (ErrorKind::TooLarge, Executed::Yes));
}

#[test]
fn what_a_body_carries_counts_as_sent_when_the_body_is_whole() {
    let mut pair = Pair::open(&Limits::default());
    let cargo = Watched::default();
    let call = OutgoingCall { cargo: Some(Box::new(cargo.clone())), ..referring(&pair, 5000, 20 * CHUNK_BYTES) };
    let key = pair.a.session.call(call, pair.now).unwrap();
    let begun = pair.a.output(pair.now);
    pair.b.receive(&begun, pair.now);
    assert_eq!(cargo.counts(), (0, 0));
    // Given up on the way: the peer never hears of the objects, and lets none of them go.
    pair.a.session.cancel(key);
    drop(pair.a.session.take_after());
    assert_eq!(cargo.counts(), (0, 1));
    pair.exchange();
    assert!(pair.b.events.iter().all(|event| matches!(event, Event::Opened { .. })), "{:?}", pair.b.events);
    let whole = Watched::default();
    let call = OutgoingCall { cargo: Some(Box::new(whole.clone())), ..referring(&pair, 5000, 20 * CHUNK_BYTES) };
    pair.a.session.call(call, pair.now).unwrap();
    pair.exchange();
    assert_eq!(pair.b.calls().len(), 1);
    assert_eq!(whole.counts().0, 1);
}

#[test]
fn what_a_call_carries_is_given_back_when_the_session_ends_on_the_way() {
    let mut pair = Pair::open(&Limits::default());
    let cargo = Watched::default();
    let call = OutgoingCall { cargo: Some(Box::new(cargo.clone())), ..referring(&pair, 5000, 20 * CHUNK_BYTES) };
    pair.a.session.call(call, pair.now).unwrap();
    pair.a.output(pair.now);
    pair.a.session.goodbye(0, "done");
    drop(pair.a.session.take_after());
    assert_eq!(cargo.counts(), (0, 1));
}

fn forged(body: &[u8]) -> String {
    let mut pair = Pair::open(&Limits::default());
    let call = pair.outgoing(0, 1);
    let frame = Frame::Call(CallFrame {
        id: CallId { slot: 0, generation: 1 },
        oneway: false,
        hops: 0,
        object: call.object,
        method: call.method,
        timeout_ms: 1000,
        promise: None,
        metadata: call.metadata,
        references: Vec::new(),
        embedded: true,
        body: Body::Whole(Bytes::copy_from_slice(body)),
    });
    let mut bytes = BytesMut::new();
    frame.encode(&mut bytes);
    pair.b.receive(&bytes, pair.now);
    pair.b.session.closed().expect("it is a violation").error.message().to_owned()
}

#[test]
fn a_body_that_does_not_begin_with_what_it_announces_is_a_violation() {
    assert!(forged(&[1, 0]).ends_with("body that begins with references frame ends too early"));
    let many = 65_537_u32.to_le_bytes();
    assert!(forged(&many).ends_with("references of a body: 65537 exceeds the limit of 65536"));
    assert!(forged(&[&1_u32.to_le_bytes()[..], &[0, 1, 2]].concat()).ends_with("reference frame ends too early"));
    assert!(forged(&[&1_u32.to_le_bytes()[..], &[9]].concat()).ends_with("reference kind 9 is not known"));
}
