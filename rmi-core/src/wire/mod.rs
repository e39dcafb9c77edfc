//! Bytes and values: frames, and the MessagePack bodies inside them.
//!
//! In come bytes from anybody, out come frames and values that hold what `docs/protocol.md` says, or an error. Nothing
//! here knows about connections, time or tokio.

pub(crate) mod codec;
pub(crate) mod describe;
mod encode;
pub(crate) mod fault;
pub(crate) mod frame;
mod head;
pub(crate) mod hello;
pub(crate) mod holding;
mod lenient;
pub(crate) mod reference;
mod scan;
mod stack;
#[cfg(test)]
mod tests;

/// Why bytes are not a frame. Whoever sent them does not follow the protocol, and the connection is closed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FrameError {
    #[error("frame of {bytes} bytes exceeds the limit of {limit}")]
    TooLong { bytes: usize, limit: usize },
    #[error("{0} frame ends too early")]
    Truncated(&'static str),
    #[error("frame kind {0} is not known")]
    UnknownKind(u8),
    #[error("{what} {value} is not known")]
    UnknownValue { what: &'static str, value: u64 },
    #[error("{what}: {value} exceeds the limit of {limit}")]
    TooMany { what: &'static str, value: usize, limit: usize },
    #[error("{0} is not UTF-8")]
    NotText(&'static str),
    #[error("{what} is not valid: {reason}")]
    Invalid { what: &'static str, reason: String },
    #[error("the peer speaks {theirs} of the protocol and this node {ours}; they have none in common")]
    OtherVersions { theirs: hello::Versions, ours: hello::Versions },
    #[error("the peer does not speak this protocol: the hello begins with {0:02x?}")]
    NotOurs([u8; 4]),
}
