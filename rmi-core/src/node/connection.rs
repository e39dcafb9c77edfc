//! A connection: a session, what is known about its peer, and the calls that run for it.
//!
//! The session is behind a lock that is held for a moment only: to queue a call, to take in bytes, to hand out bytes.
//! Nobody is woken and no code of the user's runs under it.

use std::collections::HashMap;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use crate::call::{CallContext, Outcome, Reply, Status, Target};
use crate::endpoint::Endpoint;
use crate::error::{ErrorKind, Executed, RemoteError};
use crate::id::NodeId;
use crate::node::route::{Destination, RemoteObject, Route};
use crate::node::{Shared, now};
use crate::object::TableError;
use crate::peer::Peer;
use crate::proto::{CallKey, OutgoingCall, RawOutcome, RawReply, Session};
use crate::reference::ObjectRef;
use crate::wire::frame::{CallId, ReplyStatus};
use crate::wire::reference::WireReference;

/// A session and what belongs to it. Its driver task moves the bytes.
pub(crate) struct Connection {
    /// A number that no other connection of this process has.
    pub(super) id: u64,
    pub(super) node: Arc<Shared>,
    session: Mutex<Session>,
    known: OnceLock<Known>,
    /// Whether it counts among the handshakes.
    shaking: AtomicBool,
    /// The route that dialled it; `None` when the peer did.
    dialler: Option<Weak<Route>>,
    /// The route of the references that came over this connection.
    references: Mutex<Weak<Route>>,
    /// The calls that run in tasks of their own.
    pub(super) running: Mutex<HashMap<CallId, Running>>,
    pub(super) guesses: Mutex<super::serve::Guesses>,
}

/// What the peer's hello told.
struct Known {
    peer: Arc<Peer>,
    endpoints: Vec<Endpoint>,
}

