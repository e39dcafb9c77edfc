//! An object of another node, as its proxies see it: where it is held, and which way its calls take.

use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tracing::Instrument;

use crate::call::{Call, Invocation, Invoke, Outcome, Watching};
use crate::error::{ErrorKind, Executed, RemoteError};
use crate::id::{NodeId, ObjectId};
use crate::node::connection::{Connection, lock};
use crate::node::promise::Promise;
use crate::node::references::Asked;
use crate::node::route::Route;
use crate::reference::ObjectRef;

/// Held at its owner, or asked for.
const HELD: u8 = 1;
/// Another reference to the same object is what is held.
const TWIN: u8 = 16;
/// Its owner, or the way to it, is gone for good.
const GONE: u8 = 2;
/// Its own node cannot be reached: calls go through the node that introduced it.
const RELAYED: u8 = 4;
/// Not counted by anybody: a well-known id, which outlives the node that answers.
const FREE: u8 = 8;
/// Its owner has said that it counts us, or a twin.
const COUNTED: u8 = 32;

/// An object of another node. While it lives, the peers that count for us keep the object.
pub(crate) struct RemoteObject {
    me: Weak<Self>,
    route: Arc<Route>,
    reference: ObjectRef,
    flags: AtomicU8,
    at: Mutex<At>,
}

/// Who counts us as a holder.
#[derive(Default)]
struct At {
    /// The connection to the owner over which the object is held.
    owner: Weak<Connection>,
    /// The node that gave us the reference, until the owner counts us.
    introducer: Option<Introducer>,
    /// Other references to the same object, which are held instead.
    twins: Vec<Arc<RemoteObject>>,
    /// Those whose twin we are, until the owner counts us.
    sharers: Vec<Weak<RemoteObject>>,
}

impl At {
    fn is_owner(&self, connection: &Connection) -> bool {
        std::ptr::eq(self.owner.as_ptr(), connection)
    }

    fn is_introducer(&self, connection: &Connection) -> bool {
        self.introducer.as_ref().is_some_and(|introducer| std::ptr::eq(introducer.over.as_ptr(), connection))
    }
}

/// A node that passed a reference on and keeps the object alive for us.
pub(super) struct Introducer {
    pub(super) route: Arc<Route>,
    pub(super) over: Weak<Connection>,
}

impl RemoteObject {
    fn new(route: Arc<Route>, reference: ObjectRef, flags: u8, at: At) -> Arc<Self> {
        let (flags, at) = (AtomicU8::new(flags), Mutex::new(at));
        Arc::new_cyclic(|me| Self { me: me.clone(), route, reference, flags, at })
    }

    /// An object that nobody counts us as a holder of yet.
    pub(super) fn unclaimed(route: Arc<Route>, reference: ObjectRef) -> Arc<Self> {
        let flags = if reference.node == NodeId::UNKNOWN { FREE } else { 0 };
        Self::new(route, reference, flags, At::default())
    }

    /// An object whose owner sent it over this connection.
    pub(super) fn owned_by(over: &Arc<Connection>, route: Arc<Route>, reference: ObjectRef) -> Arc<Self> {
        Self::new(route, reference, HELD | COUNTED, At { owner: Arc::downgrade(over), ..At::default() })
    }

    /// An object that another node passed on. `reachable` says whether its own node may be dialled.
    pub(super) fn introduced(by: Introducer, route: Arc<Route>, reference: ObjectRef, reachable: bool) -> Arc<Self> {
        let free = if reference.node == NodeId::UNKNOWN { FREE } else { 0 };
        let flags = free | if reachable { 0 } else { RELAYED };
        Self::new(route, reference, flags, At { introducer: Some(by), ..At::default() })
    }

    pub(super) fn reference_id(&self) -> ObjectId {
        self.reference.object
    }

    pub(super) fn address(&self) -> &ObjectRef {
        &self.reference
    }

    /// The node that must answer, if it is known.
    pub(super) fn owner(&self) -> Option<NodeId> {
        Some(self.reference.node).filter(|node| *node != NodeId::UNKNOWN)
    }

    fn has(&self, flag: u8) -> bool {
        self.flags.load(Ordering::Acquire) & flag != 0
    }

    fn set(&self, flag: u8) {
        self.flags.fetch_or(flag, Ordering::AcqRel);
    }

    fn clear(&self, flag: u8) {
        self.flags.fetch_and(!flag, Ordering::AcqRel);
    }

    pub(super) fn is(&self, reference: &ObjectRef) -> bool {
        (self.reference.node, self.reference.object) == (reference.node, reference.object)
    }

    /// Enters a copy that came over `connection`; says whether its sender counts it for us.
    pub(super) fn received(self: &Arc<Self>, connection: &Connection) -> bool {
        let first = {
            // Under this lock the introducer cannot be left, with all copies of before, between the question and the entry.
            let at = lock(&self.at);
            let counts = at.is_owner(connection) || at.is_introducer(connection);
            counts.then(|| connection.enter(self)).flatten()
        };
        if first == Some(true) {
            connection.tend();
        }
        first.is_some()
    }

