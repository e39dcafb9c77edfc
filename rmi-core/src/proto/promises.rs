//! The promises of both sides: which of ours may be named on the wire, and which of the peer's there are. Protocol §11.
//!
//! A call that names a promise must not arrive before the call that makes it, whatever place, credit, body and order make
//! of the two; and a promise is let go of only behind the last call that names it.

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use crate::id::ObjectId;
use crate::limits::PROMISES_PER_SESSION_MAX;
use crate::proto::after::Cargo;
use crate::proto::asked::{CallKey, EntryState, OutgoingCall};
use crate::proto::session::{Phase, Session};
use crate::wire::frame::{CallId, Frame};
use crate::wire::reference::WireReference;

/// How far the call has come that makes a promise of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Not sent whole: nothing that names the promise may go out.
    Queued,
    /// Sent, with no outcome yet.
    Sent,
    /// The outcome is there.
    Settled,
}

/// The references of a call, and what keeps their objects until it is sent.
type Supplied = (Vec<WireReference>, Option<Box<dyn Cargo>>);

/// The promises of our calls.
#[derive(Default)]
pub(super) struct Made {
    stages: HashMap<ObjectId, Stage>,
    /// Orders in which nothing may go out before a promise is settled: a call of that order has it among its arguments, and
    /// waits for it at the peer.
    held: Vec<(u64, ObjectId)>,
    /// What is to be let go of.
    leaving: Vec<ObjectId>,
    /// Whether something that waited for a promise may go out now.
    pub(super) changed: bool,
}

impl Made {
    /// Whether there are none, so that nothing waits for one.
    pub(super) fn is_idle(&self) -> bool {
        self.stages.is_empty()
    }

    /// Whether the peer takes another promise.
    pub(super) fn has_room(&self) -> bool {
        self.stages.len() + self.leaving.len() < PROMISES_PER_SESSION_MAX
    }

    pub(super) fn queued(&mut self, id: ObjectId) {
        self.stages.insert(id, Stage::Queued);
    }

    pub(super) fn sent(&mut self, id: ObjectId) {
        if let Some(stage @ Stage::Queued) = self.stages.get_mut(&id) {
            *stage = Stage::Sent;
        }
    }

    pub(super) fn settled(&mut self, id: ObjectId) {
        match self.stages.get_mut(&id) {
            // The peer will never hear of it.
            Some(Stage::Queued) => drop(self.stages.remove(&id)),
            Some(stage) => *stage = Stage::Settled,
            None => {}
        }
        self.held.retain(|(_, held)| *held != id);
        self.changed = true;
    }

    /// Nothing will be called that names it.
    pub(super) fn forget(&mut self, id: ObjectId) {
        self.held.retain(|(_, held)| *held != id);
        self.changed = true;
        match self.stages.remove(&id) {
            // The peer has never heard of it.
            None | Some(Stage::Queued) => {}
            Some(Stage::Sent | Stage::Settled) => self.leaving.push(id),
        }
    }

    /// Whether a call of this order, on this object, with these references, must wait.
    pub(super) fn hold_back(&self, order: u64, object: ObjectId, references: &[WireReference]) -> bool {
        if self.is_idle() {
            return false;
        }
        let queued = |id: ObjectId| self.stages.get(&id) == Some(&Stage::Queued);
        self.held.iter().any(|(held, _)| *held == order) || queued(object) || promised(references).any(queued)
    }

    /// A call goes out. At the peer it waits for the promises in its arguments, and later ones of its order would overtake it;
    /// calls on a promise do not, the peer keeps them in order.
    pub(super) fn hold(&mut self, order: u64, object: ObjectId, references: &[WireReference]) {
        if self.is_idle() || self.is_open(object) {
            return;
        }
        let open: Vec<_> = promised(references).filter(|id| self.is_open(*id)).map(|id| (order, id)).collect();
        self.held.extend(open);
    }

    fn is_open(&self, id: ObjectId) -> bool {
        self.stages.get(&id).is_some_and(|stage| *stage != Stage::Settled)
    }

    /// The promises that the peer may forget now. Those for which `named` says that a call is half sent stay.
    pub(super) fn take_leaving(&mut self, named: impl Fn(ObjectId) -> bool) -> Vec<ObjectId> {
        if self.leaving.is_empty() {
            return Vec::new();
        }
        let mut leaving = std::mem::take(&mut self.leaving);
        self.leaving = leaving.extract_if(.., |id| named(*id)).collect();
        leaving
    }
}

