//! A connection: a session, what is known about its peer, and the calls that run for it.
//!
//! The session is behind a lock that is held for a moment only: to queue a call, to take in bytes, to hand out bytes.
//! Nobody is woken and no code of the user's runs under it.

use std::collections::HashMap;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::call::{CallContext, Outcome};
use crate::endpoint::Endpoint;
use crate::error::ErrorKind;
use crate::error::RemoteError;
use crate::id::{LeaseId, ObjectId};
use crate::limits;
use crate::node::promises::Promises;
use crate::node::references::Parcel;
use crate::node::remote::RemoteObject;
use crate::node::route::{Destination, Route};
use crate::node::{Shared, lost, now};
use crate::object::Imports;
use crate::peer::Peer;
use crate::proto::{After, CallKey, OutgoingCall, Session};
use crate::wire::frame::CallId;

/// A session and what belongs to it. Its driver task moves the bytes.
pub(crate) struct Connection {
    /// A number that no other connection of this process has.
    pub(super) id: u64,
    pub(super) node: Arc<Shared>,
    session: Mutex<Session>,
    known: OnceLock<Known>,
    /// Whether it counts among the handshakes.
    shaking: AtomicBool,
    /// Who dialled it; `None` when the peer did.
    pub(super) dialler: Option<Dialler>,
    /// The routes of the references that came over a connection that the peer dialled, or over those before it.
    pub(super) routes: Mutex<Vec<Weak<Route>>>,
    /// What we hold over it.
    pub(super) imports: Mutex<Imports<Weak<RemoteObject>>>,
    /// The leases that what we hold over it was claimed with when we went on.
    pub(super) claimed_with: Mutex<Vec<LeaseId>>,
    /// How many objects may still be claimed elsewhere because it ends.
    pub(super) claims_left: AtomicUsize,
    /// The interfaces that the last reference named which came.
    pub(super) names: Mutex<Arc<[String]>>,
    /// What we grant to the peer.
    pub(super) lease: LeaseId,
    /// Wakes who waits for a change of the connection.
    changed: Notify,
    /// The calls that run in tasks of their own.
    pub(super) running: Mutex<HashMap<CallId, Running>>,
    pub(super) guesses: Mutex<super::serve::Guesses>,
    /// What calls of the peer's promised it, and the calls that wait for that.
    pub(super) promises: Mutex<Promises>,
}

/// The route that dialled a connection, and what it was looking for.
pub(super) struct Dialler {
    pub(super) route: Weak<Route>,
    pub(super) destination: Destination,
}

/// What the peer's hello told.
struct Known {
    peer: Arc<Peer>,
    endpoints: Arc<[Endpoint]>,
    lease: LeaseId,
    place: Option<Endpoint>,
}

