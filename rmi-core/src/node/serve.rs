//! From a call that came in to its reply: find the object, ask whether it may be called, run the method.
//!
//! A method is polled once on the task that reads the connection; most are done then, and their replies leave together.
//! One that is not done goes to a task of its own.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use tracing::{Instrument, Span};

use crate::call::context::ContextParts;
use crate::call::promised::{cause, kept};
use crate::call::{Call, CallContext, Dispatched, Incoming, Invoke, LocalObject, Outcome, Target};
use crate::error::{ErrorKind, Executed, RemoteError};
use crate::id::ObjectId;
use crate::limits;
use crate::node::connection::{Connection, Running, lock};
use crate::node::now;
use crate::node::promises::{Arrived, Due, Object, Refused};
use crate::peer::Peer;
use crate::proto::{IncomingCall, RawOutcome, code};
use crate::proxy::invoke::{CatchUnwind, next_request, panicked};
use crate::security::{Access, Request};
use crate::wire::frame::CallId;

type Method = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// A call that is ready to run.
struct Ready {
    method: Method,
    spawn: bool,
    context: CallContext,
    span: Span,
}

/// The answers to calls that were served at once.
pub(super) type Replies = Vec<(CallId, RawOutcome)>;

/// Takes in a call: serves it, or keeps it until what it names is there. Answers that are there go to `replies`.
pub(super) fn receive(connection: &Arc<Connection>, mut call: IncomingCall, now: Instant, replies: &mut Replies) {
    let references = std::mem::take(&mut call.references);
    if !call.dependent && call.promise.is_none() {
        let references = connection.import(references);
        return serve(connection, call, references, None, now, replies);
    }
    let object = connection.node.table.get(call.object).map(Target::Local);
    let beside = connection.import_beside(references);
    let admitted = lock(&connection.promises).admit(Arrived { call, object, beside }, now);
    match admitted {
        Ok(()) => {}
        Err((Refused::Reused, _)) => {
            let text = "a call promises under the id of a promise that is not settled";
            connection.locked(|session| session.goodbye(code::PROTOCOL, text));
        }
        Err((Refused::Unknown, arrived)) => {
            let call = &arrived.call;
            let error = unknown_object(connection, now);
            if let Some(promise) = call.promise {
                lock(&connection.promises).broken(promise, &error);
            }
            replies.push((call.id, Err(error)));
        }
    }
    serve_due(connection, replies);
}

/// Serves the calls that need wait for promises no more.
pub(super) fn serve_due(connection: &Arc<Connection>, replies: &mut Replies) {
    loop {
        // The lock is held for this line only: what follows may settle promises.
        let due = lock(&connection.promises).take_due();
        match due {
            None => return,
            Some(Due::Fail(id, error, dropped)) => {
                drop(dropped);
                replies.push((id, Err(error)));
            }
            Some(Due::Serve(arrived, kept, since)) => {
                let (now, (mut call, object, references)) = (now(), kept.resolve(arrived));
                call.timeout = call.timeout.saturating_sub(now.saturating_duration_since(since));
                serve(connection, call, references, object, now, replies);
            }
        }
    }
}

/// Serves a call, whose answer goes to `replies` unless it runs on in a task of its own.
fn serve(
    connection: &Arc<Connection>,
    call: IncomingCall,
    references: Vec<Target>,
    object: Option<Object>,
    now: Instant,
    replies: &mut Replies,
) {
    let about = About { id: call.id, oneway: call.oneway, promise: call.promise };
    let ready = match prepare(connection, call, references, object, now) {
        Ok(ready) => ready,
        Err(error) => return replies.push((about.id, about.answer(connection, Err(error)))),
    };
    let Ready { method, spawn, context, span } = ready;
    if spawn {
        return run(connection, about, Ready { method, spawn, context, span });
    }
    match span.in_scope(|| poll_once(method, &context)) {
        Ok(outcome) => replies.push((about.id, about.answer(connection, outcome))),
        Err(method) => run(connection, about, Ready { method, spawn, context, span }),
    }
}

/// What is to be known of a call when it ends.
#[derive(Clone, Copy)]
struct About {
    id: CallId,
    oneway: bool,
    promise: Option<ObjectId>,
}

impl About {
    /// The outcome as the session takes it; whoever waits for what the call promised can go on.
    fn answer(self, connection: &Connection, outcome: Outcome) -> RawOutcome {
        let Some(promise) = self.promise else { return connection.export_outcome(outcome) };
        let object = kept(&outcome);
        let exported = connection.export_outcome(outcome);
        // A result that must not be sent keeps no promise: who waits for the object is told what the caller is told.
        let object = exported.as_ref().map_err(cause).and(object);
        lock(&connection.promises).settle(promise, object);
        exported
    }
}

