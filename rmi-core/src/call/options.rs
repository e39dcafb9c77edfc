//! What a caller may say about a call besides its arguments.

use std::time::Duration;

use crate::metadata::Metadata;

/// How the calls through one proxy are made: [`Proxy::with`](crate::Proxy::with).
///
/// ```
/// # use std::time::Duration;
/// let options = rmi_core::CallOptions::new().timeout(Duration::from_millis(50)).metadata("tenant", "a");
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CallOptions {
    pub(crate) timeout: Option<Duration>,
    pub(crate) metadata: Metadata,
}

impl CallOptions {
    /// No options set: the method's or the node's deadline, no metadata.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives each call this long, including the time it waits for a place or a connection. A call made inside another
    /// never gets longer than what the outer one has left.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sends a key and a value with each call; the servant finds them in its [`CallContext`](crate::CallContext).
    /// Limits: 16 pairs, 4,096 bytes together; a call with more fails with `TooLarge` and is not sent.
    #[must_use]
    pub fn metadata(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata.push(key.into(), value.into());
        self
    }
}
