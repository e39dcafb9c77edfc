//! One process's objects, connections and policy.
//!
//! The way of a call through these files: [`route`] finds or dials a connection, [`connection`] queues the call in its
//! session, [`driver`] moves the bytes; on the other side its driver hands the call to [`serve`]. This is the only place
//! that spawns tasks and asks what time it is.

mod accept;
mod beside;
mod builder;
mod connection;
mod dial;
mod driver;
mod lost;
mod promise;
mod promises;
mod references;
mod remote;
mod route;
mod serve;
mod spawn;

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::{Duration, Instant};

use dashmap::DashMap;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use crate::call::Target;
use crate::endpoint::Endpoint;
use crate::error::{ErrorKind, Executed, RemoteError};
use crate::id::{NodeId, ObjectId};
use crate::interface::Interface;
use crate::limits::Limits;
use crate::object::{self, Hold, ObjectInfo, ObjectTable, Pin};
use crate::peer::Peer;
use crate::proto::{Settings, code};
use crate::proxy::{AnyProxy, Proxy};
use crate::reference::ObjectRef;
use crate::security::Authorizer;
use crate::transport::{Channel, Transport};
use builder::OnDisconnect;
use connection::{Connection, lock};
use remote::RemoteObject;
use route::{Destination, Route};

pub use builder::{NodeBuilder, NodeError};
pub use spawn::Child;

/// The time that a node which shuts down gives its peers to claim elsewhere what it introduced, and to take its goodbye.
const HANDOVER: Duration = Duration::from_secs(2);
const FAREWELL: Duration = Duration::from_secs(2);

/// One process's objects, connections and policy. Cheap to clone; nothing is global, so one process may have several.
///
/// A node lives as long as a clone of it does. When the last one is dropped its connections are closed; to let calls
/// finish first, use [`shutdown`](Self::shutdown).
#[derive(Clone)]
pub struct Node(Arc<Owner>);

/// Closes the node when the program's last hold of it is dropped: tasks and proxies hold only [`Shared`].
struct Owner {
    shared: Arc<Shared>,
    listening: Vec<Endpoint>,
    listeners: Mutex<Vec<AbortHandle>>,
    /// The connection to the process that started this one.
    parent: OnceLock<Arc<Connection>>,
}

/// What the parts of a node share.
pub(crate) struct Shared {
    id: NodeId,
    settings: Settings,
    table: ObjectTable,
    transports: HashMap<String, Arc<dyn Transport>>,
    authorizer: Arc<dyn Authorizer>,
    on_disconnect: Option<OnDisconnect>,
    /// The routes that some proxy holds. Weak, so that references which arrive and are dropped leave nothing.
    routes: DashMap<Destination, Weak<Route>>,
    connections: DashMap<u64, Arc<Connection>>,
    /// Connections that were lost while something was held over them, until they are continued or the leases are over.
    lost: DashMap<u64, Arc<Connection>>,
    /// How many accepted connections have not said hello.
    handshakes: AtomicUsize,
    draining: AtomicBool,
    closed: AtomicBool,
    /// Wakes who waits for a connection to end or to have nothing more to do.
    changed: Notify,
    runtime: tokio::runtime::Handle,
}

/// What a node is made of.
struct Parts {
    endpoints: Vec<Endpoint>,
    listening: Vec<Endpoint>,
    transports: HashMap<String, Arc<dyn Transport>>,
    limits: Arc<Limits>,
    authorizer: Arc<dyn Authorizer>,
    on_disconnect: Option<OnDisconnect>,
    runtime: tokio::runtime::Handle,
}

impl Node {
    /// Begins to set up a node.
    pub fn builder() -> NodeBuilder {
        NodeBuilder::new()
    }

    fn new(parts: Parts) -> Self {
        let Parts { endpoints, listening, transports, limits, authorizer, on_disconnect, runtime } = parts;
        let id = NodeId::random();
        let shared = Shared {
            id,
            settings: Settings { node: id, endpoints, limits },
            table: ObjectTable::default(),
            transports,
            authorizer,
            on_disconnect,
            routes: DashMap::new(),
            connections: DashMap::new(),
            lost: DashMap::new(),
            handshakes: AtomicUsize::new(0),
            draining: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            changed: Notify::new(),
            runtime,
        };
        let shared = Arc::new(shared);
        Self(Arc::new(Owner { shared, listening, listeners: Mutex::default(), parent: OnceLock::new() }))
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.0.shared
    }

