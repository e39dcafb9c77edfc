//! Changes of a registry, as they come: once, or for as long as somebody wants to know.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{ErrorKind, RemoteError};
use crate::naming::binding::{Binding, Event};
use crate::naming::interface::{Naming, NamingError};
use crate::naming::listing::{Listing, Wanted, list};
use crate::naming::name::Prefix;
use crate::proxy::Proxy;
use crate::streaming::Streaming;

/// The pause before a watch that ended is begun again.
const PAUSE: Duration = Duration::from_millis(500);

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
    /// bound.
    Listed(Vec<Binding>),
    /// A change of what was listed. Whoever makes each has, name by name, what the registry had.
    Changed(Event),
}

/// Follows what is bound under a prefix, whatever happens to the registry and the connection to it:
/// [`Registry::follow`](crate::Registry::follow). Dropping it ends that.
#[derive(Debug)]
pub struct Follow {
    naming: Proxy<dyn Naming>,
    prefix: Prefix,
    wanted: Wanted,
    watch: Option<Watch>,
    /// After the last change that was told.
    position: Position,
    listing: Listing,
    /// The list has yet to be told.
    is_new: bool,
}

impl Follow {
    /// Begins to follow: the list is the first thing to be told.
    pub(super) async fn begin(naming: Proxy<dyn Naming>, prefix: Prefix, wanted: Wanted) -> Result<Self, NamingError> {
        let (position, listing) = (Position::new(0, 0), Listing::default());
        let mut follow = Self { naming, prefix, wanted, watch: None, position, listing, is_new: false };
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
            if std::mem::take(&mut self.is_new) {
                return Ok(Followed::Listed(std::mem::take(&mut self.listing.bindings)));
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
                    if (self.wanted.fits)(&self.prefix, &event.name) && !self.listing.has_heard(&event) {
                        return Ok(Followed::Changed(event));
                    }
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
        self.listing = list(&self.naming, &self.prefix, self.wanted).await?;
        self.position = watch.position;
        self.watch = Some(watch);
        self.is_new = true;
        Ok(())
    }
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
