//! A reference that does not keep its object alive.

use std::fmt;
use std::sync::{Arc, Weak};

use crate::call::{CallOptions, Invoke, LocalObject, Target};
use crate::interface::Interface;
use crate::proxy::Proxy;

/// A reference that keeps neither the object nor its claim alive: [`Proxy::downgrade`].
///
/// It can be [upgraded](Self::upgrade) as long as a proxy to the object, or a peer that holds it, is left.
pub struct WeakProxy<T: ?Sized> {
    target: WeakTarget,
    servant: Option<Weak<T>>,
    options: Option<Arc<CallOptions>>,
}

#[derive(Clone)]
enum WeakTarget {
    Local(Weak<LocalObject>),
    Remote(Weak<dyn Invoke>),
}

impl<T: ?Sized + Interface> WeakProxy<T> {
    pub(super) fn new(proxy: &Proxy<T>) -> Self {
        let target = match &proxy.target {
            Target::Local(object) => WeakTarget::Local(Arc::downgrade(object)),
            Target::Remote(remote) => WeakTarget::Remote(Arc::downgrade(remote)),
        };
        Self { target, servant: proxy.servant.as_ref().map(Arc::downgrade), options: proxy.options.clone() }
    }

    /// A proxy, if the object is still referred to: for a remote object by another proxy of this process, for an object of this
    /// process by any proxy anywhere. It is a proxy of its own as far as the order of calls goes.
    #[must_use]
    pub fn upgrade(&self) -> Option<Proxy<T>> {
        let target = match &self.target {
            WeakTarget::Local(object) => Target::Local(object.upgrade()?),
            WeakTarget::Remote(remote) => Target::Remote(remote.upgrade()?),
        };
        let servant = match &self.servant {
            Some(servant) => Some(servant.upgrade()?),
            None => None,
        };
        Some(Proxy::made_of(target, servant, self.options.clone()))
    }
}

impl<T: ?Sized> Clone for WeakProxy<T> {
    fn clone(&self) -> Self {
        Self { target: self.target.clone(), servant: self.servant.clone(), options: self.options.clone() }
    }
}

impl<T: ?Sized> fmt::Debug for WeakProxy<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.target {
            WeakTarget::Local(_) => "WeakProxy(local)",
            WeakTarget::Remote(_) => "WeakProxy(remote)",
        })
    }
}
