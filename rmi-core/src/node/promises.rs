//! What calls of the peer's promised it, and the calls that wait for that.
//!
//! A call that names a promise waits until the promise is settled, and behind the calls on the same promise that came before
//! it. Calls that need wait no more are handed out in the order in which they became ready, to the driver alone: no other task
//! runs calls, so none overtakes another on its way. Nothing here waits, runs a method or sends anything.

use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use crate::call::Target;
use crate::call::promised::cause;
use crate::error::{ErrorKind, Executed, RemoteError};
use crate::id::ObjectId;
use crate::proto::IncomingCall;
use crate::proxy::next_order;
use crate::wire::frame::CallId;

/// The promises of one peer.
#[derive(Default)]
pub(super) struct Promises {
    promises: HashMap<ObjectId, Promise>,
    /// The calls that wait, under numbers of ours: the ids of calls are the peer's to choose.
    waiting: HashMap<u64, Waiting>,
    by_call: HashMap<CallId, u64>,
    next: u64,
    due: VecDeque<Due>,
}

struct Promise {
    outcome: Option<Result<Object, RemoteError>>,
    /// The calls that name it, each as often as it does.
    followers: Vec<u64>,
    /// The last call on it that waits.
    last: Option<u64>,
    /// Whether the peer will not name it again.
    forgotten: bool,
}

/// What a call goes to.
#[derive(Clone)]
pub(super) struct Object {
    pub(super) target: Target,
    /// Calls that are handed on keep their order.
    pub(super) order: u64,
}

/// A reference beside a call that came in.
pub(super) enum Beside {
    Object(Target),
    Promise(ObjectId),
}

/// A call with its references, which are ours to let go from here on.
pub(super) struct Arrived {
    pub(super) call: IncomingCall,
    /// The object of ours that it is for, if it is one: it stays while the call waits.
    pub(super) object: Option<Target>,
    pub(super) beside: Vec<Beside>,
}

impl Arrived {
    fn promises_beside(&self) -> impl Iterator<Item = ObjectId> {
        self.beside.iter().filter_map(|beside| match beside {
            Beside::Promise(id) => Some(*id),
            Beside::Object(_) => None,
        })
    }
}

/// A call that waits.
struct Waiting {
    arrived: Arrived,
    since: Instant,
    kept: Kept,
    /// How many promises, and earlier calls, it waits for.
    missing: usize,
    /// The call on the same promise that waits for this one.
    next: Option<u64>,
}

/// The promises that a call names, and what they came to.
#[derive(Default)]
pub(super) struct Kept(HashMap<ObjectId, Object>);

impl Kept {
    /// What the call goes to, if it is known here, and what goes with it.
    pub(super) fn resolve(mut self, arrived: Arrived) -> (IncomingCall, Option<Object>, Vec<Target>) {
        let Arrived { call, object, beside } = arrived;
        let target = |beside| match beside {
            Beside::Object(target) => Some(target),
            Beside::Promise(id) => self.0.get(&id).map(|object| object.target.clone()),
        };
        let targets = beside.into_iter().filter_map(target).collect();
        let object = self.0.remove(&call.object).or(object.map(|target| Object { target, order: 0 }));
        (call, object, targets)
    }
}

/// What is to be done about a call that waits no more.
pub(super) enum Due {
    /// It can run; it came then.
    Serve(Arrived, Kept, Instant),
    /// It does not run. What it named is dropped where no lock is held: that may run a servant's `drop`.
    Fail(CallId, RemoteError, (Option<Arrived>, Kept)),
}

/// Why a call cannot be admitted.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// It names a promise that was never made, or was let go of.
    Unknown,
    /// It promises under an id that is in use.
    Reused,
}

impl Promise {
    fn new(outcome: Option<Result<Object, RemoteError>>) -> Self {
        Self { outcome, followers: Vec::new(), last: None, forgotten: false }
    }
}

impl Promises {
    /// A call that makes or names promises has come. It is handed out by [`take_due`](Self::take_due), now or later.
    pub(super) fn admit(&mut self, arrived: Arrived, now: Instant) -> Result<(), (Refused, Box<Arrived>)> {
        let call = &arrived.call;
        let names: Vec<ObjectId> = self.named_by(&arrived).collect();
        let unknown = arrived.promises_beside().any(|id| !self.promises.contains_key(&id));
        let reused = call.promise.is_some_and(|id| self.promises.contains_key(&id));
        if reused || unknown {
            return Err((if reused { Refused::Reused } else { Refused::Unknown }, Box::new(arrived)));
        }
        if let Some(id) = call.promise {
            self.promises.insert(id, Promise::new(None));
        }
        let broken = names.iter().find_map(|id| self.promises.get(id)?.outcome.as_ref()?.as_ref().err().cloned());
        if let Some(error) = broken {
            self.fail(arrived, &error);
            return Ok(());
        }
        self.enqueue(arrived, &names, now);
        Ok(())
    }

    /// The promises among what a call names, its object included.
    fn named_by(&self, arrived: &Arrived) -> impl Iterator<Item = ObjectId> {
        let object = Some(arrived.call.object).filter(|id| self.promises.contains_key(id));
        object.into_iter().chain(arrived.promises_beside())
    }

