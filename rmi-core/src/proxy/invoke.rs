//! How a proxy makes a call: to the servant itself when it is here, else through what leads to it.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::call::context::ContextParts;
use crate::call::{
    Call, CallContext, CallOptions, Dispatched, Incoming, Invocation, Invoke, Outcome, Outgoing, Reply, Status, Target,
    arguments,
};
use crate::error::{ErrorKind, Executed, RemoteError};
use crate::interface::{Descriptor, Interface, Method, MethodResult};
use crate::limits;
use crate::proxy::Proxy;
use crate::wire::codec;

/// The deadline of a call on an object of this process that sets none; a node's own default does not apply to it.
const LOCAL_TIMEOUT: Duration = Duration::from_secs(30);

/// The servant behind the proxy, when it is in this process.
#[must_use]
pub fn local<T: ?Sized>(proxy: &Proxy<T>) -> Option<&T> {
    proxy.servant()
}

/// Runs `method` of a servant in this process as the remote call it stands for: with its deadline, its context, and a
/// fence that turns a panic into an error.
pub(crate) async fn call_local<T: ?Sized, R: MethodResult>(
    proxy: &Proxy<T>,
    method: &'static Method,
    future: Pin<Box<dyn Future<Output = R> + Send + '_>>,
) -> R {
    let guarded = async {
        let call = prepare(method, proxy.options.as_deref())?;
        run_here(&proxy.target, call, future).await
    };
    match guarded.await {
        Ok(result) => result,
        Err(error) => MethodResult::from_result(Err(error.into())),
    }
}

