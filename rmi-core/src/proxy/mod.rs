//! What a caller holds: it implements the interface, and hands every call on as a value.

mod any;
mod checked;
pub(crate) mod index;
pub(crate) mod invoke;
mod refused;
mod weak;

use std::any::{Any, TypeId};
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::call::{CallOptions, Dispatch, Dispatched, Incoming, Invoke, LocalObject, Target};
use crate::error::{ErrorKind, Executed, RemoteError};
use crate::interface::names::{self, SameName};
use crate::interface::{Descriptor, Interface, Servant};
use crate::reference::ObjectRef;

pub use any::AnyProxy;
use refused::Refused;
pub use weak::WeakProxy;

/// A reference to an object that implements the interface `T`, here or in another process.
///
/// `Proxy<dyn Account>` implements `Account` and every supertrait of it. It can be cloned, sent to other threads, and put
/// anywhere into the arguments and results of remote methods.
///
/// Order: calls made through one proxy are dispatched in the order they were made. A clone is a proxy of its own.
/// A proxy to an object of this very process calls it directly, with nothing serialized.
pub struct Proxy<T: ?Sized> {
    target: Target,
    servant: Option<Arc<T>>,
    options: Option<Arc<CallOptions>>,
    order: u64,
    pipelined: bool,
    interface: PhantomData<fn() -> Box<T>>,
}

static ORDER: AtomicU64 = AtomicU64::new(1);

/// An order of which no proxy has calls.
pub(crate) fn next_order() -> u64 {
    ORDER.fetch_add(1, Ordering::Relaxed)
}

impl<T: ?Sized + Interface> Proxy<T> {
    /// Makes `servant` an object that can be called remotely. It is exported when the proxy is first sent to another node.
    pub fn new<S: Servant<T>>(servant: S) -> Self {
        Self::from_arc(Arc::new(servant).into_servant())
    }

    /// Like [`new`](Self::new), for an object that the program keeps a hold of. Each call makes an object of its own.
    #[must_use]
    pub fn from_arc(servant: Arc<T>) -> Self {
        let object = LocalObject::new(Box::new(Exported(servant.clone())));
        Self::made_of(Target::Local(Arc::new(object)), Some(servant), None)
    }

    /// Gives the object one more interface, which `servant` serves: most often the same `Arc`, as another trait. It stays
    /// one object with one id; what it sends of itself from now on names every interface, and [`cast`](Self::cast) leads
    /// from each to each. Of an interface that it had already the earlier servant goes on serving.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use rmi_core::{Proxy, RemoteError, remote};
    /// # #[remote] trait Account { async fn balance(&self) -> Result<u64, RemoteError>; }
    /// # #[remote] trait Audit { async fn entries(&self) -> Result<u64, RemoteError>; }
    /// # struct Vault;
    /// # #[remote] impl Account for Vault { async fn balance(&self) -> Result<u64, RemoteError> { Ok(5) } }
    /// # #[remote] impl Audit for Vault { async fn entries(&self) -> Result<u64, RemoteError> { Ok(1) } }
    /// let vault = Arc::new(Vault);
    /// let account = Proxy::<dyn Account>::from_arc(vault.clone()).and::<dyn Audit>(vault)?;
    /// let audit: Proxy<dyn Audit> = account.cast()?;
    /// # Ok::<(), RemoteError>(())
    /// ```
    ///
    /// # Errors
    /// `Misuse`: it is an object of another node, it would have more than 32 interfaces, or two of them would be different
    /// traits with one name on the wire.
    pub fn and<U: ?Sized + Interface>(self, servant: Arc<U>) -> Result<Self, RemoteError> {
        match &self.target {
            Target::Local(object) => object.offer(Box::new(Exported(servant)))?,
            Target::Remote(_) => {
                let text = "an object of another node gets its interfaces there";
                return Err(RemoteError::new(ErrorKind::Misuse, Executed::No, text));
            }
        }
        Ok(self)
    }

    /// The same object with these options for every call. Cheap; the proxy itself is unchanged.
    #[must_use]
    pub fn with(&self, options: CallOptions) -> Self {
        let proxy = Self::made_of(self.target.clone(), self.servant.clone(), Some(Arc::new(options)));
        Self { pipelined: self.pipelined, ..proxy }
    }

