//! The way to a node: which connection to take, when to dial, and when to try again.
//!
//! Routes are told apart by node id *and* endpoints. A node id is a claim that anybody can make, so a reference with
//! endpoints of somebody else's choosing never shares a connection with an honest one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tracing::Instrument;

use crate::call::{Call, Invoke, Outcome};
use crate::endpoint::Endpoint;
use crate::error::{ErrorKind, Executed, RemoteError};
use crate::id::{NodeId, ObjectId};
use crate::limits;
use crate::node::connection::{Connection, Dialler, deadline_of, lock};
use crate::node::promise;
use crate::node::remote::RemoteObject;
use crate::node::{Shared, dial, jitter, now};
use crate::reference::ObjectRef;

/// Where a route leads: the node that must answer, if it is known, and the places to look for it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Destination {
    pub(super) node: Option<NodeId>,
    pub(super) endpoints: Arc<[Endpoint]>,
}

impl Destination {
    /// Where to look for the owner of the object.
    pub(super) fn of(reference: &ObjectRef, endpoints: Arc<[Endpoint]>) -> Self {
        let known = reference.node != NodeId::UNKNOWN;
        Self { node: known.then_some(reference.node), endpoints }
    }
}

/// The object of a call on a connection.
#[derive(Clone, Copy)]
pub(super) struct Addressee {
    /// The node that must answer, if it is known.
    pub(super) node: Option<NodeId>,
    pub(super) object: ObjectId,
}

/// The way to a node, shared by every proxy that leads there.
pub(crate) struct Route {
    node: Arc<Shared>,
    destination: Destination,
    /// The connection that the references of this route came over, if the peer dialled it; they dial only when it is gone.
    over: Option<Mutex<Weak<Connection>>>,
    state: Mutex<State>,
    /// What stands for each object that this route leads to.
    objects: Mutex<HashMap<ObjectId, Weak<RemoteObject>>>,
    /// Wakes who waits for an object of this route to be gone.
    changed: Notify,
}

struct State {
    connection: Option<Arc<Connection>>,
    /// The route that is taken when the connection that the references came over is gone. Held, or it would close what it
    /// has just dialled.
    instead: Option<Arc<Route>>,
    /// Where the node answered last.
    worked: Option<Endpoint>,
    failures: u32,
    /// No dial before this.
    not_before: Option<Instant>,
    retries: f64,
}

/// The retries that a route may have in hand, and what a call that succeeds adds: a node in trouble gets a tenth more
/// calls, not three times as many.
const RETRIES_MAX: f64 = 10.0;
const RETRY_PER_SUCCESS: f64 = 0.1;
/// The longest pause between dials doubles from the first of these to the second; the pause itself is drawn below it.
const PAUSE_FIRST: Duration = Duration::from_millis(50);
const PAUSE_LAST: Duration = Duration::from_secs(2);

/// What a pause after this many failures is drawn from.
fn pause_bound(failures: u32) -> Duration {
    PAUSE_FIRST.saturating_mul(1 << failures.saturating_sub(1).min(10)).min(PAUSE_LAST)
}

impl Route {
    /// A route that dials.
    pub(super) fn to(node: Arc<Shared>, destination: Destination) -> Arc<Self> {
        Self::new(node, destination, None)
    }

    /// The route of references that came over `connection`.
    pub(super) fn over(connection: &Arc<Connection>, destination: Destination) -> Arc<Self> {
        Self::new(connection.node.clone(), destination, Some(Mutex::new(Arc::downgrade(connection))))
    }

    fn new(node: Arc<Shared>, destination: Destination, over: Option<Mutex<Weak<Connection>>>) -> Arc<Self> {
        let state = State {
            connection: None,
            instead: None,
            worked: None,
            failures: 0,
            not_before: None,
            retries: RETRIES_MAX,
        };
        Arc::new(Self {
            node,
            destination,
            over,
            state: Mutex::new(state),
            objects: Mutex::default(),
            changed: Notify::new(),
        })
    }

