//! The parts that `#[remote]` makes of a trait.

pub mod generic;
pub(crate) mod names;
pub(crate) mod shape;

use std::any::{Any, TypeId};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::call::{Dispatched, Incoming};
use crate::error::RemoteError;
use crate::id::{InterfaceId, MethodId, hash};

pub use names::InterfaceType;

/// A trait marked `#[remote]`, as the type `dyn Trait`. Only `#[remote]` implements it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a remote interface",
    label = "not a remote interface",
    note = "put `#[remote]` on the trait"
)]
pub trait Interface: Send + Sync + 'static {
    /// The name, methods and supertraits of the interface: always the same one, also of a generic trait, of which every
    /// instance has its own.
    fn descriptor() -> &'static Descriptor;

    /// Offers the call to the interface's own methods, then to those of its supertraits.
    #[doc(hidden)]
    fn dispatch(servant: Arc<Self>, call: Incoming) -> Dispatched;

    /// The servant as `Arc<dyn Other>`, boxed, when `target` is this interface or one of its supertraits.
    #[doc(hidden)]
    fn cast(servant: Arc<Self>, target: TypeId) -> Option<Box<dyn Any>>;
}

/// An interface that objects of type `S` can be servants of. Only `#[remote]` implements it.
#[diagnostic::on_unimplemented(
    message = "`{S}` cannot be a servant of `{Self}`",
    note = "implement the trait for `{S}`, with `#[remote]` on the impl"
)]
pub trait Accepts<S>: Interface {
    #[doc(hidden)]
    fn accept(servant: Arc<S>) -> Arc<Self>;
}

/// An object that can be served as `T`. Implemented for every implementor of the trait behind `T`.
pub trait Servant<T: ?Sized>: Sized {
    #[doc(hidden)]
    fn into_servant(self: Arc<Self>) -> Arc<T>;
}

impl<S, T: ?Sized + Accepts<S>> Servant<T> for S {
    fn into_servant(self: Arc<Self>) -> Arc<T> {
        T::accept(self)
    }
}

/// The name, methods and supertraits of an interface.
#[derive(Debug)]
pub struct Descriptor {
    /// The name on the wire: the trait's name, or what `#[remote(name = "…")]` says, and the arguments of a generic trait:
    /// `Store<u64>`.
    pub name: &'static str,
    /// The hash of the name.
    pub id: InterfaceId,
    /// The interface's own methods, in the order they were written.
    pub methods: &'static [&'static Method],
    /// The interfaces it extends.
    pub parents: &'static [fn() -> &'static Self],
    /// The Rust type; `None` in a descriptor that was written by hand, which stands for whatever type has the name.
    pub of: Option<InterfaceType>,
}

impl Descriptor {
    /// An interface of this name with no methods, of no type: to write a descriptor by hand.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self { name, id: InterfaceId::of(name), methods: &[], parents: &[], of: None }
    }

    /// The interface and everything it extends, the most derived first. One that is reached on two ways is there twice.
    pub(crate) fn family(&'static self) -> Vec<&'static Self> {
        std::iter::once(self).chain(self.parents.iter().flat_map(|parent| parent().family())).collect()
    }

    /// The one with this id: the interface itself, or what it extends.
    pub(crate) fn find(&'static self, id: InterfaceId) -> Option<&'static Self> {
        if self.id == id { Some(self) } else { self.parents.iter().find_map(|parent| parent().find(id)) }
    }

    /// The path of the trait if there is one, else the name.
    pub(crate) fn path(&self) -> &'static str {
        self.of.map_or(self.name, |of| of.path())
    }

    /// The names of the interface and of everything it extends, each once, the most derived first.
    #[must_use]
    pub fn names(&self) -> Vec<&'static str> {
        let mut names = vec![self.name];
        for parent in self.parents {
            for name in parent().names() {
                if !names.contains(&name) {
                    names.push(name);
                }
            }
        }
        names
    }

    /// The method with this id, the interface's own or one that it inherits.
    #[must_use]
    pub fn method(&self, id: MethodId) -> Option<&'static Method> {
        if self.id == id.interface {
            return self.methods.iter().find(|method| method.id == id).copied();
        }
        self.parents.iter().find_map(|parent| parent().method(id))
    }

    /// Says whether this is the interface with this id or extends it.
    #[must_use]
    pub fn is(&self, id: InterfaceId) -> bool {
        self.id == id || self.parents.iter().any(|parent| parent().is(id))
    }
}

