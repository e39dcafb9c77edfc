//! The calls we make: where their callers wait, and which of the peer's places they take.

use std::collections::VecDeque;
use std::task::Waker;
use std::time::Instant;

use bytes::{Bytes, BytesMut};

use crate::error::RemoteError;
use crate::id::{MethodId, NodeId, ObjectId};
use crate::metadata::Metadata;
use crate::proto::after::{After, Cargo};
use crate::proto::promises::Made;
use crate::wire::frame::{CallId, ReplyFrame, ReplyStatus};
use crate::wire::reference::{self, WireReference};

/// A call as the session needs it.
#[derive(Debug)]
pub(crate) struct OutgoingCall {
    /// The node that owns the object, when that is known: no other gets the call.
    pub(crate) node: Option<NodeId>,
    pub(crate) object: ObjectId,
    pub(crate) method: MethodId,
    pub(crate) oneway: bool,
    /// May be lost.
    pub(crate) unreliable: bool,
    pub(crate) hops: u8,
    pub(crate) deadline: Instant,
    pub(crate) metadata: Metadata,
    pub(crate) references: Vec<WireReference>,
    pub(crate) cargo: Option<Box<dyn Cargo>>,
    pub(crate) body: Bytes,
    /// Calls with the same number go out in the order they were made.
    pub(crate) order: u64,
    /// The id under which later calls name the reference that this one returns.
    pub(crate) promise: Option<ObjectId>,
}

impl OutgoingCall {
    /// Puts the references in front of the arguments when a frame has no room for them.
    pub(super) fn embed(&mut self) {
        if !reference::fit_a_frame(&self.references) {
            self.body = reference::embed(&self.references, &self.body);
        }
    }
}

/// A reply as it came off the wire. A fault is still encoded.
#[derive(Debug)]
pub(crate) struct RawReply {
    pub(crate) status: ReplyStatus,
    pub(crate) references: Vec<WireReference>,
    /// What a reply of ours keeps alive; a reply that arrived has none.
    pub(crate) cargo: Option<Box<dyn Cargo>>,
    pub(crate) body: Bytes,
}

pub(crate) type RawOutcome = Result<RawReply, RemoteError>;

/// Names one call of ours until its outcome was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CallKey {
    index: usize,
    generation: u32,
}

/// One call of ours.
pub(super) struct Entry {
    generation: u32,
    pub(super) deadline: Instant,
    pub(super) state: EntryState,
    /// What the call promises, until it has an outcome.
    promise: Option<ObjectId>,
    waker: Option<Waker>,
}

pub(super) enum EntryState {
    Free,
    /// Not sent: no place, no credit, or no connection yet.
    Waiting(Box<OutgoingCall>),
    Sent(Sent),
    Done(RawOutcome),
}

/// What is known about a call that was sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent {
    pub(super) id: CallId,
    /// The offset behind its last byte and its number among the calls sent; `None` while its body is being cut.
    pub(super) complete: Option<(u64, u64)>,
}

/// One of the places that the peer grants for calls. It is taken until the reply is here, whether or not the caller
/// still waits: that is what bounds the work we can cause.
#[derive(Default)]
struct Place {
    generation: u32,
    taken: bool,
    caller: Option<CallKey>,
    reply: Option<Assembly>,
}

/// A reply whose body is arriving in pieces.
struct Assembly {
    /// The reply, but for its body.
    head: ReplyFrame,
    body: BytesMut,
    total: usize,
}

#[derive(Default)]
pub(super) struct Asked {
    entries: Vec<Entry>,
    free: Vec<usize>,
    places: Vec<Place>,
    free_places: Vec<u32>,
    places_max: u32,
    taken: usize,
    pub(super) waiting: VecDeque<CallKey>,
    pub(super) waiting_live: usize,
    pub(super) promises: Made,
    /// How many calls were sent whole.
    pub(super) sent: u64,
    /// No entry is due before this; a lower bound, so that a reply need not look for the next one.
    pub(super) due: Option<Instant>,
}

impl Asked {
    pub(super) fn open(&mut self, places: u32) {
        self.places_max = places;
    }

