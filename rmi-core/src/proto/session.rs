//! The state of one connection: phases, and what the application asks for.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;

use bytes::Bytes;

use crate::endpoint::Endpoint;
use crate::error::{ErrorKind, Executed, RemoteError};
use crate::id::NodeId;
use crate::limits::{self, Limits};
use crate::proto::answering::{Answering, IncomingCall};
use crate::proto::asked::{Asked, CallKey, EntryState, OutgoingCall, RawOutcome, RawReply, Sent};
use crate::proto::code;
use crate::proto::liveness::{Due, Liveness};
use crate::proto::outbox::{Finished, Outbox};
use crate::proto::window::{Lanes, ReceiveWindow, SendWindow};
use crate::wire::frame::{Body, CallFrame, CallId, Frame, Lane, ReplyFrame, ReplyStatus};
use crate::wire::hello::{Accepts, Hello, VERSIONS};
use crate::wire::reference::{self, WireReference};
use crate::wire::{fault, hello};

/// What a session knows from its node.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) node: NodeId,
    pub(crate) endpoints: Vec<Endpoint>,
    pub(crate) limits: Arc<Limits>,
}

/// What happened and is not the answer to a call.
#[derive(Debug)]
pub(crate) enum Event {
    /// The peer's hello: who it says it is, and where it listens.
    Opened { node: NodeId, endpoints: Vec<Endpoint> },
    /// A call for one of our objects.
    Call(IncomingCall),
    /// The caller of a running call is gone.
    Cancel(CallId),
    /// The session is over.
    Closed,
}

/// Why a session is over.
#[derive(Debug, Clone)]
pub(crate) struct Closed {
    /// Whether the peer said goodbye because it was done.
    pub(crate) clean: bool,
    pub(crate) error: RemoteError,
}

pub(super) enum Phase {
    /// Nothing is known about the peer yet; calls wait.
    Opening {
        until: Instant,
    },
    Open,
    Closed(Closed),
}

/// The protocol state of one connection. See the module for the order of its methods.
pub(crate) struct Session {
    pub(super) settings: Settings,
    /// The node that must answer, when we dialled one that we know.
    pub(super) expected: Option<NodeId>,
    pub(super) phase: Phase,
    /// What the peer accepts; meaningless before its hello.
    pub(super) peer: Accepts,
    pub(super) outbox: Outbox,
    pub(super) asked: Asked,
    pub(super) answering: Answering,
    pub(super) liveness: Liveness,
    pub(super) send: Lanes<SendWindow>,
    pub(super) receive: Lanes<ReceiveWindow>,
    /// The calls whose large bodies are being cut, with their order: later calls of that order wait.
    cutting: Vec<(CallId, u64)>,
    /// Set once we said that no further call is accepted.
    pub(super) going_away: bool,
    /// Set once the peer said so.
    pub(super) peer_going_away: bool,
    driver: Option<Waker>,
    wake_driver: Option<Waker>,
    pub(super) wakes: Vec<Waker>,
}

/// The application speaks.
impl Session {
    /// A session that begins now. Nothing goes out before [`start`](Self::start).
    pub(crate) fn new(settings: Settings, expected: Option<NodeId>, now: Instant) -> Self {
        let limits = settings.limits.clone();
        let window = || ReceiveWindow::new(limits.window_bytes);
        Self {
            phase: Phase::Opening { until: now + limits.dial_timeout + limits.handshake_timeout },
            peer: Accepts { frame_bytes: 0, body_bytes: 0, window_bytes: 0, calls: 0 },
            outbox: Outbox::default(),
            asked: Asked::default(),
            answering: Answering::new(limits.calls_in_flight_max),
            liveness: Liveness::new(now),
            send: Lanes::default(),
            receive: Lanes { calls: window(), replies: window() },
            cutting: Vec::new(),
            going_away: false,
            peer_going_away: false,
            driver: None,
            wake_driver: None,
            wakes: Vec::new(),
            expected,
            settings,
        }
    }

    /// There is a channel: sends the hello and gives the peer its time for one.
    pub(crate) fn start(&mut self, now: Instant) {
        let limits = &self.settings.limits;
        let size = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
        let hello = Hello {
            versions: VERSIONS,
            features: 0,
            node: self.settings.node,
            endpoints: self.settings.endpoints.clone(),
            accepts: Accepts {
                frame_bytes: size(limits.frame_bytes_max),
                body_bytes: size(limits.body_bytes_max),
                window_bytes: limits.window_bytes as u64,
                calls: size(limits.calls_in_flight_max),
            },
        };
        self.phase = Phase::Opening { until: now + limits.handshake_timeout };
        self.liveness = Liveness::new(now);
        self.push(&Frame::Hello(hello));
    }

