//! References that travel over a connection, and the objects that its two sides hold because of them.
//!
//! Locks are taken in one order: a remote object's holds or the session, then the imports or the table's leases. Nothing that has
//! a `Drop` of consequence is dropped under any of them.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use crate::call::{Invoke, LocalObject, Outcome, Reply, Status, Target};
use crate::endpoint::Endpoint;
use crate::error::{Executed, RemoteError};
use crate::id::{LeaseId, ObjectId};
use crate::node::connection::{Connection, lock};
use crate::node::promise;
use crate::node::promises::Beside;
use crate::node::remote::RemoteObject;
use crate::node::route::{Destination, Route};
use crate::node::{Shared, now};
use crate::object::{Answer, Imports, TableError};
use crate::peer::Peer;
use crate::proto::{Cargo, RawOutcome, RawReply, code};
use crate::reference::ObjectRef;
use crate::security::Access;
use crate::wire::frame::ReplyStatus;
use crate::wire::holding::{Claim, Claimed, Released};
use crate::wire::reference::WireReference;

/// The references of a frame that goes out, and what keeps their objects until it has.
pub(super) struct Parcel {
    pub(super) references: Vec<WireReference>,
    pub(super) cargo: Option<Box<dyn Cargo>>,
}

/// What came of entering a copy of a reference.
#[derive(Clone, Copy)]
pub(super) enum Entered {
    /// The first of all that is held over the connection.
    First,
    Further,
    /// It is not to be held over this connection.
    Refused,
    /// The connection is over: nothing can be held over it.
    Over,
}

impl Entered {
    pub(super) fn is_held(self) -> bool {
        matches!(self, Self::First | Self::Further)
    }
}

/// The objects that a frame carries: held for the peer, unless the frame is never sent.
struct Carried {
    node: Arc<Shared>,
    connection: u64,
    objects: Vec<ObjectId>,
}

impl Cargo for Carried {
    fn sent(&mut self) {
        self.node.table.sent(self.connection, &std::mem::take(&mut self.objects));
    }
}

impl Drop for Carried {
    fn drop(&mut self) {
        if !self.objects.is_empty() {
            self.node.table.unsent(self.connection, &self.objects);
        }
    }
}

/// What is held under the id of this one and is not it.
fn other(imports: &Imports<Weak<RemoteObject>>, object: &RemoteObject) -> Option<Arc<RemoteObject>> {
    imports.get(object.id()).filter(|known| !std::ptr::eq(known.as_ptr(), object)).and_then(Weak::upgrade)
}

/// Sees to it that the object can be entered. `false` when another one is held under its id: somebody has described an object of
/// a third node by it. The same one that came along another route shares the copies.
fn makes_room(imports: &mut Imports<Weak<RemoteObject>>, object: &RemoteObject, other: Option<&RemoteObject>) -> bool {
    let is_same = other.is_none_or(|other| other.is(object.reference()));
    if is_same && other.is_some() {
        imports.share(object.id(), |known| std::ptr::eq(known.as_ptr(), object));
    }
    is_same
}

/// What to claim with again after several losses, so that claims do not grow with them: everything is kept with the first lease
/// if no claim arrived, and with the last one if only the answers did not.
fn first_and_last(leases: &[LeaseId]) -> Vec<LeaseId> {
    match leases {
        [first, .., last] => vec![*first, *last],
        few => few.to_vec(),
    }
}

/// The interfaces of the object before: most objects of a frame have the same.
#[derive(Default)]
struct Names {
    names: Vec<&'static str>,
    list: Arc<[String]>,
}

impl Names {
    fn of(&mut self, object: &LocalObject) -> Arc<[String]> {
        let names = object.interfaces();
        if names != self.names {
            let list = names.iter().map(|name| (*name).to_owned()).collect();
            *self = Self { names, list };
        }
        self.list.clone()
    }
}

