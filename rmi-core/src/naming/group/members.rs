//! The members of a group as one of its proxies knows them, and the choice among them.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use uuid::Uuid;

use crate::call::{Call, Outcome};
use crate::limits::GROUP_MEMBERS_MAX;
use crate::naming::binding::{Binding, Change, Event};
use crate::naming::group::Balance;
use crate::naming::name::{Name, NameError};
use crate::proxy::AnyProxy;
use crate::reference::ObjectRef;

/// How long a member that failed gets no calls. A member that comes back within it is missed for that long; one that does
/// not costs one call in that time a detour.
const ASIDE: Duration = Duration::from_secs(5);
/// How long a member is kept that a registry does not name any more without having said that it left: one that has lost
/// its file learns of its hosts at their next renewal.
const DOUBT: Duration = Duration::from_secs(60);

/// The name of a member: the group's, and a part that marks it as a member. The mark keeps the names below a name that is
/// no group from being taken for members.
pub(super) fn name_below(group: &Name, id: Uuid) -> Result<Name, NameError> {
    format!("{group}/@{}", id.simple()).parse()
}

/// Whether `name` is that of a member of `group`.
pub(super) fn is_member(group: &Name, name: &Name) -> bool {
    let below = name.as_str().strip_prefix(group.as_str()).and_then(|rest| rest.strip_prefix("/@"));
    below.is_some_and(|rest| !rest.contains('/'))
}

/// The time, which tests can stop.
pub(super) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One member.
pub(super) struct Member {
    object: ObjectRef,
    proxy: AnyProxy,
    /// How many calls run on it.
    running: AtomicUsize,
    /// When a call may find out whether it is there again; `None` while it is.
    aside: Mutex<Option<Instant>>,
}

impl Member {
    /// Makes a call on it.
    pub(super) async fn call(self: &Arc<Self>, call: Call) -> Outcome {
        let _busy = Busy::new(self);
        self.proxy.invoke(call).await
    }

    /// It answered.
    pub(super) fn is_well(&self) {
        *lock(&self.aside) = None;
    }

    fn is_aside(&self, now: Instant) -> bool {
        lock(&self.aside).is_some_and(|until| now < until)
    }

    fn set_aside(&self) {
        *lock(&self.aside) = Some(now() + ASIDE);
    }

    /// One call finds out whether a member is there again; it is left aside for the others meanwhile.
    fn chosen(&self) {
        let mut aside = lock(&self.aside);
        if aside.is_some() {
            *aside = Some(now() + ASIDE);
        }
    }
}

/// Counts a call as running until it is dropped.
struct Busy<'a>(&'a Member);

