//! Why a remote call failed, and whether the method ran.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::limits::ERROR_TEXT_BYTES_MAX;

/// Whether the method ran: the question of every caller whose call failed. Promise P2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Executed {
    /// The method did not run and will not: calling again is safe.
    No,
    /// Nobody on this side can know.
    Maybe,
    /// The method ran, at least in part.
    Yes,
}

impl fmt::Display for Executed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::No => "not executed",
            Self::Maybe => "may have been executed",
            Self::Yes => "executed",
        })
    }
}

/// Who has to change something so that the error goes away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// The program that made the call.
    Caller,
    /// The program that owns the object.
    Servant,
    /// The network, or the life of the other process.
    Network,
    /// A limit or a load: less, or later, would have worked.
    Limit,
    /// The other side does not follow the protocol.
    Peer,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $fault:ident;)*) => {
        /// What went wrong. The numbers are those of protocol §8.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[non_exhaustive]
        #[repr(u16)]
        pub enum ErrorKind {
            $($(#[$doc])* $name = $code,)*
        }

        impl ErrorKind {
            /// Every kind, in the order of the numbers.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The number on the wire. Protocol §8.
            #[must_use]
            pub const fn code(self) -> u16 {
                self as u16
            }

            /// The kind with this number, if this version knows it.
            #[must_use]
            pub const fn from_code(code: u16) -> Option<Self> {
                match code {
                    $($code => Some(Self::$name),)*
                    _ => None,
                }
            }

            /// Who is at fault.
            #[must_use]
            pub const fn fault(self) -> Fault {
                match self {
                    $(Self::$name => Fault::$fault,)*
                }
            }
        }
    };
}

kinds! {
    /// An argument cannot be encoded.
    BadArgument = 1, Caller;
    /// The arguments do not decode to what the method takes.
    BadArguments = 2, Caller;
    /// No object with this id is exported, or it is not for this peer: the answer is the same.
    NoSuchObject = 3, Caller;
    /// The object does not implement the interface.
    NoSuchInterface = 4, Caller;
    /// The interface has no such method on the other side.
    NoSuchMethod = 5, Caller;
    /// The caller may not do this.
    Denied = 6, Caller;
    /// The API was used in a way that cannot work.
    Misuse = 7, Caller;
    /// The call was cancelled.
    Cancelled = 8, Caller;
    /// The call that promised the object came to something else: an error of its own, or no reference.
    PromiseBroken = 9, Caller;
    /// The servant panicked.
    Panicked = 20, Servant;
    /// The result cannot be encoded.
    BadResult = 21, Servant;
    /// No endpoint of the node could be reached.
    Unreachable = 40, Network;
    /// The connection was lost.
    Disconnected = 41, Network;
    /// The node that owned the object is gone; another one answers in its place.
    Gone = 42, Network;
    /// The deadline passed.
    Deadline = 60, Limit;
    /// Too much is going on: a place, a queue or a budget is used up.
    Overloaded = 61, Limit;
    /// The node is shutting down and takes no new calls.
    Draining = 62, Limit;
    /// Something is larger than its limit.
    TooLarge = 63, Limit;
    /// The reply does not decode to what the method returns.
    BadReply = 80, Peer;
    /// The peer broke the protocol.
    Protocol = 81, Peer;
    /// An error of a kind that this version does not know.
    Unknown = 99, Peer;
}

/// A remote call that failed. Cheap to clone; one pointer wide.
///
/// The text names the subject, the value and the bound: `body of 17825792 bytes exceeds the limit of 16777216`.
///
/// When a servant passes an error of a call of its own on to its caller, that caller finds
/// [`is_relayed`](Self::is_relayed) set: [`executed`](Self::executed) then speaks about the inner call, and no retry
/// follows from it.
#[derive(Clone)]
pub struct RemoteError(Box<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    executed: Executed,
    relayed: bool,
    message: String,
    retry_after: Option<Duration>,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

impl RemoteError {
    /// An error of this kind with this text.
    #[must_use]
    pub fn new(kind: ErrorKind, executed: Executed, message: impl Into<String>) -> Self {
        let message = message.into();
        Self(Box::new(Inner { kind, executed, relayed: false, message, retry_after: None, source: None }))
    }

    /// The same error with what caused it.
    #[must_use]
    pub fn with_source(mut self, source: impl Error + Send + Sync + 'static) -> Self {
        self.0.source = Some(Arc::new(source));
        self
    }

    /// The same error with the time after which the callee suggests another attempt.
    #[must_use]
    pub fn with_retry_after(mut self, after: Duration) -> Self {
        self.0.retry_after = Some(after);
        self
    }

    /// The same error as seen one hop further: [`is_relayed`](Self::is_relayed) is set.
    #[must_use]
    pub fn relayed(mut self) -> Self {
        self.0.relayed = true;
        self
    }

    /// The same error with what it was about before its text.
    #[must_use]
    pub(crate) fn within(mut self, what: &str) -> Self {
        self.0.message = format!("{what}: {}", self.0.message);
        self
    }

    /// The same error about a call that had come so far already.
    #[must_use]
    pub(crate) fn at_least(mut self, executed: Executed) -> Self {
        self.0.executed = self.0.executed.max(executed);
        self
    }

    /// What went wrong.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Who is at fault.
    #[must_use]
    pub fn fault(&self) -> Fault {
        self.0.kind.fault()
    }

    /// Whether the method ran. `No` is a promise.
    #[must_use]
    pub fn executed(&self) -> Executed {
        self.0.executed
    }

    /// Whether the error is about a call that the servant made in its turn.
    #[must_use]
    pub fn is_relayed(&self) -> bool {
        self.0.relayed
    }

    /// The text, without the words about execution that [`Display`](fmt::Display) adds.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The time after which the callee suggests another attempt.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Whether another attempt cannot run the method twice: it did not run, or it is idempotent and the failure was not
    /// the method's own. A relayed error never says so.
    #[must_use]
    pub fn retry_is_safe(&self, idempotent: bool) -> bool {
        let again = matches!(
            self.0.kind,
            ErrorKind::Unreachable | ErrorKind::Disconnected | ErrorKind::Overloaded | ErrorKind::Draining
        );
        again && !self.0.relayed && (self.0.executed == Executed::No || idempotent)
    }
}

impl fmt::Display for RemoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.0.message, self.0.executed)
    }
}