/// Sends the call to where the object is and decodes what comes back.
pub(crate) async fn call<T, R>(proxy: &Proxy<T>, method: &'static Method, outgoing: Outgoing) -> R
where
    T: ?Sized + Interface,
    R: MethodResult,
{
    let largest = outgoing.largest();
    let outcome = async {
        let mut call = prepare(method, proxy.options.as_deref())?;
        (call.body, call.references) = outgoing.finish(method)?;
        call.order = proxy.order;
        match &proxy.target {
            Target::Remote(remote) => match promise(proxy, method, remote, &call) {
                Some(promised) => promised,
                None => remote.invoke(call).await,
            },
            Target::Local(_) => untyped(&proxy.target, call, None).await,
        }
    };
    R::from_result(match outcome.await {
        // A oneway call has no value to decode: its unit result is made here.
        Ok(reply) => arguments::decode_result(method, reply),
        Err(error) => Err(known_here(largest.blamed(error, method), method, T::descriptor()).into()),
    })
}

/// Adds to the owner's word that it does not have the method what the method is here: the owner was sent hashes.
fn known_here(error: RemoteError, method: &Method, descriptor: &'static Descriptor) -> RemoteError {
    let because = match error.kind() {
        ErrorKind::NoSuchMethod => "; one of the two programs is older, or has another trait of that name",
        ErrorKind::NoSuchInterface => "",
        _ => return error,
    };
    let path = descriptor.find(method.id.interface).map_or(method.interface, Descriptor::path);
    error.within(&format!("{method} of `{path}` is not there{because}"))
}

/// Makes the call as a promise, if that is asked for and can be. What comes back stands for the reply: one reference.
fn promise<T: ?Sized>(proxy: &Proxy<T>, method: &Method, remote: &Arc<dyn Invoke>, call: &Call) -> Option<Outcome> {
    if !proxy.pipelined || !method.promises {
        return None;
    }
    let promised = remote.promise(call)?;
    Some(promised.map(|promise| {
        let mut reply = Reply::new(Status::Ok, bytes::Bytes::from_static(codec::FIRST_REFERENCE));
        reply.references.push(Target::Remote(promise));
        reply
    }))
}

/// Makes a call whose arguments are encoded already.
pub(crate) fn untyped(target: &Target, mut call: Call, options: Option<&CallOptions>) -> Invocation {
    if let Err(error) = apply(&mut call, None, options) {
        return Box::pin(std::future::ready(Err(error)));
    }
    match target {
        Target::Remote(remote) => remote.invoke(call),
        Target::Local(object) => {
            let incoming = Incoming {
                method: call.method,
                body: call.body.clone(),
                references: std::mem::take(&mut call.references),
            };
            match object.dispatch(incoming) {
                Dispatched::Serve { future, .. } => {
                    let target = target.clone();
                    Box::pin(async move { run_here(&target, call, future).await? })
                }
                Dispatched::Unknown(_) => Box::pin(std::future::ready(Err(object.lacks(call.method)))),
            }
        }
    }
}

fn prepare(method: &'static Method, options: Option<&CallOptions>) -> Result<Call, RemoteError> {
    let mut call = Call::new(method.id, bytes::Bytes::new());
    call.idempotent = method.idempotent;
    (call.oneway, call.unreliable) = (method.oneway, method.unreliable);
    apply(&mut call, method.timeout, options)?;
    Ok(call)
}

/// Fills in what the options, the method and the call we are inside of say, the shorter deadline winning.
fn apply(call: &mut Call, timeout: Option<Duration>, options: Option<&CallOptions>) -> Result<(), RemoteError> {
    if let Some(options) = options {
        options.metadata.check()?;
        call.metadata = options.metadata.clone();
    }
    if let Some(timeout) = options.and_then(|options| options.timeout).or(timeout) {
        call.deadline = now().checked_add(timeout);
    }
    CallContext::with_current(|current| {
        let Some(current) = current else { return Ok(()) };
        call.deadline = Some(call.deadline.map_or(current.deadline(), |own| own.min(current.deadline())));
        call.hops = current.hops().saturating_add(1);
        if call.hops > limits::HOPS_MAX {
            let text = format!("call inside {} calls exceeds the limit of {}", call.hops, limits::HOPS_MAX);
            return Err(RemoteError::new(ErrorKind::Overloaded, Executed::No, text));
        }
        Ok(())
    })
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Cancels what the call left running when the caller is gone.
struct CancelOnDrop(Option<CallContext>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        if let Some(context) = self.0.take() {
            context.cancel();
        }
    }
}

async fn run_here<R, F>(target: &Target, call: Call, future: Pin<Box<F>>) -> Result<R, RemoteError>
where
    F: ?Sized + Future<Output = R> + Send,
{
    let deadline = call.deadline.unwrap_or_else(|| now() + LOCAL_TIMEOUT);
    let context = CallContext::new(ContextParts {
        peer: None,
        object: None,
        this: target.local().cloned(),
        method: call.method,
        request: next_request(),
        deadline,
        metadata: call.metadata,
        hops: call.hops,
    });
    let mut guard = CancelOnDrop(Some(context.clone()));
    let fenced = CatchUnwind(context.within(future));
    let result = tokio::time::timeout_at(deadline.into(), fenced).await;
    match result {
        Ok(ended) => {
            guard.0 = None;
            ended
        }
        Err(_) => Err(RemoteError::new(ErrorKind::Deadline, Executed::Maybe, "the deadline passed")),
    }
}

/// The number of the next call that this process serves.
pub(crate) fn next_request() -> u64 {
    static REQUEST: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
    REQUEST.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}

/// Turns a panic of the future into an error.
pub(crate) struct CatchUnwind<F>(pub(crate) F);

impl<F: Future + Unpin> Future for CatchUnwind<F> {
    type Output = Result<F::Output, RemoteError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> std::task::Poll<Self::Output> {
        let inner = Pin::new(&mut self.0);
        match std::panic::catch_unwind(AssertUnwindSafe(|| inner.poll(cx))) {
            Ok(poll) => poll.map(Ok),
            Err(_) => std::task::Poll::Ready(Err(panicked())),
        }
    }
}

/// What the caller of a servant that panicked learns. The panic's text stays here: it may hold what is not the caller's.
pub(crate) fn panicked() -> RemoteError {
    RemoteError::new(ErrorKind::Panicked, Executed::Yes, "the servant panicked")
}
