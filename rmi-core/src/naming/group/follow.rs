//! Keeps the members of a group as the registry knows them.

use std::sync::Arc;

use crate::limits::GROUP_MEMBERS_MAX;
use crate::naming::binding::Binding;
use crate::naming::group::members::{Members, is_member};
use crate::naming::interface::{Naming, NamingError};
use crate::naming::name::{Name, Prefix};
use crate::naming::watch::{self, Follow, Followed};
use crate::proxy::Proxy;

/// The members below `name`, `limit` at most.
pub(super) async fn list(naming: &Proxy<dyn Naming>, name: &Name, limit: usize) -> Result<Vec<Binding>, NamingError> {
    let prefix: Prefix = name.as_str().parse()?;
    watch::list(naming, &prefix, limit, |binding| is_member(name, &binding.name)).await
}

/// What follows the registry for a group.
pub(super) struct Follower {
    follow: Follow,
    members: Arc<Members>,
}

impl Follower {
    /// Begins to follow: when it returns, the members are there. Returns what the registry listed, too.
    pub(super) async fn begin(
        naming: &Proxy<dyn Naming>,
        members: &Arc<Members>,
    ) -> Result<(Self, Vec<Binding>), NamingError> {
        let prefix: Prefix = members.name().as_str().parse()?;
        let follow = Follow::begin(naming.clone(), prefix, GROUP_MEMBERS_MAX).await?;
        let mut follower = Self { follow, members: members.clone() };
        let mut bindings = Vec::new();
        if let Followed::Listed(listed) = follower.follow.next().await? {
            bindings = follower.listed(listed);
        }
        Ok((follower, bindings))
    }

    /// Follows until `over` resolves or the node is closed.
    pub(super) async fn follow(mut self, over: impl Future) {
        let heed_all = async {
            while let Ok(followed) = self.follow.next().await {
                match followed {
                    Followed::Listed(listed) => drop(self.listed(listed)),
                    Followed::Changed(event) => self.members.heed(event),
                }
            }
        };
        tokio::select! {
            () = heed_all => {}
            _ = over => {}
        }
    }

    fn listed(&self, mut bindings: Vec<Binding>) -> Vec<Binding> {
        bindings.retain(|binding| is_member(self.members.name(), &binding.name));
        self.members.replace(&bindings);
        bindings
    }
}
