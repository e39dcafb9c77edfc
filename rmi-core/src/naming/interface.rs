//! The registry as a remote object.

use std::time::Duration;

use rmi_macros::remote;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::endpoint::EndpointError;
use crate::error::RemoteError;
use crate::naming::binding::{Binding, Page, Tags, TagsError};
use crate::naming::name::{Name, NameError, Prefix};
use crate::naming::watch::{Position, Watch};
use crate::reference::ObjectRef;

/// What a host proves with that bindings are its own. A secret between the host and the registry.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Token(Uuid);

impl Token {
    /// A fresh token from the operating system's random source.
    #[must_use]
    pub fn random() -> Self {
        Self(Uuid::new_v4())
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}

/// A host's time-limited claim to its bindings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Lease {
    /// What the host shows to renew, bind and unbind.
    pub token: Token,
    /// How long the bindings live without a renewal.
    pub duration: Duration,
}

impl Lease {
    /// A lease made of these parts.
    #[must_use]
    pub fn new(token: Token, duration: Duration) -> Self {
        Self { token, duration }
    }
}

/// A name that a host believes to have bound.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Claim {
    /// The name.
    pub name: Name,
    /// The revision that the registry gave it.
    pub revision: u64,
}

impl Claim {
    /// A claim made of these parts.
    #[must_use]
    pub fn new(name: Name, revision: u64) -> Self {
        Self { name, revision }
    }
}

/// What a renewal found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Renewed {
    /// The claims that the registry does not know: it lost them, or somebody else has the names now.
    pub lost: Vec<Name>,
}

impl Renewed {
    /// What a renewal that did not find these names answers.
    #[must_use]
    pub fn new(lost: Vec<Name>) -> Self {
        Self { lost }
    }
}

/// The registry. Programs use [`Registry`](crate::Registry), which keeps a lease renewed.
#[remote(name = "rmi.Registry")]
pub trait Naming {
    /// Answers at once.
    #[remote(idempotent)]
    async fn ping(&self) -> Result<(), NamingError>;

    /// Begins a lease.
    async fn join(&self) -> Result<Lease, NamingError>;

    /// Keeps all bindings of a lease alive, and says which of the claims are lost. After a restart of the registry this is
    /// what verifies them. A host with more claims than go into a call of 64 KiB makes several.
    #[remote(idempotent)]
    async fn renew(&self, token: Token, claims: &[Claim]) -> Result<Renewed, NamingError>;

    /// Ends a lease; its bindings go.
    #[remote(idempotent)]
    async fn leave(&self, token: Token) -> Result<(), NamingError>;

    /// Binds a name that is free and returns the revision.
    async fn bind(&self, token: Token, name: &Name, object: &ObjectRef, tags: &Tags) -> Result<u64, NamingError>;

    /// Binds a name whether or not it is free; when `expected` is given, only if the binding still has that revision.
    async fn rebind(
        &self,
        token: Token,
        name: &Name,
        object: &ObjectRef,
        tags: &Tags,
        expected: Option<u64>,
    ) -> Result<u64, NamingError>;

    /// Frees a name; when `expected` is given, only if the binding still has that revision. Returns the revision of the
    /// change.
    async fn unbind(&self, name: &Name, expected: Option<u64>) -> Result<u64, NamingError>;

    /// What a name leads to.
    #[remote(idempotent)]
    async fn lookup(&self, name: &Name) -> Result<Binding, NamingError>;

    /// The bindings under `prefix` after the name `after`: `limit` at most, 1,000 at most, and no more than 64 KiB, but one if
    /// there is one.
    #[remote(idempotent)]
    async fn list(&self, prefix: &Prefix, after: Option<&Name>, limit: u32) -> Result<Page, NamingError>;

    /// Tells every change under `prefix` after `position`, or from now on.
    async fn watch(&self, prefix: &Prefix, position: Option<Position>) -> Result<Watch, NamingError>;
}

/// Why the registry could not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[non_exhaustive]
pub enum NamingError {
    /// The name is bound.
    #[error("{name} is bound already, with revision {revision}")]
    AlreadyBound {
        /// The name.
        name: Name,
        /// The revision of its binding.
        revision: u64,
    },
    /// The name is not bound.
    #[error("{0} is not bound")]
    NotBound(Name),
    /// The binding is not the one that was expected.
    #[error("{name} has revision {found}, not {expected}")]
    Conflict {
        /// The name.
        name: Name,
        /// The revision that was asked for.
        expected: u64,
        /// The revision it has.
        found: u64,
    },
    /// Not a name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// Too many or too long tags.
    #[error(transparent)]
    Tags(#[from] TagsError),
    /// The object is not what the caller wants it to be.
    #[error("{name} is not a {wanted}; it implements {found}")]
    WrongInterface {
        /// The name.
        name: Name,
        /// The interface that was asked for.
        wanted: String,
        /// The interfaces it implements.
        found: String,
    },
    /// The lease has ended, or never was.
    #[error("the lease is not known; it has ended")]
    NoLease,
    /// An object that nobody could reach.
    #[error("the node listens nowhere, so nobody could reach the object; let it listen, or advertise an endpoint")]
    NoEndpoint,
    /// Something is used up.
    #[error("the registry has {limit} {what}, which is the limit")]
    Full {
        /// Of what.
        what: String,
        /// How many there may be.
        limit: u64,
    },
    /// The changes after a position are not known any more, or the registry was started again: list, and watch from now on.
    #[error(
        "the changes after revision {after} cannot be told without a gap; known are those after {since} up to {newest}"
    )]
    Gap {
        /// The revision that was asked for.
        after: u64,
        /// Every change after this one is known.
        since: u64,
        /// The last change.
        newest: u64,
    },
    /// The registry's file cannot be written.
    #[error("the registry cannot store the change: {0}")]
    Storage(String),
    /// No registry was found.
    #[error("no registry answers at {tried}: {reason}")]
    NoRegistry {
        /// Where it was looked for.
        tried: String,
        /// What came of it.
        reason: String,
    },
    /// Not an endpoint.
    #[error("{0}")]
    Endpoint(String),
    /// A registry was to be announced that others cannot reach.
    #[error(
        "others can use none of the registry's endpoints, so there is nothing to announce; let it listen with tcp, tls or \
         quic on an address that is not a loopback address"
    )]
    NotAnnounced,
    /// The operating system does not let the local network be asked.
    #[error("the local network cannot be asked: {0}")]
    NoMulticast(String),
    /// The call failed.
    #[error(transparent)]
    Remote(#[from] RemoteError),
}

impl From<EndpointError> for NamingError {
    fn from(error: EndpointError) -> Self {
        Self::Endpoint(error.to_string())
    }
}
