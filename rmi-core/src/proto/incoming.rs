//! What came in: bytes to frames, frames to events.

use std::time::Instant;

use bytes::{Bytes, BytesMut};

use crate::error::{ErrorKind, Executed, RemoteError};
use crate::limits::{self, Limits};
use crate::proto::answering::IncomingCall;
use crate::proto::asked::RawReply;
use crate::proto::code;
use crate::proto::promises::{PromiseError, promised};
use crate::proto::session::{Closed, Event, Phase, Session};
use crate::proto::violation::Violation;
use crate::wire::frame::{self, Body, CallFrame, CallId, Frame, Lane, ReplyFrame, ReplyStatus};
use crate::wire::hello::Hello;
use crate::wire::reference::{encoded_bytes, split_off};
use crate::wire::{FrameError, fault};

impl Session {
    /// Takes every whole frame off `input` and adds what follows from it to `events`. After a violation the session is
    /// closed and the rest is dropped.
    pub(crate) fn handle_bytes(&mut self, input: &mut BytesMut, now: Instant, events: &mut Vec<Event>) {
        self.liveness.received(now);
        self.clock = now;
        while !self.is_over() {
            let limit = frame_limit(&self.phase, &self.settings.limits);
            let result = match frame::split(input, limit) {
                Ok(None) => return,
                Ok(Some(bytes)) => Frame::decode(bytes).map_err(Violation::from),
                Err(_) if matches!(self.phase, Phase::Opening { .. }) && is_tls(input) => Err(Violation::Tls),
                Err(error) => Err(error.into()),
            };
            match result.and_then(|frame| self.handle_frame(frame, now, events)) {
                Ok(()) => {}
                Err(Violation::Frame(error @ FrameError::OtherVersions { .. })) => self.refuse_versions(&error),
                Err(violation) => self.violated(&violation.to_string()),
            }
        }
        events.push(Event::Closed);
        input.clear();
    }

    /// The channel is gone.
    pub(crate) fn handle_lost(&mut self, error: RemoteError) {
        let written = self.outbox.written_total();
        self.close(Closed { clean: false, lost: true, error }, written, None);
    }

    /// The peer broke this rule.
    pub(crate) fn violated(&mut self, violation: &str) {
        let text = format!("the peer broke the protocol: {violation}");
        tracing::warn!(violation, "closing a connection");
        // A peer that never spoke our protocol was never reached; one that did may have run what it was sent.
        let kind =
            if matches!(self.phase, Phase::Opening { .. }) { ErrorKind::Unreachable } else { ErrorKind::Protocol };
        self.close_with(code::PROTOCOL, violation, RemoteError::new(kind, Executed::Maybe, text));
    }

    /// The peer's hello has no version that is spoken here: it may follow a protocol of its own, and broke none.
    fn refuse_versions(&mut self, error: &FrameError) {
        let text = error.to_string();
        self.close_with(code::VERSION, &text, RemoteError::new(ErrorKind::Protocol, Executed::No, text.as_str()));
    }

    fn handle_frame(&mut self, frame: Frame, now: Instant, events: &mut Vec<Event>) -> Result<(), Violation> {
        match (&self.phase, frame) {
            (_, Frame::Goodbye { code, accepted, text }) => {
                self.handle_goodbye(code, accepted, &text);
                Ok(())
            }
            (Phase::Opening { .. }, Frame::Hello(hello)) => {
                self.handle_hello(hello, now, events);
                Ok(())
            }
            (Phase::Opening { .. }, _) => Err(Violation::BeforeHello("a frame")),
            (_, Frame::Hello(_)) => Err(Violation::SecondHello),
            (_, Frame::Call(call)) => self.handle_call(call, events),
            (_, Frame::Reply(reply)) => self.handle_reply(reply, now),
            // Bounded by what we have sent: every release is checked against the copies that the peer holds.
            (_, Frame::Release(released)) if !released.is_empty() => {
                events.push(Event::Released(released));
                Ok(())
            }
            (_, Frame::Data { lane: Lane::Calls, id, last, bytes }) => self.handle_call_piece(id, &bytes, last, events),
            (_, Frame::Data { lane: Lane::Replies, id, last, bytes }) => self.handle_reply_piece(id, &bytes, last, now),
            (_, Frame::Forget(promises)) if self.given.forget(&promises) => {
                events.push(Event::Forget(promises));
                Ok(())
            }
            (_, control) => {
                if !self.liveness.control_frame(weight(&control), now) {
                    return Err(Violation::TooManyControlFrames);
                }
                self.check_unread()?;
                self.handle_control(control, now, events)
            }
        }
    }

