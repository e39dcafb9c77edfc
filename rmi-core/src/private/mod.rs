//! The items that the code of `#[remote]` calls. No promises: they change with the macro.
//!
//! The code decides by types, not by their names: `(&&&Given(&x)).__rmi_push(…)` is the method of the first trait that the
//! compiler can prove for `&&Given<T>`, `&Given<T>` and `Given<T>`, in this order. The last one holds for every type and does
//! nothing. It is there so that a type that cannot travel is refused once, by [`check`], and not wherever it is used.

mod argument;
pub mod check;
mod parent;
mod returning;

pub use std::any::{Any, TypeId};
pub use std::boxed::Box;
pub use std::clone::Clone;
pub use std::option::Option::{self, None, Some};
pub use std::result::Result::{self, Err, Ok};
pub use std::sync::Arc;
pub use std::time::Duration;

pub use async_trait::async_trait;
pub use rmi_macros::{Repeat, bodies, boxed};

pub use crate::call::{Arguments, Dispatched, Incoming, Outgoing};
pub use crate::error::RemoteError;
pub use crate::id::{InterfaceId, MethodId};
pub use crate::interface::generic::{self, Argument, Generic};
pub use crate::interface::{Accepts, Descriptor, Interface, InterfaceType, Method};
pub use crate::proxy::Proxy;
pub use crate::proxy::invoke::local;

pub use argument::{
    Given, Lend, LendBytes, LendNothing, LendOrDefault, Lending, Owned, Push, PushBytes, PushNothing, Take, TakeBytes,
    TakeNothing, TakeOption, TakeOrDefault,
};
pub use parent::{NoParent, Parent, Super, parents, parents_count};
pub use returning::{
    Call, CallBytes, CallLocal, CallLocalNothing, CallNothing, NoPromise, Returning, Serve, ServeBytes, ServeNothing,
    Serving,
};
