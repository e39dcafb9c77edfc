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
use crate::call::{Call, CallContext, Dispatched, Incoming, LocalObject, Outcome, Target};
use crate::error::{ErrorKind, Executed, RemoteError};
use crate::id::MethodId;
use crate::limits;
use crate::node::connection::{Connection, Running, lock};
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

/// Serves a call; `None` when it runs on in a task of its own, which answers.
pub(super) fn serve(connection: &Arc<Connection>, call: IncomingCall, now: Instant) -> Option<RawOutcome> {
    let (id, oneway) = (call.id, call.oneway);
    let ready = match prepare(connection, call, now) {
        Ok(ready) => ready,
        Err(error) => return Some(Err(error)),
    };
    let Ready { method, spawn, context, span } = ready;
    if spawn {
        run(connection, id, oneway, Ready { method, spawn, context, span });
        return None;
    }
    match span.in_scope(|| poll_once(method, &context)) {
        Ok(outcome) => Some(connection.export_outcome(outcome)),
        Err(method) => {
            run(connection, id, oneway, Ready { method, spawn, context, span });
            None
        }
    }
}

/// The caller of a running call is gone.
pub(super) fn cancel(connection: &Connection, id: CallId) {
    let running = lock(&connection.running).remove(&id);
    if let Some(Running { context, task, .. }) = running {
        context.cancel();
        // The reply that frees the place goes out when the task has been dropped.
        task.abort();
    }
}

fn refuse(kind: ErrorKind, text: impl Into<String>) -> RemoteError {
    RemoteError::new(kind, Executed::No, text)
}

fn prepare(connection: &Arc<Connection>, mut call: IncomingCall, now: Instant) -> Result<Ready, RemoteError> {
    let Some(peer) = connection.peer() else { return Err(refuse(ErrorKind::Denied, "not connected")) };
    if call.hops > limits::HOPS_MAX {
        let text = format!("call inside {} calls exceeds the limit of {}", call.hops, limits::HOPS_MAX);
        return Err(refuse(ErrorKind::Overloaded, text));
    }
    // Whatever becomes of the call, what came with it is let go in the end.
    let references = connection.import(std::mem::take(&mut call.references));
    let Some(object) = connection.node.table.get(call.object) else {
        return relay(connection, peer, call, references, now);
    };
    authorize(connection, peer, &object, &call, now)?;
    let context = context(peer, &mut call, now);
    let span = span(&context, peer);
    let incoming = Incoming { method: call.method, body: call.body, references };
    // Decoding runs the user's `Deserialize`, which may panic.
    let enter = || span.in_scope(|| context.enter(|| object.dispatch(incoming)));
    match catch_unwind(AssertUnwindSafe(enter)) {
        Ok(Dispatched::Serve { future, spawn }) => Ok(Ready { method: future, spawn, context, span }),
        Ok(Dispatched::Unknown(call)) => Err(unknown_method(&object, call.method)),
        Err(_) => Err(refuse(ErrorKind::Panicked, "decoding the arguments panicked")),
    }
}

/// A call on an object of another node that the peer holds through us is passed on.
fn relay(
    connection: &Arc<Connection>,
    peer: &Arc<Peer>,
    mut call: IncomingCall,
    references: Vec<Target>,
    now: Instant,
) -> Result<Ready, RemoteError> {
    let way = connection.node.table.way(connection.id, call.object).ok_or_else(|| unknown_object(connection, now))?;
    let context = context(peer, &mut call, now);
    let span = span(&context, peer);
    let mut passed = Call::new(call.method, call.body);
    passed.references = references;
    passed.oneway = call.oneway;
    passed.deadline = Some(context.deadline());
    passed.metadata = context.metadata().clone();
    passed.hops = call.hops.saturating_add(1);
    // One order for all that is passed on from this connection, apart from those of our own proxies.
    passed.order = u64::MAX - connection.id;
    let future = span.in_scope(|| way.invoke(passed));
    let method = Box::pin(async move { future.await.map_err(RemoteError::relayed) });
    Ok(Ready { method, spawn: false, context, span })
}

fn span(context: &CallContext, peer: &Peer) -> Span {
    tracing::debug_span!("serve", request = context.request_id(), method = ?context.method(), peer = %peer.node)
}

fn context(peer: &Arc<Peer>, call: &mut IncomingCall, now: Instant) -> CallContext {
    CallContext::new(ContextParts {
        peer: Some(peer.clone()),
        object: Some(call.object),
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
    object: &LocalObject,
    call: &IncomingCall,
    now: Instant,
) -> Result<(), RemoteError> {
    let declared_by = call.method.interface;
    let interface = object.descriptor(declared_by).name;
    let method = object.method(call.method).map_or("", |method| method.name);
    let request = Request { object: call.object, interface, declared_by, method };
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

fn unknown_method(object: &LocalObject, method: MethodId) -> RemoteError {
    let id = method.interface;
    if object.is(id) {
        return refuse(ErrorKind::NoSuchMethod, format!("{} has no method {method:?}", object.descriptor(id).name));
    }
    let names = object.interfaces().join(", ");
    let text = format!("the object does not implement interface {id:?}; it implements {names}");
    refuse(ErrorKind::NoSuchInterface, text)
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
fn run(connection: &Arc<Connection>, id: CallId, oneway: bool, ready: Ready) {
    let Ready { method, context, span, .. } = ready;
    let answer = Answer { connection: connection.clone(), id, outcome: None };
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
    // The task cannot take itself off the list before it is on it: it needs the same lock.
    let mut running = lock(&connection.running);
    let task = connection.node.runtime.spawn(task.instrument(span)).abort_handle();
    running.insert(id, Running { context, task, oneway });
}

/// Answers a call when its task is gone, however that came about: every accepted call gets exactly one reply.
struct Answer {
    connection: Arc<Connection>,
    id: CallId,
    outcome: Option<Outcome>,
}

impl Drop for Answer {
    fn drop(&mut self) {
        lock(&self.connection.running).remove(&self.id);
        let outcome = self
            .outcome
            .take()
            .unwrap_or_else(|| Err(RemoteError::new(ErrorKind::Cancelled, Executed::Maybe, "the call was cancelled")));
        let outcome = self.connection.export_outcome(outcome);
        let id = self.id;
        self.connection.locked(|session| session.reply(id, outcome));
    }
}