    /// The same object, of whose methods those that return `Result<Proxy<_>, _>` complete as soon as the call is queued, with
    /// a promise of the object: `bank.pipelined().open("alice").await?.balance().await?` takes one round trip. Other methods,
    /// those that return `Option<Proxy<_>>` included, are as ever. Cheap; the proxy itself is unchanged.
    ///
    /// A promise can be called, sent in arguments, and gives promises itself; it is a proxy like any other, whose
    /// [`reference`](Self::reference) is not known before the call has ended.
    ///
    /// Order: calls through a promise are dispatched in the order they were made, also when it has become the object.
    /// Errors: when the call fails, everything that needs the object fails with the same cause, not executed; a call that
    /// fails with an error of its own breaks its promise (`PromiseBroken`). Pipelined calls are made once: what was not
    /// executed is not tried again. Cancellation: the call is cancelled when the last proxy and call that need its promise
    /// are dropped. Limits: a caller with 4,096 promises at one peer waits for the result as without this. Calls on an object
    /// of this process give the object itself, when the method has run.
    #[must_use]
    pub fn pipelined(&self) -> Self {
        Self { pipelined: true, ..self.clone() }
    }

    /// The same object as another of its interfaces. Of a promise that is not settled every interface is believed.
    ///
    /// # Errors
    /// `NoSuchInterface`: the object is not known to implement it. `Misuse`: it is an object of another process, and another
    /// trait of this program has the name on the wire.
    pub fn cast<U: ?Sized + Interface>(&self) -> Result<Proxy<U>, RemoteError> {
        let pipelined = self.pipelined;
        Proxy::from_target(&self.target, self.options.clone()).map(|proxy| Proxy { pipelined, ..proxy })
    }

    /// The same object as another of its interfaces, when it says itself that it has it: for references that do not tell
    /// all, such as a URI that names no interface. The new proxy knows every interface of the object.
    ///
    /// One idempotent call, `interfaces` of the interface `rmi.Object`, which every object has; the authorizer is asked as
    /// for every call. An object of this process is not called.
    ///
    /// # Errors
    /// `NoSuchInterface`: it does not have it. `BadReply`: it names more interfaces than a reference can. What the call may
    /// fail with.
    pub async fn checked_cast<U: ?Sized + Interface>(&self) -> Result<Proxy<U>, RemoteError> {
        checked::cast(&self.target, self.options.clone()).await
    }

    /// The same object without its type.
    #[must_use]
    pub fn to_any(&self) -> AnyProxy {
        AnyProxy::new(self.target.clone(), self.options.clone())
    }

    /// The address of the object, which prints as a URI. `None` for an object of this process: its address depends on
    /// the node that exports it, see [`Node::export`](crate::Node::export). `None` as well for a promise that is not settled.
    #[must_use]
    pub fn reference(&self) -> Option<&ObjectRef> {
        match self.target.settled() {
            Target::Remote(remote) if remote.promised().is_none() => Some(remote.reference()),
            _ => None,
        }
    }

    /// Resolves when the object or its node is gone, so that no call through this proxy can succeed any more: its node has
    /// said goodbye, another one answers in its place, or contact was lost for longer than the lease. Also when nobody holds
    /// the object for this process and its node cannot be reached. For an object of this process it never resolves.
    ///
    /// For an object with a well-known id ([`Node::at`](crate::Node::at)), which outlives the node that serves it, it
    /// resolves when the connection that calls take at present is over.
    ///
    /// An object that was not called yet is claimed at its owner. Cancellation: dropping the future stops the wait.
    pub async fn closed(&self) {
        match &self.target {
            Target::Local(_) => std::future::pending().await,
            Target::Remote(remote) => remote.closed().await,
        }
    }

    /// A reference to the same object that does not keep it alive.
    #[must_use]
    pub fn downgrade(&self) -> WeakProxy<T> {
        WeakProxy::new(self)
    }

    /// Whether the object is in this process, as far as is known.
    #[must_use]
    pub fn is_local(&self) -> bool {
        matches!(self.target.settled(), Target::Local(_))
    }

