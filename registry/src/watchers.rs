//! The last changes, and who is told about them.
//!
//! A watch is a place among the changes: which one is told next. It holds none itself, so that a slow watcher costs nothing
//! but its place, and one that resumes is one that is behind.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use futures_core::Stream;
use rmi_core::naming::{Event, NamingError, Position, Prefix};
use rmi_core::{ErrorKind, Executed, NodeId, RemoteError, Streaming};

/// The most watches of one node: more than a program follows by itself, less than would hurt others.
pub(crate) const WATCHES_MAX: usize = 256;
/// How many changes are remembered, for watchers that are behind or resume. At up to 5 KiB each, 20 MiB.
const HISTORY_MAX: usize = 4096;

pub(crate) struct Watchers {
    /// Another number after every start: revisions alone may say the same of other changes.
    history: u64,
    known: Mutex<Known>,
}

impl Default for Watchers {
    fn default() -> Self {
        // The standard library's hasher is seeded from the operating system.
        Self { history: RandomState::new().build_hasher().finish(), known: Mutex::default() }
    }
}

#[derive(Default)]
struct Known {
    /// The last changes, in the order of their revisions.
    history: VecDeque<Arc<Event>>,
    /// Every change after this one is in the history.
    since: u64,
    newest: u64,
    watches: HashMap<u64, Watch>,
    /// How many watches there were.
    begun: u64,
}

struct Watch {
    node: NodeId,
    prefix: Prefix,
    /// The change to be told next; `None` when all were.
    next: Option<u64>,
    waker: Option<Waker>,
}

impl Watchers {
    /// Nothing before this change is remembered.
    pub(crate) fn begin(&self, revision: u64) {
        let mut known = self.locked();
        (known.since, known.newest) = (revision, revision);
    }

    /// The position after this revision.
    pub(crate) fn position(&self, revision: u64) -> Position {
        Position::new(self.history, revision)
    }

    /// Begins a watch that tells the changes after `position`.
    pub(crate) fn add(
        self: &Arc<Self>,
        node: NodeId,
        prefix: &Prefix,
        position: Position,
    ) -> Result<Streaming<Event>, NamingError> {
        let mut known = self.locked();
        if known.watches.values().filter(|watch| watch.node == node).count() >= WATCHES_MAX {
            return Err(NamingError::Full { what: "watches of this node".into(), limit: WATCHES_MAX as u64 });
        }
        known.check(position, self.history)?;
        let next = after(&known.history, position.revision, prefix).next().map(|event| event.revision);
        known.begun += 1;
        let watch = known.begun;
        known.watches.insert(watch, Watch { node, prefix: prefix.clone(), next, waker: None });
        Ok(Streaming::fallible(Told { watchers: self.clone(), watch }))
    }

    /// Remembers a change. Whom it concerns is to be woken with no lock held.
    pub(crate) fn tell(&self, event: Event) -> Vec<Waker> {
        let mut known = self.locked();
        let concerned = known.watches.values_mut().filter(|watch| watch.prefix.covers(&event.name));
        let wakers = concerned.filter_map(|watch| {
            watch.next.get_or_insert(event.revision);
            watch.waker.take()
        });
        let wakers = wakers.collect();
        known.remember(event);
        wakers
    }

    /// The next change for a watch.
    fn poll(&self, watch: u64, cx: &Context<'_>) -> Poll<Result<Arc<Event>, RemoteError>> {
        let mut known = self.locked();
        let Known { history, watches, .. } = &mut *known;
        let Some(watch) = watches.get_mut(&watch) else { return Poll::Ready(Err(behind())) };
        let Some(next) = watch.next else {
            watch.waker = Some(cx.waker().clone());
            return Poll::Pending;
        };
        let mut due = after(history, next.saturating_sub(1), &watch.prefix);
        let event = due.next().filter(|event| event.revision == next).cloned();
        watch.next = due.next().map(|event| event.revision);
        Poll::Ready(event.ok_or_else(behind))
    }

    fn locked(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn remember(&mut self, event: Event) {
        self.newest = event.revision;
        self.history.push_back(Arc::new(event));
        if self.history.len() > HISTORY_MAX
            && let Some(forgotten) = self.history.pop_front()
        {
            self.since = forgotten.revision;
        }
    }

    fn check(&self, position: Position, history: u64) -> Result<(), NamingError> {
        let after = position.revision;
        if position.history != history || after < self.since || after > self.newest {
            return Err(NamingError::Gap { after, since: self.since, newest: self.newest });
        }
        Ok(())
    }
}

/// The changes under a prefix after a revision.
fn after<'a>(
    history: &'a VecDeque<Arc<Event>>,
    revision: u64,
    prefix: &'a Prefix,
) -> impl Iterator<Item = &'a Arc<Event>> {
    let first = history.partition_point(|event| event.revision <= revision);
    history.range(first..).filter(|event| prefix.covers(&event.name))
}

fn behind() -> RemoteError {
    let text = format!("the watcher is more than {HISTORY_MAX} changes behind");
    RemoteError::new(ErrorKind::Overloaded, Executed::Yes, text)
}

/// The changes that one watcher is told. Dropped, it makes room for another.
struct Told {
    watchers: Arc<Watchers>,
    watch: u64,
}

impl Stream for Told {
    type Item = Result<Event, RemoteError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let told = ready!(self.watchers.poll(self.watch, cx));
        Poll::Ready(Some(told.map(|event| Event::clone(&event))))
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        // Bound to a name: what its waker holds is dropped with no lock held.
        let _watch = self.watchers.locked().watches.remove(&self.watch);
    }
}

#[cfg(test)]
#[path = "watchers_tests.rs"]
mod tests;
