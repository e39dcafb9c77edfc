//! The state of a channel over the broker, without I/O and without a clock.
//!
//! The broker may lose, repeat and swap messages. Each piece has a number. A receiver takes the one whose turn it is and
//! drops every other; a sender keeps what was not acknowledged, and sends it again after a while. So what comes out is
//! what went in, once and in order, or the channel ends.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::time::Instant;

use super::envelope::{Envelope, Kind, Malformed};
use super::outgoing::Outgoing;
use crate::limits;

/// How long news of what arrived waits for a piece to travel with.
const NEWS_DELAY: Duration = Duration::from_millis(50);
/// How many pieces are read before the sender is told at once: a quarter of what it may send without being told.
const NEWS_AFTER: u64 = limits::BROKER_WINDOW / 4;

/// Why a channel is over before both sides have said all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Over {
    #[error("the peer gave the channel up")]
    Gone,
    #[error("nothing was heard of the peer for {:?}", limits::BROKER_SILENCE)]
    Silent,
    #[error("the peer did not read the last bytes within {:?}", limits::BROKER_SILENCE)]
    Unread,
    #[error("the broker says that the peer is not there")]
    Absent,
    #[error("the broker is out of reach")]
    Broker,
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error("a piece of {0} bytes exceeds the limit of {limit}", limit = limits::BROKER_PIECE_BYTES)]
    Large(usize),
    #[error("piece {number} exceeds the window that ends with {end}")]
    Beyond { number: u64, end: u64 },
    #[error("piece {0} comes after the end")]
    AfterEnd(u64),
    #[error("the peer has received {received} and read {taken} of {made} pieces")]
    Unsent { received: u64, taken: u64, made: u64 },
    #[error("the peer asks for a channel inside of one")]
    Misplaced,
}

impl Over {
    pub(super) fn kind(&self) -> io::ErrorKind {
        match self {
            Self::Gone | Self::Absent => io::ErrorKind::ConnectionReset,
            Self::Silent | Self::Unread => io::ErrorKind::TimedOut,
            Self::Broker => io::ErrorKind::NotConnected,
            _ => io::ErrorKind::InvalidData,
        }
    }
}

/// The state of one channel. Time is an argument.
pub(super) struct Flow {
    outgoing: Outgoing,
    /// What arrived in order and was not read.
    waiting: VecDeque<Bytes>,
    received: u64,
    /// Whether the end of what the peer sends has arrived.
    ended: bool,
    /// What the peer knows to be read here.
    told: u64,
    news_at: Option<Instant>,
    heard: Instant,
    said: Instant,
    /// Since when the program has let go of the channel.
    abandoned: Option<Instant>,
}

