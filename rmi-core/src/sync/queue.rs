//! Who waits for permits, and whose turn it is: the state of a semaphore, without tasks and time.

use std::collections::BTreeMap;

use crate::limits::SEMAPHORE_WAITING_MAX;
use crate::sync::interface::SyncError;

/// The permits of a semaphore and who waits for them. `W` is how somebody who waits is told.
pub(super) struct Queue<W> {
    permits: u32,
    free: u32,
    closed: bool,
    /// How many have come: the place of the last.
    places: u64,
    /// By place, in the order of coming.
    waiting: BTreeMap<u64, (u32, W)>,
}

impl<W> Queue<W> {
    pub(super) fn new(permits: u32) -> Self {
        Self { permits, free: permits, closed: false, places: 0, waiting: BTreeMap::new() }
    }

    pub(super) fn permits(&self) -> u32 {
        self.permits
    }

    pub(super) fn free(&self) -> u32 {
        self.free
    }

    /// Why nobody can ask for `n` permits, if so.
    pub(super) fn check(&self, n: u32) -> Result<(), SyncError> {
        if self.closed {
            return Err(SyncError::Closed);
        }
        if n == 0 {
            return Err(SyncError::NoPermits);
        }
        if n > self.permits { Err(SyncError::TooMany { asked: n, permits: self.permits }) } else { Ok(()) }
    }

    /// Puts somebody at the end and returns the place.
    pub(super) fn join(&mut self, n: u32, waiter: W) -> Result<u64, SyncError> {
        self.check(n)?;
        if self.waiting.len() >= SEMAPHORE_WAITING_MAX {
            let limit = SEMAPHORE_WAITING_MAX as u64;
            return Err(SyncError::Full { what: "callers wait for the semaphore".into(), limit });
        }
        self.places += 1;
        self.waiting.insert(self.places, (n, waiter));
        Ok(self.places)
    }

    /// Takes somebody out, who may be in the middle.
    pub(super) fn leave(&mut self, place: u64) -> Option<W> {
        self.waiting.remove(&place).map(|(_, waiter)| waiter)
    }

    pub(super) fn give_back(&mut self, n: u32) {
        self.free = self.free.saturating_add(n).min(self.permits);
    }

    /// Takes the permits of the first who waits, if they are free: only the first, so that nobody is overtaken.
    pub(super) fn grant(&mut self) -> Option<(u32, W)> {
        let first = self.waiting.first_entry().filter(|first| first.get().0 <= self.free)?;
        let (n, waiter) = first.remove();
        self.free -= n;
        Some((n, waiter))
    }

    /// Lets nobody in any more, and gives back those who wait.
    pub(super) fn close(&mut self) -> Vec<W> {
        self.closed = true;
        std::mem::take(&mut self.waiting).into_values().map(|(_, waiter)| waiter).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn granted(queue: &mut Queue<char>) -> String {
        std::iter::from_fn(|| queue.grant().map(|(_, waiter)| waiter)).collect()
    }

    #[test]
    fn a_large_wish_is_not_overtaken_by_small_ones() {
        let mut queue = Queue::new(3);
        for (n, waiter) in [(2, 'a'), (3, 'b'), (1, 'c'), (1, 'd')] {
            queue.join(n, waiter).unwrap();
        }
        assert_eq!(granted(&mut queue), "a");
        queue.give_back(2);
        assert_eq!(granted(&mut queue), "b");
        queue.give_back(3);
        assert_eq!(granted(&mut queue), "cd");
        assert_eq!(queue.free(), 1);
    }

    #[test]
    fn who_leaves_makes_way() {
        let mut queue = Queue::new(2);
        let [_, middle, _] = [(1, 'a'), (2, 'b'), (1, 'c')].map(|(n, waiter)| queue.join(n, waiter).unwrap());
        assert_eq!(granted(&mut queue), "a");
        assert_eq!(queue.leave(middle), Some('b'));
        assert_eq!(queue.leave(middle), None);
        assert_eq!(granted(&mut queue), "c");
    }

    #[test]
    fn a_closed_one_lets_nobody_in() {
        let mut queue = Queue::new(1);
        queue.join(1, 'a').unwrap();
        assert_eq!(queue.close(), ['a']);
        assert_eq!(queue.join(1, 'b'), Err(SyncError::Closed));
    }
}
