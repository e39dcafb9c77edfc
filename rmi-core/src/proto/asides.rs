//! Large replies that travel on one-way streams of their own, beside the bytes of the channel. Protocol §14.
//!
//! Replies come in any order and nothing counts them, so nothing has to wait for such a stream but its caller. Calls stay on
//! the one stream: their order and their number rest on it.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::{Buf, Bytes, BytesMut};

use crate::proto::incoming::Violation;
use crate::proto::session::{Event, Phase, Session};
use crate::wire::frame::{self, Body, CallId, Frame, ReplyFrame};

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
    /// How many replies the peer does not have whole, those that wait included.
    unfinished: usize,
}

impl Asides {
    pub(super) fn is_idle(&self) -> bool {
        self.unfinished == 0
    }

    pub(super) fn offered(&self) -> u32 {
        if self.offered { frame::ASIDES } else { 0 }
    }

    /// Forgets the replies that no stream was opened for.
    pub(super) fn drop_all(&mut self) {
        self.waiting.clear();
    }

    pub(super) fn push(&mut self, head: &Frame, body: Bytes) {
        let mut bytes = BytesMut::new();
        head.encode(&mut bytes);
        self.waiting.push_back(Aside { head: bytes.freeze(), body });
        self.unfinished += 1;
    }
}

/// A reply that is to go on a stream of its own.
#[derive(Debug)]
pub(crate) struct Aside {
    head: Bytes,
    body: Bytes,
}

impl Aside {
    /// What is to be written next; empty when nothing is left.
    pub(crate) fn chunk(&self) -> &[u8] {
        if self.head.is_empty() { &self.body } else { &self.head }
    }

    pub(crate) fn advance(&mut self, written: usize) {
        let part = if self.head.is_empty() { &mut self.body } else { &mut self.head };
        part.advance(written.min(part.len()));
    }
}

/// A reply that is coming on a stream of its own.
#[derive(Debug, Default)]
pub(crate) struct Arriving {
    /// Where the bytes of the stream go.
    pub(crate) input: BytesMut,
    /// Whose reply it is and how much of its body is to come, once that was told.
    body: Option<(CallId, usize)>,
}

impl Session {
    /// Whether the channel has streams beside its bytes. To be said before the start.
    pub(crate) fn set_asides(&mut self, offered: bool) {
        self.asides.offered = offered;
    }

    /// The next reply that is to go on a stream of its own.
    pub(crate) fn poll_aside(&mut self, now: Instant) -> Option<Aside> {
        let aside = self.asides.waiting.pop_front()?;
        self.liveness.output_waits(now);
        Some(aside)
    }

    /// Something of such a reply was taken; `finished` when the peer has it whole, or does not want it.
    pub(crate) fn aside_taken(&mut self, finished: bool, now: Instant) {
        self.asides.unfinished = self.asides.unfinished.saturating_sub(usize::from(finished));
        self.liveness.output_taken(now, self.is_flushed());
    }

    /// Whether the peer has everything that was queued.
    pub(super) fn is_flushed(&self) -> bool {
        self.outbox.is_flushed() && self.asides.is_idle()
    }

    /// Takes what came on a stream beside the bytes; `ended` when that was all of it.
    pub(crate) fn handle_aside(&mut self, aside: &mut Arriving, ended: bool, now: Instant, events: &mut Vec<Event>) {
        if matches!(self.phase, Phase::Closed(_)) {
            return;
        }
        self.liveness.received(now);
        self.clock = now;
        if let Err(violation) = self.take_aside(aside, ended, now) {
            self.violated(&violation.to_string());
            events.push(Event::Closed);
        }
    }

    fn take_aside(&mut self, aside: &mut Arriving, ended: bool, now: Instant) -> Result<(), Violation> {
        if matches!(self.phase, Phase::Opening { .. }) {
            return Err(Violation::BeforeHello("a stream"));
        }
        if aside.body.is_none()
            && let Some(head) = frame::split(&mut aside.input, HEAD_BYTES_MAX)?
        {
            aside.body = Some(self.begin_aside(Frame::decode(head)?, now)?);
        }
        if let Some((id, left)) = &mut aside.body
            && !aside.input.is_empty()
        {
            let bytes = aside.input.split().freeze();
            *left = left.checked_sub(bytes.len()).ok_or(Violation::BadPiece)?;
            let (id, last) = (*id, *left == 0);
            self.handle_reply_piece(id, &bytes, last, now)?;
        }
        let whole = matches!(aside.body, Some((_, 0)));
        if ended && !whole { Err(Violation::Aside("ends early")) } else { Ok(()) }
    }

    fn begin_aside(&mut self, head: Frame, now: Instant) -> Result<(CallId, usize), Violation> {
        match head {
            Frame::Reply(ReplyFrame { id, status, references, body: Body::Follows(bytes) })
                if references.is_empty() =>
            {
                self.handle_reply(ReplyFrame { id, status, references, body: Body::Follows(bytes) }, now)?;
                Ok((id, bytes as usize))
            }
            _ => Err(Violation::Aside("does not begin with a reply that has no references and whose body follows")),
        }
    }
}

#[cfg(test)]
#[path = "asides_tests.rs"]
mod tests;