    fn spawn_listener(&self, accept: impl Future<Output = ()> + Send + 'static) {
        let task = self.shared().runtime.spawn(accept).abort_handle();
        lock(&self.0.listeners).push(task);
    }

    /// The node's id, made anew at every start.
    #[must_use]
    pub fn id(&self) -> NodeId {
        self.shared().id
    }

    /// Where the node listens, with the ports it was given.
    #[must_use]
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.0.listening
    }

    /// The bounds that the node was started with.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.shared().settings.limits
    }

    /// How many objects are exported: pinned by the program or held by a connection.
    #[must_use]
    pub fn exported(&self) -> usize {
        self.shared().table.len()
    }

    /// Every exported object and why it is alive: what the program exported, what is bound in a registry, which peers hold it.
    ///
    /// A look at a moving thing: what changes meanwhile may be in it or not. Takes time and memory in proportion to the
    /// objects and their holders.
    #[must_use]
    pub fn objects(&self) -> Vec<ObjectInfo> {
        self.shared().objects()
    }

    /// How many connections there are, those being dialled included.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared().connections.len()
    }

    /// The peers of all connections that are open: who they are, what is proven about them, and which way leads there.
    #[must_use]
    pub fn peers(&self) -> Vec<Peer> {
        let open = self.shared().connections.iter();
        open.filter_map(|connection| connection.peer().map(|peer| Peer::clone(peer))).collect()
    }

    /// Makes an object reachable for whoever has the reference, until [`unexport`](Self::unexport). Objects that are sent
    /// in calls need no export. Each export of an object is taken back by an unexport of its own. A proxy to an object of
    /// another node gives that object's reference.
    ///
    /// # Errors
    /// `Misuse`: the object was exported under another id, or another trait of this program has the name of one of its
    /// interfaces on the wire.
    pub fn export<T: ?Sized + Interface>(&self, proxy: &Proxy<T>) -> Result<ObjectRef, RemoteError> {
        self.export_any(&proxy.to_any(), None, Pin::Exported)
    }

    /// Like [`export`](Self::export), under a well-known id: whoever knows where the node listens can call it with
    /// [`at`](Self::at).
    ///
    /// # Errors
    /// `Misuse`: as there; also when the id belongs to another object, or the object is remote.
    pub fn export_at<T: ?Sized + Interface>(&self, id: ObjectId, proxy: &Proxy<T>) -> Result<ObjectRef, RemoteError> {
        self.export_any(&proxy.to_any(), Some(id), Pin::Exported)
    }

    /// Exports an object for a binding in a registry; [`unbind`](Self::unbind) takes it back.
    pub(crate) fn export_bound<T: ?Sized + Interface>(
        &self,
        proxy: &Proxy<T>,
        name: &str,
    ) -> Result<ObjectRef, RemoteError> {
        self.export_any(&proxy.to_any(), None, Pin::Bound(name.to_owned()))
    }

    pub(crate) fn unbind(&self, object: ObjectId, name: &str) -> bool {
        self.shared().table.unpin(object, &Pin::Bound(name.to_owned()))
    }

    fn export_any(&self, proxy: &AnyProxy, id: Option<ObjectId>, pin: Pin) -> Result<ObjectRef, RemoteError> {
        let misuse = |text: String| RemoteError::new(ErrorKind::Misuse, Executed::No, text);
        match proxy.target().settled() {
            Target::Local(object) => {
                let pinned = self.shared().table.pin(object, id, pin);
                let id = pinned.map_err(|error| misuse(format!("cannot export the object: {error}")))?;
                let endpoints = self.shared().settings.endpoints.clone();
                Ok(ObjectRef::new(self.id(), id, proxy.interfaces(), endpoints))
            }
            Target::Remote(_) if proxy.target().is_open() => Err(misuse("a promise has no address yet".into())),
            Target::Remote(remote) if id.is_none() => {
                if let Some(reason) = remote.stays() {
                    return Err(misuse(reason.into()));
                }
                let known = proxy.reference().cloned();
                known.ok_or_else(|| misuse("the promise was broken: there is no object".into()))
            }
            Target::Remote(_) => Err(misuse("an object of another node cannot get a well-known id here".into())),
        }
    }

    /// Takes back an export; says whether there was one. Peers that hold the object keep it; to take it away from them there is [`revoke`](Self::revoke).
    pub fn unexport(&self, object: ObjectId) -> bool {
        self.shared().table.unpin(object, &Pin::Exported)
    }

    /// Takes an object away from every peer for good, whoever holds it: calls get the answer for an object that does not
    /// exist, and it cannot be sent or exported any more. Calls that run go on. Says whether the object was exported.
    pub fn revoke(&self, object: ObjectId) -> bool {
        self.shared().table.revoke(object)
    }

    /// A proxy for a reference. Nothing is dialled before the first call.
    ///
    /// # Errors
    /// `NoSuchInterface`: the reference does not name `T`. `Misuse`: another trait of this program has the name of `T` on
    /// the wire.
    pub fn proxy<T: ?Sized + Interface>(&self, reference: &ObjectRef) -> Result<Proxy<T>, RemoteError> {
        self.any_proxy(reference).cast()
    }

    /// A proxy for a reference, without its type. Nothing is dialled before the first call.
    #[must_use]
    pub fn any_proxy(&self, reference: &ObjectRef) -> AnyProxy {
        AnyProxy::new(self.shared().target(reference.clone()), None)
    }

    /// Makes proxies as [`any_proxy`](Self::any_proxy) does, without keeping the node open.
    pub(crate) fn opener(&self) -> impl Fn(&ObjectRef) -> AnyProxy + Send + Sync + 'static {
        let shared = self.shared().clone();
        move |reference| AnyProxy::new(shared.target(reference.clone()), None)
    }

    /// A proxy for an object with a well-known id on whatever node answers at `endpoint`, also after it was restarted. Its calls fail
    /// with `Misuse`, not executed, when another trait of this program has the name of `T` on the wire.
    #[must_use]
    pub fn at<T: ?Sized + Interface>(&self, endpoint: &Endpoint, object: ObjectId) -> Proxy<T> {
        let destination = Destination { node: None, endpoints: [endpoint.clone()].into() };
        let route = self.shared().route(destination);
        let reference =
            ObjectRef::new(NodeId::UNKNOWN, object, vec![T::descriptor().name.into()], vec![endpoint.clone()]);
        Proxy::over(route.object(reference.clone())).unwrap_or_else(|error| Proxy::refused(reference, error))
    }

    /// Shuts the node down in order: it stops listening, refuses new calls, finishes those it has accepted, writes what is
    /// queued and says goodbye to every peer. Callers see `Draining`, not executed, for calls that came too late.
    ///
    /// Takes [`Limits::drain_timeout`] at most; calls that still run then are cancelled. Cancellation: dropping the future
    /// leaves the node draining. A second call waits as well.
    pub async fn shutdown(&self) {
        let shared = self.shared();
        lock(&self.0.listeners).drain(..).for_each(|task| task.abort());
        shared.draining.store(true, Ordering::Release);
        let connections = || shared.connections.iter().map(|entry| entry.value().clone()).collect::<Vec<_>>();
        for connection in connections() {
            connection.locked(|session| session.go_away());
        }
        let drained = shared.until(|| connections().iter().all(|connection| connection.is_drained()));
        if tokio::time::timeout(shared.settings.limits.drain_timeout, drained).await.is_err() {
            tracing::warn!("calls were still running when the time to drain was over");
        }
        // Peers that have references to other nodes from us are claiming them at their owners now.
        let claimed = shared.until(|| !connections().iter().any(|connection| shared.table.introduces(connection.id)));
        let _ = tokio::time::timeout(HANDOVER, claimed).await;
        shared.close("the node is shutting down");
        let gone = shared.until(|| shared.connections.is_empty());
        // A peer that does not read gets no more time than a farewell takes.
        let _ = tokio::time::timeout(FAREWELL, gone).await;
        shared.table.clear();
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").field("id", &self.id()).field("endpoints", &self.0.listening).finish()
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        lock(&self.listeners).drain(..).for_each(|task| task.abort());
        self.shared.close("the node is gone");
        self.shared.table.clear();
    }
}

