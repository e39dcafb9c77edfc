//! Who is told about changes, and the last changes for those who come back.

use std::collections::VecDeque;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use rmi_core::naming::{Event, NamingError, Position, Prefix};
use rmi_core::{ErrorKind, Executed, NodeId, RemoteError, Streaming};
use tokio::sync::mpsc;

/// The most watches of one node: more than a program follows by itself, less than would hurt others.
pub(crate) const WATCHES_MAX: usize = 256;
/// How far a watcher may be behind before its watch ends: it can resume.
const BEHIND_MAX: usize = 4096;
/// How many changes are remembered for watchers that resume. At up to 5 KiB each, 20 MiB.
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
    watches: Vec<Watch>,
    history: VecDeque<Event>,
    /// Every change after this one is in the history.
    since: u64,
    newest: u64,
}

struct Watch {
    node: NodeId,
    prefix: Prefix,
    events: mpsc::Sender<Event>,
    behind: Arc<AtomicBool>,
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
        &self,
        node: NodeId,
        prefix: &Prefix,
        position: Position,
    ) -> Result<Streaming<Event>, NamingError> {
        let mut known = self.locked();
        known.watches.retain(|watch| !watch.events.is_closed());
        if known.watches.iter().filter(|watch| watch.node == node).count() >= WATCHES_MAX {
            return Err(NamingError::Full { what: "watches of this node".into(), limit: WATCHES_MAX as u64 });
        }
        let missed = known.missed(prefix, position, self.history)?;
        let (events, waiting) = mpsc::channel(BEHIND_MAX + missed.len());
        for event in missed {
            // There is room for all of them.
            let _ = events.try_send(event);
        }
        let behind = Arc::new(AtomicBool::new(false));
        known.watches.push(Watch { node, prefix: prefix.clone(), events, behind: behind.clone() });
        Ok(Streaming::fallible(Told { waiting, behind: Some(behind) }))
    }

    /// Tells an event to everybody whom it concerns. Who is too far behind is told no more.
    pub(crate) fn tell(&self, event: &Event) {
        let mut known = self.locked();
        known.remember(event.clone());
        known.watches.retain(|watch| {
            let told = !watch.prefix.covers(&event.name) || watch.events.try_send(event.clone()).is_ok();
            if !told {
                watch.behind.store(true, Ordering::Release);
            }
            told
        });
    }

    fn locked(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn remember(&mut self, event: Event) {
        self.newest = event.revision;
        self.history.push_back(event);
        if self.history.len() > HISTORY_MAX
            && let Some(forgotten) = self.history.pop_front()
        {
            self.since = forgotten.revision;
        }
    }

    fn missed(&self, prefix: &Prefix, position: Position, history: u64) -> Result<Vec<Event>, NamingError> {
        let after = position.revision;
        if position.history != history || after < self.since || after > self.newest {
            return Err(NamingError::Gap { after, since: self.since, newest: self.newest });
        }
        let missed = self.history.iter().filter(|event| event.revision > after && prefix.covers(&event.name));
        Ok(missed.cloned().collect())
    }
}

/// The changes that one watcher is told, and why no more come.
struct Told {
    waiting: mpsc::Receiver<Event>,
    /// Taken when it was told that it is too far behind.
    behind: Option<Arc<AtomicBool>>,
}

impl Stream for Told {
    type Item = Result<Event, RemoteError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(event) = ready!(self.waiting.poll_recv(cx)) {
            return Poll::Ready(Some(Ok(event)));
        }
        let behind = self.behind.take().is_some_and(|behind| behind.load(Ordering::Acquire));
        let text = || format!("the watcher is more than {BEHIND_MAX} changes behind");
        Poll::Ready(behind.then(|| Err(RemoteError::new(ErrorKind::Overloaded, Executed::Yes, text()))))
    }
}