/// Going out.
impl Connection {
    /// The references of a frame that goes out. From here on their objects are held for the peer.
    pub(super) fn export(&self, targets: &[Target]) -> Result<Parcel, TableError> {
        if targets.is_empty() {
            return Ok(Parcel { references: Vec::new(), cargo: None });
        }
        let (count, limit) = (targets.len(), self.node.settings.limits.references_per_body_max);
        if count > limit {
            return Err(TableError::TooMany { count, limit });
        }
        let mut carried = Carried { node: self.node.clone(), connection: self.id, objects: Vec::with_capacity(count) };
        let limit = self.node.settings.limits.references_per_session_max;
        let mut references = Vec::with_capacity(count);
        let mut last = Names::default();
        for target in targets {
            if let Some(promise) = promise::name_on(target, self) {
                references.push(WireReference::Promised(promise));
                continue;
            }
            let object = self.node.table.hold(self.id, target, limit)?;
            carried.objects.push(object);
            references.push(match target {
                Target::Local(local) => WireReference::Sender { object, interfaces: last.of(local) },
                Target::Remote(remote) => WireReference::Other(remote.reference().clone()),
            });
        }
        Ok(Parcel { references, cargo: Some(Box::new(carried)) })
    }

    /// A servant's outcome as the session takes it.
    pub(super) fn export_outcome(&self, outcome: Outcome) -> RawOutcome {
        let Reply { status, body, references } = outcome?;
        let Parcel { references, cargo } = self.export(&references).map_err(|error| {
            RemoteError::new(error.kind(), Executed::Yes, format!("the result cannot be sent: {error}"))
        })?;
        let status = match status {
            Status::Ok => ReplyStatus::Ok,
            Status::Error => ReplyStatus::Error,
        };
        Ok(RawReply { status, references, cargo, body })
    }

    /// The peer has let copies go.
    pub(super) fn released(&self, released: &[Released]) {
        if let Err(error) = self.node.table.release(self.id, released) {
            self.locked(|session| session.violated(&error.to_string()));
        }
        self.tend_held();
        self.rested();
    }

    /// The peer wants to hold objects; with the last of those that it held before, the connection of before is over.
    pub(super) fn claimed_by_peer(self: &Arc<Self>, claim: &Claim) {
        let Some(peer) = self.peer().cloned() else { return };
        let before = claim.continues.and_then(|lease| self.before(lease, &peer));
        // What was on its way from one lost connection to the next is still in the lease of the first.
        let earlier = if before.is_some() { self.earlier(&peer) } else { Vec::new() };
        let limit = self.node.settings.limits.references_per_session_max;
        let may = |object: ObjectId, found: &LocalObject| {
            let interface = found.servant.descriptor().name;
            self.node.authorizer.hold(&peer, object, interface) == Access::Allow
        };
        let claimed = self.node.table.claim(self.id, &claim.objects, &earlier, limit, may);
        let unknown = claimed.iter().filter(|claimed| !claimed.held).count();
        self.tend_held();
        self.locked(|session| session.answer_claim(&claimed));
        super::serve::guessed(self, unknown, now());
        if let Some(before) = before.filter(|_| claim.last) {
            self.continued(&before);
        }
    }

    /// The connection to the same peer to which we granted this lease.
    fn before(&self, lease: LeaseId, peer: &Peer) -> Option<Arc<Self>> {
        let id = self.node.table.connection_of(lease).filter(|id| *id != self.id)?;
        let living = self.node.connections.get(&id).map(|entry| entry.value().clone());
        let before = living.or_else(|| self.node.lost.get(&id).map(|entry| entry.value().clone()))?;
        before.is_to(peer).then_some(before)
    }

    fn is_to(&self, peer: &Peer) -> bool {
        let same = |known: &Arc<Peer>| known.node == peer.node && known.identity.is_same_principal(&peer.identity);
        self.peer().is_some_and(same)
    }