/// Promises of our calls.
impl Session {
    /// Whether another call may promise its result.
    pub(crate) fn takes_promises(&self) -> bool {
        self.asked.promises.has_room()
    }

    /// No call that names the promise will be made any more.
    pub(crate) fn forget(&mut self, promise: ObjectId) {
        self.asked.promises.forget(promise);
        self.signal();
    }

    /// Holds back whatever call names this id, until it is supplied with what it names, or the id is forgotten.
    pub(crate) fn withhold(&mut self, id: ObjectId) {
        self.asked.promises.queued(id);
    }

    /// The references of a call that was held back are known.
    pub(crate) fn supply(&mut self, key: CallKey, withheld: ObjectId, (references, cargo): Supplied, now: Instant) {
        if let Some(entry) = self.asked.entry(key)
            && let EntryState::Waiting(call) = &mut entry.state
        {
            (call.references, call.cargo) = (references, cargo);
            call.embed();
        } else {
            self.after.cargo.extend(cargo);
        }
        self.asked.promises.forget(withheld);
        self.pump_calls(now);
    }

    /// Lets go of promises, behind the calls that name them.
    pub(super) fn push_forget(&mut self) {
        let cutting = &self.cutting;
        let named = |id: ObjectId| cutting.iter().any(|cut| cut.promise == Some(id) || cut.names.contains(&id));
        let leaving = self.asked.promises.take_leaving(named);
        if !leaving.is_empty() && matches!(self.phase, Phase::Open) {
            self.outbox.push(&Frame::Forget(leaving));
        }
    }
}

/// A call whose body is being cut. Later calls of its order wait, as do calls that name its promise.
pub(super) struct Cut {
    pub(super) id: CallId,
    pub(super) order: u64,
    pub(super) promise: Option<ObjectId>,
    /// The promises it names.
    names: Vec<ObjectId>,
    /// The references in its body, until that is whole.
    pub(super) cargo: Option<Box<dyn Cargo>>,
}

impl Cut {
    pub(super) fn new(id: CallId, call: &OutgoingCall) -> Self {
        let names = std::iter::once(call.object).chain(promised(&call.references)).collect();
        Self { id, order: call.order, promise: call.promise, names, cargo: None }
    }
}

/// The promises that these references are.
pub(super) fn promised(references: &[WireReference]) -> impl Iterator<Item = ObjectId> {
    references.iter().filter_map(|reference| match reference {
        WireReference::Promised(id) => Some(*id),
        _ => None,
    })
}

/// The promises of the peer's calls.
#[derive(Default)]
pub(super) struct Given {
    ids: HashSet<ObjectId>,
    /// How many it may still let go of: as many as it made. More of these frames count as control frames.
    forgettable: u64,
}

/// What a peer did wrong with a promise.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum PromiseError {
    #[error("a promise in a reply")]
    InReply,
    #[error("a promise with the id of another one")]
    Reused,
    #[error("promises that were not let go of: {} exceeds the limit of {PROMISES_PER_SESSION_MAX}", PROMISES_PER_SESSION_MAX + 1)]
    TooMany,
}

impl Given {
    /// Whether a call names a promise.
    pub(super) fn names(&self, object: ObjectId, references: &[WireReference]) -> bool {
        self.ids.contains(&object) || promised(references).next().is_some()
    }

    pub(super) fn make(&mut self, id: ObjectId) -> Result<(), PromiseError> {
        if self.ids.len() >= PROMISES_PER_SESSION_MAX {
            return Err(PromiseError::TooMany);
        }
        if !self.ids.insert(id) {
            return Err(PromiseError::Reused);
        }
        self.forgettable += 1;
        Ok(())
    }

    /// Forgets these; says whether they were paid for by calls that made promises.
    pub(super) fn forget(&mut self, ids: &[ObjectId]) -> bool {
        for id in ids {
            self.ids.remove(id);
        }
        let count = ids.len() as u64;
        let paid = count > 0 && count <= self.forgettable;
        self.forgettable = self.forgettable.saturating_sub(count);
        paid
    }
}
