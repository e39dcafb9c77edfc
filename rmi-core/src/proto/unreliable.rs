//! Unreliable calls: each in a datagram of its own, beside the bytes of the channel. Protocol §13.
//!
//! Such a call takes no place and no credit and gets no reply. It may be lost; it is never run twice.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::limits;
use crate::proto::answering::IncomingCall;
use crate::proto::asked::{CallKey, EntryState, OutgoingCall};
use crate::proto::session::{Event, Phase, Session, oneway_reply};
use crate::proto::violation::Violation;
use crate::wire::frame::{self, Body, CallFrame, CallId, Frame};

/// The place of all unreliable calls that run here: no other call can have it.
const NO_PLACE: u32 = u32::MAX;

/// What a session knows about unreliable calls, both ways.
#[derive(Default)]
pub(super) struct Unreliable {
    /// The longest datagram that the channel sends; 0 when it sends none.
    bytes_max: usize,
    /// Whether the peer takes them.
    pub(super) taken: bool,
    /// How many were sent.
    sent: u64,
    waiting: VecDeque<Bytes>,
    seen: Seen,
    /// How many of the peer's run.
    running: usize,
    /// How many of the peer's were accepted.
    accepted: u32,
    /// How many were dropped here, of ours and of the peer's.
    dropped: u64,
}

impl Unreliable {
    /// Whether none waits to be sent and none runs.
    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.running == 0
    }

    fn drop_one(&mut self, why: &'static str) {
        self.dropped += 1;
        tracing::debug!(why, dropped = self.dropped, "an unreliable call is lost");
    }
}

impl Session {
    /// The channel sends datagrams of up to so many bytes now; 0 for none. To be said before the start, and again when it
    /// changes.
    pub(crate) fn set_datagram_bytes(&mut self, bytes: usize) {
        self.unreliable.bytes_max = bytes;
    }

    /// What this side can do beyond the bytes of the channel, for its hello.
    pub(super) fn features(&self) -> u32 {
        self.asides.offered() | if self.unreliable.bytes_max > 0 { frame::DATAGRAMS } else { 0 }
    }

    /// Whether a call can go in a datagram. One that cannot goes the usual way.
    pub(super) fn fits_a_datagram(&self, call: &OutgoingCall) -> bool {
        let room = if self.unreliable.taken { self.unreliable.bytes_max.min(limits::DATAGRAM_BYTES_MAX) } else { 0 };
        // What is counted or waited for needs an order.
        let plain = call.references.is_empty() && call.promise.is_none() && self.asked.promises.is_idle();
        plain
            && call.oneway
            && matches!(self.phase, Phase::Open)
            && frame::datagram_bytes(&call.metadata, &call.body) <= room
    }

    /// Makes a call in a datagram. It is over with that.
    pub(super) fn call_unreliably(&mut self, call: OutgoingCall, now: Instant) -> CallKey {
        let key = self.asked.insert(call.deadline, None, EntryState::Free);
        self.asked.finish(key, Ok(oneway_reply()), &mut self.after);
        self.after.cargo.extend(call.cargo);
        let unreliable = &mut self.unreliable;
        if unreliable.waiting.len() >= limits::DATAGRAMS_WAITING_MAX {
            unreliable.drop_one("too many wait to be sent");
            return key;
        }
        unreliable.sent += 1;
        let left = call.deadline.saturating_duration_since(now).as_millis();
        unreliable.waiting.push_back(frame::encode_datagram(&CallFrame {
            id: CallId::from_number(unreliable.sent),
            oneway: true,
            hops: call.hops,
            object: call.object,
            method: call.method,
            timeout_ms: u32::try_from(left).unwrap_or(u32::MAX).max(1),
            promise: None,
            metadata: call.metadata,
            references: Vec::new(),
            embedded: false,
            body: Body::Whole(call.body),
        }));
        self.signal();
        key
    }