    /// Makes a call. It goes out at once, or waits for a place, for credit or for the connection.
    pub(crate) fn call(&mut self, call: OutgoingCall, now: Instant) -> Result<CallKey, RemoteError> {
        self.check_call(&call, now)?;
        let deadline = call.deadline;
        let at_once = matches!(self.phase, Phase::Open) && self.asked.waiting_live == 0 && self.may_send(&call);
        let earlier = self.asked.due.is_none_or(|due| deadline < due);
        let key = if at_once {
            let oneway = call.oneway;
            let key = self.asked.insert(deadline, EntryState::Free);
            self.send_call(call, key, now);
            if oneway {
                self.asked.finish(key, Ok(oneway_reply()), &mut self.wakes);
            }
            key
        } else {
            let key = self.asked.insert(deadline, EntryState::Waiting(Box::new(call)));
            self.asked.waiting.push_back(key);
            self.asked.waiting_live += 1;
            key
        };
        if earlier {
            self.signal();
        }
        Ok(key)
    }

    fn check_call(&self, call: &OutgoingCall, now: Instant) -> Result<(), RemoteError> {
        let refuse = |kind, text: String| Err(RemoteError::new(kind, Executed::No, text));
        if let Phase::Closed(closed) = &self.phase {
            let text = format!("the connection is closed: {}", closed.error.message());
            return refuse(ErrorKind::Disconnected, text);
        }
        if self.peer_going_away {
            return refuse(ErrorKind::Draining, "the node is shutting down".into());
        }
        if call.deadline <= now {
            return refuse(ErrorKind::Deadline, "the deadline passed before the call was sent".into());
        }
        let waiting_max = self.settings.limits.calls_waiting_max;
        if self.asked.waiting_live >= waiting_max {
            return refuse(ErrorKind::Overloaded, format!("{waiting_max} calls to the node are waiting already"));
        }
        check_references(&call.references).or_else(|text| refuse(ErrorKind::TooLarge, text))?;
        let limit = self.body_limit();
        if call.body.len() > limit {
            return refuse(
                ErrorKind::TooLarge,
                format!("body of {} bytes exceeds the limit of {limit}", call.body.len()),
            );
        }
        Ok(())
    }

    /// The largest body that both sides agree on; our own word as long as the peer's is not known.
    fn body_limit(&self) -> usize {
        let own = self.settings.limits.body_bytes_max;
        let window = usize::try_from(self.peer.window_bytes).unwrap_or(usize::MAX);
        match self.phase {
            Phase::Open => own.min(self.peer.body_bytes as usize).min(window / 2),
            _ => own,
        }
    }

    fn may_send(&mut self, call: &OutgoingCall) -> bool {
        let blocked = self.is_cutting(call.order);
        !blocked && self.asked.has_place() && self.send.calls.take(call.body.len())
    }

    fn is_cutting(&self, order: u64) -> bool {
        self.cutting.iter().any(|(_, cut)| *cut == order)
    }

    /// Sends a call for which there is a place and credit.
    fn send_call(&mut self, call: OutgoingCall, key: CallKey, now: Instant) {
        let Some(id) = self.asked.take_place() else { return };
        self.asked.set_caller(id, (!call.oneway).then_some(key));
        let large = call.body.len() > limits::CHUNK_BYTES;
        let body = if large {
            Body::Follows(u32::try_from(call.body.len()).unwrap_or(u32::MAX))
        } else {
            Body::Whole(call.body.clone())
        };
        let left = call.deadline.saturating_duration_since(now).as_millis();
        let frame = Frame::Call(CallFrame {
            id,
            oneway: call.oneway,
            hops: call.hops,
            object: call.object,
            method: call.method,
            timeout_ms: u32::try_from(left).unwrap_or(u32::MAX).max(1),
            metadata: call.metadata,
            references: call.references,
            body,
        });
        let end = self.push(&frame);
        let mut sent = Sent { id, complete: None };
        if large {
            self.cutting.push((id, call.order));
            self.outbox.push_large(Lane::Calls, id, call.body);
        } else {
            self.asked.sent += 1;
            sent.complete = Some((end, self.asked.sent));
        }
        if let Some(entry) = self.asked.entry(key) {
            entry.state = EntryState::Sent(sent);
        }
    }