    /// Answers to control frames are bounded by nothing but the peer's reading.
    fn check_unread(&self) -> Result<(), Violation> {
        let (unread, limit) = (self.outbox.unread(), self.settings.limits.unread_bytes_max);
        if unread > limit as u64 { Err(Violation::Unread { unread, limit }) } else { Ok(()) }
    }

    fn handle_control(&mut self, frame: Frame, now: Instant, events: &mut Vec<Event>) -> Result<(), Violation> {
        match frame {
            Frame::Cancel(id) => self.handle_cancel(id, events),
            Frame::Credit { lane, bytes } => {
                if !self.send.lane(lane).credit(bytes) {
                    return Err(Violation::TooMuchCredit);
                }
                match lane {
                    Lane::Calls => self.pump_calls(now),
                    Lane::Replies => self.pump_replies(),
                }
            }
            Frame::Ping(token) => {
                self.push(&Frame::Pong(token));
            }
            // It has renewed by arriving, as everything does.
            Frame::Renew => {}
            Frame::Claim(claim) => events.push(Event::Claim(claim)),
            Frame::Claimed(claimed) => events.push(Event::Claimed(claimed)),
            Frame::GoAway { accepted } => {
                if !std::mem::replace(&mut self.peer_going_away, true) {
                    events.push(Event::GoingAway);
                }
                self.fail_unaccepted(accepted);
            }
            _ => {}
        }
        Ok(())
    }

    fn handle_hello(&mut self, hello: Hello, now: Instant, events: &mut Vec<Event>) {
        if let Err(error) = self.negotiate(&hello) {
            let code = if error.kind() == ErrorKind::Gone { code::DONE } else { code::VERSION };
            let text = error.message().to_owned();
            self.close_with(code, &text, error);
            return;
        }
        events.push(Event::Opened { node: hello.node, endpoints: hello.endpoints, lease: hello.lease.id });
        self.send_claims();
        if self.going_away {
            self.push(&Frame::GoAway { accepted: 0 });
        }
        self.pump_calls(now);
    }

    fn handle_goodbye(&mut self, code: u16, accepted: u64, text: &str) {
        let (kind, text) = match code {
            code::DONE | code::DUPLICATE => {
                (ErrorKind::Disconnected, format!("the peer closed the connection: {text}"))
            }
            code::DENIED => (ErrorKind::Denied, format!("the peer refused the connection: {text}")),
            code::FULL => (ErrorKind::Overloaded, format!("the peer refused the connection: {text}")),
            code::VERSION => (ErrorKind::Protocol, text.to_owned()),
            code::TIMEOUT => (ErrorKind::Disconnected, format!("the peer gave the connection up: {text}")),
            _ => (ErrorKind::Protocol, format!("the peer closed the connection because of us: {text}")),
        };
        let error = RemoteError::new(kind, Executed::Maybe, text);
        let written = self.outbox.written_total();
        let (clean, lost) = (code == code::DONE, code == code::TIMEOUT);
        self.close(Closed { clean, lost, error }, written, Some(accepted));
    }