impl Shared {
    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Says goodbye to every peer and dials no more.
    fn close(&self, text: &str) {
        self.closed.store(true, Ordering::Release);
        let connections: Vec<_> = self.connections.iter().map(|entry| entry.value().clone()).collect();
        for connection in connections {
            connection.locked(|session| session.goodbye(code::DONE, text));
        }
        self.changed.notify_waiters();
    }

    /// Waits until `done` says so; it is asked after every change of a connection.
    async fn until(&self, done: impl Fn() -> bool) {
        until(&self.changed, done).await;
    }

    async fn sleep_until(&self, until: Instant) {
        // Callers may run outside of any runtime; the node's own has the clock.
        let sleep = {
            let _entered = self.runtime.enter();
            tokio::time::sleep_until(until.into())
        };
        sleep.await;
    }

    /// The route to a destination, shared by all that lead there.
    fn route(self: &Arc<Self>, destination: Destination) -> Arc<Route> {
        let mut entry = self.routes.entry(destination.clone()).or_default();
        if let Some(route) = entry.upgrade() {
            return route;
        }
        let route = Route::to(self.clone(), destination);
        *entry = Arc::downgrade(&route);
        route
    }

    fn forget_route(&self, destination: &Destination) {
        self.routes.remove_if(destination, |_, route| route.strong_count() == 0);
    }

