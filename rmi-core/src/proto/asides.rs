//! Large bodies that travel on one-way streams of their own, beside the bytes of the channel. Protocol §14.
//!
//! The head of such a call or reply travels with its body, so that nothing on one stream waits for another. What has an order
//! stays with the others: a body with references, and one where promises are about. A call of this kind has no number, as
//! the two sides would count it differently; it is refused with a reply when it comes too late. Later calls through its proxy
//! wait until the peer has it whole, and what the peer had before it reads on comes first.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::{Buf, Bytes, BytesMut};

use crate::proto::asked::OutgoingCall;
use crate::proto::session::{Event, Phase, Session};
use crate::proto::violation::Violation;
use crate::wire::frame::{self, Body, CallFrame, CallId, Frame, Lane, ReplyFrame};

/// The longest frame in front of a body.
const HEAD_BYTES_MAX: usize = 4096;

/// What a session knows about the streams beside the channel.
#[derive(Default)]
pub(super) struct Asides {
    /// Whether the channel has them.
    offered: bool,
    /// Whether the peer takes them, too.
    pub(super) taken: bool,
    waiting: VecDeque<Aside>,
    leaving: Vec<Leaving>,
    /// How many bodies the peer does not have whole, those that wait included.
    unfinished: usize,
    /// How many of these the network has not taken whole.
    unwritten: usize,
    /// The bytes of the replies that the peer does not have whole.
    reply_bytes: usize,
}

impl Asides {
    pub(super) fn is_idle(&self) -> bool {
        self.unfinished == 0
    }

    /// Whether nothing of them waits for the peer to read. Behind what is on its way the next one waits for the network, which
    /// may be slow; that the peer is alive is asked of it otherwise.
    pub(super) fn is_taken(&self) -> bool {
        self.unwritten == 0 || self.unwritten < self.unfinished
    }

    pub(super) fn reply_bytes(&self) -> usize {
        self.reply_bytes
    }

    pub(super) fn offered(&self) -> u32 {
        if self.offered { frame::ASIDES } else { 0 }
    }

    /// Forgets everything that no stream was asked for.
    pub(super) fn drop_all(&mut self) {
        self.waiting.clear();
    }

    /// Takes over what begins with `head`; `call` is set when it is a call of ours.
    pub(super) fn push(&mut self, call: Option<CallId>, head: &Frame, body: Bytes) {
        let mut bytes = BytesMut::new();
        head.encode(&mut bytes);
        let reply_bytes = if call.is_none() { body.len() } else { 0 };
        self.reply_bytes += reply_bytes;
        self.waiting.push_back(Aside { call, head: bytes.freeze(), body, reply_bytes, written: false });
        self.unfinished += 1;
        self.unwritten += 1;
    }

    /// Whether a stream was asked for, for this call of ours.
    pub(super) fn is_leaving(&self, id: CallId) -> bool {
        self.leaving.iter().any(|leaving| leaving.id == id)
    }
}

/// A call of ours for which a stream was asked for and which the peer does not have whole.
struct Leaving {
    id: CallId,
    /// Whether its caller is gone.
    cancelled: bool,
}

/// A call or a reply that is to go on a stream of its own.
#[derive(Debug)]
pub(crate) struct Aside {
    call: Option<CallId>,
    head: Bytes,
    body: Bytes,
    reply_bytes: usize,
    /// Whether the session knows that the network has it whole.
    written: bool,
}

impl Aside {
    /// What is to be written next; empty when nothing is left. The last byte comes alone.
    pub(crate) fn chunk(&self) -> &[u8] {
        match self.body.split_last() {
            _ if !self.head.is_empty() => &self.head,
            Some((_, rest)) if !rest.is_empty() => rest,
            _ => &self.body,
        }
    }

    /// Whether the peer has the whole with what is to be written next.
    pub(crate) fn is_last(&self) -> bool {
        self.head.is_empty() && self.body.len() == 1
    }

    pub(crate) fn advance(&mut self, written: usize) {
        let part = if self.head.is_empty() { &mut self.body } else { &mut self.head };
        part.advance(written.min(part.len()));
    }
}

/// A call or a reply that is coming on a stream of its own.
#[derive(Debug, Default)]
pub(crate) struct Arriving {
    /// Where the bytes of the stream go.
    pub(crate) input: BytesMut,
    /// What it is and how much of its body is to come, once that was told.
    body: Option<(Lane, CallId, usize)>,
}

impl Session {
    /// Whether the channel has streams beside its bytes. To be said before the start.
    pub(crate) fn set_asides(&mut self, offered: bool) {
        self.asides.offered = offered;
    }

    /// Whether a large call goes on a stream of its own.
    pub(super) fn goes_aside(&self, call: &OutgoingCall) -> bool {
        let plain = call.references.is_empty() && call.promise.is_none() && self.asked.promises.is_idle();
        plain && self.asides.taken
    }

    /// The next body that is to go on a stream of its own.
    pub(crate) fn poll_aside(&mut self, now: Instant) -> Option<Aside> {
        let aside = self.asides.waiting.pop_front()?;
        self.asides.leaving.extend(aside.call.map(|id| Leaving { id, cancelled: false }));
        if !self.asides.is_taken() {
            self.liveness.output_waits(now);
        }
        Some(aside)
    }

    /// Whether the last byte may leave: from here on a call may run. Not once the session is over, as its callers know by then
    /// that it has not.
    pub(crate) fn may_complete(&mut self, aside: &Aside) -> bool {
        if matches!(self.phase, Phase::Closed(_)) {
            return false;
        }
        if let Some(sent) = aside.call.and_then(|id| self.asked.sent_by_id(id)) {
            // No goaway counts it.
            sent.complete = Some((0, 0));
        }
        true
    }