    /// What was held over this connection is not counted by its peer: asks the owner.
    pub(super) fn orphaned(self: &Arc<Self>, connection: &Connection) {
        let introducer = {
            let mut at = lock(&self.at);
            if at.is_owner(connection) {
                at.owner = Weak::new();
                self.clear(HELD | COUNTED);
            }
            if at.is_introducer(connection) { at.introducer.take() } else { None }
        };
        drop(introducer);
        self.hold();
    }

    /// Sees to it that the owner counts us as a holder: asks over `connection` if nobody has.
    pub(super) fn hold_over(self: &Arc<Self>, connection: &Arc<Connection>) {
        if self.has(HELD | FREE) {
            return;
        }
        if self.has(TWIN) {
            return self.twins().iter().for_each(|twin| twin.hold_over(connection));
        }
        let asked = {
            let mut at = lock(&self.at);
            if self.has(HELD | TWIN) {
                return;
            }
            let asked = connection.ask_for(self);
            match &asked {
                Asked::Entered => {
                    at.owner = Arc::downgrade(connection);
                    self.set(HELD);
                }
                Asked::Already(twin) => self.shares(&mut at, twin),
                Asked::Over => return,
            }
            asked
        };
        match asked {
            Asked::Already(twin) => twin.share_with(self),
            _ => connection.send_claim(self.reference.object),
        }
    }

    fn shares(&self, at: &mut At, twin: &Arc<Self>) {
        at.twins.push(twin.clone());
        self.set(TWIN);
    }

    /// Our claim is that of `sharer` as well.
    fn share_with(&self, sharer: &Arc<Self>) {
        {
            let mut at = lock(&self.at);
            if !self.has(COUNTED) {
                at.sharers.retain(|known| known.strong_count() > 0);
                at.sharers.push(Arc::downgrade(sharer));
                return;
            }
        }
        sharer.counted();
    }

    /// Asks the owner to count us, dialling it if need be; nothing is waited for.
    pub(super) fn hold(self: &Arc<Self>) {
        if self.has(HELD | FREE | GONE) {
            return;
        }
        match self.route.connection() {
            Ok(connection) => self.hold_over(&connection),
            // There is no way to the owner, and never will be.
            Err(_) if !self.has_introducer() => self.lose(),
            Err(_) => {}
        }
    }

    pub(super) fn is_introduced_over(&self, connection: &Connection) -> bool {
        lock(&self.at).is_introducer(connection)
    }

    /// Held over another connection from here on; says whether to claim it there.
    pub(super) fn moved(self: &Arc<Self>, from: &Arc<Connection>, to: &Arc<Connection>) -> bool {
        let asked = {
            let mut at = lock(&self.at);
            let asked = to.ask_for(self);
            let over = match &asked {
                Asked::Entered => Arc::downgrade(to),
                Asked::Already(twin) => {
                    self.shares(&mut at, twin);
                    Weak::new()
                }
                Asked::Over => Arc::downgrade(from),
            };
            if at.is_owner(from) {
                at.owner = over.clone();
                if self.has(TWIN) {
                    self.clear(HELD);
                }
            }
            if at.is_introducer(from) {
                at.introducer.iter_mut().for_each(|introducer| introducer.over = over.clone());
            }
            asked
        };
        match &asked {
            Asked::Entered => {}
            Asked::Already(twin) => twin.share_with(self),
            Asked::Over => self.orphaned(from),
        }
        matches!(asked, Asked::Entered)
    }

    /// What came of asking over `connection`.
    pub(super) fn answered(&self, connection: &Arc<Connection>, held: bool) {
        let is_owner = lock(&self.at).is_owner(connection);
        match (is_owner, held) {
            (true, true) => self.counted(),
            (true, false) => self.lose(),
            (false, true) => {}
            (false, false) => self.leave_introducer(),
        }
    }

    /// The owner counts us: whoever introduced us need not any more.
    fn counted(&self) {
        let sharers = {
            let mut at = lock(&self.at);
            self.set(COUNTED);
            self.clear(RELAYED);
            std::mem::take(&mut at.sharers)
        };
        self.leave_introducer();
        sharers.iter().filter_map(Weak::upgrade).for_each(|sharer| sharer.counted());
    }

    fn leave_introducer(&self) {
        let introducer = lock(&self.at).introducer.take();
        self.let_go(introducer);
    }

    fn let_go(&self, introducer: Option<Introducer>) {
        if let Some(Introducer { over, route }) = introducer {
            if let Some(over) = over.upgrade() {
                over.let_go(self.reference.object, self);
            }
            drop(route);
        }
    }

    fn twins(&self) -> Vec<Arc<Self>> {
        if self.has(TWIN) { lock(&self.at).twins.clone() } else { Vec::new() }
    }

    fn is_gone(&self) -> bool {
        self.has(GONE) || self.twins().iter().any(|twin| twin.is_gone())
    }

    /// Whether somebody keeps the object for us, or was asked to.
    fn is_kept(&self) -> bool {
        self.has(HELD | TWIN) || self.has_introducer()
    }

    /// The connection over which the owner was asked never opened: nobody was asked.
    pub(super) fn unasked(&self, connection: &Connection) {
        let mut at = lock(&self.at);
        if at.is_owner(connection) {
            self.unheld(&mut at);
        }
        drop(at);
        self.route.tell();
    }

