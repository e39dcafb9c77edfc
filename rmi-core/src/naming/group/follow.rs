//! Keeps the members of a group as the registry knows them.

use std::sync::Arc;
use std::time::Duration;

use rmi_macros::remote;
use tokio::sync::mpsc;

use crate::error::{ErrorKind, Executed, RemoteError};
use crate::limits::GROUP_MEMBERS_MAX;
use crate::naming::binding::{Binding, Event};
use crate::naming::group::members::{Members, is_member};
use crate::naming::interface::{Naming, NamingError, Watcher};
use crate::naming::name::{Name, NameError, Prefix};
use crate::proxy::Proxy;

/// How many changes may wait here; the registry waits with the next one.
const EVENTS_WAITING_MAX: usize = 64;
/// After this long without a change the list is compared: it shows a watch that ended without our knowledge, as that of a
/// registry whose machine is gone.
const COMPARE: Duration = Duration::from_secs(10);
/// The pause before the registry is asked again that did not answer.
const PAUSE: Duration = Duration::from_millis(500);
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
}

impl Follower {
    pub(super) fn new(naming: Proxy<dyn Naming>, name: &Name, members: Arc<Members>) -> Result<Self, NameError> {
        Ok(Self { naming, prefix: name.as_str().parse()?, members })
    }

    /// Watches, then lists, so that no change is missed between the two. Returns the list and the changes after it; they
    /// end with the watch.
    pub(super) async fn begin(&self) -> Result<(Vec<Binding>, mpsc::Receiver<Event>), NamingError> {
        let (sender, events) = mpsc::channel(EVENTS_WAITING_MAX);
        // Held for the registry alone: when the watch ends it is dropped, and with it the sender.
        self.naming.watch(&self.prefix, Proxy::new(Ear(sender))).await?;
        let bindings = self.list().await?;
        self.members.replace(&bindings);
        Ok((bindings, events))
    }

    /// Follows until the task is aborted or the node is closed.
    pub(super) async fn follow(self, mut events: mpsc::Receiver<Event>) {
        loop {
            self.heed(&mut events).await;
            events = match self.begin_again().await {
                Some(events) => events,
                None => return,
            };
        }
    }

    /// Heeds changes until the watch is over.
    async fn heed(&self, events: &mut mpsc::Receiver<Event>) {
        loop {
            match tokio::time::timeout(COMPARE, events.recv()).await {
                Ok(Some(event)) => self.members.heed(event),
                Ok(None) => return,
                Err(_) => match self.list().await {
                    Ok(bindings) if self.members.agrees(&bindings) => {}
                    _ => return,
                },
            }
        }
    }

    /// `None`: the node is closed, and nothing will ever be heard again.
    async fn begin_again(&self) -> Option<mpsc::Receiver<Event>> {
        loop {
            match self.begin().await {
                Ok((_, events)) => return Some(events),
                Err(NamingError::Remote(error)) if error.kind() == ErrorKind::Misuse => return None,
                Err(error) => {
                    tracing::debug!(group = %self.members.name(), %error, "the registry does not answer; trying again");
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn list(&self) -> Result<Vec<Binding>, NamingError> {
        list(&self.naming, self.members.name(), GROUP_MEMBERS_MAX).await
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
