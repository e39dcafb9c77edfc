//! How a session ends, and what its callers learn.

use std::time::{Duration, Instant};

use crate::error::{ErrorKind, Executed, RemoteError, cut};
use crate::proto::asked::{EntryState, Sent};
use crate::proto::outbox::Outbox;
use crate::proto::session::{Closed, Phase, Session};
use crate::wire::frame::{CallId, Frame};

/// The longest text of a goodbye that is sent.
const GOODBYE_TEXT_MAX: usize = 1024;

impl Session {
    /// Whether there are other places to look for the node, should this one not lead there.
    pub(crate) fn set_alternatives(&mut self, alternatives: bool) {
        self.alternatives = alternatives;
    }

    /// How long whoever is met next has for its hello.
    pub(crate) fn set_handshake(&mut self, handshake: Duration) {
        self.handshake = handshake;
    }

    /// Makes a session whose handshake failed as good as new, and says why it failed. Its calls have waited.
    pub(crate) fn begin_again(&mut self) -> Option<RemoteError> {
        let limits = &self.settings.limits;
        let until = self.clock + limits.dial_timeout + limits.handshake_timeout;
        match std::mem::replace(&mut self.phase, Phase::Opening { until }) {
            Phase::Astray(error) => {
                self.outbox = Outbox::default();
                Some(error)
            }
            other => {
                self.phase = other;
                None
            }
        }
    }

    /// Accepts no further calls, and says so with the number of the last one accepted.
    pub(crate) fn go_away(&mut self) {
        if !self.going_away && matches!(self.phase, Phase::Open) {
            self.push(&Frame::GoAway { accepted: self.answering.accepted });
        }
        self.going_away = true;
        self.signal();
    }

    /// Whether every accepted call was answered, no call of ours waits to be sent, and everything was written.
    pub(crate) fn is_drained(&self) -> bool {
        let calls = self.asked.waiting_live == 0 && self.answering.is_idle() && self.unreliable.is_idle();
        calls && self.is_flushed()
    }

    /// Says goodbye and closes. What was queued before still goes out.
    pub(crate) fn goodbye(&mut self, code: u16, text: &str) {
        self.alternatives = false;
        let error = RemoteError::new(
            ErrorKind::Disconnected,
            Executed::Maybe,
            format!("this node closed the connection: {text}"),
        );
        self.close_with(code, text, error);
    }

    /// Closes with a goodbye of this code; our callers get `error`.
    pub(crate) fn close_with(&mut self, code: u16, text: &str, error: RemoteError) {
        if !matches!(self.phase, Phase::Closed(_)) {
            // Bodies that are half sent never become calls; the frames that are queued whole still go out.
            self.outbox.drop_all_large();
            // Before its hello a peer takes short frames only, and goodbyes are read by people.
            let text = text.get(..text.floor_char_boundary(GOODBYE_TEXT_MAX)).unwrap_or_default();
            self.push(&Frame::Goodbye { code, accepted: self.answering.accepted, text: cut(text).to_owned() });
            let queued = self.outbox.queued();
            let lost = code == super::code::TIMEOUT;
            self.close(Closed { clean: false, lost, error }, queued, None);
        }
    }

    /// Ends the session; every caller learns whether its call can have run. Nothing beyond the offset `out` goes out.
    pub(super) fn close(&mut self, closed: Closed, out: u64, accepted: Option<u64>) {
        if matches!(self.phase, Phase::Closed(_)) {
            return;
        }
        if self.alternatives && matches!(self.phase, Phase::Opening { .. } | Phase::Astray(_)) {
            self.phase = Phase::Astray(closed.error);
            return;
        }
        self.fail_calls(&closed.error, out, accepted);
        let unsent = self.answering.waiting.drain(..).filter_map(|(_, cargo)| cargo);
        self.after.cargo.extend(unsent);
        self.after.cargo.extend(self.cutting.drain(..).filter_map(|cut| cut.cargo));
        self.asides.drop_all();
        self.phase = Phase::Closed(closed);
        self.signal();
    }

    /// Fails every call. One that does not go out whole to the operating system, or whose number is above the last one
    /// accepted, did not run: this is the frontier of promise P2.
    fn fail_calls(&mut self, error: &RemoteError, out: u64, accepted: Option<u64>) {
        for key in self.asked.select(crate::proto::asked::Entry::is_open) {
            let Some(entry) = self.asked.entry(key) else { continue };
            let executed = match &entry.state {
                EntryState::Sent(Sent { complete: Some((end, number)), .. })
                    if *end <= out && accepted.is_none_or(|accepted| *number <= accepted) =>
                {
                    Executed::Maybe
                }
                _ => Executed::No,
            };
            let failed = RemoteError::new(error.kind(), executed, error.message());
            self.asked.finish(key, Err(failed), &mut self.after);
        }
        self.asked.waiting.clear();
        self.asked.waiting_live = 0;
    }

    /// Fails the calls that a peer which is going away will not accept.
    pub(super) fn fail_unaccepted(&mut self, accepted: u64) {
        let draining = RemoteError::new(ErrorKind::Draining, Executed::No, "the node is shutting down");
        let asides = &self.asides;
        let refused = self.asked.select(|entry| match &entry.state {
            EntryState::Waiting(_) => true,
            // Those on streams of their own are refused each by its reply.
            EntryState::Sent(sent) if asides.is_leaving(sent.id) => false,
            EntryState::Sent(sent) => sent.complete.is_none_or(|(_, number)| number > accepted),
            _ => false,
        });
        for key in refused {
            if let Some(entry) = self.asked.entry(key)
                && let EntryState::Sent(sent) = entry.state
                && !self.forget_aside(sent.id)
            {
                self.drop_large(sent.id);
                self.asked.free_place(sent.id);
            }
            self.asked.finish(key, Err(draining.clone()), &mut self.after);
        }
        self.asked.waiting.clear();
        self.asked.waiting_live = 0;
    }

    /// Asks the peer to stop; the place stays taken until its reply says that it did.
    pub(super) fn cancel_sent(&mut self, sent: Sent) {
        self.asked.set_caller(sent.id, None);
        if self.cancel_aside(sent.id) {
            return;
        }
        self.drop_large(sent.id);
        if !matches!(self.phase, Phase::Closed(_)) {
            self.push(&Frame::Cancel(sent.id));
        }
    }

    /// Forgets the rest of a body. The peer has not heard of what it carries.
    fn drop_large(&mut self, id: CallId) {
        if self.outbox.drop_large(id) {
            self.after.cargo.extend(self.cutting.extract_if(.., |cut| cut.id == id).filter_map(|cut| cut.cargo));
        }
    }

    /// Fails the calls whose deadline has passed.
    pub(super) fn expire_calls(&mut self, now: Instant) {
        if self.asked.due.is_none_or(|due| due > now) {
            return;
        }
        for key in self.asked.select(|entry| entry.is_open() && entry.deadline <= now) {
            let Some(entry) = self.asked.entry(key) else { continue };
            let (executed, sent) = match &entry.state {
                EntryState::Sent(sent) => (Executed::Maybe, Some(*sent)),
                _ => (Executed::No, None),
            };
            match sent {
                Some(sent) => self.cancel_sent(sent),
                None => {
                    self.asked.waiting_live -= 1;
                    self.asked.sweep_waiting();
                }
            }
            let late = RemoteError::new(ErrorKind::Deadline, executed, "the deadline passed");
            self.asked.finish(key, Err(late), &mut self.after);
        }
        self.asked.refresh_due();
        if self.asked.waiting_live > 0 && matches!(self.phase, Phase::Open) {
            self.pump_calls(now);
        }
    }
}