/// The caller of a call is gone.
pub(super) fn cancel(connection: &Arc<Connection>, id: CallId, replies: &mut Replies) {
    if lock(&connection.promises).cancel(id) {
        return serve_due(connection, replies);
    }
    let running = lock(&connection.running).remove(&id);
    if let Some(Running { context, task, .. }) = running {
        context.cancel();
        // The reply that frees the place goes out when the task has been dropped.
        task.into_iter().for_each(|task| task.abort());
    }
}

/// The peer will not name these promises again.
pub(super) fn forget(connection: &Connection, promises: &[ObjectId]) {
    let dropped = lock(&connection.promises).forget(promises);
    // The servants' own `drop` may run here, with no lock held.
    drop(dropped);
}

fn refuse(kind: ErrorKind, text: impl Into<String>) -> RemoteError {
    RemoteError::new(kind, Executed::No, text)
}

fn prepare(
    connection: &Arc<Connection>,
    mut call: IncomingCall,
    references: Vec<Target>,
    object: Option<Object>,
    now: Instant,
) -> Result<Ready, RemoteError> {
    let Some(peer) = connection.peer() else { return Err(refuse(ErrorKind::Denied, "not connected")) };
    if call.hops > limits::HOPS_MAX {
        let text = format!("call inside {} calls exceeds the limit of {}", call.hops, limits::HOPS_MAX);
        return Err(refuse(ErrorKind::Overloaded, text));
    }
    if call.timeout.is_zero() {
        return Err(refuse(ErrorKind::Deadline, "the deadline passed before the call could run"));
    }
    let object = match object {
        Some(Object { target: Target::Local(object), .. }) => object,
        Some(Object { target: Target::Remote(way), order }) => {
            return hand_on(connection, peer, call, references, (way, order), now);
        }
        None => match connection.node.table.get(call.object) {
            Some(object) => object,
            None => return relay(connection, peer, call, references, now),
        },
    };
    call.object = object.id();
    let interface = object.descriptor(call.method.interface).name;
    let method = object.method(call.method).map_or("", |method| method.name);
    authorize(connection, peer, (interface, method), &call, now)?;
    let context = context(peer, Some(&object), &mut call, now);
    let span = span(&context, peer);
    let incoming = Incoming { method: call.method, body: call.body, references };
    // Decoding runs the user's `Deserialize`, which may panic.
    let enter = || span.in_scope(|| context.enter(|| object.dispatch(incoming)));
    match catch_unwind(AssertUnwindSafe(enter)) {
        Ok(Dispatched::Serve { future, spawn }) => Ok(Ready { method: future, spawn, context, span }),
        Ok(Dispatched::Unknown(call)) => Err(object.lacks(call.method)),
        Err(_) => Err(refuse(ErrorKind::Panicked, "decoding the arguments panicked")),
    }
}

/// A call on an object of another node that the peer holds through us is passed on. It goes in our name, so the authorizer is
/// asked as for an object of our own, whose methods are not known here by name.
fn relay(
    connection: &Arc<Connection>,
    peer: &Arc<Peer>,
    call: IncomingCall,
    references: Vec<Target>,
    now: Instant,
) -> Result<Ready, RemoteError> {
    let way = connection.node.table.way(connection.id, call.object).ok_or_else(|| unknown_object(connection, now))?;
    let interface = way.reference().interfaces.first().map_or("", String::as_str);
    authorize(connection, peer, (interface, ""), &call, now)?;
    // One order for all that is passed on from this connection, apart from those of our own proxies.
    Ok(pass_on(peer, call, references, (way, u64::MAX - connection.id), now))
}

/// The promise that was called came to an object of another node: the call goes on to it. It goes in our name, so the
/// authorizer is asked as for an object of our own, whose methods are not known here by name.
fn hand_on(
    connection: &Arc<Connection>,
    peer: &Arc<Peer>,
    mut call: IncomingCall,
    references: Vec<Target>,
    (way, order): (Arc<dyn Invoke>, u64),
    now: Instant,
) -> Result<Ready, RemoteError> {
    call.object = way.reference().object;
    let interface = way.reference().interfaces.first().map_or("", String::as_str);
    authorize(connection, peer, (interface, ""), &call, now)?;
    Ok(pass_on(peer, call, references, (way, order), now))
}

fn pass_on(
    peer: &Arc<Peer>,
    mut call: IncomingCall,
    references: Vec<Target>,
    (way, order): (Arc<dyn Invoke>, u64),
    now: Instant,
) -> Ready {
    let context = context(peer, None, &mut call, now);
    let span = span(&context, peer);
    let mut passed = Call::new(call.method, call.body);
    passed.references = references;
    (passed.oneway, passed.unreliable) = (call.oneway, call.unreliable);
    passed.deadline = Some(context.deadline());
    passed.metadata = context.metadata().clone();
    passed.hops = call.hops.saturating_add(1);
    passed.order = order;
    let future = span.in_scope(|| way.invoke(passed));
    let method = Box::pin(async move { future.await.map_err(RemoteError::relayed) });
    Ready { method, spawn: false, context, span }
}