/// The name, and the path of the trait if there is one: `Service (billing::Service)`.
impl fmt::Display for Descriptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.of {
            Some(of) => write!(f, "{} (`{}`)", self.name, of.path()),
            None => f.write_str(self.name),
        }
    }
}

/// A method of an interface. Prints as `Interface/method`.
#[derive(Debug, Clone)]
pub struct Method {
    /// The name of the interface on the wire.
    pub interface: &'static str,
    /// The name on the wire.
    pub name: &'static str,
    /// The id on the wire.
    pub id: MethodId,
    /// The names of the arguments.
    pub arguments: &'static [&'static str],
    /// May run more than once: a call whose fate is unknown is made again.
    pub idempotent: bool,
    /// Nobody waits for the result.
    pub oneway: bool,
    /// A oneway call that may be lost: where the channel has datagrams (QUIC) it travels in one if it fits and has no proxies
    /// among its arguments, behind nothing and before nothing else. It may then come late or not at all, without anybody
    /// being told, and is not in order with other calls; it never runs twice. Elsewhere it is as every oneway call.
    pub unreliable: bool,
    /// Runs in a task of its own from the start, not on the task that reads the connection.
    pub spawn: bool,
    /// Its structs travel by position, not by the names of their fields: shorter, and fields cannot come or go.
    pub compact: bool,
    /// Returns `Result<Proxy<_>, _>`: its result can be promised, see [`Proxy::pipelined`](crate::Proxy::pipelined).
    pub promises: bool,
    /// The deadline of a call that sets none.
    pub timeout: Option<Duration>,
}

impl Method {
    /// A method with no attributes.
    #[must_use]
    pub const fn new(interface: &'static str, name: &'static str, arguments: &'static [&'static str]) -> Self {
        let id = MethodId { interface: InterfaceId(hash(interface)), method: hash(name) };
        Self {
            interface,
            name,
            id,
            arguments,
            idempotent: false,
            oneway: false,
            unreliable: false,
            spawn: false,
            compact: false,
            promises: false,
            timeout: None,
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.interface, self.name)
    }
}

/// The return type of a remote method: a `Result` whose value and error can travel.
#[diagnostic::on_unimplemented(
    message = "a remote call can fail: `{Self}` is not a `Result`",
    label = "return `Result<T, E>` with `E: From<RemoteError>`"
)]
pub trait MethodResult {
    /// The value.
    type Value: Serialize + DeserializeOwned + Send;
    /// The error.
    type Error: Failure;

    #[doc(hidden)]
    fn into_result(self) -> Result<Self::Value, Self::Error>;

    #[doc(hidden)]
    fn from_result(result: Result<Self::Value, Self::Error>) -> Self;
}

impl<T: Serialize + DeserializeOwned + Send, E: Failure> MethodResult for Result<T, E> {
    type Value = T;
    type Error = E;

    fn into_result(self) -> Self {
        self
    }

    fn from_result(result: Self) -> Self {
        result
    }
}

/// An error that a remote method may return: it travels, and it can carry a failed call.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the error of a remote method",
    note = "derive `Serialize` and `Deserialize`, and add a variant `Remote(#[from] RemoteError)`"
)]
pub trait Failure: From<RemoteError> + Serialize + DeserializeOwned + Send {}

impl<E: From<RemoteError> + Serialize + DeserializeOwned + Send> Failure for E {}
