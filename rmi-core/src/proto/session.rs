//! The state of one connection: phases, and what the application asks for.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::endpoint::Endpoint;
use crate::error::{ErrorKind, Executed, RemoteError};
use crate::id::{LeaseId, NodeId, ObjectId};
use crate::limits::{self, Limits};
use crate::proto::after::After;
use crate::proto::answering::{Answering, IncomingCall};
use crate::proto::asides::Asides;
use crate::proto::asked::{Asked, CallKey, EntryState, OutgoingCall, RawOutcome, RawReply, Sent};
use crate::proto::code;
use crate::proto::holding::Holding;
use crate::proto::liveness::{Due, Liveness};
use crate::proto::outbox::{Finished, Outbox};
use crate::proto::promises::{Cut, Given};
use crate::proto::unreliable::Unreliable;
use crate::proto::window::{Lanes, ReceiveWindow, SendWindow};
use crate::wire::frame::{self, Body, CallFrame, CallId, Frame, Lane, ReplyStatus};
use crate::wire::hello::{Accepts, Hello, VERSIONS};
use crate::wire::holding::{Claim, Claimed, Released};
use crate::wire::reference;

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
    /// The peer's hello: who it says it is, where it listens, and under which lease it keeps what we hold.
    Opened { node: NodeId, endpoints: Vec<Endpoint>, lease: LeaseId },
    /// A call for one of our objects.
    Call(IncomingCall),
    /// The caller of a running call is gone.
    Cancel(CallId),
    /// The peer has let copies of references go.
    Released(Vec<Released>),
    /// The peer wants to hold objects.
    Claim(Claim),
    /// What came of a claim of ours.
    Claimed(Vec<Claimed>),
    /// The peer will accept no further call.
    GoingAway,
    /// The peer will not name these promises again.
    Forget(Vec<ObjectId>),
    /// A call that was to keep a promise was refused.
    Broken { promise: ObjectId, error: RemoteError },
    /// The session is over.
    Closed,
}

/// Why a session is over.
#[derive(Debug, Clone)]
pub(crate) struct Closed {
    /// Whether the peer said goodbye because it was done.
    pub(crate) clean: bool,
    /// Whether contact was lost, so that the two nodes may meet again and go on with what they hold.
    pub(crate) lost: bool,
    pub(crate) error: RemoteError,
}

pub(super) enum Phase {
    /// Nothing is known about the peer yet; calls wait.
    Opening {
        until: Instant,
    },
    Open,
    /// Whoever answered is not the node that was looked for, and there are other places to look.
    Astray(RemoteError),
    Closed(Closed),
}

/// The protocol state of one connection. See the module for the order of its methods.
pub(crate) struct Session {
    pub(super) settings: Settings,
    /// The node that must answer, when we dialled one that we know.
    pub(super) expected: Option<NodeId>,
    /// Whether the node can be looked for elsewhere: then a handshake that fails is not the end.
    pub(super) alternatives: bool,
    /// How long the peer has for its hello.
    pub(super) handshake: Duration,
    /// The node that answered.
    node: Option<NodeId>,
    pub(super) phase: Phase,
    /// What the peer accepts; meaningless before its hello.
    pub(super) peer: Accepts,
    pub(super) outbox: Outbox,
    pub(super) asked: Asked,
    pub(super) answering: Answering,
    /// The promises of the peer's calls.
    pub(super) given: Given,
    pub(super) liveness: Liveness,
    pub(super) unreliable: Unreliable,
    pub(super) asides: Asides,
    pub(super) holding: Holding,
    /// The time, as far as the session has heard of it.
    pub(super) clock: Instant,
    pub(super) send: Lanes<SendWindow>,
    pub(super) receive: Lanes<ReceiveWindow>,
    /// The calls whose large bodies are being cut.
    pub(super) cutting: Vec<Cut>,
    /// Set once we said that no further call is accepted.
    pub(super) going_away: bool,
    /// Set once the peer said so.
    pub(super) peer_going_away: bool,
    driver: Option<Waker>,
    wake_driver: Option<Waker>,
    pub(super) after: After,
}

/// The application speaks.
impl Session {
    /// A session that begins now. Nothing goes out before [`start`](Self::start).
    pub(crate) fn new(settings: Settings, expected: Option<NodeId>, now: Instant) -> Self {
        let limits = settings.limits.clone();
        let window = || ReceiveWindow::new(limits.window_bytes);
        Self {
            phase: Phase::Opening { until: now + limits.dial_timeout + limits.handshake_timeout },
            peer: Accepts { frame_bytes: 0, body_bytes: 0, window_bytes: 0, calls: 0, references: 0 },
            outbox: Outbox::default(),
            asked: Asked::default(),
            answering: Answering::new(limits.calls_in_flight_max),
            given: Given::default(),
            liveness: Liveness::new(now),
            unreliable: Unreliable::default(),
            asides: Asides::default(),
            holding: Holding::new(&limits, now),
            clock: now,
            send: Lanes::default(),
            receive: Lanes { calls: window(), replies: window() },
            cutting: Vec::new(),
            going_away: false,
            peer_going_away: false,
            driver: None,
            wake_driver: None,
            after: After::default(),
            node: None,
            expected,
            alternatives: false,
            handshake: limits.handshake_timeout,
            settings,
        }
    }

