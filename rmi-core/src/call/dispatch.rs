//! From a call that has arrived to the servant's method.

use std::any::{Any, TypeId};
use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;

use crate::call::{Arguments, Outcome, Target, arguments, promised};
use crate::error::RemoteError;
use crate::id::MethodId;
use crate::interface::{Descriptor, Method, MethodResult};

/// A call that has arrived for an object of this process.
pub struct Incoming {
    /// The method that is called.
    pub method: MethodId,
    /// The arguments: one MessagePack array, not yet checked.
    pub body: Bytes,
    /// The references that the body names by index.
    pub references: Vec<Target>,
}

/// What became of a call that was offered to an interface.
pub enum Dispatched {
    /// The method was found; the future runs it.
    Serve {
        /// Runs the method and encodes what it returns.
        future: Pin<Box<dyn Future<Output = Outcome> + Send>>,
        /// Whether the method asked for a task of its own.
        spawn: bool,
    },
    /// The interface does not declare the method; the call is given back.
    Unknown(Incoming),
}

impl Incoming {
    /// Decodes the arguments of `method` with `start` and, when they are good, runs the future it returns.
    pub fn serve<S, F, R>(self, method: &'static Method, start: S) -> Dispatched
    where
        S: FnOnce(&mut Arguments) -> Result<F, RemoteError>,
        F: Future<Output = R> + Send + 'static,
        R: MethodResult,
    {
        let started = Arguments::new(method, self).and_then(|mut arguments| start(&mut arguments));
        match started {
            Ok(running) => {
                let future = async move {
                    let outcome = arguments::encode_result(method, &running.await.into_result());
                    // In a box: it is rare, and would take its place in the future of every call.
                    if promised::is_in(&outcome) { Box::pin(promised::settled(outcome)).await } else { outcome }
                };
                Dispatched::Serve { future: Box::pin(future), spawn: method.spawn }
            }
            Err(error) => Dispatched::Serve { future: Box::pin(std::future::ready(Err(error))), spawn: false },
        }
    }
}

/// An object that calls can be dispatched to, whatever its interfaces.
///
/// `#[remote]` makes one of every servant. Implement it by hand to serve calls without knowing their types: a gateway, a
/// recorder, a test double.
pub trait Dispatch: Send + Sync + 'static {
    /// The most derived interface of the object.
    fn descriptor(&self) -> &'static Descriptor;

    /// Finds the method and starts it.
    fn dispatch(&self, call: Incoming) -> Dispatched;

    /// The object as an `Arc` of the interface type with this id, boxed, if it implements it.
    fn cast(&self, target: TypeId) -> Option<Box<dyn Any>> {
        let _ = target;
        None
    }
}
