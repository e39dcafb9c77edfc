//! A promise of ours: what a pipelined call will return, on the connection it was made on.
//!
//! As long as the call is under way the promise is called under the id that was made for it. When the object is known, and
//! nothing that was sent to the promise is unanswered, calls go to the object itself: until then they might overtake those
//! that went the long way round.

use std::any::Any;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use tokio::task::AbortHandle;
use tracing::Instrument;

use crate::call::promised::{kept, settle_all};
use crate::call::{Call, Invocation, Invoke, Outcome, Promised, Target, Watching};
use crate::error::{ErrorKind, Executed, RemoteError};
use crate::id::{NodeId, ObjectId};
use crate::node::connection::{Connection, PendingCall, deadline_of, lock};
use crate::node::references::Parcel;
use crate::node::remote::RemoteObject;
use crate::node::route::Addressee;
use crate::proto::OutgoingCall;
use crate::proxy::invoke::untyped;
use crate::reference::ObjectRef;
use crate::wire::reference::WireReference;

/// What a pipelined call will return.
pub(super) struct Promise(Arc<Held>);

/// What the proxies of a promise and the calls that name it hold.
struct Held {
    id: ObjectId,
    connection: Arc<Connection>,
    /// Stands for the address as long as that is not known.
    placeholder: ObjectRef,
    promised: Arc<Promised>,
    state: Mutex<State>,
}

struct State {
    /// The calls under way that name the promise.
    using: usize,
    /// Whether a call was sent that nobody waits for: nothing tells when it has been dispatched.
    unwatched: bool,
    /// Taken when nothing will name the promise again.
    name: Option<Arc<Name>>,
    making: Option<AbortHandle>,
}

/// The id that the promise has on the connection; the last holder lets the peer forget it.
struct Name {
    id: ObjectId,
    connection: Arc<Connection>,
    /// The object that was called, directly or through promises: kept until nothing is called any more.
    through: Arc<RemoteObject>,
}

impl Drop for Name {
    fn drop(&mut self) {
        self.connection.locked(|session| session.forget(self.id));
    }
}

/// The call that makes a promise, and what it needs until it is over. The name is dropped last: the call may still be
/// waiting to be sent, and must be gone before its promise is forgotten.
struct Making {
    call: PendingCall,
    using: Vec<Using>,
    name: Arc<Name>,
}

/// A call under way that names a promise.
pub(super) struct Using(Arc<Held>);

impl Drop for Using {
    fn drop(&mut self) {
        lock(&self.0.state).using -= 1;
    }
}

/// Where a call on a promise goes.
enum Way {
    /// Over the promise, which stays what it is until the call is over.
    Promise(Using),
    /// To the object itself.
    Object(Target),
}

impl Promise {
    /// Makes `call` on an object at the other end of the connection; its result is the promise. `parent` is the promise that
    /// is called, if it is one. `None` when the peer has as many promises as it takes, or an argument has to be waited for.
    pub(super) fn make(
        through: Arc<RemoteObject>,
        connection: &Arc<Connection>,
        to: Addressee,
        call: &Call,
        parent: Option<Using>,
    ) -> Option<Result<Arc<dyn Invoke>, RemoteError>> {
        let takes = connection.locked(|session| session.takes_promises());
        if !takes || has_foreign(&call.references, connection) {
            return None;
        }
        let name = Arc::new(Name { id: ObjectId::random(), connection: connection.clone(), through });
        let deadline = deadline_of(&connection.node, call.deadline);
        let queued = queue(connection, to, call, deadline, name.id);
        Some(queued.map(|(call, mut using)| {
            using.extend(parent);
            let promise = Self::of(name.clone());
            promise.0.keep(Making { call, using, name });
            Arc::new(promise) as Arc<dyn Invoke>
        }))
    }

    fn of(name: Arc<Name>) -> Self {
        let connection = name.connection.clone();
        let node = connection.peer().map_or_else(|| NodeId::from_bytes([0; 16]), |peer| peer.node);
        Self(Arc::new(Held {
            id: name.id,
            placeholder: ObjectRef::new(node, name.id, Vec::new(), Vec::new()),
            connection,
            promised: Arc::default(),
            state: Mutex::new(State { using: 0, unwatched: false, name: Some(name), making: None }),
        }))
    }
}