    /// Nobody was asked, or never answered: an introducer still keeps the object, and passes calls on.
    fn unheld(&self, at: &mut At) {
        at.owner = Weak::new();
        self.clear(HELD);
        if at.introducer.is_some() {
            self.set(RELAYED);
        }
    }

    /// Contact over `connection` is over for good.
    pub(super) fn lost(&self, connection: &Connection) {
        let without_goodbye = connection.is_lost();
        let (is_owner, is_introducer) = {
            let mut at = lock(&self.at);
            let (is_owner, is_introducer) = (at.is_owner(connection), at.is_introducer(connection));
            if is_owner && without_goodbye && at.introducer.is_some() {
                return self.unheld(&mut at);
            }
            (is_owner, is_introducer)
        };
        if is_owner {
            self.lose();
        } else if is_introducer {
            self.leave_introducer();
            // Nobody passes calls on any more; the object's own node is the last resort.
            self.clear(RELAYED);
            self.me.upgrade().iter().for_each(Self::hold);
        }
    }

    fn lose(&self) {
        self.set(GONE);
        self.leave_introducer();
        self.route.tell();
        self.twins().iter().for_each(|twin| twin.lose());
    }

    fn gone(&self) -> RemoteError {
        let text = format!("the object is gone, or was not held any more, on node {}", self.reference.node);
        RemoteError::new(ErrorKind::Gone, Executed::No, text)
    }

    async fn call(self: Arc<Self>, call: Call) -> Outcome {
        if self.is_gone() {
            return Err(self.gone());
        }
        if !self.has(RELAYED) {
            let outcome = self.route.invoke(&self, &call).await;
            let unreachable = matches!(&outcome, Err(error) if error.kind() == ErrorKind::Unreachable
                && error.executed() == Executed::No && !error.is_relayed());
            if !unreachable || !self.has_introducer() {
                self.note(&outcome);
                return outcome;
            }
            self.set(RELAYED);
        }
        match self.introducer() {
            Some(introducer) => introducer.invoke(&self, &call).await,
            // It has just left.
            None => self.route.invoke(&self, &call).await,
        }
    }

    /// The owner of an object that we hold says that there is none: it was revoked.
    fn note(&self, outcome: &Outcome) {
        let none = matches!(outcome, Err(error) if error.kind() == ErrorKind::NoSuchObject && !error.is_relayed());
        if none && self.has(HELD | TWIN) {
            self.lose();
        }
    }

    /// Whether another node passes calls on when its own cannot be reached.
    pub(super) fn has_introducer(&self) -> bool {
        lock(&self.at).introducer.is_some()
    }

    fn introducer(&self) -> Option<Arc<Route>> {
        lock(&self.at).introducer.as_ref().map(|introducer| introducer.route.clone())
    }

    /// Whether calls over this route are passed on by the node it leads to.
    pub(super) fn is_relayed_by(&self, route: &Arc<Route>) -> bool {
        !Arc::ptr_eq(&self.route, route)
    }

    async fn watch(self: Arc<Self>) {
        let route = self.route.clone();
        if self.has(FREE) {
            return route.current_is_over().await;
        }
        self.hold();
        match self.twins().first() {
            Some(twin) => twin.closed().await,
            None => route.until(|| self.is_gone() || !self.is_kept()).await,
        }
    }
}

impl Invoke for RemoteObject {
    fn invoke(&self, call: Call) -> Invocation {
        let Some(me) = self.me.upgrade() else { return Box::pin(std::future::ready(Err(self.gone()))) };
        let span = tracing::debug_span!("call", method = ?call.method, node = %self.reference.node);
        Box::pin(me.call(call).instrument(span))
    }

    fn reference(&self) -> &ObjectRef {
        &self.reference
    }

    fn promise(&self, call: &Call) -> Option<Result<Arc<dyn Invoke>, RemoteError>> {
        let me = self.me.upgrade()?;
        if self.is_gone() {
            return Some(Err(self.gone()));
        }
        if self.has(RELAYED) {
            return None;
        }
        match self.route.address(&me) {
            // A call that may have to go by whoever passed the object on cannot promise anything at once.
            Ok((connection, _)) if connection.peer().is_none() && self.has_introducer() => None,
            Ok((connection, to)) => Promise::make(me, &connection, to, call, None),
            Err(error) => Some(Err(error)),
        }
    }

    fn closed(&self) -> Watching {
        match self.me.upgrade() {
            Some(me) => Box::pin(me.watch()),
            None => Box::pin(std::future::ready(())),
        }
    }
}

impl fmt::Debug for RemoteObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RemoteObject({})", self.reference)
    }
}

/// The last proxy of this process is gone: whoever counts us is told.
impl Drop for RemoteObject {
    fn drop(&mut self) {
        let at = std::mem::take(self.at.get_mut().unwrap_or_else(PoisonError::into_inner));
        if let Some(owner) = at.owner.upgrade() {
            owner.let_go(self.reference.object, self);
        }
        self.let_go(at.introducer);
    }
}
