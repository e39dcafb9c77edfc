//! Large bodies beside the bytes, whole, in order, cancelled, late and hostile.

use bytes::Bytes;

use super::{Arriving, Aside};
use crate::error::{ErrorKind, Executed, RemoteError};
use crate::limits::{CHUNK_BYTES, Limits};
use crate::proto::tests::{End, Pair};
use crate::proto::{CallKey, Event};
use crate::wire::frame::{Body, CallId, Frame, ReplyFrame, ReplyStatus};

fn pair() -> Pair {
    let mut pair = Pair::new(&Limits::default());
    for end in [&mut pair.a, &mut pair.b] {
        *end = End::new_with(&Limits::default(), pair.now, |session| session.set_asides(true));
    }
    pair.exchange();
    pair
}

/// A call that was answered with a body of so many bytes.
fn answered(pair: &mut Pair, body: usize) -> CallKey {
    let key = pair.a.session.call(pair.outgoing(1, 1), pair.now).unwrap();
    pair.exchange();
    let id = pair.b.calls()[0].id;
    pair.answer(id, body);
    key
}

fn bytes(mut aside: Aside) -> Vec<u8> {
    let mut all = Vec::new();
    while !aside.chunk().is_empty() {
        let chunk = aside.chunk().to_vec();
        aside.advance(chunk.len());
        all.extend(chunk);
    }
    all
}

/// What becomes of a stream with these pieces.
fn arrive(pair: &mut Pair, pieces: &[&[u8]]) -> Option<ErrorKind> {
    let mut arriving = Arriving::default();
    for (index, piece) in pieces.iter().enumerate() {
        arriving.input.extend_from_slice(piece);
        let ended = index + 1 == pieces.len();
        pair.a.session.handle_aside(&mut arriving, ended, pair.now, &mut pair.a.events);
    }
    let closed = pair.a.session.closed().map(|closed| closed.error.kind());
    assert_eq!(closed.is_some(), pair.a.events.drain(..).any(|event| matches!(event, Event::Closed)));
    closed
}

#[test]
fn a_large_reply_goes_beside_the_bytes_and_a_small_one_does_not_wait_for_it() {
    let mut pair = pair();
    let large = answered(&mut pair, 1 << 20);
    let small = answered(&mut pair, 10);
    pair.exchange();
    assert!(pair.a.outcome(small).is_some() && pair.a.outcome(large).is_none());
    let sent = bytes(pair.b.session.poll_aside(pair.now).unwrap());
    let pieces: Vec<&[u8]> = sent.chunks(100_000).chain([&[][..]]).collect();
    assert_eq!(arrive(&mut pair, &pieces), None);
    assert_eq!(pair.a.outcome(large).unwrap().unwrap().body.len(), 1 << 20);
}

#[test]
fn a_stream_may_come_byte_by_byte() {
    let mut pair = pair();
    let key = answered(&mut pair, CHUNK_BYTES + 1);
    let sent = bytes(pair.b.session.poll_aside(pair.now).unwrap());
    let (head, rest) = sent.split_at(40);
    let pieces: Vec<&[u8]> = head.chunks(1).chain([rest]).collect();
    assert_eq!(arrive(&mut pair, &pieces), None);
    assert_eq!(pair.a.outcome(key).unwrap().unwrap().body, Bytes::from(vec![9; CHUNK_BYTES + 1]));
}

#[test]
fn a_session_is_drained_when_the_peer_has_the_replies_beside_the_bytes() {
    let mut pair = pair();
    answered(&mut pair, 1 << 20);
    pair.exchange();
    assert!(!pair.b.session.is_drained());
    let mut aside = pair.b.session.poll_aside(pair.now).unwrap();
    aside.advance(1);
    pair.b.session.aside_taken(&mut aside, false, pair.now);
    assert!(!pair.b.session.is_drained());
    pair.b.session.aside_taken(&mut aside, true, pair.now);
    assert!(pair.b.session.is_drained());
}

#[test]
fn a_slow_network_is_not_taken_for_a_peer_that_does_not_read() {
    let mut pair = pair();
    for _ in 0..2 {
        answered(&mut pair, 1 << 20);
    }
    pair.exchange();
    let stall = Limits::default().write_stall;
    let late = |pair: &mut Pair, after| {
        pair.now += after;
        pair.b.session.handle_timeout(pair.now);
        pair.b.session.closed().is_some()
    };
    let mut first = pair.b.session.poll_aside(pair.now).unwrap();
    assert!(!late(&mut pair, stall / 10));
    first.advance(usize::MAX);
    first.advance(usize::MAX);
    pair.b.session.aside_taken(&mut first, false, pair.now);
    // The network has it, and takes its time; there is no stream for the next one.
    let mut second = pair.b.session.poll_aside(pair.now).unwrap();
    assert!(!late(&mut pair, stall + stall / 10));
    pair.b.session.aside_taken(&mut first, true, pair.now);
    assert!(!late(&mut pair, stall / 10));
    second.advance(1);
    pair.b.session.aside_taken(&mut second, false, pair.now);
    assert!(!late(&mut pair, stall - stall / 10));
    assert!(late(&mut pair, stall / 10), "nothing more of it was taken");
}

