//! Remote objects for Rust.

// `#[remote]` writes `::rmi_core`, also in this crate.
extern crate self as rmi_core;

mod call;
mod endpoint;
mod error;
mod id;
mod interface;
pub mod limits;
mod metadata;
pub mod naming;
mod node;
mod object;
mod peer;
#[doc(hidden)]
pub mod private;
mod proto;
mod proxy;
mod reference;
mod security;
pub mod transport;
mod wire;

pub use bytes::Bytes;
pub use call::{
    Call, CallContext, CallOptions, Dispatch, Dispatched, Incoming, Invocation, Invoke, Outcome, Reply, Status, Target,
};
pub use endpoint::{Endpoint, EndpointError};
pub use error::{ErrorKind, Executed, Fault, RemoteError};
pub use id::{InterfaceId, MethodId, NodeId, ObjectId};
pub use interface::{Accepts, Descriptor, Failure, Interface, Method, MethodResult, Servant};
pub use limits::Limits;
pub use metadata::Metadata;
pub use naming::Registry;
pub use node::{Node, NodeBuilder, NodeError};
pub use peer::{Identity, Peer};
pub use proxy::{AnyProxy, Proxy};
pub use reference::{ObjectRef, ReferenceError};
pub use rmi_macros::remote;
pub use security::{Access, Authorizer, Request};
