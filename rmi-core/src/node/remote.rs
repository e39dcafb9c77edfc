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
use crate::node::references::Entered;
use crate::node::route::Route;
use crate::reference::ObjectRef;

/// Held at its owner, or asked for, as far as the next call need know.
const HELD: u8 = 1;
/// Its owner, or the way to it, is gone for good.
const GONE: u8 = 2;
/// Its own node cannot be reached: calls go through a node that introduced it.
const RELAYED: u8 = 4;
/// Not counted by anybody: a well-known id, which outlives the node that answers.
const FREE: u8 = 8;
/// Who counted us was lost.
const LOST: u8 = 16;

/// An object of another node. While it lives, the peers that count for us keep the object.
///
/// Whatever comes along a route and means one object is one of these, however many references came and from whom.
pub(crate) struct RemoteObject {
    me: Weak<Self>,
    route: Arc<Route>,
    reference: ObjectRef,
    flags: AtomicU8,
    holds: Mutex<Vec<Hold>>,
}

/// A connection whose peer counts us as a holder, or was asked to.
struct Hold {
    over: Weak<Connection>,
    /// The way through a node that passed the reference on and is not the owner.
    introducer: Option<Arc<Route>>,
}

impl Hold {
    fn is_over(&self, connection: &Connection) -> bool {
        std::ptr::eq(self.over.as_ptr(), connection)
    }

    fn let_go(self, object: &RemoteObject) {
        if let Some(over) = self.over.upgrade() {
            over.let_go(object.reference.object, object);
        }
    }
}

impl RemoteObject {
    /// An object that nobody counts us as a holder of yet. Made by its route, which knows it.
    pub(super) fn new(route: Arc<Route>, reference: ObjectRef) -> Arc<Self> {
        let flags = AtomicU8::new(if reference.node == NodeId::UNKNOWN { FREE } else { 0 });
        let holds = Mutex::default();
        Arc::new_cyclic(|me| Self { me: me.clone(), route, reference, flags, holds })
    }