/// A call that runs in a task of its own.
pub(super) struct Running {
    pub(super) context: CallContext,
    pub(super) task: tokio::task::AbortHandle,
    pub(super) oneway: bool,
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Connection {
    /// A connection whose session begins now. `expected` is the node that must answer.
    pub(super) fn new(node: Arc<Shared>, dialler: Option<Weak<Route>>, expected: Option<NodeId>) -> Arc<Self> {
        let session = Session::new(node.settings.clone(), expected, now());
        let connection = Arc::new(Self {
            id: super::next_connection(),
            session: Mutex::new(session),
            known: OnceLock::new(),
            shaking: AtomicBool::new(false),
            dialler,
            references: Mutex::new(Weak::new()),
            running: Mutex::default(),
            guesses: Mutex::new(super::serve::Guesses::new(now())),
            node,
        });
        connection.node.table.open(connection.id);
        connection.node.connections.insert(connection.id, connection.clone());
        connection
    }

    /// Runs `f` on the session, then wakes whoever `f` gave something to do.
    pub(super) fn locked<R>(&self, f: impl FnOnce(&mut Session) -> R) -> R {
        let mut callers = Vec::new();
        let (result, driver) = {
            let mut session = lock(&self.session);
            let result = f(&mut session);
            (result, session.take_wakes(&mut callers))
        };
        driver.into_iter().for_each(Waker::wake);
        callers.into_iter().for_each(Waker::wake);
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

    /// Whether the peer dialled.
    pub(super) fn is_accepted(&self) -> bool {
        self.dialler.is_none()
    }

    /// The peer, once it has said hello.
    pub(super) fn peer(&self) -> Option<&Arc<Peer>> {
        self.known.get().map(|known| &known.peer)
    }

    /// Remembers the peer's hello.
    pub(super) fn opened(&self, peer: Peer, endpoints: Vec<Endpoint>) {
        // A session says hello once; a second one is a violation that ends it before it comes here.
        let _ = self.known.set(Known { peer: Arc::new(peer), endpoints });
        self.end_handshake();
        if let Some(route) = self.dialler.as_ref().and_then(Weak::upgrade) {
            route.reached();
        }
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
            && let Some(route) = self.dialler.as_ref().and_then(Weak::upgrade)
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
        let needed = dialler.strong_count() > 0 || lock(&self.references).strong_count() > 0;
        if needed || self.node.table.holds(self.id) || !lock(&self.running).is_empty() {
            return;
        }
        self.locked(|session| {
            if session.is_drained() && session.calls_in_flight() == 0 {
                session.goodbye(crate::proto::code::DONE, "nothing refers to this node any more");
            }
        });
    }

    /// There is nothing to do at the moment: somebody may have waited for that.
    pub(super) fn rested(&self) {
        if self.node.draining.load(Ordering::Relaxed) {
            self.node.changed.notify_waiters();
        }
        if self.dialler.as_ref().is_some_and(|dialler| dialler.strong_count() == 0) {
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
                running.task.abort();
            }
        }
        self.node.table.close(self.id);
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
    pub(super) fn gone(&self) {
        self.node.connections.remove(&self.id);
        self.node.changed.notify_waiters();
    }
}

/// References that travel.
impl Connection {
    /// The references of a frame that goes out: objects of ours are held for the peer from here on.
    pub(super) fn export(&self, targets: &[Target]) -> Result<Vec<WireReference>, TableError> {
        let limit = self.node.settings.limits.references_per_session_max;
        let export_one = |target: &Target| match target {
            Target::Local(object) => {
                let id = self.node.table.hold(self.id, object, limit)?;
                Ok(WireReference::Sender { object: id, interfaces: target.interfaces() })
            }
            Target::Remote(remote) => Ok(WireReference::Other(remote.reference().clone())),
        };
        targets.iter().map(export_one).collect()
    }

    /// What the references of a frame that came in lead to. Nothing is dialled here.
    pub(super) fn import(self: &Arc<Self>, references: Vec<WireReference>) -> Vec<Target> {
        references.into_iter().map(|reference| self.import_one(reference)).collect()
    }

    fn import_one(self: &Arc<Self>, reference: WireReference) -> Target {
        match reference {
            WireReference::Other(reference) => self.node.target(reference),
            WireReference::Sender { object, interfaces } => {
                let (node, endpoints) = self
                    .known
                    .get()
                    .map_or((self.node.id, Vec::new()), |known| (known.peer.node, known.endpoints.clone()));
                let route = self.reference_route(node, &endpoints);
                let reference = ObjectRef::new(node, object, interfaces, endpoints);
                Target::Remote(Arc::new(RemoteObject::new(route, reference)))
            }
        }
    }

    /// References that came over this connection are called over it, as long as it lives.
    fn reference_route(self: &Arc<Self>, node: NodeId, endpoints: &[Endpoint]) -> Arc<Route> {
        let mut known = lock(&self.references);
        if let Some(route) = known.upgrade() {
            return route;
        }
        let destination = Destination { node: Some(node), endpoints: endpoints.to_vec() };
        let route = Route::over(self, destination);
        *known = Arc::downgrade(&route);
        route
    }

    /// A servant's outcome as the session takes it.
    pub(super) fn export_outcome(&self, outcome: Outcome) -> RawOutcome {
        let Reply { status, body, references } = outcome?;
        let references = self.export(&references).map_err(|error| {
            RemoteError::new(ErrorKind::Overloaded, Executed::Yes, format!("the result cannot be sent: {error}"))
        })?;
        let status = match status {
            Status::Ok => ReplyStatus::Ok,
            Status::Error => ReplyStatus::Error,
        };
        Ok(RawReply { status, references, body })
    }

    fn import_reply(self: &Arc<Self>, reply: RawReply) -> Reply {
        let status = if reply.status == ReplyStatus::Ok { Status::Ok } else { Status::Error };
        let mut out = Reply::new(status, reply.body);
        out.references = self.import(reply.references);
        out
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
