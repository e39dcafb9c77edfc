//! The session without I/O: two of them, and a wire made of buffers.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

use super::*;
use crate::error::{ErrorKind, Executed, RemoteError};
use crate::id::{MethodId, NodeId, ObjectId};
use crate::limits::{CHUNK_BYTES, Limits};
use crate::metadata::Metadata;
use crate::wire::frame::{CallId, ReplyStatus};

/// One end of the wire.
pub(super) struct End {
    pub(super) session: Session,
    input: BytesMut,
    pub(super) events: Vec<Event>,
}

impl End {
    fn new(limits: &Limits, now: Instant) -> Self {
        Self::with_datagrams(limits, now, 0)
    }

    pub(super) fn with_datagrams(limits: &Limits, now: Instant, bytes: usize) -> Self {
        Self::new_with(limits, now, |session| session.set_datagram_bytes(bytes))
    }

    pub(super) fn new_with(limits: &Limits, now: Instant, set: impl FnOnce(&mut Session)) -> Self {
        let settings = Settings { node: NodeId::random(), endpoints: Vec::new(), limits: Arc::new(limits.clone()) };
        let mut session = Session::new(settings, None, now);
        set(&mut session);
        session.start(now);
        Self { session, input: BytesMut::new(), events: Vec::new() }
    }

    /// What goes out now, as one buffer; the operating system takes it all.
    pub(super) fn output(&mut self, now: Instant) -> Vec<u8> {
        let mut batch = VecDeque::new();
        self.session.poll_transmit(&mut batch, now);
        let bytes = batch.iter().flatten().copied().collect::<Vec<u8>>();
        self.session.written(bytes.len(), now);
        bytes
    }

    pub(super) fn receive(&mut self, bytes: &[u8], now: Instant) {
        self.input.extend_from_slice(bytes);
        self.session.handle_bytes(&mut self.input, now, &mut self.events);
    }

    pub(super) fn calls(&mut self) -> Vec<IncomingCall> {
        let calls = std::mem::take(&mut self.events).into_iter();
        calls.filter_map(|event| if let Event::Call(call) = event { Some(call) } else { None }).collect()
    }

    pub(super) fn outcome(&mut self, key: CallKey) -> Option<RawOutcome> {
        self.session.poll_outcome(key, Waker::noop())
    }

    pub(super) fn failure(&mut self, key: CallKey) -> RemoteError {
        self.outcome(key).expect("the call is over").expect_err("the call failed")
    }
}

pub(super) struct Pair {
    pub(super) a: End,
    pub(super) b: End,
    pub(super) now: Instant,
}

impl Pair {
    pub(super) fn new(limits: &Limits) -> Self {
        let now = Instant::now();
        Self { a: End::new(limits, now), b: End::new(limits, now), now }
    }

    pub(super) fn open(limits: &Limits) -> Self {
        let mut pair = Self::new(limits);
        pair.exchange();
        pair
    }

    /// Moves bytes until neither end has any.
    pub(super) fn exchange(&mut self) {
        loop {
            let (there, back) = (self.a.output(self.now), self.b.output(self.now));
            if there.is_empty() && back.is_empty() {
                return;
            }
            self.b.receive(&there, self.now);
            self.a.receive(&back, self.now);
        }
    }

    fn call(&mut self, body: usize, order: u64) -> CallKey {
        self.a.session.call(self.outgoing(body, order), self.now).expect("the session takes the call")
    }

    pub(super) fn outgoing(&self, body: usize, order: u64) -> OutgoingCall {
        OutgoingCall {
            node: None,
            object: ObjectId::from_bytes([1; 16]),
            method: MethodId::of("Thing", "act"),
            oneway: false,
            unreliable: false,
            hops: 0,
            deadline: self.now + Duration::from_secs(30),
            metadata: Metadata::default(),
            references: Vec::new(),
            cargo: None,
            body: Bytes::from(vec![7; body]),
            order,
            promise: None,
        }
    }

    pub(super) fn answer(&mut self, id: CallId, body: usize) {
        let body = Bytes::from(vec![9; body]);
        self.b.session.reply(id, Ok(RawReply { status: ReplyStatus::Ok, references: Vec::new(), cargo: None, body }));
    }
}