    /// There is a channel: sends the hello and gives the peer its time for one.
    pub(crate) fn start(&mut self, now: Instant) {
        let limits = &self.settings.limits;
        let size = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
        let hello = Hello {
            versions: VERSIONS,
            features: self.features(),
            node: self.settings.node,
            endpoints: self.settings.endpoints.clone(),
            accepts: Accepts {
                frame_bytes: size(limits.frame_bytes_max),
                body_bytes: size(limits.body_bytes_max),
                window_bytes: limits.window_bytes as u64,
                calls: size(limits.calls_in_flight_max),
                references: size(limits.references_per_body_max),
            },
            lease: self.holding.offer(),
        };
        self.phase = Phase::Opening { until: now + self.handshake };
        self.liveness = Liveness::new(now);
        self.clock = now;
        self.push(&Frame::Hello(hello));
    }

    /// Makes a call. It goes out at once, or waits for a place, for credit or for the connection.
    pub(crate) fn call(&mut self, mut call: OutgoingCall, now: Instant) -> Result<CallKey, RemoteError> {
        self.clock = now;
        call.embed();
        if let Err(error) = self.check_call(&call, now) {
            self.after.cargo.extend(call.cargo);
            return Err(error);
        }
        if call.unreliable && self.fits_a_datagram(&call) {
            return Ok(self.call_unreliably(call, now));
        }
        let deadline = call.deadline;
        let at_once = matches!(self.phase, Phase::Open) && self.asked.waiting_live == 0 && self.may_send(&call);
        let earlier = self.asked.due.is_none_or(|due| deadline < due);
        let key = if at_once {
            let oneway = call.oneway;
            let key = self.asked.insert(deadline, call.promise, EntryState::Free);
            self.send_call(call, key, now);
            if oneway {
                self.asked.finish(key, Ok(oneway_reply()), &mut self.after);
            }
            key
        } else {
            let key = self.asked.insert(deadline, call.promise, EntryState::Waiting(Box::new(call)));
            self.asked.waiting.push_back(key);
            self.asked.waiting_live += 1;
            if matches!(self.phase, Phase::Open) && !(self.asked.promises.is_idle() && self.cutting.is_empty()) {
                // What waits for a promise, or behind a large body, does not hold back what does not.
                self.pump_calls(now);
            }
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
        check_node(call, self.node)?;
        let waiting_max = self.settings.limits.calls_waiting_max;
        if self.asked.waiting_live >= waiting_max {
            return refuse(ErrorKind::Overloaded, format!("{waiting_max} calls to the node are waiting already"));
        }
        self.check_size("arguments", &call.references, &call.body).or_else(|text| refuse(ErrorKind::TooLarge, text))
    }

    fn may_send(&mut self, call: &OutgoingCall) -> bool {
        let blocked =
            self.is_cutting(call.order) || self.asked.promises.hold_back(call.order, call.object, &call.references);
        !blocked && self.asked.has_place() && self.send.calls.take(call.body.len())
    }

    fn is_cutting(&self, order: u64) -> bool {
        self.cutting.iter().any(|cut| cut.order == order)
    }

    /// Sends a call for which there is a place and credit.
    fn send_call(&mut self, call: OutgoingCall, key: CallKey, now: Instant) {
        let Some(id) = self.asked.take_place() else {
            self.after.cargo.extend(call.cargo);
            return;
        };
        self.asked.set_caller(id, (!call.oneway).then_some(key));
        let (large, embedded) = (call.body.len() > limits::CHUNK_BYTES, !reference::fit_a_frame(&call.references));
        let body = if large {
            Body::Follows(u32::try_from(call.body.len()).unwrap_or(u32::MAX))
        } else {
            Body::Whole(call.body.clone())
        };
        self.asked.promises.hold(call.order, call.object, &call.references);
        let mut cut = large.then(|| Cut::new(id, &call));
        let aside = large && self.goes_aside(&call);
        let promise = call.promise;
        let left = call.deadline.saturating_duration_since(now).as_millis();
        let frame = Frame::Call(CallFrame {
            id,
            oneway: call.oneway,
            hops: call.hops,
            object: call.object,
            method: call.method,
            timeout_ms: u32::try_from(left).unwrap_or(u32::MAX).max(1),
            promise,
            metadata: call.metadata,
            references: if embedded { Vec::new() } else { call.references },
            embedded,
            body,
        });
        let mut sent = Sent { id, complete: None };
        match &mut cut {
            // The peer knows of them when the body is whole.
            Some(cut) if embedded => cut.cargo = call.cargo,
            _ => self.shipped(call.cargo),
        }
        if aside {
            self.cutting.extend(cut);
            self.asides.push(Some(id), &frame, call.body);
            self.signal();
        } else if let Some(cut) = cut {
            self.push(&frame);
            self.cutting.push(cut);
            self.outbox.push_large(Lane::Calls, id, call.body);
        } else {
            self.asked.sent += 1;
            sent.complete = Some((self.push(&frame), self.asked.sent));
            if let Some(promise) = promise {
                self.asked.promises.sent(promise);
            }
        }
        if let Some(entry) = self.asked.entry(key) {
            entry.state = EntryState::Sent(sent);
        }
    }

    /// Sends what waits, as far as places and credit go, in order.
    pub(super) fn pump_calls(&mut self, now: Instant) {
        /// How many calls may overtake one that waits for credit, or for a promise: bounds the search, not the queue.
        const LOOK_AHEAD: usize = 64;
        const LOOK_AHEAD_OF_PROMISES: usize = 1024;
        let mut held: Vec<(CallKey, u64)> = Vec::new();
        let (promising, mut behind_promises) = (!self.asked.promises.is_idle(), 0);
        while held.len() - behind_promises < LOOK_AHEAD
            && behind_promises < LOOK_AHEAD_OF_PROMISES
            && self.asked.has_place()
        {
            let Some(key) = self.asked.waiting.pop_front() else { break };
            let promises_hold = self.asked.is_held_back(key);
            let Some(entry) = self.asked.entry(key) else { continue };
            let EntryState::Waiting(call) = &entry.state else { continue };
            let (order, bytes) = (call.order, call.body.len());
            if let Err(error) = self.check_waiting(key) {
                self.asked.waiting_live -= 1;
                self.asked.finish(key, Err(error), &mut self.after);
                continue;
            }
            let behind = held.iter().any(|(_, held)| *held == order) || self.is_cutting(order);
            if behind || promises_hold || !self.send.calls.take(bytes) {
                behind_promises += usize::from(promising && (behind || promises_hold));
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

    /// What could not be known before the hello.
    fn check_waiting(&mut self, key: CallKey) -> Result<(), RemoteError> {
        let Some(EntryState::Waiting(call)) = self.asked.state(key) else { return Ok(()) };
        check_node(call, self.node)?;
        let checked = self.check_size("arguments", &call.references, &call.body);
        checked.map_err(|text| RemoteError::new(ErrorKind::TooLarge, Executed::No, text))
    }

    fn send_waiting(&mut self, key: CallKey, now: Instant) {
        let Some(entry) = self.asked.entry(key) else { return };
        if let EntryState::Waiting(call) = std::mem::replace(&mut entry.state, EntryState::Free) {
            let oneway = call.oneway;
            self.send_call(*call, key, now);
            if oneway {
                self.asked.finish(key, Ok(oneway_reply()), &mut self.after);
            }
        }
    }

    /// The caller is gone: a call that waits is forgotten, one that was sent is cancelled.
    pub(crate) fn cancel(&mut self, key: CallKey) {
        if self.asked.entry(key).is_none() {
            return;
        }
        match self.asked.remove(key) {
            EntryState::Waiting(call) => {
                self.after.cargo.extend(call.cargo);
                self.asked.waiting_live -= 1;
                self.asked.sweep_waiting();
                self.asked.promises.changed = true;
                self.signal();
            }
            EntryState::Sent(sent) => self.cancel_sent(sent),
            EntryState::Done(Ok(reply)) => self.release_unread(&reply.references),
            EntryState::Done(Err(_)) | EntryState::Free => {}
        }
    }
}

/// What is to go out, and what to wait for.
impl Session {
    pub(super) fn push(&mut self, frame: &Frame) -> u64 {
        self.signal();
        // Signs of life renew as well, but are not sent for that: a renewal comes at its own time.
        if !matches!(frame, Frame::Ping(_) | Frame::Pong(_)) {
            self.holding.pushed = self.clock;
        }
        self.outbox.push(frame)
    }

    /// Moves what may go out now to `batch`.
    pub(crate) fn poll_transmit(&mut self, batch: &mut VecDeque<Bytes>, now: Instant) {
        let (asked, cutting) = (&mut self.asked, &mut self.cutting);
        let (mut unblocked, mut cargo) = (false, Vec::new());
        self.outbox.fill(|Finished { lane, id, end }| {
            if lane == Lane::Calls {
                asked.sent += 1;
                let number = asked.sent;
                if let Some(sent) = asked.sent_by_id(id) {
                    sent.complete = Some((end, number));
                }
                for cut in cutting.extract_if(.., |cut| cut.id == id) {
                    cut.promise.into_iter().for_each(|promise| asked.promises.sent(promise));
                    cargo.extend(cut.cargo);
                }
                unblocked = true;
            }
        });
        cargo.into_iter().for_each(|cargo| self.shipped(Some(cargo)));
        let changed = std::mem::take(&mut self.asked.promises.changed);
        if (unblocked || changed) && self.asked.waiting_live > 0 {
            self.pump_calls(now);
        }
        self.push_forget();
        self.outbox.drain_into(batch);
        if !batch.is_empty() {
            self.liveness.output_waits(now);
        }
    }

    /// The operating system has taken this many bytes.
    pub(crate) fn written(&mut self, bytes: usize, now: Instant) {
        self.outbox.written(bytes);
        self.pump_replies();
        self.liveness.output_taken(now, self.is_taken());
    }

    pub(crate) fn has_output(&self) -> bool {
        self.outbox.has_output()
    }

    /// Time has passed.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        self.clock = now;
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
        if let Err(lease) = self.tend_leases(now) {
            let text = format!("the peer has not renewed its lease of {lease:?}");
            let error = RemoteError::new(ErrorKind::Disconnected, Executed::Maybe, text.clone());
            self.close_with(code::TIMEOUT, &text, error);
            return;
        }
        let text = match self.liveness.poll(now, self.patience()) {
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

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let due = self.asked.due;
        let own = match self.phase {
            Phase::Opening { until } => until,
            Phase::Open => {
                let alive = self.liveness.next(self.patience());
                self.holding.next(self.liveness.last_received()).map_or(alive, |lease| lease.min(alive))
            }
            Phase::Astray(_) => return due,
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

    /// What is to be done once no lock is held any more, and the driver, if it is to be woken.
    #[inline]
    pub(crate) fn take_after(&mut self) -> (Option<After>, Option<Waker>) {
        (self.after.take(), self.wake_driver.take())
    }

    /// Why the session is over, if it is.
    pub(crate) fn closed(&self) -> Option<&Closed> {
        match &self.phase {
            Phase::Closed(closed) => Some(closed),
            _ => None,
        }
    }

    /// Whether nothing more goes in or out on this channel.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Closed(_) | Phase::Astray(_))
    }

    /// Whether new calls can be made on it: not closed, and the peer is not going away.
    pub(crate) fn takes_calls(&self) -> bool {
        !self.peer_going_away && !matches!(self.phase, Phase::Closed(_))
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
        if let Some(expected) = self.expected.filter(|expected| *expected != hello.node) {
            let text = format!("node {expected} is gone: node {} answers in its place", hello.node);
            return Err(RemoteError::new(ErrorKind::Gone, Executed::No, text));
        }
        let (frame, least) = (hello.accepts.frame_bytes, limits::FRAME_BYTES_LEAST);
        if (frame as usize) < least {
            let text = format!("the peer accepts frames of {frame} bytes; every node must accept {least}");
            return Err(RemoteError::new(ErrorKind::Protocol, Executed::No, text));
        }
        let (references, least) = (hello.accepts.references, limits::REFERENCES_PER_FRAME_MAX);
        if (references as usize) < least {
            let text = format!("the peer accepts {references} references in a body; every node must accept {least}");
            return Err(RemoteError::new(ErrorKind::Protocol, Executed::No, text));
        }
        let granted = self.holding.granted(hello.lease);
        granted.map_err(|text| RemoteError::new(ErrorKind::Protocol, Executed::No, text))?;
        self.peer = hello.accepts;
        self.unreliable.taken = hello.features & frame::DATAGRAMS != 0;
        self.asides.taken = hello.features & self.asides.offered() != 0;
        self.node = Some(hello.node);
        self.asked.open(hello.accepts.calls);
        self.send.calls.open(hello.accepts.window_bytes);
        self.send.replies.open(hello.accepts.window_bytes);
        self.phase = Phase::Open;
        Ok(())
    }
}

/// A reference from before a restart must not lead to the node that answers now.
fn check_node(call: &OutgoingCall, found: Option<NodeId>) -> Result<(), RemoteError> {
    match (call.node, found) {
        (Some(expected), Some(found)) if expected != found => {
            let text = format!("node {expected} is gone: node {found} answers in its place");
            Err(RemoteError::new(ErrorKind::Gone, Executed::No, text))
        }
        _ => Ok(()),
    }
}

pub(super) fn oneway_reply() -> RawReply {
    RawReply { status: ReplyStatus::Ok, references: Vec::new(), cargo: None, body: Bytes::from_static(&[0xc0]) }
}