    /// Makes room for a call and returns its key.
    pub(super) fn insert(&mut self, deadline: Instant, promise: Option<ObjectId>, state: EntryState) -> CallKey {
        if let Some(promise) = promise {
            self.promises.queued(promise);
        }
        self.due = Some(self.due.map_or(deadline, |due| due.min(deadline)));
        if let Some(index) = self.free.pop()
            && let Some(entry) = self.entries.get_mut(index)
        {
            entry.deadline = deadline;
            entry.state = state;
            entry.promise = promise;
            return CallKey { index, generation: entry.generation };
        }
        self.entries.push(Entry { generation: 0, deadline, state, promise, waker: None });
        CallKey { index: self.entries.len() - 1, generation: 0 }
    }

    pub(super) fn entry(&mut self, key: CallKey) -> Option<&mut Entry> {
        self.entries.get_mut(key.index).filter(|entry| entry.generation == key.generation)
    }

    /// Returns where the call stands.
    pub(super) fn state(&self, key: CallKey) -> Option<&EntryState> {
        self.entries.get(key.index).filter(|entry| entry.generation == key.generation).map(|entry| &entry.state)
    }

    /// Whether a call that waits must wait for a promise.
    pub(super) fn is_held_back(&self, key: CallKey) -> bool {
        match self.entries.get(key.index).map(|entry| &entry.state) {
            Some(EntryState::Waiting(call)) => self.promises.hold_back(call.order, call.object, &call.references),
            _ => false,
        }
    }

    /// Frees the entry and returns what it held.
    pub(super) fn remove(&mut self, key: CallKey) -> EntryState {
        let Some(entry) = self.entry(key) else { return EntryState::Free };
        entry.generation = entry.generation.wrapping_add(1);
        entry.waker = None;
        let state = std::mem::replace(&mut entry.state, EntryState::Free);
        let promise = entry.promise.take();
        self.free.push(key.index);
        if let Some(promise) = promise {
            self.promises.settled(promise);
        }
        state
    }

    /// The outcome, if it is there; else `waker` is woken when it is.
    pub(super) fn poll(&mut self, key: CallKey, waker: &Waker) -> Option<RawOutcome> {
        let entry = self.entry(key)?;
        if !matches!(entry.state, EntryState::Done(_)) {
            match &mut entry.waker {
                Some(known) => known.clone_from(waker),
                none => *none = Some(waker.clone()),
            }
            return None;
        }
        match self.remove(key) {
            EntryState::Done(outcome) => Some(outcome),
            _ => None,
        }
    }

    /// Sets the outcome; the caller's waker and the cargo of a call that was not sent go to `after`.
    pub(super) fn finish(&mut self, key: CallKey, outcome: RawOutcome, after: &mut After) {
        if let Some(entry) = self.entry(key) {
            let before = std::mem::replace(&mut entry.state, EntryState::Done(outcome));
            after.wakes.extend(entry.waker.take());
            let promise = entry.promise.take();
            if let EntryState::Waiting(call) = before {
                after.cargo.extend(call.cargo);
            }
            if let Some(promise) = promise {
                self.promises.settled(promise);
            }
        }
    }

    /// Forgets keys of calls that wait no more, once they are the larger part of the queue.
    pub(super) fn sweep_waiting(&mut self) {
        if self.waiting.len() <= 2 * self.waiting_live + 64 {
            return;
        }
        let mut waiting = std::mem::take(&mut self.waiting);
        waiting.retain(|key| self.entry(*key).is_some_and(|entry| matches!(entry.state, EntryState::Waiting(_))));
        self.waiting = waiting;
    }

    pub(super) fn has_place(&self) -> bool {
        !self.free_places.is_empty() || self.places.len() < self.places_max as usize
    }

    /// Takes a place of the peer's.
    pub(super) fn take_place(&mut self) -> Option<CallId> {
        let slot = match self.free_places.pop() {
            Some(slot) => slot,
            None if self.places.len() < self.places_max as usize => {
                self.places.push(Place::default());
                u32::try_from(self.places.len() - 1).ok()?
            }
            None => return None,
        };
        let place = self.places.get_mut(slot as usize)?;
        place.generation = place.generation.wrapping_add(1);
        place.taken = true;
        self.taken += 1;
        Some(CallId { slot, generation: place.generation })
    }

