//! Signs of life: when to ask the peer for one, and when to give it up.

use std::time::{Duration, Instant};

use crate::limits;

/// What is due.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Due {
    Nothing,
    Ping,
    /// The peer sent nothing for this long.
    Silent(Duration),
    /// The peer left our bytes unread for this long.
    Stalled(Duration),
}

/// How long to wait for signs of life.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// The silence after which the peer is asked for one.
    pub(super) silence: Duration,
    /// The time for its answer.
    pub(super) answer: Duration,
    /// The time in which it must take something of what waits.
    pub(super) stall: Duration,
}

#[derive(Debug)]
pub(super) struct Liveness {
    last_received: Instant,
    pinged: Option<Instant>,
    /// Since when bytes wait and none were taken.
    stalled: Option<Instant>,
    control_left: u32,
    control_refilled: Instant,
}

impl Liveness {
    pub(super) fn new(now: Instant) -> Self {
        let control_left = limits::CONTROL_FRAMES_PER_SECOND_MAX;
        Self { last_received: now, pinged: None, stalled: None, control_left, control_refilled: now }
    }

    pub(super) fn last_received(&self) -> Instant {
        self.last_received
    }

    pub(super) fn received(&mut self, now: Instant) {
        self.last_received = now;
        self.pinged = None;
    }

    pub(super) fn output_waits(&mut self, now: Instant) {
        self.stalled.get_or_insert(now);
    }

    pub(super) fn output_taken(&mut self, now: Instant, flushed: bool) {
        self.stalled = (!flushed).then_some(now);
    }

    pub(super) fn poll(&mut self, now: Instant, patience: Patience) -> Due {
        if let Some(since) = self.stalled
            && now.saturating_duration_since(since) >= patience.stall
        {
            return Due::Stalled(now.saturating_duration_since(since));
        }
        match self.pinged {
            Some(at) if now.saturating_duration_since(at) >= patience.answer => {
                Due::Silent(now.saturating_duration_since(self.last_received))
            }
            None if now.saturating_duration_since(self.last_received) >= patience.silence => {
                self.pinged = Some(now);
                Due::Ping
            }
            _ => Due::Nothing,
        }
    }

    /// When [`poll`](Self::poll) has something to say at the earliest.
    pub(super) fn next(&self, patience: Patience) -> Instant {
        let silence = match self.pinged {
            Some(at) => at + patience.answer,
            None => self.last_received + patience.silence,
        };
        self.stalled.map_or(silence, |since| silence.min(since + patience.stall))
    }

    /// Counts a control frame of so much weight; `false` when the peer sends more than anybody needs.
    pub(super) fn control_frame(&mut self, weight: u32, now: Instant) -> bool {
        if now.saturating_duration_since(self.control_refilled) >= Duration::from_secs(1) {
            self.control_refilled = now;
            self.control_left = limits::CONTROL_FRAMES_PER_SECOND_MAX;
        }
        let left = self.control_left.checked_sub(weight);
        self.control_left = left.unwrap_or_default();
        left.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_control_frames_as_the_limit_are_taken_in_a_second() {
        let now = Instant::now();
        let mut liveness = Liveness::new(now);
        assert!((0..limits::CONTROL_FRAMES_PER_SECOND_MAX).all(|_| liveness.control_frame(1, now)));
        assert!(!liveness.control_frame(1, now));
        assert!(liveness.control_frame(2, now + Duration::from_secs(1)));
    }
}
