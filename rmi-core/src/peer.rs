//! What is known about the other side of a connection.

use std::fmt;

use crate::id::NodeId;

/// What the transport has *proven* about the peer. What the peer says about itself is not in here.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Identity {
    /// Nothing: anybody who can reach the socket.
    #[default]
    Unproven,
    /// This very process.
    SameProcess,
    /// The kernel's word about a process on this machine (`SO_PEERCRED`).
    Process {
        /// The user id the peer ran as when it connected.
        uid: u32,
        /// The group id the peer ran as when it connected.
        gid: u32,
        /// The process id when it connected; it may have been given to another process since.
        pid: Option<i32>,
    },
}

impl Identity {
    /// Whether the two are proven to be the same user, or nothing is proven about either.
    pub(crate) fn is_same_principal(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Process { uid, .. }, Self::Process { uid: other, .. }) => uid == other,
            _ => self == other,
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unproven => f.write_str("unproven"),
            Self::SameProcess => f.write_str("this process"),
            Self::Process { uid, gid, pid: Some(pid) } => write!(f, "uid {uid}, gid {gid}, pid {pid}"),
            Self::Process { uid, gid, pid: None } => write!(f, "uid {uid}, gid {gid}"),
        }
    }
}

/// The peer of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Peer {
    /// The node id the peer gave in its hello. It is a claim, not a proof.
    pub node: NodeId,
    /// The connection: a number that no other connection of this process has.
    pub connection: u64,
    /// What the transport has proven.
    pub identity: Identity,
    /// Where the connection goes to or came from, in the transport's words, for people.
    pub address: String,
}
