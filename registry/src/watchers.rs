//! Who is told about changes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rmi_core::naming::{Event, Prefix, Watcher};
use rmi_core::{ObjectId, Proxy};
use tokio::sync::mpsc;

/// The most watches of one connection.
pub(crate) const WATCHES_MAX: usize = 64;
/// How far a watcher may be behind before its watch ends: it can begin again with a list.
const BEHIND_MAX: usize = 4096;

#[derive(Default)]
pub(crate) struct Watchers {
    watches: Mutex<Vec<Watch>>,
}

struct Watch {
    connection: u64,
    /// The watcher; `None` when it is in this process, where nobody ends its watch by its id.
    watcher: Option<ObjectId>,
    prefix: Prefix,
    events: mpsc::Sender<Event>,
}

impl Watchers {
    /// Begins a watch; `false` when the connection has too many.
    pub(crate) fn add(self: &Arc<Self>, connection: u64, prefix: Prefix, watcher: Proxy<dyn Watcher>) -> bool {
        let mut watches = self.locked();
        watches.retain(|watch| !watch.events.is_closed());
        if watches.iter().filter(|watch| watch.connection == connection).count() >= WATCHES_MAX {
            return false;
        }
        let (events, mut waiting) = mpsc::channel(BEHIND_MAX);
        let id = watcher.reference().map(|reference| reference.object);
        watches.push(Watch { connection, watcher: id, prefix, events });
        tokio::spawn(async move {
            while let Some(event) = waiting.recv().await {
                // One after the other, so that they arrive in order and a slow watcher is noticed.
                if let Err(error) = watcher.changed(event).await {
                    tracing::debug!(%error, "a watch ended");
                    return;
                }
            }
        });
        true
    }

    /// Tells an event to everybody whom it concerns. Who is too far behind is told no more.
    pub(crate) fn tell(&self, event: &Event) {
        self.locked().retain(|watch| !watch.prefix.covers(&event.name) || watch.events.try_send(event.clone()).is_ok());
    }

    /// A watcher wants to be told no more.
    pub(crate) fn end(&self, connection: u64, watcher: ObjectId) {
        self.locked().retain(|watch| watch.connection != connection || watch.watcher != Some(watcher));
    }

    /// A connection is over.
    pub(crate) fn remove(&self, connection: u64) {
        self.locked().retain(|watch| watch.connection != connection);
    }

    fn locked(&self) -> MutexGuard<'_, Vec<Watch>> {
        self.watches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
