//! A channel's state over a broker that does what brokers do, and against peers that lie.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::envelope::{Envelope, Kind};
use super::flow::{Flow, Over};
use crate::limits;

/// Numbers that can be had again.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }

    fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// One side: what it has still to write, and what it has read.
struct Side {
    flow: Flow,
    unwritten: Vec<Bytes>,
    read: Vec<u8>,
}

impl Side {
    fn new(dice: &mut Dice, now: Instant) -> (Self, Vec<u8>) {
        let pieces = |dice: &mut Dice, index: u64| {
            let length = usize::try_from(1 + dice.below(40)).unwrap();
            Bytes::from(vec![u8::try_from(index % 251).unwrap(); length])
        };
        let mut unwritten: Vec<Bytes> = (0..300).map(|index| pieces(dice, index)).collect();
        let whole = unwritten.concat();
        unwritten.push(Bytes::new());
        unwritten.reverse();
        (Self { flow: Flow::new(now), unwritten, read: Vec::new() }, whole)
    }

    /// Writes what there is room for and reads a little.
    fn live(&mut self, dice: &mut Dice, now: Instant) {
        while self.flow.has_room() {
            let Some(piece) = self.unwritten.pop() else { break };
            self.flow.push(piece);
        }
        for _ in 0..dice.below(30) {
            let Some(front) = self.flow.front() else { break };
            let count = front.len().min(17);
            self.read.extend_from_slice(&front[..count]);
            self.flow.advance(count, now);
        }
    }
}

/// What the broker makes of a message: it may be lost, repeated or come later than others.
fn pass(dice: &mut Dice, message: &Bytes, into: &mut Vec<Bytes>) {
    if dice.percent(5) {
        return;
    }
    for _ in 0..=u64::from(dice.percent(10)) {
        let late = usize::try_from(if dice.percent(10) { dice.below(5) } else { 0 }).unwrap();
        into.insert(into.len().saturating_sub(late), message.clone());
    }
}

fn two_sides_over_a_bad_broker(seed: u64) {
    let mut dice = Dice(seed);
    let mut now = Instant::now();
    let (mut near, wrote) = Side::new(&mut dice, now);
    let (mut far, answered) = Side::new(&mut dice, now);
    for _ in 0..10_000 {
        let (mut there, mut back) = (Vec::new(), Vec::new());
        for (side, way) in [(&mut near, &mut there), (&mut far, &mut back)] {
            side.live(&mut dice, now);
            side.flow.handle_timeout(now).unwrap();
            while let Some(envelope) = side.flow.poll_transmit(now) {
                pass(&mut dice, &envelope.encode(), way);
            }
        }
        for (side, way) in [(&mut far, there), (&mut near, back)] {
            for message in way {
                side.flow.handle(Envelope::decode(message).unwrap(), now).unwrap();
            }
        }
        if near.flow.is_done() && far.flow.is_done() {
            assert!(near.read == answered && far.read == wrote, "seed {seed}");
            return;
        }
        now += Duration::from_millis(1 + dice.below(200));
    }
    panic!("seed {seed}: the two sides do not come to an end");
}

#[test]
fn a_stream_arrives_once_and_in_order_though_the_broker_loses_repeats_and_swaps() {
    (0..200).for_each(two_sides_over_a_bad_broker);
}

fn piece(number: u64, bytes: &'static [u8]) -> Envelope {
    Envelope { number, bytes: Bytes::from_static(bytes), ..Envelope::bare(Kind::Piece) }
}

fn flow() -> (Flow, Instant) {
    let now = Instant::now();
    (Flow::new(now), now)
}

#[test]
fn a_peer_that_is_silent_is_taken_for_dead_and_one_that_gives_signs_is_not() {
    let (mut flow, begun) = flow();
    let mut now = begun;
    let mut signs = 0;
    while flow.handle_timeout(now).is_ok() {
        signs += u32::from(flow.poll_transmit(now).is_some());
        now = flow.due();
        if now < begun + limits::BROKER_SILENCE * 2 {
            flow.handle(Envelope::bare(Kind::Sign), now).unwrap();
        }
    }
    assert_eq!(flow.handle_timeout(now), Err(Over::Silent));
    let alive = now - begun;
    assert!(
        alive > limits::BROKER_SILENCE * 2 && alive < limits::BROKER_SILENCE * 3 + limits::BROKER_BEAT,
        "{alive:?}"
    );
    assert!(signs > 6, "{signs}");
}