    /// Something of it was taken; `finished` when the peer has it whole, or does not want it.
    pub(crate) fn aside_taken(&mut self, aside: &mut Aside, finished: bool, now: Instant) {
        if (finished || aside.chunk().is_empty()) && !std::mem::replace(&mut aside.written, true) {
            self.asides.unwritten = self.asides.unwritten.saturating_sub(1);
        }
        if let Some(id) = aside.call
            && finished
        {
            self.call_left(id, now);
        }
        if finished {
            self.asides.unfinished = self.asides.unfinished.saturating_sub(1);
            self.asides.reply_bytes = self.asides.reply_bytes.saturating_sub(std::mem::take(&mut aside.reply_bytes));
            self.pump_replies();
        }
        self.liveness.output_taken(now, self.is_taken());
    }

    fn call_left(&mut self, id: CallId, now: Instant) {
        let cancelled = self.asides.leaving.iter().any(|leaving| leaving.id == id && leaving.cancelled);
        self.asides.leaving.retain(|leaving| leaving.id != id);
        self.cutting.retain(|cut| cut.id != id);
        if matches!(self.phase, Phase::Closed(_)) {
            return;
        }
        if cancelled {
            self.push(&Frame::Cancel(id));
        }
        if self.asked.waiting_live > 0 {
            self.pump_calls(now);
        }
    }

    /// The caller of a call is gone; says whether it is one that goes on a stream of its own. When it has begun to, the peer is
    /// told to stop as soon as it has it whole.
    pub(super) fn cancel_aside(&mut self, id: CallId) -> bool {
        if let Some(leaving) = self.asides.leaving.iter_mut().find(|leaving| leaving.id == id) {
            leaving.cancelled = true;
            return true;
        }
        self.forget_aside(id)
    }

    /// Takes back a call for which no stream was asked for: the peer never hears of it. Says whether there is one.
    pub(super) fn forget_aside(&mut self, id: CallId) -> bool {
        let waiting = &mut self.asides.waiting;
        let at = waiting.iter().position(|aside| aside.call == Some(id));
        let Some(aside) = at.and_then(|at| waiting.remove(at)) else { return false };
        self.asides.unfinished = self.asides.unfinished.saturating_sub(1);
        self.asides.unwritten = self.asides.unwritten.saturating_sub(1);
        self.send.calls.credit(aside.body.len() as u64);
        self.cutting.retain(|cut| cut.id != id);
        self.asked.free_place(id);
        self.asked.promises.changed = true;
        self.signal();
        true
    }

    /// Whether the peer has everything that was queued.
    pub(super) fn is_flushed(&self) -> bool {
        self.outbox.is_flushed() && self.asides.is_idle()
    }

    /// Whether nothing waits for the peer to read.
    pub(super) fn is_taken(&self) -> bool {
        self.outbox.is_flushed() && self.asides.is_taken()
    }

    /// Takes what came on a stream beside the bytes; `ended` when that was all of it.
    pub(crate) fn handle_aside(&mut self, aside: &mut Arriving, ended: bool, now: Instant, events: &mut Vec<Event>) {
        if matches!(self.phase, Phase::Closed(_)) {
            return;
        }
        self.liveness.received(now);
        self.clock = now;
        if let Err(violation) = self.take_aside(aside, ended, now, events) {
            self.violated(&violation.to_string());
            events.push(Event::Closed);
        }
    }

    fn take_aside(
        &mut self,
        aside: &mut Arriving,
        ended: bool,
        now: Instant,
        events: &mut Vec<Event>,
    ) -> Result<(), Violation> {
        if matches!(self.phase, Phase::Opening { .. }) {
            return Err(Violation::BeforeHello("a stream"));
        }
        if aside.body.is_none()
            && let Some(head) = frame::split(&mut aside.input, HEAD_BYTES_MAX)?
        {
            aside.body = Some(self.begin_aside(Frame::decode(head)?, now, events)?);
        }
        if let Some((lane, id, left)) = &mut aside.body
            && !aside.input.is_empty()
        {
            let bytes = aside.input.split().freeze();
            *left = left.checked_sub(bytes.len()).ok_or(Violation::BadPiece)?;
            let (lane, id, last) = (*lane, *id, *left == 0);
            match lane {
                Lane::Calls => self.handle_aside_piece(id, &bytes, last, events)?,
                Lane::Replies => self.handle_reply_piece(id, &bytes, last, now)?,
            }
        }
        let whole = matches!(aside.body, Some((_, _, 0)));
        if ended && !whole { Err(Violation::Aside("ends early")) } else { Ok(()) }
    }

    fn begin_aside(
        &mut self,
        head: Frame,
        now: Instant,
        events: &mut Vec<Event>,
    ) -> Result<(Lane, CallId, usize), Violation> {
        match head {
            Frame::Reply(reply @ ReplyFrame { body: Body::Follows(bytes), .. })
                if reply.references.is_empty() && !reply.embedded =>
            {
                let id = reply.id;
                self.handle_reply(reply, now)?;
                Ok((Lane::Replies, id, bytes as usize))
            }
            Frame::Call(call @ CallFrame { body: Body::Follows(bytes), promise: None, .. })
                if call.references.is_empty() && !call.embedded =>
            {
                let id = call.id;
                self.handle_call(call, events)?;
                Ok((Lane::Calls, id, bytes as usize))
            }
            _ => Err(Violation::Aside("does not begin with a call or a reply without references whose body follows")),
        }
    }
}

#[cfg(test)]
#[path = "asides_tests.rs"]
mod tests;