    pub(super) fn id(&self) -> ObjectId {
        self.reference.object
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

    /// Whether it can never be called again.
    pub(super) fn is_gone(&self) -> bool {
        self.has(GONE)
    }

    /// A copy came from the owner over `connection`.
    pub(super) fn received(self: &Arc<Self>, connection: &Arc<Connection>) {
        let entered = {
            let mut holds = lock(&self.holds);
            let entered = connection.enter(self);
            if entered.is_held() {
                self.set(HELD);
                add(&mut holds, connection, None);
            }
            entered
        };
        self.settle(connection, entered);
        if entered.is_held() {
            self.counted();
        }
    }

    /// A copy came over `connection` from a node that is not the owner.
    pub(super) fn introduced(self: &Arc<Self>, connection: &Arc<Connection>, reachable: bool) {
        if !reachable {
            self.set(RELAYED);
        }
        let by = connection.route();
        let entered = {
            let mut holds = lock(&self.holds);
            // Whom somebody counts needs nobody else. Two that introduced an object to each other, each kept by the other's
            // lease, would keep it for ever: so only the first one counts, and none after it was lost.
            let mine = holds.iter().any(|hold| hold.is_over(connection));
            let needed = mine || holds.is_empty() && !self.has(LOST);
            let entered = if needed { connection.enter(self) } else { Entered::Refused };
            if entered.is_held() {
                add(&mut holds, connection, Some(by));
            }
            entered
        };
        self.settle(connection, entered);
    }

    fn settle(self: &Arc<Self>, connection: &Arc<Connection>, entered: Entered) {
        match entered {
            Entered::First => connection.tend(),
            Entered::Further => {}
            Entered::Refused => connection.give_back(self.id()),
            // What came is not counted any more; the owner may still count us.
            Entered::Over => self.hold(),
        }
    }

    /// Sees to it that the owner counts us as a holder: asks over `connection` if nobody has.
    pub(super) fn hold_over(self: &Arc<Self>, connection: &Arc<Connection>) {
        if self.has(HELD | FREE) {
            return;
        }
        {
            let mut holds = lock(&self.holds);
            if self.has(HELD) || !connection.ask_for(self) {
                return;
            }
            add(&mut holds, connection, None);
            self.set(HELD);
        }
        connection.send_claim(self.id(), None);
    }

    /// Calls reach who introduced us over `connection`. It had dialled another one, which was lost, and keeps us for that: asks it
    /// to keep us here, too.
    pub(super) fn hold_beside(self: &Arc<Self>, connection: &Arc<Connection>) {
        let introduced = |hold: &Hold| {
            let by = hold.introducer.clone()?;
            Some((by, hold.over.upgrade()?))
        };
        let introduced = lock(&self.holds).iter().find_map(introduced);
        let Some((by, before)) = introduced.filter(|(_, before)| before.is_accepted() && before.is_lost()) else {
            return;
        };
        {
            let mut holds = lock(&self.holds);
            if holds.iter().any(|hold| hold.is_over(connection)) || !connection.ask_for(self) {
                return;
            }
            add(&mut holds, connection, Some(by));
        }
        connection.send_claim(self.id(), before.peer_lease());
    }

    /// Asks the owner to count us, dialling it if need be; nothing is waited for.
    pub(super) fn hold(self: &Arc<Self>) {
        if self.has(HELD | FREE | GONE) {
            return;
        }
        match self.route.connection() {
            Ok(connection) => self.hold_over(&connection),
            // There is no way to the owner, and never will be unless somebody who counts us comes back.
            Err(_) if self.is_held_nowhere() => self.lose(),
            Err(_) => {}
        }
    }

    /// Asks the owner to count us because the connection to who introduced us ends. Only so many do for one connection; the
    /// others ask when they are called.
    pub(super) fn hold_without(self: &Arc<Self>, introducer: &Connection) {
        if !self.has(HELD | FREE | GONE) && introducer.may_claim() {
            self.hold();
        }
        self.route.tell();
    }

    fn is_held_nowhere(&self) -> bool {
        lock(&self.holds).is_empty()
    }

    pub(super) fn is_introduced_over(&self, connection: &Connection) -> bool {
        lock(&self.holds).iter().any(|hold| hold.is_over(connection) && hold.introducer.is_some())
    }

    /// What was held over one connection is to be held over another; says whether to claim it there. Where that has ended in good
    /// order meanwhile nobody counts us, until the next call asks.
    pub(super) fn moved(self: &Arc<Self>, from: &Arc<Connection>, to: &Arc<Connection>) -> bool {
        let mut holds = lock(&self.holds);
        if !holds.iter().any(|hold| hold.is_over(from)) {
            // It was let go meanwhile: nobody would take it off the book over there.
            return false;
        }
        if holds.iter().any(|hold| hold.is_over(to)) {
            // It is held there already, with copies of its own.
            holds.retain(|hold| !hold.is_over(from));
            return false;
        }
        let asked = to.ask_for(self);
        if asked {
            let over = Arc::downgrade(to);
            for hold in holds.iter_mut().filter(|hold| hold.is_over(from)) {
                hold.over = over.clone();
                if hold.introducer.is_none() {
                    self.set(HELD);
                }
            }
        } else {
            holds.retain(|hold| !hold.is_over(from));
            self.review(&holds);
        }
        asked
    }

    /// The peer of `connection`, which was asked, counts us.
    pub(super) fn answered(&self, connection: &Connection) {
        if !self.is_introduced_over(connection) {
            self.counted();
        }
    }

    /// The owner counts us: whoever introduced us need not any more.
    fn counted(&self) {
        let introducers: Vec<Hold> = {
            let mut holds = lock(&self.holds);
            self.clear(RELAYED);
            holds.extract_if(.., |hold| hold.introducer.is_some()).collect()
        };
        introducers.into_iter().for_each(|hold| hold.let_go(self));
    }

    /// The connection over which we are held was lost: the next call asks where it goes, if that is elsewhere.
    pub(super) fn doubt(&self) {
        let _holds = lock(&self.holds);
        self.clear(HELD);
    }

    /// The connection over which the owner was asked never opened: nobody was asked, and the next call asks again.
    pub(super) fn unasked(&self, connection: &Connection) {
        let mut holds = lock(&self.holds);
        holds.retain(|hold| !hold.is_over(connection));
        self.review(&holds);
        self.clear(HELD);
        drop(holds);
        self.route.tell();
    }

    /// Nothing is held over this connection any more, and nothing will be.
    pub(super) fn lost(self: &Arc<Self>, connection: &Connection) {
        let (was_owner, kept) = {
            let mut holds = lock(&self.holds);
            let was_owner = holds.iter().any(|hold| hold.is_over(connection) && hold.introducer.is_none());
            holds.retain(|hold| !hold.is_over(connection));
            self.review(&holds);
            self.set(LOST);
            (was_owner, !holds.is_empty())
        };
        match (was_owner, kept) {
            (true, false) => self.lose(),
            // The object's own node is the last resort.
            (false, false) => self.hold_without(connection),
            (_, true) => self.route.tell(),
        }
    }

    /// After a hold was taken off: who is left.
    fn review(&self, holds: &[Hold]) {
        if holds.iter().all(|hold| hold.introducer.is_some()) {
            self.clear(HELD);
            // Introducers pass calls on; without one there is only the direct way.
            if holds.is_empty() { self.clear(RELAYED) } else { self.set(RELAYED) }
        }
    }

    fn lose(&self) {
        self.set(GONE);
        let holds = std::mem::take(&mut *lock(&self.holds));
        holds.into_iter().for_each(|hold| hold.let_go(self));
        self.route.tell();
    }

    fn gone(&self) -> RemoteError {
        let text = format!("the object is gone, or was not held any more, on node {}", self.reference.node);
        RemoteError::new(ErrorKind::Gone, Executed::No, text)
    }

    async fn call(self: Arc<Self>, call: Call) -> Outcome {
        if self.has(GONE) {
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
        if none && self.has(HELD) {
            self.lose();
        }
    }

    /// Whether another node passes calls on when its own cannot be reached.
    pub(super) fn has_introducer(&self) -> bool {
        self.introducer().is_some()
    }

    fn introducer(&self) -> Option<Arc<Route>> {
        lock(&self.holds).iter().find_map(|hold| hold.introducer.clone())
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
        route.until(|| self.has(GONE) || self.is_held_nowhere()).await;
    }
}

fn add(holds: &mut Vec<Hold>, connection: &Arc<Connection>, introducer: Option<Arc<Route>>) {
    if !holds.iter().any(|hold| hold.is_over(connection)) {
        // Nearly always there is one: room for four would double what a reference takes.
        holds.reserve_exact(1);
        holds.push(Hold { over: Arc::downgrade(connection), introducer });
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
        if self.has(GONE) {
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
        self.route.forget(self);
        let holds = std::mem::take(self.holds.get_mut().unwrap_or_else(PoisonError::into_inner));
        holds.into_iter().for_each(|hold| hold.let_go(self));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::Node;
    use crate::node::route::Destination;

    #[tokio::test]
    async fn what_was_let_go_on_its_way_to_another_connection_is_not_asked_for_there() {
        let node = Node::builder().start().await.unwrap();
        let connection = || Connection::new(node.shared().clone(), None);
        let (before, next) = (connection(), connection());
        let reference = ObjectRef::new(NodeId::random(), ObjectId::random(), Vec::new(), Vec::new());
        let route = node.shared().route(Destination::of(&reference, Arc::default()));
        let object = route.object(reference);
        object.received(&before);
        assert_eq!(lock(&before.imports).take().len(), 1);
        object.lose();
        assert!(!object.moved(&before, &next));
        drop(object);
        assert!(!next.holds_anything());
    }
}