    pub(super) fn set_caller(&mut self, id: CallId, caller: Option<CallKey>) {
        if let Some(place) = self.place(id) {
            place.caller = caller;
        }
    }

    fn place(&mut self, id: CallId) -> Option<&mut Place> {
        let place = self.places.get_mut(id.slot as usize)?;
        (place.taken && place.generation == id.generation).then_some(place)
    }

    /// What is known about the call with this id, while its caller waits.
    pub(super) fn sent_by_id(&mut self, id: CallId) -> Option<&mut Sent> {
        let caller = self.place(id)?.caller?;
        match &mut self.entry(caller)?.state {
            EntryState::Sent(sent) => Some(sent),
            _ => None,
        }
    }

    /// Whether this is a call of ours that has no reply yet, and none on its way.
    pub(super) fn awaits_reply(&mut self, id: CallId) -> bool {
        self.place(id).is_some_and(|place| place.reply.is_none())
    }

    /// Frees the place, whose reply is complete, and returns who waits for it.
    pub(super) fn free_place(&mut self, id: CallId) -> Option<CallKey> {
        let place = self.place(id)?;
        place.taken = false;
        place.reply = None;
        let caller = place.caller.take();
        self.free_places.push(id.slot);
        self.taken -= 1;
        caller
    }

    /// A reply begins whose body of `total` bytes follows.
    pub(super) fn begin_reply(&mut self, head: ReplyFrame, total: usize) {
        if let Some(place) = self.place(head.id) {
            // Room grows with what arrives: an announcement alone takes no memory.
            place.reply = Some(Assembly { head, body: BytesMut::new(), total });
        }
    }

    /// A piece of a reply. `Ok(Some(_))`, the reply and its body, when it is complete; `Err` when it is not the piece that must
    /// come.
    pub(super) fn continue_reply(
        &mut self,
        id: CallId,
        bytes: &Bytes,
        last: bool,
    ) -> Result<Option<(ReplyFrame, Bytes)>, ()> {
        let place = self.place(id).ok_or(())?;
        let reply = place.reply.as_mut().ok_or(())?;
        append(&mut reply.body, bytes, last, reply.total)?;
        if !last {
            return Ok(None);
        }
        let Some(Assembly { head, body, .. }) = place.reply.take() else { return Err(()) };
        Ok(Some((head, body.freeze())))
    }

    /// How many calls have no reply yet.
    pub(super) fn in_flight(&self) -> usize {
        self.taken
    }

    /// The keys of every entry for which `choose` says so.
    pub(super) fn select(&self, mut choose: impl FnMut(&Entry) -> bool) -> Vec<CallKey> {
        let keys = self.entries.iter().enumerate().filter(|(_, entry)| choose(entry));
        keys.map(|(index, entry)| CallKey { index, generation: entry.generation }).collect()
    }

    /// Finds the earliest deadline again, after entries were finished because of theirs.
    pub(super) fn refresh_due(&mut self) {
        let live = self.entries.iter().filter(|entry| entry.is_open());
        self.due = live.map(|entry| entry.deadline).min();
    }
}

impl Entry {
    /// Whether the caller still waits for an outcome.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.state, EntryState::Waiting(_) | EntryState::Sent(_))
    }
}

/// Adds a piece to a body that was announced with `total` bytes; empty pieces and wrong ends are refused.
pub(super) fn append(body: &mut BytesMut, piece: &Bytes, last: bool, total: usize) -> Result<(), ()> {
    let sum = body.len() + piece.len();
    let fits = if last { sum == total } else { sum < total };
    if piece.is_empty() || !fits {
        return Err(());
    }
    if body.capacity() < sum {
        // The announced length was charged to the window, but only twice what has arrived is taken from memory.
        body.reserve(piece.len().max((total - body.len()).min(sum.max(256 * 1024))));
    }
    body.extend_from_slice(piece);
    Ok(())
}