    /// What a reference leads to: an object of ours, or the way to its node.
    fn target(self: &Arc<Self>, reference: ObjectRef) -> Target {
        if reference.node == self.id
            && let Some(object) = self.table.get(reference.object)
        {
            return Target::Local(object);
        }
        let destination = Destination::of(&reference, reference.endpoints.clone());
        Target::Remote(self.route(destination).object(reference))
    }

    fn objects(&self) -> Vec<ObjectInfo> {
        let info = |entry: object::Entry| {
            let pins =
                entry.pins.into_iter().flat_map(|(pin, times)| std::iter::repeat_n(pin, times)).map(|pin| match pin {
                    Pin::Exported => Hold::Exported,
                    Pin::Bound(name) => Hold::Bound(name),
                });
            ObjectInfo {
                object: entry.id,
                interfaces: Target::Local(entry.object).interfaces(),
                holds: pins.chain(entry.holders.into_iter().map(|holder| self.hold(&holder))).collect(),
            }
        };
        self.table.entries().into_iter().map(info).collect()
    }

    fn hold(&self, holder: &object::Holder) -> Hold {
        let living = self.connections.get(&holder.connection).map(|entry| entry.value().clone());
        let connection = living.or_else(|| self.lost.get(&holder.connection).map(|entry| entry.value().clone()));
        let now = now();
        Hold::Peer {
            node: connection.as_ref().and_then(|connection| connection.peer().map(|peer| peer.node)),
            connection: holder.connection,
            copies: holder.copies,
            queued: holder.queued,
            left: connection.as_ref().map_or(Duration::ZERO, |connection| connection.lease_left(now)),
            connected: connection.is_some_and(|connection| !connection.is_over()),
        }
    }

    /// What leads to no object at all.
    fn nowhere(self: &Arc<Self>) -> Arc<RemoteObject> {
        let reference = ObjectRef::new(self.id, ObjectId::random(), Vec::new(), Vec::new());
        self.route(Destination::of(&reference, Arc::default())).object(reference)
    }

    /// What a call over the endpoint's transport costs beside others; one that is not there comes last.
    fn cost(&self, endpoint: &Endpoint) -> u8 {
        self.transports.get(endpoint.scheme()).map_or(u8::MAX, |transport| transport.cost())
    }

    /// Whether there is a transport for the endpoint.
    fn can_dial(&self, endpoint: &Endpoint) -> bool {
        self.transports.contains_key(endpoint.scheme())
    }

    async fn dial(&self, endpoint: &Endpoint) -> Result<Channel, String> {
        match self.transports.get(endpoint.scheme()) {
            Some(transport) => transport.dial(endpoint).await.map_err(|error| error.to_string()),
            None => Err(format!("{endpoint}: there is no transport for {:?}", endpoint.scheme())),
        }
    }
}

/// Waits until `done` says so; it is asked after every `change`.
async fn until(change: &Notify, done: impl Fn() -> bool) {
    loop {
        let mut changed = std::pin::pin!(change.notified());
        changed.as_mut().enable();
        if done() {
            return;
        }
        changed.await;
    }
}

/// The time, which tests can stop.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

fn next_connection() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// A time between nothing and `bound`, so that those who failed together do not come back together.
fn jitter(bound: Duration) -> Duration {
    // The standard library's hasher is seeded from the operating system: random enough to spread callers.
    let random = RandomState::new().build_hasher().finish() >> 32;
    bound.mul_f64(f64::from(u32::try_from(random).unwrap_or(u32::MAX)) / f64::from(u32::MAX))
}
