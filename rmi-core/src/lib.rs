//! Remote objects for Rust.
//!
//! [`remote`] on a trait makes any object that implements it callable from another process, through a [`Proxy`] that
//! implements the same trait. A [`Node`] holds a process's objects and connections; a [`Registry`] maps names to objects.
//!
//! ```
//! use rmi_core::{Node, Proxy, RemoteError, remote};
//!
//! #[remote]
//! trait Greeter {
//!     async fn greet(&self, name: &str) -> Result<String, RemoteError>;
//! }
//!
//! struct Polite;
//!
//! #[remote]
//! impl Greeter for Polite {
//!     async fn greet(&self, name: &str) -> Result<String, RemoteError> {
//!         Ok(format!("Good day, {name}."))
//!     }
//! }
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let host = Node::builder().listen("tcp://127.0.0.1:0").start().await?;
//! let reference = host.export(&Proxy::<dyn Greeter>::new(Polite))?;
//!
//! let caller = Node::builder().start().await?;
//! let greeter: Proxy<dyn Greeter> = caller.proxy(&reference)?;
//! assert_eq!(greeter.greet("world").await?, "Good day, world.");
//! # Ok(())
//! # }
//! ```
//!
//! The bounds on what a peer can do are in [`limits`], the ways between processes in [`transport`], names in [`naming`],
//! semaphores in [`sync`].

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
pub mod streaming;
pub mod sync;
#[cfg(test)]
mod tests;
pub mod transport;
mod wire;

pub use bytes::Bytes;
pub use call::{
    Call, CallContext, CallOptions, Dispatch, Dispatched, Incoming, Invocation, Invoke, Outcome, Promised, Reply,
    Status, Target, Watching,
};
pub use endpoint::{Endpoint, EndpointError};
pub use error::{ErrorKind, Executed, Fault, RemoteError};
pub use id::{InterfaceId, MethodId, NodeId, ObjectId};
pub use interface::{Accepts, Descriptor, Failure, Interface, InterfaceType, Method, MethodResult, Servant};
pub use limits::Limits;
pub use metadata::Metadata;
pub use naming::Registry;
pub use node::{Child, Node, NodeBuilder, NodeError};
pub use object::{Hold, ObjectInfo};
pub use peer::{Fingerprint, FingerprintError, Identity, Peer};
pub use proxy::{AnyProxy, Proxy, WeakProxy};
pub use reference::{ObjectRef, ReferenceError};
pub use rmi_macros::remote;
pub use security::{Access, Authorizer, Request};
pub use streaming::{StreamSender, Streaming};

/// The README's example, compiled.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