#[test]
fn replies_go_beside_the_bytes_only_to_peers_that_take_it() {
    let mut pair = Pair::open(&Limits::default());
    pair.b.session.set_asides(true);
    let key = answered(&mut pair, 1 << 20);
    assert!(pair.b.session.poll_aside(pair.now).is_none());
    pair.exchange();
    assert!(pair.a.outcome(key).is_some());
}

/// A call with a large body, on its way on a stream of its own.
fn large_call(pair: &mut Pair, order: u64) -> CallKey {
    pair.a.session.call(pair.outgoing(1 << 20, order), pair.now).unwrap()
}

/// Hands the whole of it to the network.
fn hand_over(pair: &mut Pair, aside: &mut Aside) -> Vec<u8> {
    let mut all = Vec::new();
    while !aside.chunk().is_empty() {
        assert!(!aside.is_last() || pair.a.session.may_complete(aside));
        let chunk = aside.chunk().to_vec();
        aside.advance(chunk.len());
        all.extend(chunk);
    }
    pair.a.session.aside_taken(aside, false, pair.now);
    all
}

fn arrive_at_b(pair: &mut Pair, bytes: &[u8]) {
    let mut arriving = Arriving::default();
    arriving.input.extend_from_slice(bytes);
    pair.b.session.handle_aside(&mut arriving, true, pair.now, &mut pair.b.events);
}

#[test]
fn a_large_call_goes_beside_the_bytes_and_only_its_own_order_waits_for_it() {
    let mut pair = pair();
    let large = large_call(&mut pair, 1);
    let behind = pair.a.session.call(pair.outgoing(2, 1), pair.now).unwrap();
    let other = pair.a.session.call(pair.outgoing(3, 2), pair.now).unwrap();
    pair.exchange();
    assert_eq!(pair.b.calls().iter().map(|call| call.body.len()).collect::<Vec<_>>(), [3]);
    let mut aside = pair.a.session.poll_aside(pair.now).unwrap();
    let sent = hand_over(&mut pair, &mut aside);
    pair.exchange();
    assert!(pair.b.calls().is_empty());
    arrive_at_b(&mut pair, &sent);
    pair.a.session.aside_taken(&mut aside, true, pair.now);
    pair.exchange();
    let calls = pair.b.calls();
    assert_eq!(calls.iter().map(|call| call.body.len()).collect::<Vec<_>>(), [1 << 20, 2]);
    pair.answer(calls[0].id, 1);
    pair.exchange();
    assert!(
        pair.a.outcome(large).unwrap().is_ok() && pair.a.outcome(behind).is_none() && pair.a.outcome(other).is_none()
    );
}

#[test]
fn a_call_beside_the_bytes_may_have_run_from_its_last_byte_on() {
    for (whole, executed) in [(false, Executed::No), (true, Executed::Maybe)] {
        let mut pair = pair();
        let key = large_call(&mut pair, 1);
        let mut aside = pair.a.session.poll_aside(pair.now).unwrap();
        if whole {
            hand_over(&mut pair, &mut aside);
        } else {
            aside.advance(aside.chunk().len());
            aside.advance(aside.chunk().len());
            assert!(aside.is_last() && aside.chunk().len() == 1);
            pair.a.session.aside_taken(&mut aside, false, pair.now);
        }
        pair.a.session.handle_lost(RemoteError::new(ErrorKind::Disconnected, Executed::Maybe, "lost"));
        assert_eq!(pair.a.failure(key).executed(), executed);
    }
}

#[test]
fn the_last_byte_of_a_call_beside_the_bytes_leaves_only_while_the_session_knows_that_it_may_run() {
    for begun in [true, false] {
        let mut pair = pair();
        let key = large_call(&mut pair, 1);
        let aside = pair.a.session.poll_aside(pair.now).unwrap();
        assert!(!begun || pair.a.session.may_complete(&aside));
        // Somebody else closes the session while the driver writes.
        pair.a.session.goodbye(crate::proto::code::DONE, "over");
        assert!(!pair.a.session.may_complete(&aside));
        assert_eq!(pair.a.failure(key).executed(), if begun { Executed::Maybe } else { Executed::No });
    }
}