    /// Sends what waits, as far as places and credit go, in order.
    pub(super) fn pump_calls(&mut self, now: Instant) {
        /// How many calls may overtake one that waits for credit: bounds the search, not the queue.
        const LOOK_AHEAD: usize = 64;
        let mut held: Vec<(CallKey, u64)> = Vec::new();
        while held.len() < LOOK_AHEAD && self.asked.has_place() {
            let Some(key) = self.asked.waiting.pop_front() else { break };
            let Some(entry) = self.asked.entry(key) else { continue };
            let EntryState::Waiting(call) = &entry.state else { continue };
            let (order, bytes) = (call.order, call.body.len());
            let limit = self.body_limit();
            if bytes > limit {
                self.asked.waiting_live -= 1;
                let text = format!("body of {bytes} bytes exceeds the peer's limit of {limit}");
                self.asked.finish(key, Err(RemoteError::new(ErrorKind::TooLarge, Executed::No, text)), &mut self.wakes);
                continue;
            }
            let behind = held.iter().any(|(_, held)| *held == order) || self.is_cutting(order);
            if behind || !self.send.calls.take(bytes) {
                held.push((key, order));
                continue;
            }
            self.asked.waiting_live -= 1;
            self.send_waiting(key, now);
        }
        for (key, _) in held.into_iter().rev() {
            self.asked.waiting.push_front(key);
        }
    }

    fn send_waiting(&mut self, key: CallKey, now: Instant) {
        let Some(entry) = self.asked.entry(key) else { return };
        if let EntryState::Waiting(call) = std::mem::replace(&mut entry.state, EntryState::Free) {
            let oneway = call.oneway;
            self.send_call(*call, key, now);
            if oneway {
                self.asked.finish(key, Ok(oneway_reply()), &mut self.wakes);
            }
        }
    }

    /// The caller is gone: a call that waits is forgotten, one that was sent is cancelled.
    pub(crate) fn cancel(&mut self, key: CallKey) {
        if self.asked.entry(key).is_none() {
            return;
        }
        match self.asked.remove(key) {
            EntryState::Waiting(_) => {
                self.asked.waiting_live -= 1;
                self.asked.sweep_waiting();
            }
            EntryState::Sent(sent) => self.cancel_sent(sent),
            EntryState::Done(_) | EntryState::Free => {}
        }
    }

    /// Asks the peer to stop; the place stays taken until its reply says that it did.
    fn cancel_sent(&mut self, sent: Sent) {
        self.asked.set_caller(sent.id, None);
        if self.outbox.drop_large(Lane::Calls, sent.id) {
            self.cutting.retain(|(id, _)| *id != sent.id);
        }
        if !matches!(self.phase, Phase::Closed(_)) {
            self.push(&Frame::Cancel(sent.id));
        }
    }

    /// Answers a call. Answering one that has its reply already, or whose session is over, does nothing.
    pub(crate) fn reply(&mut self, id: CallId, outcome: RawOutcome) {
        if !self.answering.finish(id) || matches!(self.phase, Phase::Closed(_)) {
            return;
        }
        let limit = self.body_limit();
        let outcome = outcome.and_then(|reply| match check_references(&reply.references) {
            Ok(()) => Ok(reply),
            Err(text) => Err(RemoteError::new(ErrorKind::TooLarge, Executed::Yes, text)),
        });
        let reply = match outcome {
            Ok(reply) if reply.body.len() > limit => {
                let text = format!("reply of {} bytes exceeds the limit of {limit}", reply.body.len());
                fault_frame(id, &RemoteError::new(ErrorKind::TooLarge, Executed::Yes, text))
            }
            Ok(RawReply { status, references, body }) => ReplyFrame { id, status, references, body: Body::Whole(body) },
            Err(error) => fault_frame(id, &error),
        };
        self.send_reply(reply);
    }

    fn send_reply(&mut self, reply: ReplyFrame) {
        if self.send_reply_now(&reply) {
            return;
        }
        let bytes = body_len(&reply);
        let limit = self.settings.limits.replies_waiting_bytes_max;
        if self.answering.waiting_bytes + bytes > limit {
            let text =
                format!("{} bytes of replies wait to be read, the limit is {limit}", self.answering.waiting_bytes);
            let error = RemoteError::new(ErrorKind::Overloaded, Executed::Yes, text);
            // A fault is small; when even that has no credit it waits in place of the reply.
            let fault = fault_frame(reply.id, &error);
            if !self.send_reply_now(&fault) {
                self.answering.waiting_bytes += body_len(&fault);
                self.answering.waiting.push_back(fault);
            }
            return;
        }
        self.answering.waiting_bytes += bytes;
        self.answering.waiting.push_back(reply);
    }