impl<'a> Busy<'a> {
    fn new(member: &'a Member) -> Self {
        member.running.fetch_add(1, Ordering::Relaxed);
        Self(member)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A member and what the registry said about it.
struct Entry {
    revision: u64,
    /// Since when the registry does not name it.
    doubted: Option<Instant>,
    member: Arc<Member>,
}

/// The members of a group.
pub(super) struct Members {
    name: Name,
    interface: &'static str,
    open: Box<dyn Fn(&ObjectRef) -> AnyProxy + Send + Sync>,
    entries: Mutex<BTreeMap<Name, Entry>>,
    turn: AtomicUsize,
}

impl Members {
    /// No members yet. Those that do not implement `interface` are passed over; `open` makes a proxy of a reference.
    pub(super) fn new(
        name: Name,
        interface: &'static str,
        open: impl Fn(&ObjectRef) -> AnyProxy + Send + Sync + 'static,
    ) -> Self {
        Self { name, interface, open: Box::new(open), entries: Mutex::default(), turn: AtomicUsize::new(0) }
    }

    pub(super) fn name(&self) -> &Name {
        &self.name
    }

    pub(super) fn is_empty(&self) -> bool {
        lock(&self.entries).is_empty()
    }

    /// The member for the next call; `None` when every one has been tried. Those that failed lately, or that the registry
    /// does not name any more, are taken when there is no other.
    pub(super) fn pick(&self, balance: Balance, tried: &[Arc<Member>]) -> Option<Arc<Member>> {
        let mut entries = lock(&self.entries);
        let now = now();
        entries.retain(|_, entry| entry.doubted.is_none_or(|since| now < since + DOUBT));
        let untried = |entry: &&Entry| !tried.iter().any(|tried| Arc::ptr_eq(tried, &entry.member));
        let good = |entry: &&Entry| entry.doubted.is_none() && !entry.member.is_aside(now);
        let mut fit: Vec<&Entry> = entries.values().filter(untried).filter(good).collect();
        if fit.is_empty() {
            fit = entries.values().filter(untried).collect();
        }
        let turn = self.turn.fetch_add(1, Ordering::Relaxed).checked_rem(fit.len())?;
        fit.rotate_left(turn);
        let entry = match balance {
            Balance::RoundRobin => fit.first(),
            // The first of several with the fewest, so that they take turns.
            Balance::LeastInFlight => fit.iter().min_by_key(|entry| entry.member.running.load(Ordering::Relaxed)),
        };
        let member = entry?.member.clone();
        member.chosen();
        Some(member)
    }

    /// A member could not take a call.
    pub(super) fn failed(&self, member: &Arc<Member>) {
        member.set_aside();
        // Neither the registry nor the member itself speaks for it.
        lock(&self.entries).retain(|_, entry| entry.doubted.is_none() || !Arc::ptr_eq(&entry.member, member));
    }

    /// Follows a change of a member.
    pub(super) fn heed(&self, event: Event) {
        let mut entries = lock(&self.entries);
        match event.change {
            Change::Bound(binding) => self.joined(&mut entries, &binding),
            Change::Unbound => drop(entries.remove(&event.name)),
        }
    }

    /// Takes over a whole list. Who is not on it any more is kept in doubt for a while.
    pub(super) fn replace(&self, bindings: &[Binding]) {
        let mut entries = lock(&self.entries);
        let now = now();
        let listed: HashSet<&Name> = bindings.iter().map(|binding| &binding.name).collect();
        for (_, entry) in entries.iter_mut().filter(|(name, _)| !listed.contains(name)) {
            entry.doubted.get_or_insert(now);
        }
        bindings.iter().for_each(|binding| self.joined(&mut entries, binding));
    }

    fn serves(&self, binding: &Binding) -> bool {
        binding.object.interfaces.is_empty() || binding.object.implements(self.interface)
    }

    fn joined(&self, entries: &mut BTreeMap<Name, Entry>, binding: &Binding) {
        if !self.serves(binding) {
            tracing::warn!(member = %binding.name, wanted = self.interface, "a member does not implement the interface");
            return;
        }
        if !entries.contains_key(&binding.name) && !has_room(entries) {
            tracing::warn!(group = %self.name, "more members than the limit of {GROUP_MEMBERS_MAX}; the rest is not called");
            return;
        }
        let known = entries.get(&binding.name);
        let same = known.filter(|entry| entry.member.object == binding.object).map(|entry| entry.member.clone());
        let member = same.unwrap_or_else(|| self.member(&binding.object));
        if known.is_none_or(|entry| entry.revision != binding.revision) {
            member.is_well();
        }
        entries.insert(binding.name.clone(), Entry { revision: binding.revision, doubted: None, member });
    }

    fn member(&self, object: &ObjectRef) -> Arc<Member> {
        let proxy = (self.open)(object);
        Arc::new(Member { object: object.clone(), proxy, running: AtomicUsize::new(0), aside: Mutex::default() })
    }
}

/// Whether there is room for one more member, after a doubted one has made room if need be.
fn has_room(entries: &mut BTreeMap<Name, Entry>) -> bool {
    if entries.len() >= GROUP_MEMBERS_MAX {
        let doubted = entries.iter().find(|(_, entry)| entry.doubted.is_some()).map(|(name, _)| name.clone());
        doubted.and_then(|name| entries.remove(&name));
    }
    entries.len() < GROUP_MEMBERS_MAX
}

#[cfg(test)]
#[path = "members_tests.rs"]
mod tests;
