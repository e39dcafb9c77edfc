//! The untyped reference.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::call::{Call, CallOptions, Dispatch, Invocation, LocalObject, Target};
use crate::error::RemoteError;
use crate::interface::Interface;
use crate::proxy::{Proxy, checked, index, invoke};
use crate::reference::ObjectRef;

/// A reference to an object whose interfaces are not known when the program is compiled.
#[derive(Clone)]
pub struct AnyProxy {
    target: Target,
    options: Option<Arc<CallOptions>>,
}

impl AnyProxy {
    pub(crate) fn new(target: Target, options: Option<Arc<CallOptions>>) -> Self {
        Self { target, options }
    }

    /// Makes `servant`, which serves calls without knowing their types, an object that can be called remotely.
    #[must_use]
    pub fn from_dispatch(servant: impl Dispatch) -> Self {
        Self::new(Target::Local(Arc::new(LocalObject::new(Box::new(servant)))), None)
    }

    /// The object as one of its interfaces.
    ///
    /// # Errors
    /// `NoSuchInterface`: the object is not known to implement it.
    pub fn cast<T: ?Sized + Interface>(&self) -> Result<Proxy<T>, RemoteError> {
        Proxy::from_target(&self.target, self.options.clone())
    }

    /// The object as one of its interfaces, when it says itself that it has it: see [`Proxy::checked_cast`].
    ///
    /// # Errors
    /// As there.
    pub async fn checked_cast<T: ?Sized + Interface>(&self) -> Result<Proxy<T>, RemoteError> {
        checked::cast(&self.target, self.options.clone()).await
    }

    /// The names of the interfaces that the object is known to implement, the most derived first.
    #[must_use]
    pub fn interfaces(&self) -> Vec<String> {
        self.target.interfaces()
    }

    /// The address of the object; `None` for an object of this process, and for a promise that is not settled.
    #[must_use]
    pub fn reference(&self) -> Option<&ObjectRef> {
        match self.target.settled() {
            Target::Remote(remote) if remote.promised().is_none() => Some(remote.reference()),
            _ => None,
        }
    }

    /// Makes a call whose arguments are encoded already: for gateways and tools that know names and bytes only.
    ///
    /// # Errors
    /// As every remote call; the method's own error arrives as a [`Reply`](crate::Reply) with
    /// [`Status::Error`](crate::Status).
    pub fn invoke(&self, call: Call) -> Invocation {
        invoke::untyped(&self.target, call, self.options.as_deref())
    }

    pub(crate) fn target(&self) -> &Target {
        &self.target
    }
}

/// A reference beside the bytes of a [`Call`], as a proxy: for gateways, which look at what they pass on.
impl From<Target> for AnyProxy {
    fn from(target: Target) -> Self {
        Self::new(target, None)
    }
}

/// The way back: a proxy as a reference beside bytes. Its options stay behind.
impl From<AnyProxy> for Target {
    fn from(proxy: AnyProxy) -> Self {
        proxy.target
    }
}

impl<T: ?Sized + Interface> From<Proxy<T>> for AnyProxy {
    fn from(proxy: Proxy<T>) -> Self {
        proxy.to_any()
    }
}

impl<T: ?Sized + Interface> From<&Proxy<T>> for AnyProxy {
    fn from(proxy: &Proxy<T>) -> Self {
        proxy.to_any()
    }
}

/// Two proxies are equal when they lead to the same object.
impl PartialEq for AnyProxy {
    fn eq(&self, other: &Self) -> bool {
        self.target == other.target
    }
}

impl Eq for AnyProxy {}

impl fmt::Debug for AnyProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AnyProxy({:?})", self.target)
    }
}

impl Serialize for AnyProxy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        index::serialize(&self.target, serializer)
    }
}

impl<'de> Deserialize<'de> for AnyProxy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::new(index::target(deserializer, || "any".to_owned())?, None))
    }
}