impl Flow {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            outgoing: Outgoing::new(),
            waiting: VecDeque::new(),
            received: 0,
            ended: false,
            told: 0,
            news_at: None,
            heard: now,
            said: now,
            abandoned: None,
        }
    }

    /// Whether a further piece can be taken from the program.
    pub(super) fn has_room(&self) -> bool {
        self.outgoing.has_room()
    }

    /// Takes a piece from the program; one without bytes is the end.
    pub(super) fn push(&mut self, piece: Bytes) {
        self.outgoing.push(piece);
    }

    /// What the program reads next; a piece without bytes is the end.
    pub(super) fn front(&self) -> Option<&Bytes> {
        self.waiting.front()
    }

    /// The program has read `count` bytes of the front.
    pub(super) fn advance(&mut self, count: usize, now: Instant) {
        if let Some(front) = self.waiting.front_mut() {
            front.advance(count.min(front.len()));
            if front.is_empty() {
                self.waiting.pop_front();
                self.owe_news(now);
            }
        }
    }

    /// Nobody reads any more; what was written still has to arrive.
    pub(super) fn abandon(&mut self, now: Instant) {
        self.abandoned.get_or_insert(now);
        self.discard(now);
    }

    pub(super) fn is_abandoned(&self) -> bool {
        self.abandoned.is_some()
    }

    /// Whether the peer has said all that it wanted to.
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Whether there is nothing left to do.
    pub(super) fn is_done(&self) -> bool {
        self.outgoing.is_done() && (self.is_abandoned() || (self.ended && self.waiting.is_empty()))
    }

    /// Takes a message of the peer.
    pub(super) fn handle(&mut self, envelope: Envelope, now: Instant) -> Result<(), Over> {
        self.heard = now;
        match envelope.kind {
            Kind::Gone => return Err(Over::Gone),
            Kind::Open => return Err(Over::Misplaced),
            // The broker repeats the answer to the opening.
            Kind::Answer => return Ok(()),
            Kind::Piece | Kind::Sign => self.outgoing.acknowledge(envelope.received, envelope.taken, now)?,
        }
        if envelope.kind == Kind::Piece { self.receive(envelope.number, envelope.bytes, now) } else { Ok(()) }
    }

    fn taken(&self) -> u64 {
        self.received - self.waiting.len() as u64
    }

    fn receive(&mut self, number: u64, piece: Bytes, now: Instant) -> Result<(), Over> {
        let end = self.taken() + limits::BROKER_WINDOW;
        if piece.len() > limits::BROKER_PIECE_BYTES {
            return Err(Over::Large(piece.len()));
        }
        if number >= end {
            return Err(Over::Beyond { number, end });
        }
        if number != self.received {
            // It was here already, or one before it is missing: the sender should know where we are.
            self.news_at = Some(now);
            return Ok(());
        }
        if self.ended {
            return Err(Over::AfterEnd(number));
        }
        self.ended = piece.is_empty();
        self.received += 1;
        self.waiting.push_back(piece);
        self.owe_news(now);
        self.discard(now);
        Ok(())
    }

    fn discard(&mut self, now: Instant) {
        if self.is_abandoned() && !self.waiting.is_empty() {
            self.waiting.clear();
            self.owe_news(now);
        }
    }

    fn owe_news(&mut self, now: Instant) {
        let at = if self.taken() - self.told >= NEWS_AFTER || self.ended { now } else { now + NEWS_DELAY };
        self.news_at = Some(self.news_at.map_or(at, |before| before.min(at)));
    }

    /// The next message to send.
    pub(super) fn poll_transmit(&mut self, now: Instant) -> Option<Envelope> {
        let (kind, number, bytes) = match self.outgoing.poll(now) {
            Some((number, piece)) => (Kind::Piece, number, piece),
            None if self.sign_at() <= now => (Kind::Sign, 0, Bytes::new()),
            None => return None,
        };
        self.told = self.taken();
        (self.news_at, self.said) = (None, now);
        Some(Envelope { kind, number, received: self.received, taken: self.told, bytes })
    }

    /// When a message is due even if there is nothing to send.
    fn sign_at(&self) -> Instant {
        let beat = self.said + limits::BROKER_BEAT;
        self.news_at.map_or(beat, |news| news.min(beat))
    }

    /// When the channel has been silent, or been let go of, for too long.
    fn over_at(&self) -> Instant {
        let since = self.abandoned.map_or(self.heard, |abandoned| abandoned.min(self.heard));
        since + limits::BROKER_SILENCE
    }

    /// When [`Flow::handle_timeout`] and [`Flow::poll_transmit`] are to be called at the latest.
    pub(super) fn due(&self) -> Instant {
        let due = self.sign_at().min(self.over_at());
        self.outgoing.due().map_or(due, |again| again.min(due))
    }

    /// Lets time pass.
    pub(super) fn handle_timeout(&mut self, now: Instant) -> Result<(), Over> {
        if self.over_at() <= now {
            let silent = self.heard + limits::BROKER_SILENCE <= now;
            return Err(if silent { Over::Silent } else { Over::Unread });
        }
        self.outgoing.handle_timeout(now);
        Ok(())
    }
}
