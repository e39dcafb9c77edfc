//! Credit for bytes: how much of one lane's bodies may be under way.

use crate::wire::frame::Lane;

/// One of something for each lane.
#[derive(Debug, Default)]
pub(super) struct Lanes<T> {
    pub(super) calls: T,
    pub(super) replies: T,
}

impl<T> Lanes<T> {
    pub(super) fn lane(&mut self, lane: Lane) -> &mut T {
        match lane {
            Lane::Calls => &mut self.calls,
            Lane::Replies => &mut self.replies,
        }
    }
}

/// What we may still send on one lane.
///
/// The whole length of a body is taken before its first byte goes out, so a body that has begun can always be finished:
/// two half-sent bodies never wait for each other.
#[derive(Debug, Default)]
pub(super) struct SendWindow {
    available: u64,
    granted: u64,
}

impl SendWindow {
    pub(super) fn open(&mut self, bytes: u64) {
        (self.available, self.granted) = (bytes, bytes);
    }

    pub(super) fn take(&mut self, bytes: usize) -> bool {
        match self.available.checked_sub(bytes as u64) {
            Some(left) => {
                self.available = left;
                true
            }
            None => false,
        }
    }

    /// The peer gives bytes back; `false` when it gives more than it ever got.
    pub(super) fn credit(&mut self, bytes: u64) -> bool {
        match self.available.checked_add(bytes) {
            Some(sum) if sum <= self.granted => {
                self.available = sum;
                true
            }
            _ => false,
        }
    }
}

/// What the peer may still send us on one lane.
#[derive(Debug)]
pub(super) struct ReceiveWindow {
    limit: u64,
    outstanding: u64,
    owed: u64,
}

impl ReceiveWindow {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit: limit as u64, outstanding: 0, owed: 0 }
    }

    /// A body of this length was announced; `false` when it does not fit.
    pub(super) fn receive(&mut self, bytes: usize) -> bool {
        self.outstanding = self.outstanding.saturating_add(bytes as u64);
        self.outstanding <= self.limit
    }

    /// A body of this length was handed over or dropped. Returns what to credit the peer with, once it is worth a frame.
    pub(super) fn hand_over(&mut self, bytes: usize) -> Option<u64> {
        self.owed += bytes as u64;
        if self.owed < self.limit / 4 {
            return None;
        }
        self.outstanding = self.outstanding.saturating_sub(self.owed);
        Some(std::mem::take(&mut self.owed))
    }
}
