//! What is to go out: whole frames in order, and large bodies that are cut as there is room.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use crate::limits;
use crate::wire::frame::{self, CallId, Frame, Lane};

/// The outgoing side of a session. Offsets count the bytes of the whole session.
#[derive(Default)]
pub(super) struct Outbox {
    /// Frames that are complete, in order. The last segment is still growing in `tail`.
    segments: VecDeque<Bytes>,
    tail: BytesMut,
    segment_bytes: usize,
    /// The offset behind everything queued so far.
    queued: u64,
    /// The offset behind everything the operating system has taken.
    written: u64,
    large: VecDeque<Large>,
    /// The bytes of the bodies of replies in there.
    large_replies: usize,
}

/// A body that is being cut.
struct Large {
    lane: Lane,
    id: CallId,
    rest: Bytes,
}

/// A large body whose last piece was queued.
pub(super) struct Finished {
    pub(super) lane: Lane,
    pub(super) id: CallId,
    pub(super) end: u64,
}

impl Outbox {
    /// Appends a whole frame and returns the offset behind it.
    pub(super) fn push(&mut self, frame: &Frame) -> u64 {
        let before = self.tail.len();
        frame.encode(&mut self.tail);
        self.queued += (self.tail.len() - before) as u64;
        self.queued
    }

    /// Takes over a body that was announced, to be cut. Small frames that are queued later do not wait for it.
    pub(super) fn push_large(&mut self, lane: Lane, id: CallId, rest: Bytes) {
        self.large_replies += if lane == Lane::Replies { rest.len() } else { 0 };
        self.large.push_back(Large { lane, id, rest });
    }

    /// Forgets the rest of the body of a call; says whether there was one.
    pub(super) fn drop_large(&mut self, id: CallId) -> bool {
        let before = self.large.len();
        self.large.retain(|large| (large.lane, large.id) != (Lane::Calls, id));
        self.large.len() < before
    }

    /// Cuts pieces off the large bodies, one each in turn, as long as there is room.
    pub(super) fn fill(&mut self, mut finished: impl FnMut(Finished)) {
        while self.segment_bytes + self.tail.len() < limits::OUTGOING_BYTES_HIGH {
            let Some(mut large) = self.large.pop_front() else { return };
            let piece = large.rest.split_to(large.rest.len().min(limits::CHUNK_BYTES));
            let last = large.rest.is_empty();
            if large.lane == Lane::Replies {
                self.large_replies -= piece.len();
            }
            let before = self.tail.len();
            frame::data_header(&mut self.tail, large.lane, large.id, last, piece.len());
            self.queued += (self.tail.len() - before + piece.len()) as u64;
            self.seal();
            self.segment_bytes += piece.len();
            self.segments.push_back(piece);
            if last {
                finished(Finished { lane: large.lane, id: large.id, end: self.queued });
            } else {
                self.large.push_back(large);
            }
        }
    }

    fn seal(&mut self) {
        if !self.tail.is_empty() {
            self.segment_bytes += self.tail.len();
            self.segments.push_back(self.tail.split().freeze());
        }
    }

    /// Moves everything that is complete to `batch`.
    pub(super) fn drain_into(&mut self, batch: &mut VecDeque<Bytes>) {
        self.seal();
        self.segment_bytes = 0;
        batch.append(&mut self.segments);
    }

    pub(super) fn written(&mut self, bytes: usize) {
        self.written += bytes as u64;
    }

    /// The offset behind everything queued so far.
    pub(super) fn queued(&self) -> u64 {
        self.queued
    }

    /// The offset behind everything the operating system has taken.
    pub(super) fn written_total(&self) -> u64 {
        self.written
    }

    /// How many bytes are queued that the operating system has not taken.
    pub(super) fn unread(&self) -> u64 {
        self.queued.saturating_sub(self.written)
    }

    /// How many bytes of large replies are not even cut.
    pub(super) fn large_replies(&self) -> usize {
        self.large_replies
    }

    /// Forgets the rests of all bodies.
    pub(super) fn drop_all_large(&mut self) {
        self.large.clear();
        self.large_replies = 0;
    }

    /// Whether nothing is left to give to the operating system.
    pub(super) fn is_flushed(&self) -> bool {
        self.written == self.queued && self.large.is_empty()
    }

    /// Whether something waits to be taken.
    pub(super) fn has_output(&self) -> bool {
        !self.tail.is_empty() || !self.segments.is_empty() || !self.large.is_empty()
    }
}