/// Makes a call and waits for its outcome. Promises that the connection does not know are waited for; the call has its place
/// among those of its order meanwhile.
pub(super) async fn call(connection: Arc<Connection>, to: Addressee, call: &Call, deadline: Instant) -> Outcome {
    if has_foreign(&call.references, &connection) {
        // In a box: it is rare, and would take its place in the future of every call.
        return Box::pin(call_when_known(&connection, to, call, deadline)).await;
    }
    let (using, parcel) = export(&connection, &call.references, call.oneway)?;
    // Queued and looked at under one lock, when it is polled now for the first time.
    let outcome = connection.call(outgoing(to, call, deadline, parcel, None)).await;
    drop(using);
    outcome
}

/// Makes a call as soon as the objects are known that it takes from elsewhere.
async fn call_when_known(connection: &Arc<Connection>, to: Addressee, call: &Call, deadline: Instant) -> Outcome {
    let withheld = Withheld::new(connection);
    let stand_in = Parcel { references: vec![WireReference::Promised(withheld.id)], cargo: None };
    let mut pending = connection.clone().call(outgoing(to, call, deadline, stand_in, None));
    pending.begin()?;
    let mut references = call.references.clone();
    tokio::select! {
        known = settle_foreign(&mut references, connection) => known?,
        // It fails with its deadline, or with its connection.
        outcome = &mut pending => return outcome,
    }
    let (using, parcel) = export(connection, &references, call.oneway)?;
    pending.supply(withheld.id, parcel);
    let outcome = pending.await;
    drop(using);
    outcome
}

/// Holds a call back, under an id that it names: nothing is promised by it.
struct Withheld {
    id: ObjectId,
    connection: Arc<Connection>,
}

impl Withheld {
    fn new(connection: &Arc<Connection>) -> Self {
        let id = ObjectId::random();
        connection.locked(|session| session.withhold(id));
        Self { id, connection: connection.clone() }
    }
}

impl Drop for Withheld {
    fn drop(&mut self) {
        self.connection.locked(|session| session.forget(self.id));
    }
}

/// Queues a call that promises its result. What comes beside it is to be kept until the call is over.
fn queue(
    connection: &Arc<Connection>,
    to: Addressee,
    call: &Call,
    deadline: Instant,
    promise: ObjectId,
) -> Result<(PendingCall, Vec<Using>), RemoteError> {
    let (using, parcel) = export(connection, &call.references, call.oneway)?;
    let mut pending = connection.clone().call(outgoing(to, call, deadline, parcel, Some(promise)));
    pending.begin()?;
    Ok((pending, using))
}

#[inline]
fn export(connection: &Connection, references: &[Target], oneway: bool) -> Result<(Vec<Using>, Parcel), RemoteError> {
    if references.is_empty() {
        return Ok((Vec::new(), Parcel { references: Vec::new(), cargo: None }));
    }
    let (using, references) = uses(references, oneway)?;
    let parcel = connection.export(&references).map_err(|error| {
        RemoteError::new(error.kind(), Executed::No, format!("the arguments cannot be sent: {error}"))
    })?;
    Ok((using, parcel))
}

#[inline]
fn outgoing(
    to: Addressee,
    call: &Call,
    deadline: Instant,
    Parcel { references, cargo }: Parcel,
    promise: Option<ObjectId>,
) -> OutgoingCall {
    OutgoingCall {
        node: to.node,
        object: to.object,
        method: call.method,
        oneway: call.oneway,
        unreliable: call.unreliable,
        hops: call.hops,
        deadline,
        metadata: call.metadata.clone(),
        references,
        cargo,
        body: call.body.clone(),
        order: call.order,
        promise,
    }
}

/// The references of a call as they are sent: promises that were kept are the object itself, the others are in use.
fn uses(references: &[Target], oneway: bool) -> Result<(Vec<Using>, Vec<Target>), RemoteError> {
    let mut using = Vec::new();
    let mut sent = Vec::with_capacity(references.len());
    for target in references {
        let Some(promise) = promise_of(target) else {
            sent.push(target.clone());
            continue;
        };
        match promise.0.as_argument(oneway)? {
            Way::Promise(used) => {
                using.push(used);
                sent.push(target.clone());
            }
            Way::Object(object) => sent.push(object),
        }
    }
    Ok((using, sent))
}

/// Waits for the promises that the connection does not know, and puts the objects in their place.
async fn settle_foreign(references: &mut [Target], connection: &Connection) -> Result<(), RemoteError> {
    for target in references {
        if is_foreign(target, connection) {
            settle_all(std::slice::from_mut(target)).await?;
        }
    }
    Ok(())
}

/// The id of the promise, if `target` is one that was made on this connection.
pub(super) fn name_on(target: &Target, connection: &Connection) -> Option<ObjectId> {
    promise_of(target).filter(|promise| promise.0.connection.id == connection.id).map(|promise| promise.0.id)
}

