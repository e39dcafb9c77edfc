//! Calls and what they return, by the types of their arguments and results.

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::call::{Arguments, Dispatched, Incoming, Outgoing};
use crate::error::RemoteError;
use crate::interface::{Failure, Interface, Method, MethodResult};
use crate::private::argument::{Lending, Owned};
use crate::private::check::{Borrows, Travels};
use crate::proxy::{Proxy, invoke};

/// A call that a proxy makes.
type Calling<'c, R> = Pin<Box<dyn Future<Output = R> + Send + 'c>>;

/// A result that travels as a byte string.
struct Blob<T>(T);

impl<T: serde_bytes::Serialize> Serialize for Blob<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serde_bytes::Serialize::serialize(&self.0, serializer)
    }
}

impl<'de, T: serde_bytes::Deserialize<'de>> Deserialize<'de> for Blob<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde_bytes::Deserialize::deserialize(deserializer).map(Self)
    }
}

/// A byte string that is a list for serde.
pub trait Octets: serde_bytes::Serialize + for<'de> serde_bytes::Deserialize<'de> + Send + 'static {}

impl Octets for Vec<u8> {}
impl Octets for Box<[u8]> {}
impl Octets for Option<Vec<u8>> {}
impl Octets for Option<Box<[u8]>> {}

/// The result of a method. A call is [`CallBytes`], else [`Call`], else [`CallNothing`]; one on an object of this process
/// [`CallLocal`], else [`CallLocalNothing`].
pub struct Returning<R>(PhantomData<fn() -> R>);

impl<R> Returning<R> {
    /// The result.
    pub const NEW: Self = Self(PhantomData);
}

impl<T: ?Sized, E> Returning<Result<Proxy<T>, E>> {
    /// True when the result can be promised.
    pub const __RMI_PROMISES: bool = true;
}

/// Holds for all results; those that can be promised say so themselves.
pub trait NoPromise {
    /// True when the result can be promised.
    const __RMI_PROMISES: bool = false;
}

impl<R> NoPromise for Returning<R> {}

/// Makes a call that returns a byte string.
pub trait CallBytes<R> {
    /// Makes the call.
    fn __rmi_call<'c, T: ?Sized + Interface>(
        &self,
        proxy: &'c Proxy<T>,
        method: &'static Method,
        outgoing: Outgoing,
    ) -> Calling<'c, R>;
}

impl<B: Octets, E: Failure + 'static> CallBytes<Result<B, E>> for &&Returning<Result<B, E>> {
    fn __rmi_call<'c, T: ?Sized + Interface>(
        &self,
        proxy: &'c Proxy<T>,
        method: &'static Method,
        outgoing: Outgoing,
    ) -> Calling<'c, Result<B, E>> {
        Box::pin(async move {
            let blob: Result<Blob<B>, E> = invoke::call(proxy, method, outgoing).await;
            blob.map(|blob| blob.0)
        })
    }
}

/// Makes a call.
pub trait Call<R> {
    /// Makes the call.
    fn __rmi_call<'c, T: ?Sized + Interface>(
        &self,
        proxy: &'c Proxy<T>,
        method: &'static Method,
        outgoing: Outgoing,
    ) -> Calling<'c, R>;
}

impl<R: MethodResult + 'static> Call<R> for &Returning<R> {
    fn __rmi_call<'c, T: ?Sized + Interface>(
        &self,
        proxy: &'c Proxy<T>,
        method: &'static Method,
        outgoing: Outgoing,
    ) -> Calling<'c, R> {
        Box::pin(invoke::call(proxy, method, outgoing))
    }
}

/// Stands where the result was refused.
pub trait CallNothing<R> {
    /// Never ends.
    fn __rmi_call<'c, T: ?Sized + Interface>(
        &self,
        proxy: &'c Proxy<T>,
        method: &'static Method,
        outgoing: Outgoing,
    ) -> Calling<'c, R>;
}

impl<R: 'static> CallNothing<R> for Returning<R> {
    fn __rmi_call<'c, T: ?Sized + Interface>(
        &self,
        _: &'c Proxy<T>,
        _: &'static Method,
        _: Outgoing,
    ) -> Calling<'c, R> {
        Box::pin(std::future::pending())
    }
}

