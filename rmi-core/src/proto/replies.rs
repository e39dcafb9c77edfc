//! The replies we send: at once, or when the peer has given credit for them.

use crate::error::{ErrorKind, Executed, RemoteError};
use crate::limits::{self, Limits};
use crate::proto::after::Cargo;
use crate::proto::asked::{RawOutcome, RawReply};
use crate::proto::session::{Phase, Session};
use crate::wire::frame::{Body, CallId, Frame, Lane, ReplyFrame, ReplyStatus};
use crate::wire::{fault, reference};

/// More than a fault takes that stands in the place of a reply, sent or waiting.
const FAULT_BYTES: usize = 512;

/// A reply that has no credit yet, given back.
type Refused = (ReplyFrame, Option<Box<dyn Cargo>>);

impl Session {
    /// Answers a call. Answering one that has its reply already, or whose session is over, does nothing.
    pub(crate) fn reply(&mut self, id: CallId, outcome: RawOutcome) {
        if self.finish_unreliable(id) || !self.answering.finish(id) || matches!(self.phase, Phase::Closed(_)) {
            self.after.cargo.extend(outcome.ok().and_then(|reply| reply.cargo));
            return;
        }
        match outcome.and_then(|reply| self.check_reply(reply)) {
            Ok(RawReply { status, references, cargo, body }) => {
                let embedded = !reference::fit_a_frame(&references);
                let references = if embedded { Vec::new() } else { references };
                self.send_reply(ReplyFrame { id, status, references, embedded, body: Body::Whole(body) }, cargo);
            }
            Err(error) => self.send_reply(fault_frame(id, &error), None),
        }
    }

    fn check_reply(&mut self, mut reply: RawReply) -> RawOutcome {
        if !reference::fit_a_frame(&reply.references) {
            reply.body = reference::embed(&reply.references, &reply.body);
        }
        let Err(too_large) = self.check_size("results", &reply.references, &reply.body) else { return Ok(reply) };
        self.after.cargo.extend(reply.cargo);
        Err(RemoteError::new(ErrorKind::TooLarge, Executed::Yes, too_large))
    }

    fn send_reply(&mut self, reply: ReplyFrame, cargo: Option<Box<dyn Cargo>>) {
        let Err((reply, cargo)) = self.send_reply_if_read(reply, cargo) else { return };
        let limit = self.settings.limits.replies_waiting_bytes_max;
        // One may always wait: bodies can be allowed that are larger than what may wait.
        if self.answering.waiting.is_empty() || self.answering.waiting_bytes + held(&reply) <= limit {
            return self.wait_for_credit((reply, cargo));
        }
        self.after.cargo.extend(cargo);
        let (unread, most) = (self.unread_replies(), self.settings.limits.unread_bytes_max);
        if unread > most {
            return self.violated(&format!("calls while {unread} bytes of replies are unread, the limit is {most}"));
        }
        let text = format!("{} bytes of replies wait to be read, the limit is {limit}", self.answering.waiting_bytes);
        let error = RemoteError::new(ErrorKind::Overloaded, Executed::Yes, text);
        // A fault is small; when even that has no credit it waits in place of the reply.
        if let Err(refused) = self.send_reply_now(fault_frame(reply.id, &error), None) {
            self.wait_for_credit(refused);
        }
    }

    fn wait_for_credit(&mut self, refused: Refused) {
        self.answering.waiting_bytes += held(&refused.0);
        self.answering.waiting.push_back(refused);
    }

    /// The bytes of replies that the peer has not read, as far as they are told from other things.
    fn unread_replies(&self) -> usize {
        let unread = usize::try_from(self.outbox.unread()).unwrap_or(usize::MAX);
        unread
            .saturating_add(self.outbox.large_replies())
            .saturating_add(self.asides.reply_bytes())
            .saturating_add(self.answering.waiting_bytes)
    }

    /// The credit is the peer's word, and may be more than it reads: what is under way has a limit of ours, too.
    fn send_reply_if_read(&mut self, reply: ReplyFrame, cargo: Option<Box<dyn Cargo>>) -> Result<(), Refused> {
        let sent = self.unread_replies() - self.answering.waiting_bytes;
        if sent > under_way_max(&self.settings.limits) {
            return Err((reply, cargo));
        }
        self.send_reply_now(reply, cargo)
    }

    fn send_reply_now(&mut self, reply: ReplyFrame, cargo: Option<Box<dyn Cargo>>) -> Result<(), Refused> {
        let bytes = body_len(&reply);
        if !self.send.replies.take(bytes) {
            return Err((reply, cargo));
        }
        self.shipped(cargo);
        match reply.body {
            Body::Whole(body) if bytes > limits::CHUNK_BYTES => {
                let follows = Body::Follows(u32::try_from(bytes).unwrap_or(u32::MAX));
                let (id, plain) = (reply.id, reply.references.is_empty() && !reply.embedded);
                let head = Frame::Reply(ReplyFrame { body: follows, ..reply });
                if plain && self.asides.taken {
                    self.asides.push(None, &head, body);
                    self.signal();
                } else {
                    self.push(&head);
                    self.outbox.push_large(Lane::Replies, id, body);
                }
            }
            _ => {
                self.push(&Frame::Reply(reply));
            }
        }
        Ok(())
    }

    /// Sends the replies that waited for credit, or for others to be read.
    pub(super) fn pump_replies(&mut self) {
        while let Some((reply, cargo)) = self.answering.waiting.pop_front() {
            let bytes = held(&reply);
            if let Err(refused) = self.send_reply_if_read(reply, cargo) {
                self.answering.waiting.push_front(refused);
                return;
            }
            self.answering.waiting_bytes -= bytes;
        }
    }
}

fn fault_frame(id: CallId, error: &RemoteError) -> ReplyFrame {
    let body = Body::Whole(fault::encode(error));
    ReplyFrame { id, status: ReplyStatus::Fault, references: Vec::new(), embedded: false, body }
}

/// After how many bytes of replies under way further ones wait. What waits, the body that comes last and a fault at each place
/// of the peer's have room below the bytes that may be unread: only who uses its places anew without reading comes there.
/// Limits without that room leave a quarter of what may wait, so that a few unread frames hold up no reply.
fn under_way_max(limits: &Limits) -> usize {
    let waiting = limits.replies_waiting_bytes_max;
    let faults = limits.calls_in_flight_max.saturating_mul(FAULT_BYTES);
    let room =
        [waiting, limits.body_bytes_max, faults].into_iter().fold(limits.unread_bytes_max, usize::saturating_sub);
    room.clamp(waiting / 4, waiting)
}

/// What a reply takes that waits.
fn held(reply: &ReplyFrame) -> usize {
    body_len(reply) + size_of::<Refused>()
}

fn body_len(reply: &ReplyFrame) -> usize {
    match &reply.body {
        Body::Whole(body) => body.len(),
        Body::Follows(_) => 0,
    }
}