fn promise_of(target: &Target) -> Option<&Promise> {
    let Target::Remote(remote) = target else { return None };
    (&**remote as &dyn Any).downcast_ref()
}

fn has_foreign(references: &[Target], connection: &Connection) -> bool {
    references.iter().any(|target| is_foreign(target, connection))
}

fn is_foreign(target: &Target, connection: &Connection) -> bool {
    target.is_open() && name_on(target, connection).is_none()
}

impl Held {
    /// Waits for the call that makes the promise, in a task: nobody else may be there to do it.
    fn keep(&self, making: Making) {
        let promised = self.promised.clone();
        let task = async move {
            let mut making = making;
            let outcome = (&mut making.call).await;
            making.using.clear();
            promised.settle(kept(&outcome));
            drop(making.name);
        };
        let span = tracing::debug_span!("promise", id = ?self.id);
        let making = self.connection.node.runtime.spawn(task.instrument(span)).abort_handle();
        lock(&self.state).making = Some(making);
    }

    /// The promise as its connection knows it.
    fn addressee(&self) -> Addressee {
        Addressee { node: None, object: self.id }
    }

    /// Where the next call on the promise goes.
    fn way(self: &Arc<Self>, oneway: bool) -> Result<Way, RemoteError> {
        let outcome = self.promised.get().cloned().transpose()?;
        let over = self.connection.is_over();
        let mut state = lock(&self.state);
        match outcome {
            Some(object) if over || (state.using == 0 && !state.unwatched) => {
                let name = state.name.take();
                drop(state);
                // The session is told, outside of our lock.
                drop(name);
                Ok(Way::Object(object))
            }
            Some(object) if state.name.is_none() => Ok(Way::Object(object)),
            _ => {
                state.using += 1;
                state.unwatched |= oneway;
                Ok(Way::Promise(Using(self.clone())))
            }
        }
    }

    /// What is sent when the promise is an argument: no call of the promise's own can be overtaken by that.
    fn as_argument(self: &Arc<Self>, oneway: bool) -> Result<Way, RemoteError> {
        if let Some(object) = self.promised.get().cloned().transpose()? {
            return Ok(Way::Object(object));
        }
        let mut state = lock(&self.state);
        state.using += 1;
        state.unwatched |= oneway;
        Ok(Way::Promise(Using(self.clone())))
    }

    async fn call(self: Arc<Self>, call: Call) -> Outcome {
        let using = match self.way(call.oneway)? {
            Way::Object(object) => return untyped(&object, call, None).await,
            Way::Promise(using) => using,
        };
        let deadline = deadline_of(&self.connection.node, call.deadline);
        let outcome = self::call(self.connection.clone(), self.addressee(), &call, deadline).await;
        drop(using);
        // What the peer does not know any more, or never did, is told as it is here.
        outcome.map_err(|error| match self.promised.get() {
            Some(Err(broken)) if error.kind() == ErrorKind::NoSuchObject => broken.clone(),
            _ => error,
        })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner);
        // A call that nobody waits for still needs the object, and runs to its end.
        if let Some(making) = state.making.take().filter(|_| !state.unwatched) {
            making.abort();
        }
    }
}

impl Invoke for Promise {
    fn invoke(&self, call: Call) -> Invocation {
        Box::pin(self.0.clone().call(call))
    }

    fn reference(&self) -> &ObjectRef {
        match self.0.promised.get() {
            Some(Ok(Target::Remote(remote))) => remote.reference(),
            _ => &self.0.placeholder,
        }
    }

    fn promise(&self, call: &Call) -> Option<Result<Arc<dyn Invoke>, RemoteError>> {
        match self.0.way(call.oneway) {
            Err(error) => Some(Err(error)),
            Ok(Way::Object(Target::Local(_))) => None,
            Ok(Way::Object(Target::Remote(remote))) => remote.promise(call),
            Ok(Way::Promise(using)) => {
                let through = lock(&self.0.state).name.as_ref()?.through.clone();
                Self::make(through, &self.0.connection, self.0.addressee(), call, Some(using))
            }
        }
    }

    /// An object that never was is gone.
    fn closed(&self) -> Watching {
        let promised = self.0.promised.clone();
        Box::pin(async move {
            match promised.settled().await {
                Ok(Target::Remote(object)) => object.closed().await,
                Ok(Target::Local(_)) => std::future::pending().await,
                Err(_) => {}
            }
        })
    }

    fn promised(&self) -> Option<&Promised> {
        Some(&self.0.promised)
    }
}
