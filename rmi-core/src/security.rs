//! Who may connect, and who may call what.

use crate::endpoint::Endpoint;
use crate::id::{InterfaceId, ObjectId};
use crate::peer::Peer;

/// A node's word about its peers, given by the program: [`NodeBuilder::authorizer`](crate::NodeBuilder::authorizer).
///
/// Knowing an object's id is the right to call it; this is for what goes beyond. Its methods run on the task that reads
/// the connection and must not wait.
pub trait Authorizer: Send + Sync + 'static {
    /// Whether a peer that has said hello may stay.
    fn admit(&self, peer: &Peer) -> Access {
        let _ = peer;
        Access::Allow
    }

    /// Whether the peer may hold the object, whose most derived interface is `interface`. Asked when the peer has the
    /// reference from somebody else, or from before a lost connection; anything but `Allow` is answered as if there were no
    /// such object.
    fn hold(&self, peer: &Peer, object: ObjectId, interface: &str) -> Access {
        let _ = (peer, object, interface);
        Access::Allow
    }

    /// Whether to dial `endpoint`, which `introducer` has given us: in a reference to an object of a third node, or as its own.
    /// Calls on an object none of whose endpoints are allowed go through the introducer.
    fn dial(&self, introducer: &Peer, endpoint: &Endpoint) -> Access {
        let _ = (introducer, endpoint);
        Access::Allow
    }

    /// Whether the peer may make this call.
    fn authorize(&self, peer: &Peer, request: &Request<'_>) -> Access {
        let _ = (peer, request);
        Access::Allow
    }
}

/// What an [`Authorizer`] says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// Go on.
    Allow,
    /// No: the peer gets `Denied` with this text.
    Deny(String),
    /// No, and the peer learns nothing: it gets the answer for an object that does not exist.
    Hide,
}

/// A call about to be dispatched.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Request<'a> {
    /// The object.
    pub object: ObjectId,
    /// The name of the object's most derived interface; of several that are unrelated, of the one that has the method.
    pub interface: &'a str,
    /// The interface that declares the method. Every object has `rmi.Object`, whose method `interfaces` says what else it
    /// is.
    pub declared_by: InterfaceId,
    /// The name of the method on the wire.
    pub method: &'a str,
}

/// The authorizer of a node that was given none.
pub(crate) struct AllowAll;

impl Authorizer for AllowAll {}