    pub(super) fn handle_call(&mut self, mut call: CallFrame, events: &mut Vec<Event>) -> Result<(), Violation> {
        match std::mem::replace(&mut call.body, Body::Follows(0)) {
            Body::Whole(body) => {
                self.charge(Lane::Calls, body.len())?;
                self.answering.run(call.id, body.len() + encoded_bytes(&call.references))?;
                self.accept(call, body, events)?;
            }
            Body::Follows(total) => {
                let total = self.announced(Lane::Calls, total)?;
                self.answering.begin(call, total)?;
            }
        }
        Ok(())
    }

    fn handle_call_piece(
        &mut self,
        id: CallId,
        bytes: &Bytes,
        last: bool,
        events: &mut Vec<Event>,
    ) -> Result<(), Violation> {
        if let Some((call, body)) = self.answering.piece(id, bytes, last)? {
            self.accept(call, body, events)?;
        }
        Ok(())
    }

    /// Hands a whole call over. From here on it gets exactly one reply, unless we said that we go away: the peer knows
    /// the number of the last call that counts.
    fn accept(&mut self, call: CallFrame, body: Bytes, events: &mut Vec<Event>) -> Result<(), Violation> {
        self.hand_over(Lane::Calls, body.len());
        let call = IncomingCall::new(call, body, self.settings.limits.references_per_body_max)?;
        if self.going_away {
            self.release_unread(&call.references);
            self.answering.finish(call.id);
            return Ok(());
        }
        self.answering.accepted += 1;
        self.take_in(call, events)
    }

    /// A piece of a call that comes on a stream of its own. It has no number: too late, it is refused by its reply.
    pub(super) fn handle_aside_piece(
        &mut self,
        id: CallId,
        bytes: &Bytes,
        last: bool,
        events: &mut Vec<Event>,
    ) -> Result<(), Violation> {
        let Some((call, body)) = self.answering.piece(id, bytes, last)? else { return Ok(()) };
        self.hand_over(Lane::Calls, body.len());
        if self.going_away {
            self.reply(id, Err(RemoteError::new(ErrorKind::Draining, Executed::No, "the node is shutting down")));
            return Ok(());
        }
        self.take_in(IncomingCall::new(call, body, 0)?, events)
    }

    fn take_in(&mut self, mut call: IncomingCall, events: &mut Vec<Event>) -> Result<(), Violation> {
        // A call does not know its own promise.
        call.dependent = self.given.names(call.object, &call.references);
        if let Some(promise) = call.promise {
            self.given.make(promise)?;
        }
        let (held, limit) = (self.answering.running_bytes, self.settings.limits.arguments_bytes_max);
        if held > limit {
            self.release_unread(&call.references);
            let text = format!("arguments of {held} bytes in running calls exceed the limit of {limit}");
            let error = RemoteError::new(ErrorKind::Overloaded, Executed::No, text);
            self.reply(call.id, Err(error.clone()));
            events.extend(call.promise.map(|promise| Event::Broken { promise, error }));
            return Ok(());
        }
        events.push(Event::Call(call));
        Ok(())
    }

    pub(super) fn handle_reply(&mut self, mut reply: ReplyFrame, now: Instant) -> Result<(), Violation> {
        if !self.asked.awaits_reply(reply.id) {
            return Err(Violation::UnknownReply);
        }
        match std::mem::replace(&mut reply.body, Body::Follows(0)) {
            Body::Whole(body) => {
                self.charge(Lane::Replies, body.len())?;
                self.deliver(reply, body, now)
            }
            Body::Follows(total) => {
                let total = self.announced(Lane::Replies, total)?;
                self.asked.begin_reply(reply, total);
                Ok(())
            }
        }
    }

    pub(super) fn handle_reply_piece(
        &mut self,
        id: CallId,
        bytes: &Bytes,
        last: bool,
        now: Instant,
    ) -> Result<(), Violation> {
        let whole = self.asked.continue_reply(id, bytes, last).map_err(|()| Violation::BadPiece)?;
        match whole {
            Some((reply, body)) => self.deliver(reply, body, now),
            None => Ok(()),
        }
    }

