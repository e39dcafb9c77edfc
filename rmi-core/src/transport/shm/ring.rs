//! One direction of bytes: a ring in memory that another process can write at any time.
//!
//! The producer alone moves `written`, the consumer alone `read`; each keeps its own cursor to itself and only publishes it.
//! What the other side says is loaded once and checked. The bytes move as relaxed atomic words, so a peer that writes while
//! we read makes wrong bytes and no undefined behaviour; they are copied out before anybody looks at them.

use std::ops::Deref;

use super::atomic::{AtomicU64, Ordering, fence};

/// In the memory of both processes. All zeros is a ring in which nothing was written.
#[repr(C)]
pub(super) struct Ring<const WORDS: usize> {
    producer: Side,
    consumer: Side,
    data: [AtomicU64; WORDS],
}

/// What one side says, away from the cache lines that the other writes.
#[repr(C, align(128))]
struct Side {
    /// The bytes it has written or read since the beginning; the producer's has `CLOSED` beside it.
    cursor: AtomicU64,
    /// Whether it wants to be woken: set by the side itself, taken back by whoever wakes it.
    sleeps: AtomicU64,
}

/// Nothing more will be written. No cursor comes this far.
const CLOSED: u64 = 1 << 63;
const WORD_BYTES: usize = size_of::<u64>();

/// The peer's cursor is where it cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the peer's cursor {theirs} is more than {capacity} bytes from ours, {ours}")]
pub(super) struct Overrun {
    theirs: u64,
    ours: u64,
    capacity: u64,
}

impl Side {
    /// Asks to be woken. What the other side did before it could know is seen by whoever looks after this.
    fn sleep(&self) {
        self.sleeps.swap(1, Ordering::AcqRel);
        fence(Ordering::SeqCst);
    }

    fn wake(&self) {
        self.sleeps.swap(0, Ordering::AcqRel);
    }

    /// After something was published: whether this side must be woken. Pairs with the fence in `sleep`: either it sees what
    /// was published, or this sees that it sleeps.
    fn take_sleep(&self) -> bool {
        fence(Ordering::SeqCst);
        self.sleeps.load(Ordering::Relaxed) != 0 && self.sleeps.swap(0, Ordering::AcqRel) != 0
    }
}

#[cfg(test)]
impl<const WORDS: usize> Default for Ring<WORDS> {
    fn default() -> Self {
        let side = || Side { cursor: AtomicU64::new(0), sleeps: AtomicU64::new(0) };
        Self { producer: side(), consumer: side(), data: std::array::from_fn(|_| AtomicU64::new(0)) }
    }
}

impl<const WORDS: usize> Ring<WORDS> {
    pub(super) const CAPACITY: usize = WORDS * WORD_BYTES;

    /// The words from where the cursor `at` points to the end of the ring.
    fn words(&self, at: u64) -> std::slice::Iter<'_, AtomicU64> {
        let start = usize::try_from(at / WORD_BYTES as u64 % WORDS as u64).unwrap_or_default();
        self.data.get(start..).unwrap_or_default().iter()
    }

    /// How many of so many bytes from the cursor `at` on come before the end of the ring.
    fn to_end(at: u64, length: usize) -> usize {
        let offset = usize::try_from(at % Self::CAPACITY as u64).unwrap_or_default();
        length.min(Self::CAPACITY - offset)
    }

    fn store(&self, at: u64, bytes: &[u8]) {
        let (bytes, rest) = bytes.split_at_checked(Self::to_end(at, bytes.len())).unwrap_or_default();
        self.store_run(at, bytes);
        if !rest.is_empty() {
            self.store_run(0, rest);
        }
    }

    fn store_run(&self, at: u64, bytes: &[u8]) {
        let mut words = self.words(at);
        let (offset, first) = lead(at, bytes.len());
        let (first, rest) = bytes.split_at_checked(first).unwrap_or_default();
        patch(&mut words, offset, first);
        let (whole, last) = rest.as_chunks();
        for (bytes, word) in whole.iter().zip(words.as_slice()) {
            word.store(u64::from_le_bytes(*bytes), Ordering::Relaxed);
        }
        patch(&mut words.skip(whole.len()), 0, last);
    }

    fn load(&self, at: u64, bytes: &mut [u8]) {
        let to_end = Self::to_end(at, bytes.len());
        let (bytes, rest) = bytes.split_at_mut_checked(to_end).unwrap_or_default();
        self.load_run(at, bytes);
        if !rest.is_empty() {
            self.load_run(0, rest);
        }
    }

    fn load_run(&self, at: u64, bytes: &mut [u8]) {
        let mut words = self.words(at);
        let (offset, first) = lead(at, bytes.len());
        let (first, rest) = bytes.split_at_mut_checked(first).unwrap_or_default();
        fill(&mut words, offset, first);
        let (whole, last) = rest.as_chunks_mut();
        for (bytes, word) in whole.iter_mut().zip(words.as_slice()) {
            *bytes = word.load(Ordering::Relaxed).to_le_bytes();
        }
        fill(&mut words.skip(whole.len()), 0, last);
    }
}

/// Where in its word the cursor `at` points, and how many of so many bytes come before the next whole word.
fn lead(at: u64, length: usize) -> (usize, usize) {
    let offset = usize::try_from(at % WORD_BYTES as u64).unwrap_or_default();
    (offset, ((WORD_BYTES - offset) % WORD_BYTES).min(length))
}

