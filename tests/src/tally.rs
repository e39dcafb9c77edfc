//! An object that counts what it was told, and a caller that compares that with what it was answered.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use rmi_core::{Executed, Proxy, RemoteError, remote};

/// Counts numbers.
#[remote]
pub trait Tally {
    /// Counts the number.
    async fn add(&self, number: u64) -> Result<(), RemoteError>;
    /// How many numbers were counted, and how many of them more than once.
    async fn counted(&self) -> Result<(u64, u64), RemoteError>;
}

/// A [`Tally`]. Clones share what they count.
#[derive(Clone, Default)]
pub struct Slate(Arc<Mutex<HashMap<u64, u64>>>);

impl Slate {
    /// How often `number` was counted.
    #[must_use]
    pub fn count(&self, number: u64) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&number).copied().unwrap_or(0)
    }
}

#[remote]
impl Tally for Slate {
    async fn add(&self, number: u64) -> Result<(), RemoteError> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(number).or_default() += 1;
        Ok(())
    }

    async fn counted(&self) -> Result<(u64, u64), RemoteError> {
        let slate = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let twice = slate.values().filter(|&&count| count > 1).count();
        Ok((slate.len() as u64, twice as u64))
    }
}

/// What the callers of a [`Tally`] were answered.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Answers {
    /// Calls that returned.
    pub done: u64,
    /// Calls that may have run.
    pub maybe: u64,
    /// Calls that did not run.
    pub no: u64,
}

impl Answers {
    /// Calls once with `number`, which must be fresh, and notes the answer.
    pub async fn ask(&mut self, tally: &Proxy<dyn Tally>, number: u64) {
        match tally.add(number).await {
            Ok(()) => self.done += 1,
            Err(error) if error.executed() == Executed::No => self.no += 1,
            Err(_) => self.maybe += 1,
        }
    }

    /// Whether a host that counted `counted` numbers, `twice` of them more than once, fits these answers.
    #[must_use]
    pub fn fit(&self, counted: u64, twice: u64) -> bool {
        twice == 0 && (self.done..=self.done + self.maybe).contains(&counted)
    }
}

impl std::ops::AddAssign for Answers {
    fn add_assign(&mut self, other: Self) {
        self.done += other.done;
        self.maybe += other.maybe;
        self.no += other.no;
    }
}
