//! The claims of hosts to their bindings, and when they end.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rmi_core::naming::Token;

/// How long bindings live without a renewal. Hosts renew three times within it.
pub const LEASE: Duration = Duration::from_secs(60);
/// The most leases at once: what a stranger can make the registry remember by joining.
pub const LEASES_MAX: usize = 10_000;

/// The leases of a registry. Time is an argument.
#[derive(Debug)]
pub struct Leases {
    duration: Duration,
    leases: Mutex<HashMap<Token, Held>>,
}

#[derive(Debug)]
struct Held {
    until: Instant,
    /// The connection of the last renewal; `None` since the registry was started.
    connection: Option<u64>,
}

impl Leases {
    /// No leases; those to come last for `duration`.
    #[must_use]
    pub fn new(duration: Duration) -> Self {
        Self { duration, leases: Mutex::default() }
    }

    /// How long a lease lasts.
    #[must_use]
    pub fn duration(&self) -> Duration {
        self.duration
    }

    /// A lease of a host that was here before the registry was started. It is not verified before its renewal.
    pub fn restore(&self, token: Token, now: Instant) {
        self.locked().entry(token).or_insert(Held { until: now + self.duration, connection: None });
    }

    /// Begins a lease; `None` when there are too many.
    pub fn join(&self, connection: u64, now: Instant) -> Option<Token> {
        let mut leases = self.locked();
        if leases.len() >= LEASES_MAX {
            return None;
        }
        let token = Token::random();
        leases.insert(token, Held { until: now + self.duration, connection: Some(connection) });
        Some(token)
    }

    /// Renews a lease; says whether there is one.
    pub fn renew(&self, token: Token, connection: u64, now: Instant) -> bool {
        let mut leases = self.locked();
        let Some(held) = leases.get_mut(&token) else { return false };
        *held = Held { until: now + self.duration, connection: Some(connection) };
        true
    }

    /// Whether the lease exists.
    #[must_use]
    pub fn is_held(&self, token: Token) -> bool {
        self.locked().contains_key(&token)
    }

    /// Whether the host was heard of since the registry was started.
    #[must_use]
    pub fn is_verified(&self, token: Token) -> bool {
        self.locked().get(&token).is_some_and(|held| held.connection.is_some())
    }

    /// Ends a lease.
    pub fn end(&self, token: Token) {
        self.locked().remove(&token);
    }

    /// Ends and returns the leases whose time is over.
    pub fn expire(&self, now: Instant) -> Vec<Token> {
        self.take(|held| held.until <= now)
    }

    /// Ends and returns the leases that were last renewed over a connection whose peer said goodbye.
    pub fn goodbye(&self, connection: u64) -> Vec<Token> {
        self.take(|held| held.connection == Some(connection))
    }

    fn take(&self, ended: impl Fn(&Held) -> bool) -> Vec<Token> {
        let mut leases = self.locked();
        let tokens: Vec<Token> = leases.iter().filter(|(_, held)| ended(held)).map(|(token, _)| *token).collect();
        for token in &tokens {
            leases.remove(token);
        }
        tokens
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<Token, Held>> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_ends_when_it_is_not_renewed() {
        let (leases, start) = (Leases::new(LEASE), Instant::now());
        let (kept, lost) = (leases.join(1, start).unwrap(), leases.join(2, start).unwrap());
        assert!(leases.renew(kept, 1, start + LEASE / 2));
        assert_eq!(leases.expire(start + LEASE - Duration::from_millis(1)), []);
        assert_eq!(leases.expire(start + LEASE), [lost]);
        assert!(!leases.renew(lost, 2, start + LEASE));
        assert_eq!(leases.expire(start + LEASE + LEASE / 2), [kept]);
    }

    #[test]
    fn a_goodbye_ends_the_leases_of_its_connection_alone() {
        let (leases, start) = (Leases::new(LEASE), Instant::now());
        let (first, second) = (leases.join(1, start).unwrap(), leases.join(2, start).unwrap());
        assert!(leases.renew(second, 1, start));
        assert!(leases.renew(second, 3, start));
        assert_eq!(leases.goodbye(1), [first]);
        assert!(leases.is_held(second));
    }

    #[test]
    fn a_restored_lease_is_verified_by_its_renewal() {
        let (leases, start, token) = (Leases::new(LEASE), Instant::now(), Token::random());
        leases.restore(token, start);
        assert!(leases.is_held(token) && !leases.is_verified(token));
        assert!(leases.renew(token, 1, start));
        assert!(leases.is_verified(token));
    }

    #[test]
    fn the_number_of_leases_is_bounded() {
        let (leases, start) = (Leases::new(LEASE), Instant::now());
        assert!((0..LEASES_MAX as u64).all(|connection| leases.join(connection, start).is_some()));
        assert_eq!(leases.join(0, start), None);
    }
}
