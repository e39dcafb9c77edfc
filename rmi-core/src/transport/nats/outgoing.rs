//! The pieces that one side sends: kept until they have arrived, sent again when nobody says so.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::flow::Over;
use crate::limits;

/// The longest that is waited before pieces are sent once more.
const PATIENCE_MOST: Duration = Duration::from_secs(2);

/// What this side sends.
pub(super) struct Outgoing {
    /// The pieces that the peer has not said to have.
    kept: VecDeque<Bytes>,
    /// The number of the first of them.
    acknowledged: u64,
    /// The number of the next one to leave.
    next: u64,
    /// The first number that may not leave yet.
    room: u64,
    ended: bool,
    again_at: Option<Instant>,
    patience: Duration,
}

impl Outgoing {
    pub(super) fn new() -> Self {
        Self {
            kept: VecDeque::new(),
            acknowledged: 0,
            next: 0,
            room: limits::BROKER_WINDOW,
            ended: false,
            again_at: None,
            patience: limits::BROKER_RESEND,
        }
    }

    /// The number that the next new piece gets.
    fn made(&self) -> u64 {
        self.acknowledged + self.kept.len() as u64
    }

    pub(super) fn has_room(&self) -> bool {
        !self.ended && self.made() < self.room
    }

    /// Takes a piece to send; one without bytes is the last.
    pub(super) fn push(&mut self, piece: Bytes) {
        self.ended = piece.is_empty();
        self.kept.push_back(piece);
    }

    /// Whether the end has been said and has arrived.
    pub(super) fn is_done(&self) -> bool {
        self.ended && self.kept.is_empty()
    }

    /// What the peer says to have received and read. Old news is no news.
    pub(super) fn acknowledge(&mut self, received: u64, taken: u64, now: Instant) -> Result<(), Over> {
        if received > self.made() || taken > received {
            return Err(Over::Unsent { received, taken, made: self.made() });
        }
        self.room = self.room.max(taken + limits::BROKER_WINDOW);
        if received <= self.acknowledged {
            return Ok(());
        }
        while self.acknowledged < received && self.kept.pop_front().is_some() {
            self.acknowledged += 1;
        }
        self.next = self.next.max(received);
        self.patience = limits::BROKER_RESEND;
        self.again_at = (!self.kept.is_empty()).then_some(now + self.patience);
        Ok(())
    }

    /// The next piece to send, with its number.
    pub(super) fn poll(&mut self, now: Instant) -> Option<(u64, Bytes)> {
        let at = usize::try_from(self.next - self.acknowledged).ok()?;
        let piece = self.kept.get(at)?.clone();
        let number = self.next;
        self.next += 1;
        self.again_at.get_or_insert(now + self.patience);
        Some((number, piece))
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.again_at
    }

    /// What nobody has said to have goes once more, each time later: the broker may be away, or only slow.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if self.again_at.is_some_and(|at| at <= now) {
            self.next = self.acknowledged;
            self.patience = (self.patience * 2).min(PATIENCE_MOST);
            self.again_at = Some(now + self.patience);
        }
    }
}
