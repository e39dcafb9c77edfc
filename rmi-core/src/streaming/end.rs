//! How a stream ends.

use crate::error::{ErrorKind, Executed, RemoteError};

/// Why a stream has no more items: [`Streaming::end`](crate::Streaming::end).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum End {
    /// The producer had no more.
    Finished,
    /// The producer ended it with an error, an item could not be encoded or decoded, or a side broke the rules.
    Failed(RemoteError),
    /// Its producer was cancelled before the end.
    Cancelled,
    /// The producer's node went away, or the connection to it.
    Lost,
}

impl End {
    /// The end that an error means. A relayed error says nothing about the stream's own connection.
    pub(super) fn of(error: RemoteError) -> Self {
        match error.kind() {
            ErrorKind::Disconnected if !error.is_relayed() => Self::Lost,
            ErrorKind::Cancelled => Self::Cancelled,
            _ => Self::Failed(error),
        }
    }

    /// What the reader of the stream gets as its last item; nothing when it came to its end.
    pub(super) fn error(&self) -> Option<RemoteError> {
        let error = |kind, text: &str| RemoteError::new(kind, Executed::Maybe, text);
        match self {
            Self::Finished => None,
            Self::Failed(failure) => Some(failure.clone()),
            Self::Cancelled => Some(error(ErrorKind::Cancelled, "the stream was cancelled before its end")),
            Self::Lost => Some(error(ErrorKind::Disconnected, "the stream's producer was lost before the end")),
        }
    }
}
