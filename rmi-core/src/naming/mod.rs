//! Names for objects: the caller's side of the registry.
//!
//! [`Registry`] is what programs use. The registry itself is a remote object, [`Naming`], under a well-known id
//! ([`ObjectId::REGISTRY`](crate::ObjectId::REGISTRY)), so everything that holds for calls holds for it.

mod binding;
mod group;
mod interface;
mod listing;
mod name;
mod places;
mod registry;
mod renewal;
mod watch;

pub use binding::{Binding, Change, Event, Page, Tags, TagsError};
pub use group::Balance;
pub use interface::{Claim, Lease, Naming, NamingError, Renewed, Token};
pub use name::{Name, NameError, Prefix};
pub use places::{REGISTRY_VARIABLE, default_endpoints, runtime_directory};
pub use registry::Registry;
pub use watch::{Follow, Followed, Position, Watch};