    /// The other connections to the same peer, those that were lost included.
    fn earlier(&self, peer: &Peer) -> Vec<u64> {
        let (living, lost) = (self.node.connections.iter(), self.node.lost.iter());
        let all = living.chain(lost).filter(|entry| *entry.key() != self.id && entry.value().is_to(peer));
        all.map(|entry| *entry.key()).collect()
    }

    /// Expects renewals if the peer holds anything.
    pub(super) fn tend_held(&self) {
        let held = self.node.table.awaits_renewal(self.id);
        self.locked(|session| session.set_held(held, now()));
    }

    /// The peer goes on here with what it held over `before`.
    fn continued(self: &Arc<Self>, before: &Arc<Self>) {
        self.node.table.close(before.id, before.lease);
        if self.is_accepted() {
            self.take_routes(before);
            self.continue_from(before);
        }
        before.locked(|session| session.goodbye(code::DUPLICATE, "the peer is here over another connection"));
        before.tell();
    }
}

/// Coming in.
impl Connection {
    /// What the references of a frame that came in lead to. Nothing is dialled here.
    pub(super) fn import(self: &Arc<Self>, references: Vec<WireReference>) -> Vec<Target> {
        let any = !references.is_empty();
        let targets = references.into_iter().map(|reference| self.import_one(reference)).collect();
        if any {
            self.claim_late();
        }
        targets
    }

    /// The references beside a call that names promises.
    pub(super) fn import_beside(self: &Arc<Self>, references: Vec<WireReference>) -> Vec<Beside> {
        let import = |reference| match reference {
            WireReference::Promised(promise) => Beside::Promise(promise),
            other => Beside::Object(self.import_one(other)),
        };
        let beside = references.into_iter().map(import).collect();
        self.claim_late();
        beside
    }

    /// A node that goes away may still introduce something, in its last answers; it says so once, and that was before.
    fn claim_late(&self) {
        if !self.takes_calls() {
            self.claim_introduced();
        }
    }

    fn import_one(self: &Arc<Self>, reference: WireReference) -> Target {
        let Some((peer, endpoints)) = self.known() else { return Target::Remote(self.node.nowhere()) };
        let (reference, own) = match reference {
            // A node may pass on a reference to what is no object of its own any more: nobody introduces it then.
            WireReference::Other(reference) if reference.node == peer.node => (reference, true),
            WireReference::Other(reference) => (reference, false),
            // Calls that name promises come in through `import_beside`, and replies name none.
            WireReference::Promised(_) => return Target::Remote(self.node.nowhere()),
            WireReference::Sender { object, interfaces } => {
                (ObjectRef::new(peer.node, object, self.known_names(interfaces), endpoints.clone()), true)
            }
        };
        if reference.node == self.node.id {
            // It has come home: the sender's copy is not needed any more.
            self.locked(|session| session.release(reference.object, 1));
            return self.node.target(reference);
        }
        let object = match own {
            true => {
                let object = self.route().object(reference);
                object.received(self);
                object
            }
            false => self.introduce(peer, reference),
        };
        Target::Remote(object)
    }

    /// The names, or the same ones as they came before: objects that come one by one share them, too.
    fn known_names(&self, names: Arc<[String]>) -> Arc<[String]> {
        let mut last = lock(&self.names);
        if *last != names {
            *last = names;
        }
        last.clone()
    }

    /// Enters a copy of the reference.
    pub(super) fn enter(&self, object: &Arc<RemoteObject>) -> Entered {
        // Dropped after the lock.
        let known;
        let mut imports = lock(&self.imports);
        let first = imports.is_empty();
        known = other(&imports, object);
        if !makes_room(&mut imports, object, known.as_deref()) {
            return Entered::Refused;
        }
        match (imports.received(object.id(), Arc::downgrade(object)), first) {
            (false, _) => Entered::Over,
            (true, true) => Entered::First,
            (true, false) => Entered::Further,
        }
    }

