//! Changes of a registry, as they come: once, or for as long as somebody wants to know.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{ErrorKind, RemoteError};
use crate::naming::binding::{Binding, Event};
use crate::naming::interface::{Naming, NamingError};
use crate::naming::name::{Name, Prefix};
use crate::proxy::Proxy;
use crate::streaming::Streaming;

/// The pause before a watch that ended is begun again.
const PAUSE: Duration = Duration::from_millis(500);
/// How many bindings are asked for at a time.
const PAGE: u32 = 500;

/// A point between two changes of a registry, from which a watch can go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Position {
    /// Which changes the registry counts: another number after every start of it.
    pub history: u64,
    /// The revision of the last change before it.
    pub revision: u64,
}

impl Position {
    /// The position after the change with this revision, of the same history.
    #[must_use]
    pub fn after(self, event: &Event) -> Self {
        Self { revision: event.revision, ..self }
    }

    /// A position made of these parts.
    #[must_use]
    pub fn new(history: u64, revision: u64) -> Self {
        Self { history, revision }
    }
}

/// A watch on a registry; dropping it ends the watch.
///
/// The stream ends with an error when the registry is gone, or when its reader is too far behind: begin again at the
/// position after the last event, see [`Registry::watch`](crate::Registry::watch).
#[derive(Debug, Serialize, Deserialize)]
#[must_use = "the watch ends when this is dropped"]
pub struct Watch {
    /// Where it begins: the last change before it is not told.
    pub position: Position,
    /// The changes after it, in the order of their revisions, none left out.
    pub events: Streaming<Event>,
}

/// What somebody who follows a registry learns.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Followed {
    /// Everything that is bound under the prefix, in the order of names: at first, and after a gap. What is not in it is not
    /// bound. Changes that follow may be in it already: one that is older than the binding says nothing new.
    Listed(Vec<Binding>),
    /// A change.
    Changed(Event),
}

/// Follows what is bound under a prefix, whatever happens to the registry and the connection to it:
/// [`Registry::follow`](crate::Registry::follow). Dropping it ends that.
#[derive(Debug)]
pub struct Follow {
    naming: Proxy<dyn Naming>,
    prefix: Prefix,
    /// The most bindings of a list.
    limit: usize,
    watch: Option<Watch>,
    /// After the last change that was told.
    position: Position,
    ready: VecDeque<Followed>,
}

impl Follow {
    /// Begins to follow: the list is the first thing to be told.
    pub(super) async fn begin(naming: Proxy<dyn Naming>, prefix: Prefix, limit: usize) -> Result<Self, NamingError> {
        let mut follow =
            Self { naming, prefix, limit, watch: None, position: Position::new(0, 0), ready: VecDeque::new() };
        follow.list().await?;
        Ok(follow)
    }

    /// What happened next. While no registry answers it waits, and tries again every half second.
    ///
    /// Cancellation: dropping the future loses nothing.
    ///
    /// # Errors
    /// `Remote`: the node of this process is shut down.
    pub async fn next(&mut self) -> Result<Followed, NamingError> {
        loop {
            if let Some(ready) = self.ready.pop_front() {
                return Ok(ready);
            }
            let next = match &mut self.watch {
                Some(watch) => watch.events.next().await,
                None => {
                    // Paused before the first attempt, too: a registry that ends every watch is not asked without end.
                    tokio::time::sleep(PAUSE).await;
                    self.resume().await?;
                    continue;
                }
            };
            match next {
                Some(Ok(event)) => {
                    self.position = self.position.after(&event);
                    return Ok(Followed::Changed(event));
                }
                ended => {
                    tracing::debug!(?ended, prefix = ?self.prefix, "a watch ended; beginning again");
                    self.watch = None;
                }
            }
        }
    }

    /// Goes on after the last change, or lists anew when that is not possible.
    async fn resume(&mut self) -> Result<(), NamingError> {
        let resumed = match self.naming.watch(&self.prefix, Some(self.position)).await {
            Ok(watch) => {
                self.watch = Some(watch);
                return Ok(());
            }
            Err(NamingError::Gap { .. }) => self.list().await,
            Err(error) => Err(error),
        };
        match resumed {
            Err(NamingError::Remote(error)) if error.kind() == ErrorKind::Misuse => Err(error.into()),
            Err(error) => {
                tracing::debug!(%error, prefix = ?self.prefix, "the registry does not answer; trying again");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    async fn list(&mut self) -> Result<(), NamingError> {
        let watch = self.naming.watch(&self.prefix, None).await?;
        // Listed after the watch began, so that no change is missed between the two.
        let bindings = list(&self.naming, &self.prefix, self.limit, |_| true).await?;
        self.position = watch.position;
        self.watch = Some(watch);
        self.ready.push_back(Followed::Listed(bindings));
        Ok(())
    }
}

/// The bindings under a prefix for which `keep` says so, `limit` at most.
pub(super) async fn list(
    naming: &Proxy<dyn Naming>,
    prefix: &Prefix,
    limit: usize,
    keep: impl Fn(&Binding) -> bool,
) -> Result<Vec<Binding>, NamingError> {
    let mut bindings = Vec::new();
    let mut after: Option<Name> = None;
    while bindings.len() < limit {
        let page = naming.list(prefix, after.as_ref(), PAGE).await?;
        let last = page.bindings.last().map(|binding| binding.name.clone());
        bindings.extend(page.bindings.into_iter().filter(&keep));
        // A registry that goes in circles is not followed.
        if !page.more || last <= after {
            break;
        }
        after = last;
    }
    bindings.truncate(limit);
    Ok(bindings)
}

impl Watch {
    /// A watch made of these parts.
    pub fn new(position: Position, events: Streaming<Event>) -> Self {
        Self { position, events }
    }

    /// The next change; `None` when the registry has ended the watch, an error when it is gone or this reader was too slow.
    pub async fn next(&mut self) -> Option<Result<Event, RemoteError>> {
        self.events.next().await
    }
}