    fn send_reply_now(&mut self, reply: &ReplyFrame) -> bool {
        let bytes = body_len(reply);
        if !self.send.replies.take(bytes) {
            return false;
        }
        let Body::Whole(body) = &reply.body else { return true };
        if bytes <= limits::CHUNK_BYTES {
            self.push(&Frame::Reply(reply.clone()));
            return true;
        }
        let follows = Body::Follows(u32::try_from(bytes).unwrap_or(u32::MAX));
        let (id, status, references) = (reply.id, reply.status, reply.references.clone());
        self.push(&Frame::Reply(ReplyFrame { id, status, references, body: follows }));
        self.outbox.push_large(Lane::Replies, id, body.clone());
        true
    }

    /// Sends the replies that waited for credit.
    pub(super) fn pump_replies(&mut self) {
        while let Some(reply) = self.answering.waiting.pop_front() {
            if !self.send_reply_now(&reply) {
                self.answering.waiting.push_front(reply);
                return;
            }
            self.answering.waiting_bytes -= body_len(&reply);
        }
    }
}

/// What is to go out, and what to wait for.
impl Session {
    pub(super) fn push(&mut self, frame: &Frame) -> u64 {
        self.signal();
        self.outbox.push(frame)
    }

    /// Moves what may go out now to `batch`.
    pub(crate) fn poll_transmit(&mut self, batch: &mut VecDeque<Bytes>, now: Instant) {
        let (asked, cutting) = (&mut self.asked, &mut self.cutting);
        let mut unblocked = false;
        self.outbox.fill(|Finished { lane, id, end }| {
            if lane == Lane::Calls {
                asked.sent += 1;
                let number = asked.sent;
                if let Some(sent) = asked.sent_by_id(id) {
                    sent.complete = Some((end, number));
                }
                cutting.retain(|(cut, _)| *cut != id);
                unblocked = true;
            }
        });
        if unblocked && self.asked.waiting_live > 0 {
            self.pump_calls(now);
        }
        self.outbox.drain_into(batch);
        if !batch.is_empty() {
            self.liveness.output_waits(now);
        }
    }

    /// The operating system has taken this many bytes.
    pub(crate) fn written(&mut self, bytes: usize, now: Instant) {
        self.outbox.written(bytes);
        self.liveness.output_taken(now, self.outbox.is_flushed());
    }

    pub(crate) fn has_output(&self) -> bool {
        self.outbox.has_output()
    }