#[test]
fn calls_wait_for_the_hello_and_arrive_in_order() {
    let mut pair = Pair::new(&Limits::default());
    let keys: Vec<_> = (1..=5).map(|size| pair.call(size, 1)).collect();
    pair.exchange();
    let calls = pair.b.calls();
    assert_eq!(calls.iter().map(|call| call.body.len()).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    for call in calls.iter().rev() {
        pair.answer(call.id, 10 + call.body.len());
    }
    pair.exchange();
    for (key, size) in keys.into_iter().zip(11..) {
        assert_eq!(pair.a.outcome(key).unwrap().unwrap().body.len(), size);
    }
}

#[test]
fn a_call_gets_one_reply() {
    let mut pair = Pair::open(&Limits::default());
    let first = pair.call(1, 1);
    pair.exchange();
    let id = pair.b.calls()[0].id;
    pair.answer(id, 1);
    pair.answer(id, 2);
    pair.exchange();
    assert_eq!(pair.a.outcome(first).unwrap().unwrap().body.len(), 1);
    // Its place is used again, by a call that has no reply yet.
    let second = pair.call(1, 1);
    pair.answer(id, 3);
    pair.exchange();
    assert!(pair.a.outcome(second).is_none());
    assert!(pair.a.session.closed().is_none());
}

#[test]
fn a_small_call_does_not_wait_for_a_large_one() {
    let mut pair = Pair::open(&Limits::default());
    pair.call(20 * CHUNK_BYTES, 1);
    pair.call(3, 2);
    let first = pair.a.output(pair.now);
    assert!(first.len() < 10 * CHUNK_BYTES);
    pair.b.receive(&first, pair.now);
    assert_eq!(pair.b.calls().iter().map(|call| call.body.len()).collect::<Vec<_>>(), [3]);
    pair.exchange();
    assert_eq!(pair.b.calls()[0].body.len(), 20 * CHUNK_BYTES);
}

#[test]
fn a_later_call_of_one_order_waits_for_a_large_one() {
    let mut pair = Pair::open(&Limits::default());
    pair.call(20 * CHUNK_BYTES, 1);
    pair.call(3, 1);
    pair.exchange();
    let sizes: Vec<_> = pair.b.calls().iter().map(|call| call.body.len()).collect();
    assert_eq!(sizes, [20 * CHUNK_BYTES, 3]);
}

#[test]
fn calls_wait_for_places_and_are_sent_when_replies_free_them() {
    let limits = Limits { calls_in_flight_max: 2, ..Limits::default() };
    let mut pair = Pair::open(&limits);
    let keys: Vec<_> = (0..5).map(|_| pair.call(1, 1)).collect();
    let mut served = 0;
    while served < 5 {
        pair.exchange();
        let calls = pair.b.calls();
        assert!(!calls.is_empty() && calls.len() <= 2);
        served += calls.len();
        calls.iter().for_each(|call| pair.answer(call.id, 1));
    }
    pair.exchange();
    assert!(keys.into_iter().all(|key| pair.a.outcome(key).unwrap().is_ok()));
}

#[test]
fn bodies_beyond_the_window_wait_for_credit() {
    let limits = Limits { body_bytes_max: 100_000, window_bytes: 200_000, ..Limits::default() };
    let mut pair = Pair::open(&limits);
    let keys: Vec<_> = (0..50).map(|_| pair.call(90_000, 1)).collect();
    pair.exchange();
    // What was handed over is credited, so all of it passes in the end.
    let calls = pair.b.calls();
    assert_eq!(calls.len(), 50);
    calls.iter().for_each(|call| pair.answer(call.id, 90_000));
    pair.exchange();
    assert!(keys.into_iter().all(|key| pair.a.outcome(key).unwrap().unwrap().body.len() == 90_000));
}

#[test]
fn wherever_the_wire_is_cut_no_means_that_the_call_did_not_arrive() {
    let sizes = [1, 3 * CHUNK_BYTES + 5, 40, CHUNK_BYTES + 1];
    let whole = {
        let mut pair = Pair::open(&Limits::default());
        for size in sizes {
            pair.call(size, size as u64);
        }
        pair.a.output(pair.now).len()
    };
    for cut in (0..whole).step_by(499).chain([whole]) {
        let mut pair = Pair::open(&Limits::default());
        let keys: Vec<_> = sizes.iter().map(|size| pair.call(*size, *size as u64)).collect();
        let mut batch = VecDeque::new();
        pair.a.session.poll_transmit(&mut batch, pair.now);
        let bytes: Vec<u8> = batch.iter().flatten().copied().collect();
        pair.a.session.written(cut, pair.now);
        let lost = RemoteError::new(ErrorKind::Disconnected, Executed::Maybe, "cut");
        pair.a.session.handle_lost(lost);
        pair.b.receive(&bytes[..cut], pair.now);
        let arrived: Vec<_> = pair.b.calls().iter().map(|call| call.body.len()).collect();
        for (key, size) in keys.into_iter().zip(sizes) {
            let expected = if arrived.contains(&size) { Executed::Maybe } else { Executed::No };
            assert_eq!(pair.a.failure(key).executed(), expected, "cut at {cut} of {whole}, body of {size}");
        }
    }
}

#[test]
fn a_goodbye_tells_which_calls_count() {
    let mut pair = Pair::open(&Limits::default());
    let first = pair.call(1, 1);
    pair.exchange();
    let second = pair.call(1, 1);
    // The goodbye is under way when the second call is.
    pair.b.session.goodbye(code::DONE, "enough");
    let (there, back) = (pair.a.output(pair.now), pair.b.output(pair.now));
    pair.b.receive(&there, pair.now);
    pair.a.receive(&back, pair.now);
    assert_eq!(pair.a.failure(first).executed(), Executed::Maybe);
    assert_eq!(pair.a.failure(second).executed(), Executed::No);
    assert!(pair.a.session.closed().is_some_and(|closed| closed.clean));
}

#[test]
fn our_own_goodbye_counts_what_still_goes_out() {
    let mut pair = Pair::open(&Limits::default());
    let key = pair.call(1, 1);
    let large = pair.call(20 * CHUNK_BYTES, 2);
    pair.a.session.goodbye(code::DONE, "enough");
    let out = pair.a.output(pair.now);
    pair.b.receive(&out, pair.now);
    // The small call was queued whole and arrives; the large one never does.
    assert_eq!(pair.b.calls().len(), 1);
    assert_eq!(pair.a.failure(key).executed(), Executed::Maybe);
    assert_eq!(pair.a.failure(large).executed(), Executed::No);
}

#[test]
fn a_node_that_goes_away_finishes_what_it_accepted() {
    let mut pair = Pair::open(&Limits::default());
    let accepted = pair.call(1, 1);
    pair.exchange();
    let id = pair.b.calls()[0].id;
    pair.b.session.go_away();
    let late = pair.call(1, 1);
    pair.exchange();
    let error = pair.a.failure(late);
    assert_eq!((error.kind(), error.executed()), (ErrorKind::Draining, Executed::No));
    assert!(!pair.a.session.takes_calls() && !pair.b.session.is_drained());
    pair.answer(id, 1);
    pair.exchange();
    assert!(pair.a.outcome(accepted).unwrap().is_ok());
    assert!(pair.b.session.is_drained());
}

#[test]
fn a_deadline_tells_whether_the_call_was_sent() {
    let limits = Limits { calls_in_flight_max: 1, ..Limits::default() };
    let mut pair = Pair::open(&limits);
    let (sent, waiting) = (pair.call(1, 1), pair.call(1, 1));
    pair.exchange();
    pair.now += Duration::from_secs(30);
    assert_eq!(pair.a.session.poll_timeout(), Some(pair.now - Duration::from_secs(10)));
    pair.a.session.handle_timeout(pair.now);
    assert_eq!(pair.a.failure(sent).executed(), Executed::Maybe);
    assert_eq!(pair.a.failure(waiting).executed(), Executed::No);
    pair.exchange();
    assert!(pair.b.events.iter().any(|event| matches!(event, Event::Cancel(_))));
}

#[test]
fn a_cancelled_call_keeps_its_place_until_its_reply() {
    let limits = Limits { calls_in_flight_max: 1, ..Limits::default() };
    let mut pair = Pair::open(&limits);
    let key = pair.call(1, 1);
    pair.exchange();
    let id = pair.b.calls()[0].id;
    pair.a.session.cancel(key);
    let next = pair.call(2, 1);
    pair.exchange();
    assert!(pair.b.calls().is_empty(), "the place is not free yet");
    pair.answer(id, 1);
    pair.exchange();
    assert_eq!(pair.b.calls().len(), 1);
    assert!(pair.a.outcome(next).is_none());
}

#[test]
fn a_silent_peer_is_asked_and_then_given_up() {
    let limits = Limits::default();
    let mut pair = Pair::open(&limits);
    pair.now += limits.ping_after;
    pair.a.session.handle_timeout(pair.now);
    assert!(!pair.a.output(pair.now).is_empty(), "a ping goes out");
    pair.now += limits.pong_timeout;
    pair.a.session.handle_timeout(pair.now);
    let closed = pair.a.session.closed().expect("the peer is given up");
    assert!(closed.error.message().contains("the peer was silent for 30.0s"), "{}", closed.error);
}

#[test]
fn a_living_peer_is_kept() {
    let limits = Limits::default();
    let mut pair = Pair::open(&limits);
    for _ in 0..100 {
        pair.now += limits.ping_after;
        pair.a.session.handle_timeout(pair.now);
        pair.b.session.handle_timeout(pair.now);
        pair.exchange();
    }
    assert!(pair.a.session.closed().is_none() && pair.b.session.closed().is_none());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn nothing_that_a_peer_sends_panics(
        kinds in prop::collection::vec((0u8..13, prop::collection::vec(any::<u8>(), 0..80)), 1..20),
        piece in 1usize..50,
    ) {
        let mut pair = Pair::open(&Limits::default());
        let mut wire = Vec::new();
        for (kind, rest) in kinds {
            wire.extend(u32::try_from(rest.len() + 1).unwrap().to_le_bytes());
            wire.push(kind);
            wire.extend(rest);
        }
        for part in wire.chunks(piece) {
            pair.b.receive(part, pair.now);
        }
        let calls = pair.b.calls();
        for call in calls {
            pair.answer(call.id, 1);
        }
        pair.b.output(pair.now);
    }
}

#[test]
fn answers_that_nobody_reads_are_bounded() {
    let limits = Limits { unread_bytes_max: 1000, ..Limits::default() };
    let mut pair = Pair::open(&limits);
    // The answers are taken by nobody: 13 bytes each.
    let ping = [&9u32.to_le_bytes()[..], &[7], &[0; 8]].concat();
    let now = pair.now;
    pair.b.receive(&ping.repeat(100), now);
    let closed = pair.b.session.closed().expect("the session is over");
    let text = closed.error.message();
    assert!(text.contains("control frames while 1001 bytes are unread, the limit is 1000"), "{text}");
}

#[test]
fn claims_count_by_their_objects() {
    let mut pair = Pair::open(&Limits::default());
    // 65 each, of 20,000 in a second.
    let claim = [&(4 + 1024 * 16_u32).to_le_bytes()[..], &[13, 0, 0, 4], &[5; 1024 * 16]].concat();
    let now = pair.now;
    pair.b.receive(&claim.repeat(307), now);
    assert!(pair.b.session.closed().is_none(), "{:?}", pair.b.session.closed());
    pair.b.receive(&claim, now);
    let text = pair.b.session.closed().expect("the session is over").error.message().to_owned();
    assert!(text.contains("more than 20000 control frames in a second"), "{text}");
}

#[test]
fn a_peer_that_grants_more_than_it_reads_makes_nothing_grow() {
    let unread = 1 << 20;
    let limits = Limits { replies_waiting_bytes_max: 1 << 18, unread_bytes_max: unread, ..Limits::default() };
    for (body, window) in [(70_000, u64::MAX), (1000, u64::MAX), (1, u64::MAX), (70_000, 0), (1, 0)] {
        let mut pair = Pair::open(&limits);
        pair.b.session.send.replies.open(window);
        let mut answered = 0_usize;
        // Nobody takes what it answers.
        while pair.b.session.closed().is_none() && answered < unread / 20 {
            pair.call(1, 1);
            let there = pair.a.output(pair.now);
            pair.b.receive(&there, pair.now);
            for call in pair.b.calls() {
                pair.answer(call.id, body);
                pair.a.session.asked.free_place(call.id);
                answered += 1;
            }
        }
        let text = pair.b.session.closed().expect("the session is over").error.message().to_owned();
        assert!(text.contains("calls while") && text.contains(&format!("the limit is {unread}")), "{text}");
    }
}

/// However much credit it gives: its places bound how many replies it can be behind.
#[test]
fn a_peer_that_calls_from_all_its_places_and_reads_slowly_keeps_its_connection() {
    let limits = Limits {
        body_bytes_max: 1 << 20,
        replies_waiting_bytes_max: 4 << 20,
        unread_bytes_max: 8 << 20,
        ..Limits::default()
    };
    let mut pair = Pair::open(&limits);
    pair.b.session.send.replies.open(u64::MAX);
    let keys: Vec<_> = (0..limits.calls_in_flight_max).map(|_| pair.call(1, 1)).collect();
    let there = pair.a.output(pair.now);
    pair.b.receive(&there, pair.now);
    for call in pair.b.calls() {
        pair.answer(call.id, 800_000);
    }
    assert!(pair.b.session.closed().is_none(), "{:?}", pair.b.session.closed());
    pair.exchange();
    let outcomes = keys.into_iter().map(|key| pair.a.outcome(key).expect("an outcome"));
    let (whole, replaced): (Vec<_>, Vec<_>) =
        outcomes.partition(|outcome| outcome.as_ref().is_ok_and(|reply| reply.body.len() == 800_000));
    assert!((5..=10).contains(&whole.len()), "{}", whole.len());
    for outcome in &replaced {
        let error = outcome.as_ref().expect_err("a reply in whose place stands a fault");
        assert_eq!((error.kind(), error.executed()), (ErrorKind::Overloaded, Executed::Yes), "{error}");
    }
    assert_eq!(whole.len() + replaced.len(), limits.calls_in_flight_max);
}

/// The limits let a body be as large as what may wait, and what may be unread has no room for both.
#[test]
fn replies_as_large_as_what_may_wait_arrive_beside_others_and_unread_frames() {
    let limits = Limits {
        body_bytes_max: (4 << 20) + 1,
        window_bytes: 16 << 20,
        replies_waiting_bytes_max: 4 << 20,
        unread_bytes_max: 8 << 20,
        ..Limits::default()
    };
    let mut pair = Pair::open(&limits);
    let keys: Vec<_> = (0..2).map(|_| pair.call(1, 1)).collect();
    let ping = [&9u32.to_le_bytes()[..], &[7], &[0; 8]].concat();
    let there = [pair.a.output(pair.now), ping].concat();
    pair.b.receive(&there, pair.now);
    for call in pair.b.calls() {
        pair.answer(call.id, (4 << 20) + 1);
    }
    pair.exchange();
    // One was under way, the other waited.
    for key in keys {
        let outcome = pair.a.outcome(key).expect("an outcome");
        assert_eq!(outcome.expect("a reply").body.len(), (4 << 20) + 1);
    }
    assert!(pair.b.session.closed().is_none(), "{:?}", pair.b.session.closed());
}

#[test]
fn replies_beyond_what_the_peer_reads_go_out_when_it_reads_on() {
    let limits = Limits { replies_waiting_bytes_max: 400_000, ..Limits::default() };
    let mut pair = Pair::open(&limits);
    let keys: Vec<_> = (0..6).map(|_| pair.call(1, 1)).collect();
    let there = pair.a.output(pair.now);
    pair.b.receive(&there, pair.now);
    for call in pair.b.calls() {
        pair.answer(call.id, 150_000);
    }
    pair.exchange();
    let whole =
        keys.into_iter().filter_map(|key| pair.a.outcome(key)?.ok()).filter(|reply| reply.body.len() == 150_000);
    assert_eq!(whole.count(), 5, "three are under way at most and two wait");
}