#[test]
fn a_reader_that_does_not_read_stops_the_sender() {
    let ((mut sender, now), (mut reader, _)) = (flow(), flow());
    let mut sent = 0;
    while sender.has_room() {
        sender.push(Bytes::from_static(b"x"));
        sent += 1;
    }
    assert_eq!(sent, limits::BROKER_WINDOW);
    let deliver = |sender: &mut Flow, reader: &mut Flow| {
        while let Some(envelope) = sender.poll_transmit(now) {
            reader.handle(envelope, now).unwrap();
        }
    };
    deliver(&mut sender, &mut reader);
    assert_eq!(reader.poll_transmit(now), None);
    (0..limits::BROKER_WINDOW / 4).for_each(|_| reader.advance(1, now));
    deliver(&mut reader, &mut sender);
    let room = std::iter::from_fn(|| sender.has_room().then(|| sender.push(Bytes::from_static(b"y")))).count();
    assert_eq!(room as u64, limits::BROKER_WINDOW / 4);
}

#[test]
fn what_nobody_acknowledges_is_sent_again_each_time_later() {
    let (mut flow, begun) = flow();
    flow.push(Bytes::from_static(b"x"));
    let (mut now, mut times) = (begun, Vec::new());
    while flow.handle_timeout(now).is_ok() {
        if flow.poll_transmit(now).is_some_and(|envelope| envelope.kind == Kind::Piece) {
            times.push((now - begun).as_millis());
        }
        now = flow.due();
    }
    assert_eq!(times, [0, 500, 1500, 3500, 5500, 7500, 9500]);
}

#[test]
fn a_peer_that_lies_ends_the_channel() {
    const LARGE: &[u8] = &[0; limits::BROKER_PIECE_BYTES + 1];
    let lie = |lie: Envelope| {
        let (mut flow, now) = flow();
        flow.push(Bytes::from_static(b"x"));
        flow.handle(piece(0, b"x"), now).unwrap();
        flow.handle(lie, now).unwrap_err()
    };
    assert_eq!(lie(piece(1, LARGE)), Over::Large(LARGE.len()));
    let end = limits::BROKER_WINDOW;
    assert_eq!(lie(piece(end, b"x")), Over::Beyond { number: end, end });
    assert_eq!(lie(piece(u64::MAX, b"x")), Over::Beyond { number: u64::MAX, end });
    let news = |received, taken| Envelope { received, taken, ..Envelope::bare(Kind::Sign) };
    assert_eq!(lie(news(2, 0)), Over::Unsent { received: 2, taken: 0, made: 1 });
    assert_eq!(lie(news(1, 2)), Over::Unsent { received: 1, taken: 2, made: 1 });
    assert_eq!(lie(news(u64::MAX, u64::MAX)), Over::Unsent { received: u64::MAX, taken: u64::MAX, made: 1 });
    assert_eq!(lie(Envelope::bare(Kind::Open)), Over::Misplaced);
    assert_eq!(lie(Envelope::bare(Kind::Gone)), Over::Gone);
}

#[test]
fn nothing_comes_after_the_end_and_what_comes_twice_counts_once() {
    let (mut flow, now) = flow();
    for number in [0, 0, 2, 1, 1] {
        flow.handle(piece(number, b"x"), now).unwrap();
    }
    flow.handle(piece(2, b""), now).unwrap();
    flow.handle(piece(2, b"more"), now).unwrap();
    assert_eq!(flow.handle(piece(3, b"more"), now), Err(Over::AfterEnd(3)));
    let mut read = Vec::new();
    while let Some(front) = flow.front().cloned() {
        read.push(front.clone());
        flow.advance(front.len(), now);
    }
    assert_eq!(read, [&b"x"[..], b"x", b""]);
}

#[test]
fn last_words_have_their_time_to_arrive_and_no_more() {
    let (mut flow, now) = flow();
    flow.push(Bytes::from_static(b"last words"));
    flow.push(Bytes::new());
    flow.abandon(now);
    assert!(!flow.is_done());
    let later = now + limits::BROKER_SILENCE / 2;
    flow.handle(piece(0, b"nobody reads this"), later).unwrap();
    assert_eq!(flow.front(), None);
    assert_eq!(flow.handle_timeout(now + limits::BROKER_SILENCE), Err(Over::Unread));
    flow.handle(Envelope { received: 2, taken: 1, ..Envelope::bare(Kind::Sign) }, later).unwrap();
    assert!(flow.is_done());
}
