//! The stack that a value takes while it is written or read.

use std::ptr;

use crate::limits::STACK_BYTES_MAX;

/// The place of the stack when the value began.
#[derive(Clone, Copy)]
pub(super) struct Stack(usize);

impl Stack {
    /// The value begins here.
    #[inline]
    pub(super) fn here() -> Self {
        let mark = 0_u8;
        Self(ptr::from_ref(&mark).addr())
    }

    /// Says whether the value has taken what it may.
    #[inline]
    pub(super) fn is_used_up(self) -> bool {
        Self::here().0.abs_diff(self.0) > STACK_BYTES_MAX
    }
}