    /// Time has passed.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if let Phase::Opening { until } = self.phase
            && now >= until
        {
            let text = "the handshake took too long";
            self.close_with(code::TIMEOUT, text, RemoteError::new(ErrorKind::Unreachable, Executed::No, text));
            return;
        }
        self.expire_calls(now);
        if !matches!(self.phase, Phase::Open) {
            return;
        }
        let text = match self.liveness.poll(now, &self.settings.limits) {
            Due::Nothing => return,
            Due::Ping => {
                self.push(&Frame::Ping(self.asked.sent));
                return;
            }
            Due::Silent(time) => format!("the peer was silent for {time:.1?}"),
            Due::Stalled(time) => format!("the peer read nothing for {time:.1?}"),
        };
        self.close_with(code::TIMEOUT, &text, RemoteError::new(ErrorKind::Disconnected, Executed::Maybe, text.clone()));
    }

    fn expire_calls(&mut self, now: Instant) {
        if self.asked.due.is_none_or(|due| due > now) {
            return;
        }
        for key in self.asked.select(|entry| entry.is_open() && entry.deadline <= now) {
            let Some(entry) = self.asked.entry(key) else { continue };
            let (executed, sent) = match &entry.state {
                EntryState::Sent(sent) => (Executed::Maybe, Some(*sent)),
                _ => (Executed::No, None),
            };
            match sent {
                Some(sent) => self.cancel_sent(sent),
                None => {
                    self.asked.waiting_live -= 1;
                    self.asked.sweep_waiting();
                }
            }
            let late = RemoteError::new(ErrorKind::Deadline, executed, "the deadline passed");
            self.asked.finish(key, Err(late), &mut self.wakes);
        }
        self.asked.refresh_due();
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let due = self.asked.due;
        let own = match self.phase {
            Phase::Opening { until } => until,
            Phase::Open => self.liveness.next(&self.settings.limits),
            Phase::Closed(_) => return None,
        };
        Some(due.map_or(own, |due| due.min(own)))
    }

    /// The outcome of a call, or `None` after which `waker` is woken when there is one.
    pub(crate) fn poll_outcome(&mut self, key: CallKey, waker: &Waker) -> Option<RawOutcome> {
        self.asked.poll(key, waker)
    }

    /// Who is woken when there is something to transmit or a new timeout.
    pub(crate) fn set_driver(&mut self, driver: &Waker) {
        self.driver = Some(driver.clone());
    }

    pub(super) fn signal(&mut self) {
        if self.wake_driver.is_none() {
            self.wake_driver = self.driver.take();
        }
    }

    /// Who is to be woken, once no lock is held any more: the callers go to `callers`, the driver is returned.
    pub(crate) fn take_wakes(&mut self, callers: &mut Vec<Waker>) -> Option<Waker> {
        callers.append(&mut self.wakes);
        self.wake_driver.take()
    }

    /// Why the session is over, if it is.
    pub(crate) fn closed(&self) -> Option<&Closed> {
        match &self.phase {
            Phase::Closed(closed) => Some(closed),
            _ => None,
        }
    }

    /// Whether new calls can be made on it: not closed, and the peer is not going away.
    pub(crate) fn takes_calls(&self) -> bool {
        !self.peer_going_away && !matches!(self.phase, Phase::Closed(_))
    }

    /// Whether every accepted call was answered, no call of ours waits to be sent, and everything was written.
    pub(crate) fn is_drained(&self) -> bool {
        self.asked.waiting_live == 0 && self.answering.is_idle() && self.outbox.is_flushed()
    }

    /// How many calls of ours are under way.
    pub(crate) fn calls_in_flight(&self) -> usize {
        self.asked.in_flight()
    }

    /// How many calls of the peer's are under way.
    pub(crate) fn calls_served(&self) -> usize {
        self.answering.running()
    }

    pub(crate) fn negotiate(&mut self, hello: &Hello) -> Result<(), RemoteError> {
        if hello::agree(VERSIONS, hello.versions).is_none() {
            let (low, high) = hello.versions;
            let text = format!("the peer speaks protocol {low}-{high}, this node {}-{}", VERSIONS.0, VERSIONS.1);
            return Err(RemoteError::new(ErrorKind::Protocol, Executed::No, text));
        }
        if let Some(expected) = self.expected.filter(|expected| *expected != hello.node) {
            let text = format!("node {expected} is gone: node {} answers in its place", hello.node);
            return Err(RemoteError::new(ErrorKind::Gone, Executed::No, text));
        }
        let (frame, least) = (hello.accepts.frame_bytes, limits::FRAME_BYTES_LEAST);
        if (frame as usize) < least {
            let text = format!("the peer accepts frames of {frame} bytes; every node must accept {least}");
            return Err(RemoteError::new(ErrorKind::Protocol, Executed::No, text));
        }
        self.peer = hello.accepts;
        self.asked.open(hello.accepts.calls);
        self.send.calls.open(hello.accepts.window_bytes);
        self.send.replies.open(hello.accepts.window_bytes);
        self.phase = Phase::Open;
        Ok(())
    }
}

/// References travel in one frame, which the peer must accept.
fn check_references(references: &[WireReference]) -> Result<(), String> {
    let (bytes, limit) = (reference::encoded_bytes(references), limits::REFERENCES_BYTES_MAX);
    if bytes > limit { Err(format!("references of {bytes} bytes exceed the limit of {limit}")) } else { Ok(()) }
}

fn oneway_reply() -> RawReply {
    RawReply { status: ReplyStatus::Ok, references: Vec::new(), body: Bytes::from_static(&[0xc0]) }
}

fn fault_frame(id: CallId, error: &RemoteError) -> ReplyFrame {
    ReplyFrame { id, status: ReplyStatus::Fault, references: Vec::new(), body: Body::Whole(fault::encode(error)) }
}

fn body_len(reply: &ReplyFrame) -> usize {
    match &reply.body {
        Body::Whole(body) => body.len(),
        Body::Follows(_) => 0,
    }
}