    /// A copy that was not entered is not needed.
    pub(super) fn give_back(&self, object: ObjectId) {
        self.locked(|session| session.release(object, 1));
    }

    /// Renews the lease from now on if anything is held.
    pub(super) fn tend(&self) {
        self.locked(|session| session.set_holding(self.holds_anything()));
    }

    /// A reference to an object of a third node.
    fn introduce(self: &Arc<Self>, peer: &Peer, reference: ObjectRef) -> Arc<RemoteObject> {
        let may = |endpoint: &Endpoint| self.node.authorizer.dial(peer, endpoint) == Access::Allow;
        let endpoints: Arc<[_]> = reference.endpoints.iter().filter(|endpoint| may(endpoint)).cloned().collect();
        let reachable = !endpoints.is_empty();
        let object = self.node.route(Destination::of(&reference, endpoints)).object(reference);
        object.introduced(self, reachable);
        object
    }

    /// The peer may be gone soon, and with it what it keeps for us: claims at their owners what it has introduced.
    pub(super) fn claim_introduced(&self) {
        // The last proxy to one may go meanwhile: it must not be dropped under the lock.
        let held: Vec<_> = lock(&self.imports).handles().filter_map(|(_, object)| object.upgrade()).collect();
        held.iter().filter(|object| object.is_introduced_over(self)).for_each(|object| object.hold_without(self));
    }

    /// Calls may find another way to the peer than who dialled this connection: there they ask to be counted, too.
    pub(super) fn doubt_all(&self) {
        let held: Vec<_> = lock(&self.imports).handles().filter_map(|(_, object)| object.upgrade()).collect();
        held.iter().for_each(|object| object.doubt());
    }

    /// Whether one more object may be claimed because this connection ends.
    pub(super) fn may_claim(&self) -> bool {
        let less = |left: usize| left.checked_sub(1);
        self.claims_left.try_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }

    /// Enters a claim for the object; `false` when it cannot be held here.
    pub(super) fn ask_for(&self, object: &Arc<RemoteObject>) -> bool {
        // Dropped after the lock.
        let known;
        let mut imports = lock(&self.imports);
        known = other(&imports, object);
        makes_room(&mut imports, object, known.as_deref()) && imports.asked(object.id(), Arc::downgrade(object))
    }

    /// Sends the claim that [`ask_for`](Self::ask_for) entered. The peer may keep the object for us under a lease of before.
    pub(super) fn send_claim(&self, object: ObjectId, continues: Option<LeaseId>) {
        self.locked(|session| {
            session.claim(Claim { continues, last: false, objects: vec![object] });
            session.set_holding(self.holds_anything());
        });
    }

    /// The answer to claims of ours.
    pub(super) fn answered(self: &Arc<Self>, claimed: &[Claimed]) {
        for Claimed { object, held } in claimed {
            let answer = lock(&self.imports).answered(*object, *held);
            match answer {
                Answer::Held(object) => object.upgrade().into_iter().for_each(|object| object.answered(self)),
                Answer::NotHeld(objects) => {
                    objects.iter().filter_map(Weak::upgrade).for_each(|object| object.lost(self));
                    self.tend();
                }
                Answer::Dropped(copies) => self.release(*object, copies),
                Answer::Unasked => self.locked(|session| session.violated("an answer to a claim that was not made")),
            }
        }
    }

    /// What stood for the object here is gone.
    pub(super) fn let_go(&self, object: ObjectId, what: &RemoteObject) {
        let copies = lock(&self.imports).dropped(object, |known| std::ptr::eq(known.as_ptr(), what));
        self.release(object, copies);
        if self.is_over() {
            // Nobody needs to go on with it any more.
            self.tell();
        }
    }

    fn release(&self, object: ObjectId, copies: u32) {
        self.locked(|session| {
            session.release(object, copies);
            session.set_holding(self.holds_anything());
        });
    }