impl fmt::Debug for RemoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("RemoteError");
        out.field("kind", &self.0.kind).field("executed", &self.0.executed).field("message", &self.0.message);
        if self.0.relayed {
            out.field("relayed", &true);
        }
        out.finish()
    }
}

impl Error for RemoteError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source.as_ref().map(|source| &**source as &(dyn Error + 'static))
    }
}

impl PartialEq for RemoteError {
    fn eq(&self, other: &Self) -> bool {
        let (a, b) = (&self.0, &other.0);
        (a.kind, a.executed, a.relayed, &a.message) == (b.kind, b.executed, b.relayed, &b.message)
    }
}

impl Eq for RemoteError {}

impl From<std::convert::Infallible> for RemoteError {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}

/// Cuts a text between two characters to what an error may carry over the wire.
pub(crate) fn cut(text: &str) -> &str {
    let end = text.floor_char_boundary(ERROR_TEXT_BYTES_MAX.min(text.len()));
    text.get(..end).unwrap_or_default()
}

/// A remote error inside a value: what a servant's error carries when one of its own calls failed. A long text is cut, as is that
/// of a fault.
impl Serialize for RemoteError {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.0.kind.code(), self.0.executed, cut(&self.0.message)).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for RemoteError {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (code, executed, message) = <(u16, Executed, String)>::deserialize(deserializer)?;
        let kind = ErrorKind::from_code(code).unwrap_or(ErrorKind::Unknown);
        Ok(Self::new(kind, executed, message).relayed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_own_number() {
        for kind in ErrorKind::ALL {
            assert_eq!(ErrorKind::from_code(kind.code()), Some(*kind));
        }
        assert_eq!(ErrorKind::from_code(77), None);
    }

    #[test]
    fn only_a_call_that_did_not_run_is_retried() {
        let lost = |executed| RemoteError::new(ErrorKind::Disconnected, executed, "connection lost");
        assert!(lost(Executed::No).retry_is_safe(false));
        assert!(!lost(Executed::Maybe).retry_is_safe(false));
        assert!(lost(Executed::Maybe).retry_is_safe(true));
        assert!(!lost(Executed::No).relayed().retry_is_safe(true));
        assert!(!RemoteError::new(ErrorKind::NoSuchMethod, Executed::No, "").retry_is_safe(true));
    }
}
