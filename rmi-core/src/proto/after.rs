//! What is to be done once the session's lock is free again.

use std::fmt;
use std::task::Waker;

/// The references that a frame carries: told when the frame is queued, dropped untold when it never is.
///
/// Dropping it may run the program's code, so the session never drops one: it hands it to [`After`].
pub(crate) trait Cargo: Send {
    /// The frame is queued and will go out, if the connection lives.
    fn sent(&mut self);
}

impl fmt::Debug for dyn Cargo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cargo")
    }
}

/// Callers to wake and cargo to drop.
#[derive(Default)]
pub(crate) struct After {
    pub(crate) wakes: Vec<Waker>,
    pub(crate) cargo: Vec<Box<dyn Cargo>>,
}

impl After {
    /// What there is; nearly always nothing.
    #[inline]
    pub(super) fn take(&mut self) -> Option<Self> {
        (!self.wakes.is_empty() || !self.cargo.is_empty()).then(|| std::mem::take(self))
    }
}
