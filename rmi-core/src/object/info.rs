//! Why an exported object is alive, for people and tools.

use std::fmt;
use std::time::Duration;

use crate::id::{NodeId, ObjectId};

/// An exported object and everything that keeps it alive: [`Node::objects`](crate::Node::objects).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ObjectInfo {
    /// The object.
    pub object: ObjectId,
    /// The names of its interfaces, the most derived first.
    pub interfaces: Vec<String>,
    /// Why it is alive. Empty for a moment only, while the last hold is being taken off.
    pub holds: Vec<Hold>,
}

/// One reason why an object is alive.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Hold {
    /// The program exported it, and has not taken that back.
    Exported,
    /// It is bound in a registry under this name.
    Bound(String),
    /// A peer holds it.
    Peer {
        /// The peer's node, as it says; `None` before its hello.
        node: Option<NodeId>,
        /// The connection, or the one that was lost.
        connection: u64,
        /// The copies of the reference that the peer has, or that are on their way.
        copies: u32,
        /// How many of these are in frames that wait to be sent.
        queued: u32,
        /// How much longer the object is kept if the peer is not heard of any more.
        left: Duration,
        /// Whether there is contact; without it the lease runs out.
        connected: bool,
    },
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exported => f.write_str("exported by the program"),
            Self::Bound(name) => write!(f, "bound as {name}"),
            Self::Peer { node, connection, copies, queued, left, connected } => {
                match node {
                    Some(node) => write!(f, "held by node {node}")?,
                    None => f.write_str("held by a node that has not said hello")?,
                }
                let contact = if *connected { "over" } else { "lost with" };
                write!(
                    f,
                    ", {contact} connection {connection}: {copies} {}",
                    if *copies == 1 { "copy" } else { "copies" }
                )?;
                if *queued > 0 {
                    write!(f, ", {queued} of them in frames that wait to be sent")?;
                }
                write!(f, ", lease good for {left:.1?}")
            }
        }
    }
}