    /// Goes on with what we held over `before`, whose peer is the same node. What is over already by now leaves it there.
    pub(super) fn continue_from(self: &Arc<Self>, before: &Arc<Self>) {
        let Some(lease) = before.peer_lease() else { return };
        if !lock(&self.imports).reserve() {
            return;
        }
        let (unsure, held) = {
            let mut imports = lock(&before.imports);
            (imports.is_unsure(), imports.take())
        };
        let held: Vec<_> = held.into_iter().filter_map(|(_, object)| object.upgrade()).collect();
        let moved: Vec<_> = held.iter().filter(|object| object.moved(before, self)).collect();
        // The claims over `before` may not have arrived: what the peer keeps, it keeps with the leases that those named.
        let mut leases = if unsure { first_and_last(&lock(&before.claimed_with)) } else { Vec::new() };
        for object in leases.iter().flat_map(|_| &moved) {
            self.ask_for(object);
        }
        leases.push(lease);
        lock(&self.claimed_with).extend(&leases);
        lock(&self.imports).arrived();
        let objects: Vec<_> = moved.iter().map(|object| object.id()).collect();
        tracing::debug!(objects = objects.len(), before = before.id, "going on after a lost connection");
        self.locked(|session| {
            for lease in leases {
                session.claim(Claim { continues: Some(lease), last: true, objects: objects.clone() });
            }
            session.set_holding(self.holds_anything());
        });
        before.tell();
        // It may have been lost meanwhile, and hold nothing: what came was dropped.
        self.tell();
    }

    /// Whether nothing is held over this connection, which is over. Then nothing will be.
    pub(super) fn holds_no_more(&self) -> bool {
        lock(&self.imports).end_if_empty()
    }

    /// Nothing is held over this connection any more, and nothing will be.
    pub(super) fn lose_all(&self) {
        let held = lock(&self.imports).take();
        for object in held.iter().filter_map(|(_, object)| object.upgrade()) {
            object.lost(self);
        }
    }

    /// The connection never opened, so that no claim was sent over it.
    pub(super) fn unask_all(&self) {
        let asked = lock(&self.imports).take();
        for object in asked.iter().filter_map(|(_, object)| object.upgrade()) {
            object.unasked(self);
        }
    }

    pub(super) fn import_reply(self: &Arc<Self>, reply: RawReply) -> Reply {
        let status = if reply.status == ReplyStatus::Ok { Status::Ok } else { Status::Error };
        let mut out = Reply::new(status, reply.body);
        out.references = self.import(reply.references);
        out
    }

    /// The route of what came over this connection: the one that dialled it, or one that leads back over it.
    pub(super) fn route(self: &Arc<Self>) -> Arc<Route> {
        if let Some(dialler) = &self.dialler {
            return dialler.route.upgrade().unwrap_or_else(|| {
                let route = self.node.route(dialler.destination.clone());
                route.adopt(self);
                route
            });
        }
        let mut known = lock(&self.routes);
        if let Some(route) = known.iter().find_map(Weak::upgrade) {
            return route;
        }
        let destination = match self.known() {
            Some((peer, endpoints)) => {
                let may = |endpoint: &&Endpoint| self.node.authorizer.dial(peer, endpoint) == Access::Allow;
                Destination { node: Some(peer.node), endpoints: endpoints.iter().filter(may).cloned().collect() }
            }
            None => Destination { node: None, endpoints: Arc::default() },
        };
        let route = Route::over(self, destination);
        *known = vec![Arc::downgrade(&route)];
        route
    }

    /// The references that led back over `before` lead back over this connection, beside those that came over it already.
    fn take_routes(self: &Arc<Self>, before: &Arc<Self>) {
        let routes: Vec<_> = std::mem::take(&mut *lock(&before.routes)).iter().filter_map(Weak::upgrade).collect();
        routes.iter().for_each(|route| route.lead_over(self));
        lock(&self.routes).splice(..0, routes.iter().map(Arc::downgrade));
    }
}