    /// Moves the datagrams that are to go out to `datagrams`.
    pub(crate) fn poll_datagrams(&mut self, datagrams: &mut VecDeque<Bytes>) {
        datagrams.append(&mut self.unreliable.waiting);
    }

    /// Takes a datagram that came. One that overtook the hello, or came when no more calls are accepted, is lost.
    pub(crate) fn handle_datagram(&mut self, datagram: Bytes, now: Instant, events: &mut Vec<Event>) {
        if !matches!(self.phase, Phase::Open) {
            return;
        }
        self.liveness.received(now);
        self.clock = now;
        match decode(datagram) {
            Ok(call) => self.accept_unreliable(call, events),
            Err(violation) => {
                self.violated(&violation.to_string());
                events.push(Event::Closed);
            }
        }
    }

    fn accept_unreliable(&mut self, call: CallFrame, events: &mut Vec<Event>) {
        let unreliable = &mut self.unreliable;
        if self.going_away || !unreliable.seen.is_new(call.id.number()) {
            return unreliable.drop_one("it came twice or too late");
        }
        if unreliable.running >= limits::UNRELIABLE_CALLS_MAX {
            return unreliable.drop_one("too many run");
        }
        unreliable.running += 1;
        unreliable.accepted = unreliable.accepted.wrapping_add(1);
        let id = CallId { slot: NO_PLACE, generation: unreliable.accepted };
        events.push(Event::Call(IncomingCall {
            id,
            object: call.object,
            method: call.method,
            oneway: true,
            unreliable: true,
            hops: call.hops,
            timeout: Duration::from_millis(call.timeout_ms.into()),
            metadata: call.metadata,
            references: Vec::new(),
            body: if let Body::Whole(body) = call.body { body } else { Bytes::new() },
            promise: None,
            dependent: false,
        }));
    }

    /// Whether this was an unreliable call, which is over now and gets no reply.
    #[inline]
    pub(super) fn finish_unreliable(&mut self, id: CallId) -> bool {
        let unreliable = id.slot == NO_PLACE;
        if unreliable {
            self.unreliable.running = self.unreliable.running.saturating_sub(1);
        }
        unreliable
    }
}

/// A datagram is a call that is whole, wants no reply and names no reference: the peer is known, so anything else is its
/// mistake and not the network's.
fn decode(datagram: Bytes) -> Result<CallFrame, Violation> {
    if datagram.len() > limits::DATAGRAM_BYTES_MAX {
        return Err(Violation::DatagramTooLong(datagram.len()));
    }
    let Frame::Call(call) = Frame::decode(datagram)? else { return Err(Violation::Datagram("is no call")) };
    if !call.oneway {
        return Err(Violation::Datagram("wants a reply"));
    }
    if !call.references.is_empty() || call.embedded || call.promise.is_some() {
        return Err(Violation::Datagram("has references"));
    }
    if !matches!(call.body, Body::Whole(_)) {
        return Err(Violation::Datagram("is not whole"));
    }
    Ok(call)
}

/// Which of the last 128 numbers have come.
#[derive(Default)]
struct Seen {
    newest: u64,
    /// The lowest bit stands for the newest.
    bits: u128,
}

impl Seen {
    /// Whether a number comes for the first time. One that is too old to tell counts as not.
    fn is_new(&mut self, number: u64) -> bool {
        if let Some(ahead) = number.checked_sub(self.newest).filter(|ahead| *ahead > 0) {
            self.bits = u32::try_from(ahead).ok().and_then(|ahead| self.bits.checked_shl(ahead)).unwrap_or(0);
            self.newest = number;
        }
        let behind = u32::try_from(self.newest - number).unwrap_or(u32::MAX);
        let Some(bit) = 1_u128.checked_shl(behind) else { return false };
        let new = self.bits & bit == 0;
        self.bits |= bit;
        new
    }
}

#[cfg(test)]
#[path = "unreliable_tests.rs"]
mod tests;