/// Calls an object of this process.
pub trait CallLocal<R> {
    /// Runs the method's future as the remote call it stands for.
    fn __rmi_call_local<'c, T: ?Sized + Interface>(
        &self,
        proxy: &'c Proxy<T>,
        method: &'static Method,
        future: Calling<'c, R>,
    ) -> Calling<'c, R>;
}

impl<R: MethodResult + 'static> CallLocal<R> for &Returning<R> {
    fn __rmi_call_local<'c, T: ?Sized + Interface>(
        &self,
        proxy: &'c Proxy<T>,
        method: &'static Method,
        future: Calling<'c, R>,
    ) -> Calling<'c, R> {
        Box::pin(invoke::call_local(proxy, method, future))
    }
}

/// Stands where the result was refused.
pub trait CallLocalNothing<R> {
    /// Runs the method's future as it is.
    fn __rmi_call_local<'c, T: ?Sized + Interface>(
        &self,
        proxy: &'c Proxy<T>,
        method: &'static Method,
        future: Calling<'c, R>,
    ) -> Calling<'c, R>;
}

impl<R> CallLocalNothing<R> for Returning<R> {
    fn __rmi_call_local<'c, T: ?Sized + Interface>(
        &self,
        _: &'c Proxy<T>,
        _: &'static Method,
        future: Calling<'c, R>,
    ) -> Calling<'c, R> {
        future
    }
}

/// Arguments of a method, as `(Owned<A>, (Lending<B>, ()))`, all of which travel.
pub trait AllTravel {}

impl AllTravel for () {}
impl<T: Travels, Others: AllTravel> AllTravel for (Owned<T>, Others) {}
impl<T: Borrows, Others: AllTravel> AllTravel for (Lending<T>, Others) {}

/// A method with these arguments and this result. It is served by [`ServeBytes`], else [`Serve`], else [`ServeNothing`].
pub struct Serving<A, R>(PhantomData<fn() -> (A, R)>);

impl<A, R> Serving<A, R> {
    /// The method.
    pub const NEW: Self = Self(PhantomData);
}

/// Serves a method that returns a byte string.
pub trait ServeBytes<R> {
    /// As [`Incoming::serve`].
    fn __rmi_serve<S, F>(&self, call: Incoming, method: &'static Method, start: S) -> Dispatched
    where
        S: FnOnce(&mut Arguments) -> Result<F, RemoteError>,
        F: Future<Output = R> + Send + 'static;
}

impl<A: AllTravel, B: Octets, E: Failure> ServeBytes<Result<B, E>> for &&Serving<A, Result<B, E>> {
    fn __rmi_serve<S, F>(&self, call: Incoming, method: &'static Method, start: S) -> Dispatched
    where
        S: FnOnce(&mut Arguments) -> Result<F, RemoteError>,
        F: Future<Output = Result<B, E>> + Send + 'static,
    {
        call.serve(method, |arguments| {
            let running = start(arguments)?;
            Ok(async move { running.await.map(Blob) })
        })
    }
}

/// Serves a method.
pub trait Serve<R> {
    /// As [`Incoming::serve`].
    fn __rmi_serve<S, F>(&self, call: Incoming, method: &'static Method, start: S) -> Dispatched
    where
        S: FnOnce(&mut Arguments) -> Result<F, RemoteError>,
        F: Future<Output = R> + Send + 'static;
}

impl<A: AllTravel, R: MethodResult> Serve<R> for &Serving<A, R> {
    fn __rmi_serve<S, F>(&self, call: Incoming, method: &'static Method, start: S) -> Dispatched
    where
        S: FnOnce(&mut Arguments) -> Result<F, RemoteError>,
        F: Future<Output = R> + Send + 'static,
    {
        call.serve(method, start)
    }
}

/// Stands where an argument or the result was refused.
pub trait ServeNothing {
    /// Gives the call back.
    fn __rmi_serve<S>(&self, call: Incoming, method: &'static Method, start: S) -> Dispatched;
}

impl<A, R> ServeNothing for Serving<A, R> {
    fn __rmi_serve<S>(&self, call: Incoming, _: &'static Method, _: S) -> Dispatched {
        Dispatched::Unknown(call)
    }
}