    /// The connection for the next call, dialled if there is none: calls wait in its session, in order.
    pub(super) fn connection(self: &Arc<Self>) -> Result<Arc<Connection>, RemoteError> {
        let no = |kind, text: String| Err(RemoteError::new(kind, Executed::No, text));
        if self.node.is_closed() {
            return no(ErrorKind::Misuse, "this node is shut down".into());
        }
        if let Some(over) = &self.over {
            let living = lock(over).upgrade();
            if let Some(connection) = living.filter(|connection| connection.takes_calls()) {
                return Ok(connection);
            }
            if !self.destination.endpoints.is_empty() {
                return self.instead().connection();
            }
            let text = "the connection that the reference came over is closed, and its node does not listen";
            return no(ErrorKind::Unreachable, text.into());
        }
        if self.destination.node == Some(self.node.id) {
            return no(ErrorKind::NoSuchObject, "this node exports no such object".into());
        }
        if self.destination.endpoints.is_empty() {
            return no(ErrorKind::Unreachable, "the reference names no endpoint".into());
        }
        let mut state = lock(&self.state);
        if let Some(connection) = state.connection.as_ref().filter(|connection| connection.takes_calls()) {
            return Ok(connection.clone());
        }
        let connection = Connection::new(
            self.node.clone(),
            Some(Dialler { route: Arc::downgrade(self), destination: self.destination.clone() }),
        );
        state.connection = Some(connection.clone());
        let dialling = dial::dial(connection.clone(), self.places(state.worked.as_ref()), state.not_before.take());
        let span = tracing::debug_span!("connection", id = connection.id, node = ?self.destination.node);
        self.node.runtime.spawn(dialling.instrument(span));
        Ok(connection)
    }

    /// Where to look for the node: first where it answered last, then from the cheapest transport to the dearest.
    fn places(&self, worked: Option<&Endpoint>) -> Vec<Endpoint> {
        let mut places = self.destination.endpoints.to_vec();
        places.sort_by_key(|place| (Some(place) != worked, self.node.cost(place)));
        places
    }

    /// What stands for the object, made if there is none. What is gone stays so: it stands for none that is there again.
    pub(super) fn object(self: &Arc<Self>, reference: ObjectRef) -> Arc<RemoteObject> {
        let id = reference.object;
        let known = lock(&self.objects).get(&id).and_then(Weak::upgrade);
        match known {
            Some(known) if known.is_gone() => {}
            Some(known) if known.is(&reference) => return known,
            // Somebody calls an object of one node by the id of another's: it stands for itself.
            Some(_) => return RemoteObject::new(self.clone(), reference),
            None => {}
        }
        let made = RemoteObject::new(self.clone(), reference);
        // Dropped after the lock, when somebody else was faster.
        let faster = {
            let mut objects = lock(&self.objects);
            let faster = objects.get(&id).and_then(Weak::upgrade);
            if faster.as_ref().is_none_or(|known| known.is_gone()) {
                objects.insert(id, Arc::downgrade(&made));
            }
            faster
        };
        faster.filter(|known| known.is(made.reference()) && !known.is_gone()).unwrap_or(made)
    }

    /// What stood for an object is being dropped.
    pub(super) fn forget(&self, object: &RemoteObject) {
        let mut objects = lock(&self.objects);
        if objects.get(&object.id()).is_some_and(|known| std::ptr::eq(known.as_ptr(), object)) {
            objects.remove(&object.id());
        }
    }

    /// The route that dials where this one cannot.
    fn instead(&self) -> Arc<Self> {
        lock(&self.state).instead.get_or_insert_with(|| self.node.route(self.destination.clone())).clone()
    }

    /// A dial came to nothing.
    pub(super) fn missed(&self) {
        let mut state = lock(&self.state);
        state.worked = None;
        state.failures = state.failures.saturating_add(1);
        state.not_before = Some(now() + jitter(pause_bound(state.failures)));
    }