    fn deliver(&mut self, reply: ReplyFrame, mut body: Bytes, now: Instant) -> Result<(), Violation> {
        self.hand_over(Lane::Replies, body.len());
        let ReplyFrame { id, status, mut references, embedded, .. } = reply;
        if embedded {
            references = split_off(&mut body, self.settings.limits.references_per_body_max)?;
        }
        if promised(&references).next().is_some() {
            return Err(PromiseError::InReply.into());
        }
        let reply = RawReply { status, references, cargo: None, body };
        if let Some(caller) = self.asked.free_place(id) {
            let outcome = match reply.status {
                ReplyStatus::Fault => {
                    self.release_unread(&reply.references);
                    Err(fault::decode(reply.body).unwrap_or_else(|error| bad_fault(&error)))
                }
                ReplyStatus::Ok | ReplyStatus::Error => Ok(reply),
            };
            self.asked.finish(caller, outcome, &mut self.after);
        } else {
            self.release_unread(&reply.references);
        }
        if self.asked.waiting_live > 0 {
            self.pump_calls(now);
        }
        Ok(())
    }

    /// The caller of one of our calls is gone. A body that is still arriving is forgotten; it is answered all the same,
    /// so that the place is free again. A cancel that crosses the reply finds nothing and is ignored.
    fn handle_cancel(&mut self, id: CallId, events: &mut Vec<Event>) {
        if let Some((total, references)) = self.answering.drop_assembly(id) {
            self.hand_over(Lane::Calls, total);
            self.release_unread(&references);
            if self.answering.run(id, 0).is_ok() {
                self.reply(id, Err(RemoteError::new(ErrorKind::Cancelled, Executed::No, "the call was cancelled")));
            }
        } else if self.answering.is_running(id) {
            events.push(Event::Cancel(id));
        }
    }

    /// A body that follows: one without a byte would never end.
    fn announced(&mut self, lane: Lane, bytes: u32) -> Result<usize, Violation> {
        if bytes == 0 { Err(Violation::BadPiece) } else { self.charge(lane, bytes as usize) }
    }

    /// Counts an announced body against its limit and the window.
    fn charge(&mut self, lane: Lane, bytes: usize) -> Result<usize, Violation> {
        let limits = &self.settings.limits;
        if bytes > limits.body_bytes_max {
            return Err(Violation::BodyTooLarge { bytes, limit: limits.body_bytes_max });
        }
        if !self.receive.lane(lane).receive(bytes) {
            return Err(Violation::WindowExceeded(limits.window_bytes));
        }
        Ok(bytes)
    }

    fn hand_over(&mut self, lane: Lane, bytes: usize) {
        if let Some(bytes) = self.receive.lane(lane).hand_over(bytes) {
            self.push(&Frame::Credit { lane, bytes });
        }
    }
}

fn frame_limit(phase: &Phase, limits: &Limits) -> usize {
    match phase {
        Phase::Opening { .. } => limits::HELLO_BYTES_MAX,
        _ => limits.frame_bytes_max,
    }
}

/// Whether what is too long for a hello is a handshake or an alert of TLS: the commonest mistake deserves its name.
fn is_tls(input: &[u8]) -> bool {
    matches!(input, [0x15 | 0x16, 3, 1..=4, ..])
}

/// What a control frame costs us: a claim is looked up and answered object by object.
fn weight(frame: &Frame) -> u32 {
    match frame {
        Frame::Claim(claim) => 1 + u32::try_from(claim.objects.len() / 16).unwrap_or(u32::MAX - 1),
        _ => 1,
    }
}

fn bad_fault(error: &FrameError) -> RemoteError {
    RemoteError::new(ErrorKind::BadReply, Executed::Maybe, format!("the reply cannot be read: {error}"))
}
