//! Tests that must not run at the same time as others.

use std::sync::{Condvar, Mutex, PoisonError};

/// Whether somebody uses message queues.
static BUSY: Mutex<bool> = Mutex::new(false);
static FREE: Condvar = Condvar::new();

/// While it is there, nobody else in this process has one.
#[derive(Debug)]
pub struct Alone(());

impl Alone {
    /// Waits until nobody else uses message queues: all queues of a user together have room for few channels.
    #[must_use]
    pub fn among_queues() -> Self {
        let busy = BUSY.lock().unwrap_or_else(PoisonError::into_inner);
        let mut busy = FREE.wait_while(busy, |busy| *busy).unwrap_or_else(PoisonError::into_inner);
        *busy = true;
        Self(())
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        *BUSY.lock().unwrap_or_else(PoisonError::into_inner) = false;
        FREE.notify_one();
    }
}
