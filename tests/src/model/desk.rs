//! What every host of a run has: a desk on which it keeps the proxies it got, and notes how they came.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rmi_core::{Proxy, RemoteError, remote};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

/// A host between two starts: a number that no other has.
pub(super) type Life = u32;

/// What a run's objects are.
#[remote(name = "model.Thing")]
pub(super) trait Thing {
    async fn number(&self) -> Result<u32, RemoteError>;
}

/// Takes and gives proxies.
#[remote(name = "model.Desk")]
pub(super) trait Desk {
    async fn take(&self, passed: Passed) -> Result<(), RemoteError>;
    async fn give(&self, pick: u32, copies: u32) -> Result<Option<Passed>, RemoteError>;
}

/// A [`Thing`] whose end is noted.
pub(super) struct Numbered {
    pub(super) number: u32,
    pub(super) ended: Arc<Mutex<Option<Instant>>>,
}

#[remote]
impl Thing for Numbered {
    async fn number(&self) -> Result<u32, RemoteError> {
        Ok(self.number)
    }
}

impl Drop for Numbered {
    fn drop(&mut self) {
        *lock(&self.ended) = Some(Instant::now());
    }
}

/// What must stand so that a hold keeps its object alive.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Promise {
    /// These pairs must stay alive and not be apart for long.
    pub(super) links: BTreeSet<(Life, Life)>,
    /// Whether they did.
    pub(super) kept: bool,
}

impl Promise {
    fn and(&mut self, other: &Self) {
        self.links.extend(&other.links);
        self.kept &= other.kept;
    }
}

/// Copies on their way, with the promise of who passed them.
#[derive(Serialize, Deserialize)]
pub(super) struct Passed {
    pub(super) thing: u32,
    pub(super) owner: Life,
    from: Life,
    promise: Promise,
    copies: Vec<Proxy<dyn Thing>>,
}

/// The proxies to one object.
pub(super) struct Hold {
    pub(super) owner: Life,
    pub(super) promise: Promise,
    pub(super) proxies: Vec<Proxy<dyn Thing>>,
}

/// Everything that a host holds.
pub(super) struct Holds {
    life: Life,
    things: Mutex<BTreeMap<u32, Hold>>,
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Holds {
    pub(super) fn new(life: Life) -> Self {
        Self { life, things: Mutex::default() }
    }

    pub(super) fn things(&self) -> MutexGuard<'_, BTreeMap<u32, Hold>> {
        lock(&self.things)
    }

    /// Keeps a new object of this host.
    pub(super) fn create(&self, number: u32, proxy: Proxy<dyn Thing>) {
        let promise = Promise { links: BTreeSet::new(), kept: true };
        self.things().insert(number, Hold { owner: self.life, promise, proxies: vec![proxy] });
    }

    /// The number of the object that `pick` means.
    pub(super) fn picked(&self, pick: usize) -> Option<u32> {
        let things = self.things();
        things.keys().nth(pick % things.len().max(1)).copied()
    }

    pub(super) fn copies(&self, pick: usize, copies: usize) -> Option<Passed> {
        let thing = self.picked(pick)?;
        let things = self.things();
        let hold = things.get(&thing)?;
        let copies = hold.proxies.iter().cycle().take(copies).cloned().collect();
        Some(Passed { thing, owner: hold.owner, from: self.life, promise: hold.promise.clone(), copies })
    }

    /// Keeps what was passed.
    pub(super) fn keep(&self, passed: Passed) {
        let Passed { thing, owner, from, mut promise, mut copies } = passed;
        if owner == self.life {
            // Come home: the object itself, if it still is.
            copies.retain(Proxy::is_local);
            promise = Promise { links: BTreeSet::new(), kept: true };
        } else {
            promise.links.insert((self.life, from));
        }
        if copies.is_empty() {
            return;
        }
        let mut things = self.things();
        let hold = things.entry(thing).or_insert_with(|| Hold { owner, promise: promise.clone(), proxies: Vec::new() });
        hold.promise.and(&promise);
        hold.proxies.extend(copies);
    }

    /// Drops one proxy, outside of the lock.
    pub(super) fn drop_one(&self, thing: u32) {
        let mut things = self.things();
        let proxy = things.get_mut(&thing).and_then(|hold| hold.proxies.pop());
        things.retain(|_, hold| !hold.proxies.is_empty());
        drop(things);
        drop(proxy);
    }

    /// Drops every proxy.
    pub(super) fn drop_all(&self) {
        let things = std::mem::take(&mut *self.things());
        drop(things);
    }

    /// What a call through one of the proxies does to the promise: an object that was called is claimed from its owner, for
    /// certain if the call went well on a quiet network.
    pub(super) fn called(&self, thing: u32, certain: bool) {
        let mut things = self.things();
        let Some(hold) = things.get_mut(&thing).filter(|hold| hold.owner != self.life) else { return };
        if certain {
            hold.promise = Promise { links: BTreeSet::new(), kept: true };
        }
        hold.promise.links.insert((self.life, hold.owner));
    }
}

/// The desk of a host.
pub(super) struct Keeping(pub(super) Arc<Holds>);

#[remote]
impl Desk for Keeping {
    async fn take(&self, passed: Passed) -> Result<(), RemoteError> {
        self.0.keep(passed);
        Ok(())
    }

    async fn give(&self, pick: u32, copies: u32) -> Result<Option<Passed>, RemoteError> {
        Ok(self.0.copies(pick as usize, copies as usize))
    }
}