    /// A proxy that sends its calls over `invoke`, which is believed to lead to a `T`.
    ///
    /// # Errors
    /// `Misuse`: another trait of this program has the name.
    pub(crate) fn over(invoke: Arc<dyn Invoke>) -> Result<Self, RemoteError> {
        names::take(std::iter::once(T::descriptor())).map_err(|same| same.error(ErrorKind::Misuse))?;
        Ok(Self::made_of(Target::Remote(invoke), None, None))
    }

    /// A proxy for what `reference` leads to, each call of which fails with `error`.
    pub(crate) fn refused(reference: ObjectRef, error: RemoteError) -> Self {
        Self::made_of(Target::Remote(Arc::new(Refused { reference, error })), None, None)
    }

    /// Types `target`, if it is known to implement `T`.
    pub(crate) fn from_target(target: &Target, options: Option<Arc<CallOptions>>) -> Result<Self, RemoteError> {
        let interface = T::descriptor();
        let refuse = |known: &[String]| {
            let text = format!("the object does not implement {}; it implements {}", interface.name, known.join(", "));
            RemoteError::new(ErrorKind::NoSuchInterface, Executed::No, text)
        };
        match target {
            Target::Local(object) => {
                let servant = object.cast(TypeId::of::<T>()).and_then(|boxed| boxed.downcast::<Arc<T>>().ok());
                // A servant without types (a gateway) cannot be cast; it is called through its `Dispatch`.
                if servant.is_none() {
                    let known = object.find(interface.id).ok_or_else(|| refuse(&target.interfaces()))?;
                    distinct(interface, known)?;
                }
                Ok(Self::made_of(target.clone(), servant.map(|servant| *servant), options))
            }
            Target::Remote(remote) => {
                let reference = remote.reference();
                // A reference that names no interface, as one made from an endpoint and a well-known id, is believed.
                if !reference.interfaces.is_empty() && !reference.implements(interface.name) {
                    return Err(refuse(&reference.interfaces));
                }
                let proxy = Self::over(remote.clone())?;
                Ok(Self { options, ..proxy })
            }
        }
    }
}

impl<T: ?Sized> Proxy<T> {
    fn made_of(target: Target, servant: Option<Arc<T>>, options: Option<Arc<CallOptions>>) -> Self {
        let pipelined = matches!(&target, Target::Remote(remote) if remote.promised().is_some());
        Self { target, servant, options, order: next_order(), pipelined, interface: PhantomData }
    }

    pub(crate) fn servant(&self) -> Option<&T> {
        self.servant.as_deref()
    }
}

impl<T: ?Sized> Clone for Proxy<T> {
    fn clone(&self) -> Self {
        let proxy = Self::made_of(self.target.clone(), self.servant.clone(), self.options.clone());
        Self { pipelined: self.pipelined, ..proxy }
    }
}

/// Two proxies are equal when they lead to the same object.
impl<T: ?Sized> PartialEq for Proxy<T> {
    fn eq(&self, other: &Self) -> bool {
        self.target == other.target
    }
}

impl<T: ?Sized> Eq for Proxy<T> {}

impl<T: ?Sized> fmt::Debug for Proxy<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({:?})", self.target)
    }
}

impl<T: ?Sized> Serialize for Proxy<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        index::serialize(&self.target, serializer)
    }
}

impl<'de, T: ?Sized + Interface> Deserialize<'de> for Proxy<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let target = index::target(deserializer, || T::descriptor().name.to_owned())?;
        Self::from_target(&target, None).map_err(|error| serde::de::Error::custom(error.message()))
    }
}

/// Refuses an object's interface that only has the name of the wanted one.
fn distinct(wanted: &Descriptor, found: &Descriptor) -> Result<(), RemoteError> {
    SameName::between(wanted, found).map_or(Ok(()), |same| Err(same.error(ErrorKind::NoSuchInterface)))
}

/// A servant with its interface, as an object that calls can be dispatched to.
struct Exported<T: ?Sized>(Arc<T>);

impl<T: ?Sized + Interface> Dispatch for Exported<T> {
    fn descriptor(&self) -> &'static Descriptor {
        T::descriptor()
    }

    fn dispatch(&self, call: Incoming) -> Dispatched {
        T::dispatch(self.0.clone(), call)
    }

    fn cast(&self, target: TypeId) -> Option<Box<dyn Any>> {
        T::cast(self.0.clone(), target)
    }
}
