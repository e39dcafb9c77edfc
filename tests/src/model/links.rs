//! Which hosts are apart, since when, and what that means for promises.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

/// Two hosts that are apart no longer than this do not lose what they hold of each other: with the time until they have found
/// each other again ([`SETTLED`]) and the time since the last renewal it stays below the lease.
const APART_MAX: Duration = Duration::from_secs(4);
/// After this long without a failure everybody has noticed, and is connected to whom it needs.
pub(super) const SETTLED: Duration = Duration::from_secs(6);

/// A time in which two hosts are not sure to reach each other.
struct Outage {
    began: Instant,
    healed: Option<Instant>,
}

/// The links that are or were lately cut.
pub(super) struct Links {
    outages: BTreeMap<(usize, usize), Outage>,
    disturbed: Option<Instant>,
    disturbances: u64,
}

fn pair(a: usize, b: usize) -> (usize, usize) {
    (a.min(b), a.max(b))
}

impl Links {
    pub(super) fn new() -> Self {
        Self { outages: BTreeMap::new(), disturbed: None, disturbances: 0 }
    }

    /// Something happened that others notice only after a while.
    pub(super) fn disturb(&mut self) {
        self.disturbed = Some(Instant::now());
        self.disturbances += 1;
    }

    /// How often it was disturbed.
    pub(super) fn disturbances(&self) -> u64 {
        self.disturbances
    }

    pub(super) fn cut(&mut self, a: usize, b: usize) {
        let now = Instant::now();
        self.outages.entry(pair(a, b)).or_insert(Outage { began: now, healed: None }).healed = None;
    }

    /// Says whether there was anything to heal.
    pub(super) fn heal(&mut self, a: usize, b: usize) -> bool {
        let cut = self.outages.get_mut(&pair(a, b)).filter(|outage| outage.healed.is_none());
        cut.map(|outage| outage.healed = Some(Instant::now())).is_some()
    }

    /// Whether channels can be made.
    pub(super) fn up(&self, a: usize, b: usize) -> bool {
        self.outages.get(&pair(a, b)).is_none_or(|outage| outage.healed.is_some())
    }

    /// Whether two hosts were apart for so long that what they hold of each other may be gone.
    pub(super) fn apart(&self, a: usize, b: usize) -> bool {
        let long = |outage: &Outage| outage.healed.unwrap_or_else(Instant::now) - outage.began > APART_MAX;
        self.outages.get(&pair(a, b)).is_some_and(long)
    }

    /// Whether nothing has failed for a while and everybody can reach everybody.
    pub(super) fn quiet(&self) -> bool {
        let settled = self.disturbed.is_none_or(|at| at.elapsed() >= SETTLED);
        settled && self.outages.values().all(|outage| outage.healed.is_some())
    }

    /// Forgets outages that are over; whoever depends on them has asked before.
    pub(super) fn forget_old(&mut self) {
        self.outages.retain(|_, outage| outage.healed.is_none_or(|at| at.elapsed() < SETTLED));
    }
}