    /// A node answered.
    pub(super) fn reached(&self, place: Option<&Endpoint>) {
        let mut state = lock(&self.state);
        state.worked = place.cloned();
        (state.failures, state.not_before) = (0, None);
    }

    /// Takes the place of a route to the same place that has gone, with its connection.
    pub(super) fn adopt(&self, connection: &Arc<Connection>) {
        let mut state = lock(&self.state);
        state.worked = connection.place().cloned();
        state.connection.get_or_insert_with(|| connection.clone());
    }

    /// The references of this route lead over another connection from here on.
    pub(super) fn lead_over(&self, connection: &Arc<Connection>) {
        if let Some(over) = &self.over {
            *lock(over) = Arc::downgrade(connection);
        }
    }

    /// An object of this route is gone.
    pub(super) fn tell(&self) {
        self.changed.notify_waiters();
    }

    /// Waits until `done` says so; it is asked whenever an object of this route is gone.
    pub(super) async fn until(&self, done: impl Fn() -> bool) {
        super::until(&self.changed, done).await;
    }

    /// Waits until the connection that calls take at present is over.
    pub(super) async fn current_is_over(self: &Arc<Self>) {
        if let Ok(connection) = self.connection() {
            connection.until(|| connection.is_over()).await;
        }
    }

    fn take_retry(&self) -> bool {
        let mut state = lock(&self.state);
        if state.retries < 1.0 {
            return false;
        }
        state.retries -= 1.0;
        true
    }

    fn succeeded(&self) {
        let mut state = lock(&self.state);
        if state.retries < RETRIES_MAX {
            state.retries = (state.retries + RETRY_PER_SUCCESS).min(RETRIES_MAX);
        }
    }

    /// Makes a call, again when that is safe: promise P3.
    pub(super) async fn invoke(self: &Arc<Self>, object: &Arc<RemoteObject>, call: &Call) -> Outcome {
        let deadline = deadline_of(&self.node, call.deadline);
        let (mut attempt, mut executed) = (1, Executed::No);
        loop {
            let error = match self.attempt(object, call, deadline).await {
                Ok(reply) => {
                    self.succeeded();
                    return Ok(reply);
                }
                // An earlier attempt may have run, whatever the last one says.
                Err(error) => error.at_least(executed),
            };
            executed = error.executed();
            let again = attempt < limits::ATTEMPTS_MAX && error.retry_is_safe(call.idempotent);
            // What is left of the time is better spent on the way around.
            let around = error.kind() == ErrorKind::Unreachable && object.has_introducer();
            if !again || around || now() >= deadline || !self.take_retry() {
                return Err(error);
            }
            let pause = jitter(error.retry_after().unwrap_or_else(|| pause_bound(attempt)));
            let Some(until) = now().checked_add(pause).filter(|until| *until < deadline) else { return Err(error) };
            self.node.sleep_until(until).await;
            attempt += 1;
        }
    }

    /// The connection for a call on the object, and what the object is called there.
    pub(super) fn address(
        self: &Arc<Self>,
        object: &Arc<RemoteObject>,
    ) -> Result<(Arc<Connection>, Addressee), RemoteError> {
        let connection = self.connection()?;
        let relayed = object.is_relayed_by(self);
        if relayed {
            object.hold_beside(&connection);
        } else {
            object.hold_over(&connection);
        }
        Ok((connection, Addressee { node: object.owner().filter(|_| !relayed), object: object.id() }))
    }

    async fn attempt(self: &Arc<Self>, object: &Arc<RemoteObject>, call: &Call, deadline: Instant) -> Outcome {
        let (connection, to) = self.address(object)?;
        promise::call(connection, to, call, deadline).await
    }
}

impl Drop for Route {
    fn drop(&mut self) {
        self.node.forget_route(&self.destination);
        let over = self.over.as_ref().and_then(|over| lock(over).upgrade());
        let dialled = lock(&self.state).connection.take();
        over.into_iter().chain(dialled).for_each(|connection| connection.close_if_unused());
    }
}
