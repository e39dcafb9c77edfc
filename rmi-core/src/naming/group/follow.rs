//! Keeps the members of a group as the registry knows them.

use std::sync::Arc;

use crate::limits::GROUP_MEMBERS_MAX;
use crate::naming::binding::Binding;
use crate::naming::group::members::{Members, is_member};
use crate::naming::interface::{Naming, NamingError};
use crate::naming::listing::Wanted;
use crate::naming::name::Prefix;
use crate::naming::watch::{Follow, Followed};
use crate::proxy::Proxy;

/// The bindings that are members of the group called like the prefix.
pub(super) const MEMBERS: Wanted =
    Wanted { fits: |prefix, name| prefix.name().is_some_and(|group| is_member(group, name)), limit: GROUP_MEMBERS_MAX };

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
        let follow = Follow::begin(naming.clone(), prefix, MEMBERS).await?;
        let mut follower = Self { follow, members: members.clone() };
        let mut bindings = Vec::new();
        if let Followed::Listed(listed) = follower.follow.next().await? {
            members.replace(&listed);
            bindings = listed;
        }
        Ok((follower, bindings))
    }

    /// Follows until `over` resolves or the node is closed.
    pub(super) async fn follow(mut self, over: impl Future) {
        let heed_all = async {
            while let Ok(followed) = self.follow.next().await {
                match followed {
                    Followed::Listed(listed) => self.members.replace(&listed),
                    Followed::Changed(event) => self.members.heed(event),
                }
            }
        };
        tokio::select! {
            () = heed_all => {}
            _ = over => {}
        }
    }
}