#[test]
fn a_cancelled_call_beside_the_bytes_is_stopped_when_it_is_whole_and_one_that_has_not_begun_is_forgotten() {
    let mut pair = pair();
    let (begun, not_begun) = (large_call(&mut pair, 1), large_call(&mut pair, 2));
    let mut aside = pair.a.session.poll_aside(pair.now).unwrap();
    pair.a.session.cancel(not_begun);
    assert!(pair.a.session.poll_aside(pair.now).is_none() && pair.a.session.calls_in_flight() == 1);
    pair.a.session.cancel(begun);
    pair.exchange();
    let sent = hand_over(&mut pair, &mut aside);
    arrive_at_b(&mut pair, &sent);
    pair.a.session.aside_taken(&mut aside, true, pair.now);
    pair.exchange();
    let events = std::mem::take(&mut pair.b.events);
    let [Event::Opened { .. }, Event::Call(call), Event::Cancel(id)] = &events[..] else {
        panic!("{} events", events.len())
    };
    assert_eq!(call.id, *id);
    pair.answer(call.id, 1);
    pair.exchange();
    assert!(pair.a.session.is_drained() && pair.a.session.calls_in_flight() == 0);
    // The credit of both is back: there is room for as much as ever.
    for order in 10..40 {
        large_call(&mut pair, order);
        assert!(pair.a.session.poll_aside(pair.now).is_some());
    }
}

#[test]
fn a_call_beside_the_bytes_that_comes_after_the_goaway_is_refused_by_its_reply() {
    let mut pair = pair();
    let (begun, not_begun) = (large_call(&mut pair, 1), large_call(&mut pair, 2));
    let mut aside = pair.a.session.poll_aside(pair.now).unwrap();
    pair.b.session.go_away();
    pair.exchange();
    let refused = pair.a.failure(not_begun);
    assert_eq!((refused.kind(), refused.executed()), (ErrorKind::Draining, Executed::No));
    assert!(pair.a.outcome(begun).is_none());
    let sent = hand_over(&mut pair, &mut aside);
    arrive_at_b(&mut pair, &sent);
    pair.a.session.aside_taken(&mut aside, true, pair.now);
    pair.exchange();
    let refused = pair.a.failure(begun);
    assert_eq!((refused.kind(), refused.executed()), (ErrorKind::Draining, Executed::No));
    assert!(pair.b.calls().is_empty() && pair.b.session.is_drained());
}

#[test]
fn a_stream_that_nobody_should_send_closes_the_connection() {
    let reply = |id, bytes, references: usize| {
        let reference = crate::wire::reference::WireReference::Promised(crate::ObjectId::from_bytes([3; 16]));
        let references = vec![reference; references];
        let mut out = bytes::BytesMut::new();
        Frame::Reply(ReplyFrame {
            id,
            status: ReplyStatus::Ok,
            references,
            embedded: false,
            body: Body::Follows(bytes),
        })
        .encode(&mut out);
        out.to_vec()
    };
    let id = |pair: &mut Pair| {
        pair.a.session.call(pair.outgoing(1, 1), pair.now).unwrap();
        pair.exchange();
        pair.b.calls()[0].id
    };
    type Hostile<'a> = (&'a str, &'a dyn Fn(CallId) -> Vec<Vec<u8>>);
    let hostile: [Hostile<'_>; 9] = [
        ("nothing", &|_| vec![vec![]]),
        ("half a head", &|id| vec![reply(id, 5, 0)[..9].to_vec()]),
        ("another frame", &|_| vec![vec![9, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0]]),
        ("an endless head", &|_| vec![vec![0xff; 8]]),
        ("references", &|id| vec![reply(id, 5, 1)]),
        ("a reply to no call", &|id| vec![reply(CallId { slot: id.slot + 1, ..id }, 5, 0)]),
        ("less than announced", &|id| vec![reply(id, 5, 0), vec![1; 4]]),
        ("more than announced", &|id| vec![reply(id, 5, 0), vec![1; 5], vec![1]]),
        ("more than the window", &|id| vec![reply(id, u32::MAX, 0)]),
    ];
    for (what, stream) in hostile {
        let mut pair = pair();
        let id = id(&mut pair);
        let stream = stream(id);
        let pieces: Vec<&[u8]> = stream.iter().map(Vec::as_slice).collect();
        assert_eq!(arrive(&mut pair, &pieces), Some(ErrorKind::Protocol), "{what}");
    }
}
