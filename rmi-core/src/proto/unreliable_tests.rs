//! Two sessions, and datagrams that are lost, doubled, reordered and malformed.

use std::collections::VecDeque;

use bytes::Bytes;
use proptest::prelude::*;

use super::Seen;
use crate::error::ErrorKind;
use crate::limits::{DATAGRAM_BYTES_MAX, DATAGRAMS_WAITING_MAX, Limits, UNRELIABLE_CALLS_MAX};
use crate::proto::tests::{End, Pair};
use crate::proto::{CallKey, IncomingCall, RawReply};
use crate::wire::frame::ReplyStatus;

const ROOM: usize = 1200;

fn pair() -> Pair {
    let mut pair = Pair::new(&Limits::default());
    for end in [&mut pair.a, &mut pair.b] {
        *end = End::with_datagrams(&Limits::default(), pair.now, ROOM);
    }
    pair.exchange();
    pair
}

fn call(pair: &mut Pair, body: usize) -> CallKey {
    let mut call = pair.outgoing(body, 1);
    (call.oneway, call.unreliable) = (true, true);
    pair.a.session.call(call, pair.now).unwrap()
}

fn datagrams(end: &mut End) -> Vec<Bytes> {
    let mut datagrams = VecDeque::new();
    end.session.poll_datagrams(&mut datagrams);
    datagrams.into()
}

fn deliver(pair: &mut Pair, datagram: &[u8]) -> Vec<IncomingCall> {
    pair.b.session.handle_datagram(Bytes::copy_from_slice(datagram), pair.now, &mut pair.b.events);
    pair.b.calls()
}

fn answer(pair: &mut Pair, call: &IncomingCall) {
    let nil =
        RawReply { status: ReplyStatus::Ok, references: Vec::new(), cargo: None, body: Bytes::from_static(&[0xc0]) };
    pair.b.session.reply(call.id, Ok(nil));
}

#[test]
fn an_unreliable_call_goes_in_a_datagram_and_gets_no_reply() {
    let mut pair = pair();
    let key = call(&mut pair, 100);
    assert!(pair.a.outcome(key).unwrap().is_ok());
    let sent = datagrams(&mut pair.a);
    assert_eq!((sent.len(), pair.a.output(pair.now).len()), (1, 0));
    let calls = deliver(&mut pair, &sent[0]);
    assert!(calls[0].oneway && calls[0].unreliable && calls[0].body.len() == 100);
    assert!(!pair.b.session.is_drained());
    answer(&mut pair, &calls[0]);
    assert!(pair.b.session.is_drained() && pair.b.output(pair.now).is_empty());
}

#[test]
fn a_call_that_does_not_fit_or_names_something_goes_the_usual_way() {
    let mut pair = pair();
    let head = 39;
    call(&mut pair, ROOM - head);
    assert_eq!(datagrams(&mut pair.a)[0].len(), ROOM);
    call(&mut pair, ROOM - head + 1);
    let mut promising = pair.outgoing(1, 1);
    (promising.oneway, promising.unreliable) = (true, true);
    promising.promise = Some(crate::ObjectId::from_bytes([5; 16]));
    pair.a.session.call(promising, pair.now).unwrap();
    // As long as there is a promise, what comes after may name it.
    call(&mut pair, 1);
    assert!(datagrams(&mut pair.a).is_empty());
    pair.exchange();
    assert_eq!(pair.b.calls().len(), 3);
}

#[test]
fn datagrams_go_only_to_peers_that_take_them() {
    let mut pair = Pair::open(&Limits::default());
    pair.a.session.set_datagram_bytes(ROOM);
    call(&mut pair, 1);
    assert!(datagrams(&mut pair.a).is_empty());
    pair.exchange();
    assert_eq!(pair.b.calls().len(), 1);
}

#[test]
fn a_datagram_that_comes_twice_runs_once_and_one_that_is_late_runs() {
    let mut pair = pair();
    for _ in 0..3 {
        call(&mut pair, 1);
    }
    let sent = datagrams(&mut pair.a);
    let runs: usize = [2, 0, 0, 2, 1, 1].iter().map(|index| deliver(&mut pair, &sent[*index]).len()).sum();
    assert_eq!(runs, 3);
}

#[test]
fn the_unreliable_calls_that_run_are_bounded_and_the_rest_is_lost() {
    let mut pair = pair();
    let mut running = Vec::new();
    for _ in 0..UNRELIABLE_CALLS_MAX + 10 {
        call(&mut pair, 1);
        let datagram = datagrams(&mut pair.a).remove(0);
        running.extend(deliver(&mut pair, &datagram));
    }
    assert_eq!(running.len(), UNRELIABLE_CALLS_MAX);
    answer(&mut pair, &running[0]);
    call(&mut pair, 1);
    let datagram = datagrams(&mut pair.a).remove(0);
    assert_eq!(deliver(&mut pair, &datagram).len(), 1);
}

#[test]
fn the_datagrams_that_wait_are_bounded() {
    let mut pair = pair();
    for _ in 0..DATAGRAMS_WAITING_MAX + 10 {
        call(&mut pair, 1);
    }
    assert_eq!(datagrams(&mut pair.a).len(), DATAGRAMS_WAITING_MAX);
}

#[test]
fn a_datagram_before_the_hello_or_after_going_away_is_lost() {
    let mut other = pair();
    call(&mut other, 1);
    let datagram = datagrams(&mut other.a).remove(0);
    let mut early = Pair::new(&Limits::default());
    assert!(deliver(&mut early, &datagram).is_empty() && early.b.session.closed().is_none());
    other.b.session.go_away();
    assert!(deliver(&mut other, &datagram).is_empty() && other.b.session.closed().is_none());
}

#[test]
fn a_malformed_datagram_closes_the_connection() {
    let mut pair = pair();
    call(&mut pair, 1);
    let good = datagrams(&mut pair.a).remove(0);
    let flags = |flags: u8| [&[2, flags], &good[2..]].concat();
    let bad: [Vec<u8>; 8] = [
        Vec::new(),
        vec![9],
        good[..20].to_vec(),
        vec![7; 9],
        flags(0),
        flags(1 | 8),
        flags(1 | 16),
        [&good[..], &vec![0; DATAGRAM_BYTES_MAX]].concat(),
    ];
    for datagram in bad {
        let mut pair = self::pair();
        assert!(deliver(&mut pair, &datagram).is_empty());
        let closed = pair.b.session.closed().expect("a violation").clone();
        assert_eq!(closed.error.kind(), ErrorKind::Protocol, "{datagram:?}");
    }
}

proptest! {
    #[test]
    fn no_number_counts_twice(numbers in proptest::collection::vec(0_u64..300, 0..600)) {
        let mut seen = Seen::default();
        let mut known = std::collections::HashSet::new();
        for number in numbers {
            let recent = known.iter().max().is_none_or(|newest| number + 128 > *newest);
            let first = !known.contains(&number);
            if seen.is_new(number) {
                prop_assert!(first);
                known.insert(number);
            } else {
                prop_assert!(!first || !recent);
            }
        }
        prop_assert!(seen.is_new(u64::MAX) && !seen.is_new(u64::MAX) && !seen.is_new(1));
    }

    #[test]
    fn no_bytes_do_harm(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        deliver(&mut pair(), &bytes);
    }
}
