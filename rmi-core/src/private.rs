//! What the code that `#[remote]` writes may call. No promises: it changes with the macro.

pub use std::any::{Any, TypeId};
pub use std::boxed::Box;
pub use std::option::Option::{self, None, Some};
pub use std::result::Result::{self, Err, Ok};
pub use std::sync::Arc;
pub use std::time::Duration;

pub use async_trait::async_trait;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use crate::call::{Arguments, Dispatched, Incoming, Outgoing};
pub use crate::id::{InterfaceId, MethodId};
pub use crate::interface::generic::{self, Argument, Generic};
pub use crate::interface::{Accepts, Descriptor, Failure, Interface, InterfaceType, Method, MethodResult};
pub use crate::proxy::Proxy;
pub use crate::proxy::invoke::{call, call_local, local};

/// A result that travels as a byte string: `Vec<u8>`, `Bytes`, or an `Option` of them.
pub struct Blob<T>(pub T);

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

/// Compiles only when `T` is a remote interface.
pub const fn is_remote<T: ?Sized + Interface>() {}