fn span(context: &CallContext, peer: &Peer) -> Span {
    tracing::debug_span!("serve", request = context.request_id(), method = ?context.method(), peer = %peer.node)
}

fn context(peer: &Arc<Peer>, this: Option<&Arc<LocalObject>>, call: &mut IncomingCall, now: Instant) -> CallContext {
    CallContext::new(ContextParts {
        peer: Some(peer.clone()),
        object: Some(call.object),
        this: this.cloned(),
        method: call.method,
        request: next_request(),
        deadline: now + call.timeout,
        metadata: std::mem::take(&mut call.metadata),
        hops: call.hops,
    })
}

fn authorize(
    connection: &Connection,
    peer: &Peer,
    (interface, method): (&str, &str),
    call: &IncomingCall,
    now: Instant,
) -> Result<(), RemoteError> {
    let (object, declared_by) = (call.object, call.method.interface);
    let request = Request { object, interface, declared_by, method };
    match connection.node.authorizer.authorize(peer, &request) {
        Access::Allow => Ok(()),
        Access::Deny(text) => Err(refuse(ErrorKind::Denied, text)),
        Access::Hide => Err(unknown_object(connection, now)),
    }
}

/// The answer is the same whether the object never was, is gone, or is hidden from the peer.
fn unknown_object(connection: &Connection, now: Instant) -> RemoteError {
    guessed(connection, 1, now);
    refuse(ErrorKind::NoSuchObject, "the node exports no such object")
}

/// The peer has named objects that do not exist.
pub(super) fn guessed(connection: &Connection, objects: usize, now: Instant) {
    let few = (0..objects).all(|_| lock(&connection.guesses).take(now));
    if !few {
        let text = format!("more than {} calls on objects that do not exist", limits::UNKNOWN_OBJECTS_MAX);
        connection.locked(|session| session.goodbye(code::DENIED, &text));
    }
}

/// How many more objects a peer may ask for that do not exist.
pub(super) struct Guesses {
    left: u32,
    since: Instant,
}

impl Guesses {
    pub(super) fn new(now: Instant) -> Self {
        Self { left: limits::UNKNOWN_OBJECTS_MAX, since: now }
    }

    fn take(&mut self, now: Instant) -> bool {
        let seconds = now.saturating_duration_since(self.since).as_secs();
        self.since += Duration::from_secs(seconds);
        let gained = u32::try_from(seconds).unwrap_or(u32::MAX);
        self.left = self.left.saturating_add(gained).min(limits::UNKNOWN_OBJECTS_MAX);
        let found = self.left > 0;
        self.left = self.left.saturating_sub(1);
        found
    }
}

/// Polls the method once. A finished one is dropped inside the fence: dropping it runs the user's code too.
fn poll_once(mut method: Method, context: &CallContext) -> Result<Outcome, Method> {
    let poll = move || match context.enter(|| method.as_mut().poll(&mut Context::from_waker(Waker::noop()))) {
        Poll::Ready(outcome) => {
            drop(method);
            Ok(outcome)
        }
        Poll::Pending => Err(method),
    };
    catch_unwind(AssertUnwindSafe(poll)).unwrap_or_else(|_| Ok(Err(panicked())))
}

/// Runs a method in a task of its own until it ends, its deadline passes or its caller goes away.
fn run(connection: &Arc<Connection>, about: About, ready: Ready) {
    let Ready { method, context, span, .. } = ready;
    let answer = Answer { connection: connection.clone(), about, outcome: None };
    let own = context.clone();
    let task = async move {
        let mut answer = answer;
        let fenced = CatchUnwind(own.clone().within(method));
        let outcome = match tokio::time::timeout_at(own.deadline().into(), fenced).await {
            Ok(ended) => ended.and_then(|outcome| outcome),
            Err(_) => {
                own.cancel();
                Err(RemoteError::new(ErrorKind::Deadline, Executed::Maybe, "the deadline passed"))
            }
        };
        answer.outcome = Some(outcome);
    };
    // On the list first, so that the task can take itself off it. A runtime that is ending drops the task at once, which takes
    // the lock, too.
    lock(&connection.running).insert(about.id, Running { context, task: None, oneway: about.oneway });
    let task = connection.node.runtime.spawn(task.instrument(span)).abort_handle();
    if let Some(running) = lock(&connection.running).get_mut(&about.id) {
        running.task = Some(task);
    }
}

/// Answers a call when its task is gone, however that came about: every accepted call gets exactly one reply.
struct Answer {
    connection: Arc<Connection>,
    about: About,
    outcome: Option<Outcome>,
}

impl Drop for Answer {
    fn drop(&mut self) {
        lock(&self.connection.running).remove(&self.about.id);
        let outcome = self
            .outcome
            .take()
            .unwrap_or_else(|| Err(RemoteError::new(ErrorKind::Cancelled, Executed::Maybe, "the call was cancelled")));
        let outcome = self.about.answer(&self.connection, outcome);
        let id = self.about.id;
        self.connection.locked(|session| session.reply(id, outcome));
    }
}
