//! How much may come that was not yet read.

use crate::error::{ErrorKind, Executed, RemoteError};
use crate::limits;

/// So many items that take so many bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Amount {
    pub(super) items: u64,
    pub(super) bytes: u64,
}

impl Amount {
    pub(super) fn saturating_add(self, other: Self) -> Self {
        let (items, bytes) = (self.items.saturating_add(other.items), self.bytes.saturating_add(other.bytes));
        Self { items, bytes }
    }

    pub(super) fn saturating_sub(self, other: Self) -> Self {
        let (items, bytes) = (self.items.saturating_sub(other.items), self.bytes.saturating_sub(other.bytes));
        Self { items, bytes }
    }
}

/// What a reader has granted and how much of it is used. Both sides of a stream have one.
///
/// Amounts count from the beginning of the stream, so that a grant that is said twice changes nothing. While there is
/// room for an item and for a byte, a batch may go: its last item may be larger than what is left, so the window is
/// exceeded by one item at most, and every item passes every window.
#[derive(Debug)]
pub(super) struct Window {
    size: Amount,
    granted: Amount,
    used: Amount,
}

impl Window {
    /// An untouched window.
    pub(super) fn new(items: u32, bytes: u32) -> Result<Self, RemoteError> {
        check("items", items, limits::STREAM_WINDOW_ITEMS_MAX)?;
        check("bytes", bytes, limits::STREAM_WINDOW_BYTES_MAX)?;
        let size = Amount { items: items.into(), bytes: bytes.into() };
        Ok(Self { size, granted: size, used: Amount::default() })
    }

    /// How much may come; nothing when either is used up.
    pub(super) fn room(&self) -> Option<Amount> {
        let left = self.granted.saturating_sub(self.used);
        (left.items > 0 && left.bytes > 0).then_some(left)
    }

    /// A batch came, or goes.
    pub(super) fn take(&mut self, amount: Amount) -> Result<(), RemoteError> {
        match self.room() {
            Some(room) if amount.items <= room.items => {
                self.used = self.used.saturating_add(amount);
                Ok(())
            }
            room => {
                let room = room.unwrap_or_default();
                let text = format!(
                    "a batch of {} items exceeds the credit of {} items and {} bytes",
                    amount.items, room.items, room.bytes
                );
                Err(RemoteError::new(ErrorKind::Protocol, Executed::No, text))
            }
        }
    }

    /// The reader takes `total` in all, of which some was used before.
    pub(super) fn grant(&mut self, total: Amount) -> Result<(), RemoteError> {
        let most = self.used.saturating_add(self.size);
        if total.items > most.items || total.bytes > most.bytes {
            let beyond = total.saturating_sub(self.used);
            let text = format!(
                "credit for {} items and {} bytes exceeds the window of {} items and {} bytes",
                beyond.items, beyond.bytes, self.size.items, self.size.bytes
            );
            return Err(RemoteError::new(ErrorKind::Protocol, Executed::No, text));
        }
        self.granted.items = self.granted.items.max(total.items);
        self.granted.bytes = self.granted.bytes.max(total.bytes);
        Ok(())
    }
}

fn check(what: &str, value: u32, limit: u32) -> Result<(), RemoteError> {
    if (1..=limit).contains(&value) {
        return Ok(());
    }
    let text = format!("a window of {value} {what} is not between 1 and the limit of {limit}");
    Err(RemoteError::new(ErrorKind::BadArguments, Executed::No, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amount(items: u64, bytes: u64) -> Amount {
        Amount { items, bytes }
    }

    #[test]
    fn a_window_is_exceeded_by_bytes_of_one_batch_and_by_no_item() {
        let mut window = Window::new(4, 100).unwrap();
        window.take(amount(2, 99)).unwrap();
        assert!(window.take(amount(3, 1)).is_err());
        window.take(amount(1, 5000)).unwrap();
        let error = window.take(amount(1, 1)).unwrap_err();
        assert_eq!(error.message(), "a batch of 1 items exceeds the credit of 0 items and 0 bytes");
    }

    #[test]
    fn a_grant_said_twice_or_late_changes_nothing() {
        let mut window = Window::new(4, 100).unwrap();
        window.take(amount(4, 40)).unwrap();
        assert_eq!(window.room(), None);
        window.grant(amount(6, 120)).unwrap();
        window.grant(amount(6, 120)).unwrap();
        window.grant(amount(5, 110)).unwrap();
        assert_eq!(window.room(), Some(amount(2, 80)));
    }

    #[test]
    fn no_more_is_granted_than_the_window() {
        let mut window = Window::new(4, 100).unwrap();
        window.take(amount(1, 10)).unwrap();
        window.grant(amount(5, 110)).unwrap();
        let error = window.grant(amount(6, 110)).unwrap_err();
        assert_eq!(error.message(), "credit for 5 items and 100 bytes exceeds the window of 4 items and 100 bytes");
        assert!(window.grant(amount(u64::MAX, u64::MAX)).is_err());
    }

    #[test]
    fn a_window_has_a_least_and_a_greatest_size() {
        for (items, bytes) in [(0, 1), (1, 0), (limits::STREAM_WINDOW_ITEMS_MAX + 1, 1)] {
            assert!(Window::new(items, bytes).is_err());
        }
        let error = Window::new(1, limits::STREAM_WINDOW_BYTES_MAX + 1).unwrap_err();
        let text = "a window of 67108865 bytes is not between 1 and the limit of 67108864";
        assert_eq!(error.message(), text);
    }
}