/// A call that runs in a task of its own.
pub(super) struct Running {
    pub(super) context: CallContext,
    /// `None` for the moment in which it is started.
    pub(super) task: Option<tokio::task::AbortHandle>,
    pub(super) oneway: bool,
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Connection {
    /// A connection whose session begins now.
    pub(super) fn new(node: Arc<Shared>, dialler: Option<Dialler>) -> Arc<Self> {
        let expected = dialler.as_ref().and_then(|dialler| dialler.destination.node);
        let session = Session::new(node.settings.clone(), expected, now());
        let connection = Arc::new(Self {
            id: super::next_connection(),
            known: OnceLock::new(),
            shaking: AtomicBool::new(false),
            dialler,
            routes: Mutex::default(),
            imports: Mutex::default(),
            claimed_with: Mutex::default(),
            claims_left: AtomicUsize::new(limits::CLAIMS_AT_ONCE_MAX),
            names: Mutex::default(),
            lease: session.lease(),
            changed: Notify::new(),
            session: Mutex::new(session),
            running: Mutex::default(),
            guesses: Mutex::new(super::serve::Guesses::new(now())),
            promises: Mutex::default(),
            node,
        });
        connection.node.table.open(connection.id, connection.lease);
        connection.node.connections.insert(connection.id, connection.clone());
        // A node that was closed meanwhile has said its goodbyes.
        if connection.node.is_closed() {
            connection.locked(|session| session.goodbye(crate::proto::code::DONE, "the node is gone"));
        }
        connection
    }

    /// Runs `f` on the session, then wakes whoever `f` gave something to do.
    pub(super) fn locked<R>(&self, f: impl FnOnce(&mut Session) -> R) -> R {
        let (result, (after, driver)) = {
            let mut session = lock(&self.session);
            let result = f(&mut session);
            (result, session.take_after())
        };
        if let Some(driver) = driver {
            driver.wake();
        }
        if let Some(After { wakes, cargo }) = after {
            wakes.into_iter().for_each(Waker::wake);
            drop(cargo);
        }
        result
    }

    /// Whether new calls can be made on it.
    pub(super) fn takes_calls(&self) -> bool {
        lock(&self.session).takes_calls()
    }

    /// Whether everything that was accepted is answered and written, or the session is over.
    pub(super) fn is_drained(&self) -> bool {
        let session = lock(&self.session);
        session.is_drained() || session.closed().is_some()
    }

    /// The route that dialled, while anything leads over it.
    fn dialled(&self) -> Option<Arc<Route>> {
        self.dialler.as_ref().and_then(|dialler| dialler.route.upgrade())
    }

    /// Whether we dialled.
    pub(super) fn is_dialled(&self) -> bool {
        self.dialler.is_some()
    }

    /// Whether the peer dialled.
    pub(super) fn is_accepted(&self) -> bool {
        self.dialler.is_none()
    }

    /// Whether the session is over.
    pub(super) fn is_over(&self) -> bool {
        lock(&self.session).closed().is_some()
    }

    /// Why the session is over.
    pub(super) fn why_over(&self) -> Option<RemoteError> {
        lock(&self.session).closed().map(|closed| closed.error.clone())
    }

    /// Whether another node answered than the one that was dialled.
    pub(super) fn answered_as_another(&self) -> bool {
        lock(&self.session).closed().is_some_and(|closed| closed.error.kind() == ErrorKind::Gone)
    }

    /// Whether contact was lost after the peer had said hello.
    pub(super) fn is_lost(&self) -> bool {
        self.known.get().is_some() && lock(&self.session).closed().is_some_and(|closed| closed.lost)
    }

    /// Whether we hold anything over it.
    pub(super) fn holds_anything(&self) -> bool {
        !lock(&self.imports).is_empty()
    }

    /// How much longer the peer holds what it holds if it is not heard of any more.
    pub(super) fn lease_left(&self, now: Instant) -> Duration {
        lock(&self.session).held_until(now).saturating_duration_since(now)
    }

    /// Wakes who waits for a change of the connection.
    pub(super) fn tell(&self) {
        self.changed.notify_waiters();
    }

    /// Waits until `done` says so; it is asked after every change of the connection.
    pub(super) async fn until(&self, done: impl Fn() -> bool) {
        super::until(&self.changed, done).await;
    }

    /// The peer, once it has said hello.
    pub(super) fn peer(&self) -> Option<&Arc<Peer>> {
        self.known.get().map(|known| &known.peer)
    }

    /// The peer, and where it listens.
    pub(super) fn known(&self) -> Option<(&Arc<Peer>, &Arc<[Endpoint]>)> {
        self.known.get().map(|known| (&known.peer, &known.endpoints))
    }

    /// Where we dialled and the peer answered.
    pub(super) fn place(&self) -> Option<&Endpoint> {
        self.known.get().and_then(|known| known.place.as_ref())
    }

    /// What the peer grants to us.
    pub(super) fn peer_lease(&self) -> Option<LeaseId> {
        self.known.get().map(|known| known.lease)
    }

    /// Remembers the peer's hello.
    pub(super) fn opened(&self, peer: Peer, endpoints: Vec<Endpoint>, lease: LeaseId, place: Option<Endpoint>) {
        // A session says hello once; a second one is a violation that ends it before it comes here.
        let _ = self.known.set(Known { peer: Arc::new(peer), endpoints: endpoints.into(), lease, place });
        self.end_handshake();
        if let Some(route) = self.dialled() {
            route.reached(self.place());
        }
        self.tell();
    }

    /// Counts the connection among the handshakes until it is opened or over.
    pub(super) fn begin_handshake(&self) {
        self.shaking.store(true, Ordering::Relaxed);
        self.node.handshakes.fetch_add(1, Ordering::Relaxed);
    }

    fn end_handshake(&self) {
        if self.shaking.swap(false, Ordering::Relaxed) {
            self.node.handshakes.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Tells the route that dialled that it came to nothing, if the peer never said hello.
    pub(super) fn missed(&self) {
        if self.known.get().is_none()
            && let Some(route) = self.dialled()
        {
            route.missed();
        }
    }

    /// Makes a call. It is queued when the future is first polled; dropping the future cancels it.
    pub(super) fn call(self: Arc<Self>, call: OutgoingCall) -> PendingCall {
        PendingCall { connection: self, state: PendingState::New(Some(Box::new(call))) }
    }

    /// Says goodbye when nobody needs a connection that we dialled: no proxy leads over it and the peer holds nothing.
    pub(super) fn close_if_unused(&self) {
        let Some(dialler) = &self.dialler else { return };
        let needed = || dialler.route.strong_count() > 0 || self.holds_anything() || self.node.table.holds(self.id);
        if needed() || !lock(&self.running).is_empty() {
            return;
        }
        self.locked(|session| {
            // Something may have come in meanwhile.
            if !needed() && session.is_drained() && session.calls_in_flight() == 0 {
                session.goodbye(crate::proto::code::DONE, "nothing refers to this node any more");
            }
        });
    }

    /// There is nothing to do at the moment: somebody may have waited for that.
    pub(super) fn rested(&self) {
        if self.node.draining.load(Ordering::Relaxed) {
            self.node.changed.notify_waiters();
        }
        if self.dialler.as_ref().is_some_and(|dialler| dialler.route.strong_count() == 0) {
            self.close_if_unused();
        }
    }

    /// Ends what belongs to the connection: calls that somebody waits for, and held objects.
    pub(super) fn ended(&self) {
        self.end_handshake();
        self.missed();
        let running: Vec<Running> = lock(&self.running).drain().map(|(_, running)| running).collect();
        for running in running {
            running.context.cancel();
            // Nobody waits for a oneway call, so nobody is gone: it runs to its end.
            if !running.oneway {
                running.task.into_iter().for_each(|task| task.abort());
            }
        }
        let promises = std::mem::take(&mut *lock(&self.promises));
        drop(promises);
        if self.known.get().is_none() {
            self.unask_all();
        } else if !self.is_lost() {
            self.node.table.close(self.id, self.lease);
            self.lose_all();
        }
        let clean = lock(&self.session).closed().is_some_and(|closed| closed.clean);
        if let (Some(peer), Some(listener)) = (self.peer(), &self.node.on_disconnect) {
            // It is the program's code: what it does to itself it does not do to the connection.
            let told = catch_unwind(AssertUnwindSafe(|| listener(peer, clean)));
            if told.is_err() {
                tracing::error!("the disconnect listener panicked");
            }
        }
    }

    /// The peer was told, or will never be: takes the connection off the node's list, for which a node that shuts down
    /// waits.
    pub(super) fn gone(self: &Arc<Self>) {
        let held = !self.holds_no_more();
        if self.is_lost() && (held || self.node.table.holds(self.id)) {
            self.node.lost.insert(self.id, self.clone());
            self.node.runtime.spawn(lost::outlive(self.clone()));
        } else {
            self.node.table.close(self.id, self.lease);
            self.lose_all();
        }
        self.node.connections.remove(&self.id);
        self.node.changed.notify_waiters();
        self.tell();
    }
}

/// A call of ours on a connection.
pub(super) struct PendingCall {
    connection: Arc<Connection>,
    state: PendingState,
}

enum PendingState {
    New(Option<Box<OutgoingCall>>),
    Waiting(CallKey),
    Done,
}

impl PendingCall {
    /// Queues the call now, not when it is first polled.
    pub(super) fn begin(&mut self) -> Result<(), RemoteError> {
        if let PendingState::New(call) = &mut self.state
            && let Some(call) = call.take()
        {
            self.state = PendingState::Waiting(self.connection.locked(|session| session.call(*call, now()))?);
        }
        Ok(())
    }

    /// The references of a call that was held back under `withheld` are known.
    pub(super) fn supply(&mut self, withheld: ObjectId, Parcel { references, cargo }: Parcel) {
        if let PendingState::Waiting(key) = self.state {
            self.connection.locked(|session| session.supply(key, withheld, (references, cargo), now()));
        }
    }
}

impl Future for PendingCall {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        let this = &mut *self;
        let state = std::mem::replace(&mut this.state, PendingState::Done);
        let polled = this.connection.locked(|session| {
            let key = match state {
                PendingState::New(Some(call)) => session.call(*call, now()).map_err(Some)?,
                PendingState::Waiting(key) => key,
                PendingState::New(None) | PendingState::Done => return Err(None),
            };
            Ok((key, session.poll_outcome(key, cx.waker())))
        });
        match polled {
            Ok((key, None)) => {
                this.state = PendingState::Waiting(key);
                Poll::Pending
            }
            Ok((_, Some(outcome))) => Poll::Ready(outcome.map(|reply| this.connection.import_reply(reply))),
            Err(Some(error)) => Poll::Ready(Err(error)),
            Err(None) => Poll::Pending,
        }
    }
}

impl Drop for PendingCall {
    fn drop(&mut self) {
        if let PendingState::Waiting(key) = self.state {
            self.connection.locked(|session| session.cancel(key));
        }
    }
}

/// When a call with this deadline, or with none, must be over.
pub(super) fn deadline_of(node: &Shared, deadline: Option<Instant>) -> Instant {
    deadline.unwrap_or_else(|| now() + node.settings.limits.call_timeout)
}