    fn enqueue(&mut self, arrived: Arrived, names: &[ObjectId], now: Instant) {
        let number = self.next;
        self.next += 1;
        let mut waiting = Waiting { since: now, kept: Kept::default(), missing: 1, next: None, arrived };
        for id in names {
            let Some(promise) = self.promises.get_mut(id) else { continue };
            match &promise.outcome {
                Some(Ok(object)) => {
                    waiting.kept.0.insert(*id, object.clone());
                }
                _ => {
                    promise.followers.push(number);
                    waiting.missing += 1;
                }
            }
        }
        if let Some(promise) = self.promises.get_mut(&waiting.arrived.call.object)
            && let Some(before) = promise.last.replace(number).and_then(|last| self.waiting.get_mut(&last))
        {
            before.next = Some(number);
            waiting.missing += 1;
        }
        self.by_call.insert(waiting.arrived.call.id, number);
        self.waiting.insert(number, waiting);
        // It waited for being entered, too.
        self.advance(number);
    }

    /// One thing less that the call waits for.
    fn advance(&mut self, number: u64) {
        let mut next = Some(number);
        while let Some(number) = next.take() {
            let Some(waiting) = self.waiting.get_mut(&number) else { return };
            waiting.missing -= 1;
            if waiting.missing == 0
                && let Some(waiting) = self.remove(number)
            {
                next = waiting.next;
                self.due.push_back(Due::Serve(waiting.arrived, waiting.kept, waiting.since));
            }
        }
    }

    fn remove(&mut self, number: u64) -> Option<Waiting> {
        let waiting = self.waiting.remove(&number)?;
        self.by_call.remove(&waiting.arrived.call.id);
        Some(waiting)
    }

    /// A call that was to make the promise was refused before it came here.
    pub(super) fn broken(&mut self, id: ObjectId, error: &RemoteError) {
        self.promises.insert(id, Promise::new(Some(Err(cause(error)))));
    }

    /// The call that makes the promise is over.
    pub(super) fn settle(&mut self, id: ObjectId, outcome: Result<Target, RemoteError>) {
        let outcome = outcome.map(|target| Object { target, order: next_order() });
        let mut settled = vec![(id, outcome)];
        while let Some((id, outcome)) = settled.pop() {
            let Some(promise) = self.promises.get_mut(&id) else { continue };
            let followers = std::mem::take(&mut promise.followers);
            if promise.forgotten {
                self.promises.remove(&id);
            } else {
                promise.outcome = Some(outcome.clone());
            }
            for number in followers {
                match &outcome {
                    Ok(object) => {
                        if let Some(waiting) = self.waiting.get_mut(&number) {
                            waiting.kept.0.insert(id, object.clone());
                        }
                        self.advance(number);
                    }
                    Err(error) => settled.extend(self.drop_waiting(number, error)),
                }
            }
        }
    }

    /// A call that waits does not run. Returns the promise it made, broken.
    fn drop_waiting(&mut self, number: u64, error: &RemoteError) -> Option<(ObjectId, Result<Object, RemoteError>)> {
        let waiting = self.remove(number)?;
        let id = waiting.arrived.call.id;
        let promise = waiting.arrived.call.promise;
        let dropped = (Some(waiting.arrived), waiting.kept);
        self.due.push_back(Due::Fail(id, error.clone(), dropped));
        if let Some(next) = waiting.next {
            self.advance(next);
        }
        promise.map(|promise| (promise, Err(cause(error))))
    }

    fn fail(&mut self, arrived: Arrived, error: &RemoteError) {
        let (id, promise) = (arrived.call.id, arrived.call.promise);
        self.due.push_back(Due::Fail(id, error.clone(), (Some(arrived), Kept::default())));
        if let Some(promise) = promise {
            self.settle(promise, Err(cause(error)));
        }
    }

    /// The caller of a call is gone; says whether the call was here.
    pub(super) fn cancel(&mut self, id: CallId) -> bool {
        let error = RemoteError::new(ErrorKind::Cancelled, Executed::No, "the call was cancelled");
        let promise = match self.by_call.get(&id).copied() {
            Some(number) => self.drop_waiting(number, &error).map(|(promise, _)| promise),
            None => {
                let is_it = |due: &&mut Due| matches!(due, Due::Serve(arrived, ..) if arrived.call.id == id);
                let Some(due) = self.due.iter_mut().find(is_it) else { return false };
                let served = std::mem::replace(due, Due::Fail(id, error.clone(), (None, Kept::default())));
                let Due::Serve(arrived, kept, _) = served else { return false };
                let promise = arrived.call.promise;
                *due = Due::Fail(id, error.clone(), (Some(arrived), kept));
                promise
            }
        };
        if let Some(promise) = promise {
            self.settle(promise, Err(cause(&error)));
        }
        true
    }

    /// The peer will not name these again. Calls that have named them still get their object.
    pub(super) fn forget(&mut self, ids: &[ObjectId]) -> Vec<Target> {
        let mut dropped = Vec::new();
        for id in ids {
            match self.promises.get_mut(id) {
                Some(promise) if promise.outcome.is_none() => promise.forgotten = true,
                Some(_) => {
                    let object = self.promises.remove(id).and_then(|promise| promise.outcome?.ok());
                    dropped.extend(object.map(|object| object.target));
                }
                None => {}
            }
        }
        dropped
    }

    /// What is to be done next. Only the driver asks.
    pub(super) fn take_due(&mut self) -> Option<Due> {
        self.due.pop_front()
    }
}

#[cfg(test)]
#[path = "promises_tests.rs"]
mod tests;
