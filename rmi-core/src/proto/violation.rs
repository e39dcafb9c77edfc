//! The rules of the protocol that a peer can break.

use crate::limits;
use crate::proto::promises::PromiseError;
use crate::wire::FrameError;

/// The rule that the peer broke.
#[derive(Debug, thiserror::Error)]
pub(super) enum Violation {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error(transparent)]
    Place(#[from] super::answering::PlaceError),
    #[error(transparent)]
    Promise(#[from] PromiseError),
    #[error("it speaks TLS, and this is a connection without; dial and listen on tls://")]
    Tls,
    #[error("{0} before the hello")]
    BeforeHello(&'static str),
    #[error("a second hello")]
    SecondHello,
    #[error("a reply to a call that was not made")]
    UnknownReply,
    #[error("a piece of a reply that was not announced, or does not end where it should")]
    BadPiece,
    #[error("body of {bytes} bytes exceeds the limit of {limit}")]
    BodyTooLarge { bytes: usize, limit: usize },
    #[error("bodies beyond the window of {0} bytes")]
    WindowExceeded(usize),
    #[error("more credit than was taken")]
    TooMuchCredit,
    #[error("control frames while {unread} bytes are unread, the limit is {limit}")]
    Unread { unread: u64, limit: usize },
    #[error("datagram of {0} bytes exceeds the limit of {limit}", limit = limits::DATAGRAM_BYTES_MAX)]
    DatagramTooLong(usize),
    #[error("a stream beside the others that {0}")]
    Aside(&'static str),
    #[error("a datagram that {0}")]
    Datagram(&'static str),
    #[error("more than {} control frames in a second", limits::CONTROL_FRAMES_PER_SECOND_MAX)]
    TooManyControlFrames,
}
