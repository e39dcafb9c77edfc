//! Keeps the members of a group as the registry knows them.

use std::sync::Arc;
use std::time::Duration;

use rmi_macros::remote;
use tokio::sync::mpsc;

use crate::call::CallOptions;
use crate::error::{ErrorKind, Executed, RemoteError};
use crate::id::ObjectId;
use crate::limits::GROUP_MEMBERS_MAX;
use crate::naming::binding::{Binding, Event};
use crate::naming::group::members::{Members, is_member};
use crate::naming::interface::{Naming, NamingError, Watcher};
use crate::naming::name::{Name, Prefix};
use crate::proxy::Proxy;

/// How many changes may wait here; the registry waits with the next one.
const EVENTS_WAITING_MAX: usize = 64;
/// After this long without a change the list is compared: it shows a watch that ended without our knowledge, as that of a
/// registry whose machine is gone.
const COMPARE: Duration = Duration::from_secs(10);
/// The pause before a watch that ended is begun again.
const PAUSE: Duration = Duration::from_millis(500);
/// The time to tell the registry that a watch is over.
const UNWATCH_TIMEOUT: Duration = Duration::from_secs(2);
/// How many bindings are asked for at a time.
const PAGE: u32 = 500;

/// The members below `name`, `limit` at most.
pub(super) async fn list(naming: &Proxy<dyn Naming>, name: &Name, limit: usize) -> Result<Vec<Binding>, NamingError> {
    let prefix: Prefix = name.as_str().parse()?;
    let mut members = Vec::new();
    let mut after: Option<Name> = None;
    while members.len() < limit {
        let page = naming.list(&prefix, after.as_ref(), PAGE).await?;
        let last = page.bindings.last().map(|binding| binding.name.clone());
        members.extend(page.bindings.into_iter().filter(|binding| is_member(name, &binding.name)));
        // A registry that goes in circles is not followed.
        if !page.more || last <= after {
            break;
        }
        after = last;
    }
    members.truncate(limit);
    Ok(members)
}

/// What follows the registry for a group.
pub(super) struct Follower {
    naming: Proxy<dyn Naming>,
    prefix: Prefix,
    members: Arc<Members>,
    watch: Watch,
}

/// A watch that lasts.
struct Watch {
    /// The changes; they end with the watch.
    events: mpsc::Receiver<Event>,
    /// The object that the registry tells them.
    ear: ObjectId,
}

impl Follower {
    /// Begins to follow: when it returns, the members are there. Returns what the registry listed, too.
    pub(super) async fn begin(
        naming: &Proxy<dyn Naming>,
        members: &Arc<Members>,
    ) -> Result<(Self, Vec<Binding>), NamingError> {
        let prefix: Prefix = members.name().as_str().parse()?;
        let watch = watch(naming, &prefix).await?;
        // Listed after the watch began, so that no change is missed between the two.
        let bindings = list(naming, members.name(), GROUP_MEMBERS_MAX).await?;
        members.replace(&bindings);
        Ok((Self { naming: naming.clone(), prefix, members: members.clone(), watch }, bindings))
    }

    /// Follows until `over` resolves or the node is closed, then tells the registry so: it would learn of it only by the
    /// next change, and its places for watches are few.
    pub(super) async fn follow(mut self, over: impl Future) {
        tokio::select! {
            () = self.heed_all() => {}
            _ = over => {}
        }
        let Self { naming, members, watch, .. } = self;
        drop(members);
        unwatch(&naming, &watch).await;
    }

    /// Heeds changes, of one watch after the other. Ends when the node is closed.
    async fn heed_all(&mut self) {
        loop {
            self.heed().await;
            unwatch(&self.naming, &self.watch).await;
            // Paused before the first attempt, too: a registry that ends every watch is not asked without end.
            tokio::time::sleep(PAUSE).await;
            while let Err(error) = self.begin_again().await {
                if matches!(&error, NamingError::Remote(error) if error.kind() == ErrorKind::Misuse) {
                    return;
                }
                tracing::debug!(group = %self.members.name(), %error, "the registry does not answer; trying again");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    /// Heeds changes until the watch is over, or seems to be.
    async fn heed(&mut self) {
        loop {
            match tokio::time::timeout(COMPARE, self.watch.events.recv()).await {
                Ok(Some(event)) => self.members.heed(event),
                Ok(None) => return,
                Err(_) => match list(&self.naming, self.members.name(), GROUP_MEMBERS_MAX).await {
                    Ok(bindings) if self.members.agrees(&bindings) => {}
                    _ => return,
                },
            }
        }
    }

    async fn begin_again(&mut self) -> Result<(), NamingError> {
        self.watch = watch(&self.naming, &self.prefix).await?;
        self.members.replace(&list(&self.naming, self.members.name(), GROUP_MEMBERS_MAX).await?);
        Ok(())
    }
}

async fn watch(naming: &Proxy<dyn Naming>, prefix: &Prefix) -> Result<Watch, NamingError> {
    let (sender, events) = mpsc::channel(EVENTS_WAITING_MAX);
    let watcher = Proxy::<dyn Watcher>::new(Ear(sender));
    let ear = watcher.id();
    // Held for the registry alone: when the watch ends it is dropped, and with it the sender.
    naming.watch(prefix, watcher).await?;
    Ok(Watch { events, ear })
}

/// Ends a watch, if the registry is there: if it is not, the watch is over.
async fn unwatch(naming: &Proxy<dyn Naming>, watch: &Watch) {
    let ended = naming.with(CallOptions::new().timeout(UNWATCH_TIMEOUT)).unwatch(watch.ear).await;
    if let Err(error) = ended {
        tracing::debug!(%error, "a watch could not be ended");
    }
}

/// Hands on what the registry tells.
struct Ear(mpsc::Sender<Event>);

#[remote]
impl Watcher for Ear {
    async fn changed(&self, event: Event) -> Result<(), RemoteError> {
        let over = |_| RemoteError::new(ErrorKind::Cancelled, Executed::No, "the watch is over");
        self.0.send(event).await.map_err(over)
    }
}
