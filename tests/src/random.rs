//! Random numbers that a seed replays.

use std::sync::atomic::{AtomicU64, Ordering};

/// A sequence of numbers that follows from its seed (splitmix64, Steele, Lea and Flood 2014).
#[derive(Debug)]
pub struct Random(AtomicU64);

impl Random {
    /// The sequence of this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    /// The next number.
    pub fn number(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut z = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&self, low: u64, high: u64) -> u64 {
        low + self.number() % (high - low + 1)
    }

    /// An index from `low` to `high`, both included.
    pub fn index(&self, low: usize, high: usize) -> usize {
        usize::try_from(self.between(low as u64, high as u64)).unwrap_or(high)
    }

    /// The next byte.
    pub fn byte(&self) -> u8 {
        self.number().to_le_bytes()[0]
    }

    /// So many random bytes.
    pub fn bytes(&self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.byte()).collect()
    }
}
