//! Names for objects: the caller's side of the registry.
//!
//! [`Registry`] is what programs use. The registry itself is a remote object, [`Naming`], under a well-known id
//! ([`ObjectId::REGISTRY`](crate::ObjectId::REGISTRY)), so everything that holds for calls holds for it.

#[cfg(feature = "discovery")]
mod announcement;
mod binding;
#[cfg(feature = "discovery")]
mod discovery;
mod group;
mod interface;
mod listing;
mod name;
mod places;
mod registry;
mod renewal;
mod watch;

#[cfg(feature = "discovery")]
pub use announcement::Announcement;
pub use binding::{Binding, Change, Event, Page, Tags, TagsError};
#[cfg(feature = "discovery")]
pub use discovery::Found;
pub use group::Balance;
pub use interface::{Claim, Lease, Naming, NamingError, Renewed, Token};
pub use name::{Name, NameError, Prefix};
pub use places::{REGISTRY_VARIABLE, default_endpoints, runtime_directory};
pub use registry::Registry;
pub use watch::{Follow, Followed, Position, Watch};