/// Writes a part of the next word. What stands beside it stays: it may not have been read yet.
fn patch<'a>(words: &mut impl Iterator<Item = &'a AtomicU64>, offset: usize, part: &[u8]) {
    if part.is_empty() {
        return;
    }
    let Some(word) = words.next() else { return };
    let mut bytes = word.load(Ordering::Relaxed).to_le_bytes();
    bytes.iter_mut().skip(offset).zip(part).for_each(|(byte, new)| *byte = *new);
    word.store(u64::from_le_bytes(bytes), Ordering::Relaxed);
}

/// Reads a part of the next word.
fn fill<'a>(words: &mut impl Iterator<Item = &'a AtomicU64>, offset: usize, part: &mut [u8]) {
    if part.is_empty() {
        return;
    }
    let Some(word) = words.next() else { return };
    let bytes = word.load(Ordering::Relaxed).to_le_bytes();
    part.iter_mut().zip(bytes.iter().skip(offset)).for_each(|(byte, new)| *byte = *new);
}

/// The end that writes.
pub(super) struct Producer<M> {
    ring: M,
    written: u64,
    closed: bool,
    /// Whether this side has said that it sleeps, as far as it knows.
    sleeps: bool,
}

impl<const WORDS: usize, M: Deref<Target = Ring<WORDS>>> Producer<M> {
    /// There is one producer to a ring, from its beginning.
    pub(super) fn new(ring: M) -> Self {
        Self { ring, written: 0, closed: false, sleeps: false }
    }

    /// The bytes there is room for.
    pub(super) fn room(&self) -> Result<usize, Overrun> {
        let read = self.ring.consumer.cursor.load(Ordering::Acquire);
        let used = within::<WORDS>(read, self.written, self.written.wrapping_sub(read))?;
        Ok(Ring::<WORDS>::CAPACITY - used)
    }

    /// Copies bytes that there is room for. The consumer sees them after `publish`.
    pub(super) fn put(&mut self, bytes: &[u8]) {
        self.ring.store(self.written, bytes);
        self.written += bytes.len() as u64;
    }

    /// Shows the consumer what was put; says whether it must be woken.
    pub(super) fn publish(&mut self) -> bool {
        let closed = if self.closed { CLOSED } else { 0 };
        self.ring.producer.cursor.store(self.written | closed, Ordering::Release);
        self.ring.consumer.take_sleep()
    }

    /// Ends the bytes; says whether the consumer must be woken.
    pub(super) fn close(&mut self) -> bool {
        self.closed = true;
        self.publish()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Asks to be woken when there is room; says whether that is news, and room must be looked for once more.
    pub(super) fn sleep(&mut self) -> bool {
        let news = !std::mem::replace(&mut self.sleeps, true);
        if news {
            self.ring.producer.sleep();
        }
        news
    }

    /// Takes `sleep` back.
    pub(super) fn wake(&mut self) {
        if std::mem::take(&mut self.sleeps) {
            self.ring.producer.wake();
        }
    }
}

/// The end that reads.
pub(super) struct Consumer<M> {
    ring: M,
    read: u64,
    /// What can be read, as far as was looked.
    ready: usize,
    ended: bool,
    /// Whether this side has said that it sleeps, as far as it knows.
    sleeps: bool,
}

impl<const WORDS: usize, M: Deref<Target = Ring<WORDS>>> Consumer<M> {
    /// There is one consumer to a ring, from its beginning.
    pub(super) fn new(ring: M) -> Self {
        Self { ring, read: 0, ready: 0, ended: false, sleeps: false }
    }

    /// Looks how many bytes can be read.
    pub(super) fn look(&mut self) -> Result<usize, Overrun> {
        let said = self.ring.producer.cursor.load(Ordering::Acquire);
        let written = said & !CLOSED;
        self.ready = within::<WORDS>(written, self.read, written.wrapping_sub(self.read))?;
        self.ended |= said & CLOSED != 0 && self.ready == 0;
        Ok(self.ready)
    }

    /// Whether everything was read and nothing more will come, as far as was looked.
    pub(super) fn is_ended(&self) -> bool {
        self.ended
    }

    /// Copies out bytes, no more than `look` found; says whether the producer must be woken.
    pub(super) fn take(&mut self, bytes: &mut [u8]) -> bool {
        let length = bytes.len().min(self.ready);
        self.ring.load(self.read, bytes.get_mut(..length).unwrap_or_default());
        self.read += length as u64;
        self.ready -= length;
        self.ring.consumer.cursor.store(self.read, Ordering::Release);
        self.ring.producer.take_sleep()
    }

    /// Asks to be woken when there are bytes; says whether that is news, and must be looked once more.
    pub(super) fn sleep(&mut self) -> bool {
        let news = !std::mem::replace(&mut self.sleeps, true);
        if news {
            self.ring.consumer.sleep();
        }
        news
    }

    /// Takes `sleep` back.
    pub(super) fn wake(&mut self) {
        if std::mem::take(&mut self.sleeps) {
            self.ring.consumer.wake();
        }
    }
}

/// The distance of the cursors, if it can be one.
fn within<const WORDS: usize>(theirs: u64, ours: u64, distance: u64) -> Result<usize, Overrun> {
    let capacity = Ring::<WORDS>::CAPACITY;
    let possible = usize::try_from(distance).ok().filter(|&distance| distance <= capacity);
    possible.ok_or(Overrun { theirs, ours, capacity: capacity as u64 })
}
