//! Groups: several objects under one name, called through one proxy.
//!
//! The registry knows nothing of groups. A member of `workers` is an ordinary binding directly below that name whose last
//! part begins with `@`, so everything that holds for bindings (leases, tags, watches, lists) holds for members.

mod follow;
mod members;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use uuid::Uuid;

use crate::call::{Call, Invocation, Invoke, Outcome};
use crate::error::{ErrorKind, Executed, RemoteError};
use crate::id::{NodeId, ObjectId};
use crate::interface::Interface;
use crate::naming::interface::NamingError;
use crate::naming::listing::{Wanted, list};
use crate::naming::name::{Name, NameError};
use crate::naming::registry::{Registry, parse};
use crate::proxy::Proxy;
use crate::reference::ObjectRef;
use follow::{Follower, MEMBERS};
use members::{Members, now};

/// How the proxy of a group chooses the member for a call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Balance {
    /// One after the other.
    #[default]
    RoundRobin,
    /// The one on which the fewest calls of this proxy and its clones run; of several, one after the other.
    LeastInFlight,
}

impl Registry {
    /// Makes an object a member of the group called `name`, and returns the name of its own that it has as such. It is
    /// exported and kept bound as by [`bind`](Self::bind), and leaves with [`unbind`](Self::unbind) of the returned name.
    ///
    /// An object of another node can be a member, too; it is this registry's lease then that keeps it one.
    ///
    /// # Errors
    /// `Name`: also when the name leaves no room for the 34 bytes that the member's own name has more. Otherwise as
    /// [`bind`](Self::bind).
    pub async fn enlist<T: ?Sized + Interface>(
        &self,
        name: impl TryInto<Name, Error: Into<NameError>>,
        proxy: &Proxy<T>,
    ) -> Result<Name, NamingError> {
        let member = members::name_below(&parse(name)?, Uuid::new_v4())?;
        self.bind(&member, proxy).await?;
        Ok(member)
    }

    /// One proxy for all members of the group called `name`; there may be none yet.
    ///
    /// Members that join get calls and members that leave get none, without another lookup. A call that a member did not
    /// run because it is gone, draining or overloaded is handed to the next one, an idempotent call also when it may have
    /// run; each member gets it once at most, and the deadline holds for all attempts together. Such a member is left
    /// aside for 5 s, or until the registry has news of it. What the members know is their own: a call may meet another
    /// member than the one before.
    ///
    /// Order: calls through one proxy are dispatched in their order by each member, and in no order across members.
    /// Limits: 1,024 members; more are not called. While no registry answers the members last known are called.
    /// The proxy cannot be an argument or a result of a call, nor be exported: it is a choice made here. Send the name.
    ///
    /// # Errors
    /// `WrongInterface`: there are members, and none is known to implement `T`. `Name`, `Full`, and what the call itself
    /// may fail with. A call through the proxy of a group without members fails with `Unreachable`, not executed.
    pub async fn group<T: ?Sized + Interface>(
        &self,
        name: impl TryInto<Name, Error: Into<NameError>>,
        balance: Balance,
    ) -> Result<Proxy<T>, NamingError> {
        let name = parse(name)?;
        let members = Arc::new(Members::new(name, T::descriptor().name, self.node().opener()));
        let (follower, bindings) = Follower::begin(self.naming(), &members).await?;
        let (alive, over) = oneshot::channel();
        tokio::spawn(follower.follow(over));
        if members.is_empty()
            && let Some(other) = bindings.first()
        {
            return Err(NamingError::WrongInterface {
                name: other.name.clone(),
                wanted: T::descriptor().name.to_owned(),
                found: other.object.interfaces.join(", "),
            });
        }
        let interfaces: Arc<[String]> = T::descriptor().names().into_iter().map(str::to_owned).collect();
        Proxy::over(Arc::new(Group {
            members,
            balance,
            timeout: self.node().limits().call_timeout,
            reference: ObjectRef::new(NodeId::from_bytes([0; 16]), ObjectId::random(), interfaces, Vec::new()),
            _alive: alive,
        }))
        .map_err(NamingError::from)
    }

    /// Whether a group of this name has a member.
    pub(super) async fn has_members(&self, name: &Name) -> Result<bool, NamingError> {
        let listing = list(self.naming(), &name.as_str().parse()?, Wanted { limit: 1, ..MEMBERS }).await?;
        Ok(!listing.bindings.is_empty())
    }
}

/// What the proxy of a group sends its calls over.
struct Group {
    members: Arc<Members>,
    balance: Balance,
    /// The time for a call that sets none.
    timeout: Duration,
    /// It leads nowhere: only its interfaces mean something, and its object tells one group proxy from another.
    reference: ObjectRef,
    /// Dropped with the last proxy, which ends what follows the registry.
    _alive: oneshot::Sender<()>,
}

impl Invoke for Group {
    fn invoke(&self, mut call: Call) -> Invocation {
        let (members, balance, timeout) = (self.members.clone(), self.balance, self.timeout);
        Box::pin(async move {
            // Fixed here: each member would otherwise give the call its whole time anew.
            let deadline = *call.deadline.get_or_insert_with(|| now() + timeout);
            invoke(&members, balance, &call, deadline).await
        })
    }

    fn reference(&self) -> &ObjectRef {
        &self.reference
    }

    fn stays(&self) -> Option<&'static str> {
        Some("the proxy of a group cannot be sent: it is a choice made here; send the group's name")
    }
}

/// Offers the call to one member after the other until one takes it.
async fn invoke(members: &Members, balance: Balance, call: &Call, deadline: Instant) -> Outcome {
    let mut tried = Vec::new();
    let mut last = None;
    while let Some(member) = members.pick(balance, &tried) {
        let error = match member.call(call.clone()).await {
            Ok(reply) => {
                member.is_well();
                return Ok(reply);
            }
            Err(error) => error,
        };
        if is_the_members(&error) {
            members.failed(&member);
        }
        if !moves_on(&error, call.idempotent) || now() >= deadline {
            return Err(error);
        }
        tracing::debug!(group = %members.name(), %error, "the call goes to another member");
        tried.push(member);
        last = Some(error);
    }
    Err(last.unwrap_or_else(|| {
        RemoteError::new(ErrorKind::Unreachable, Executed::No, format!("the group {} has no members", members.name()))
    }))
}

/// Whether the error says that the member is not there for calls at the moment.
fn is_the_members(error: &RemoteError) -> bool {
    use ErrorKind::{Deadline, Disconnected, Draining, Gone, NoSuchObject, Overloaded, Unreachable};
    let absent = matches!(error.kind(), Disconnected | Draining | Gone | NoSuchObject | Overloaded | Unreachable);
    // A deadline that passed before the call had left speaks of a member that cannot be reached.
    let silent = error.kind() == Deadline && error.executed() == Executed::No;
    !error.is_relayed() && (absent || silent)
}

/// Whether another member may be asked: the call did not run, or may run twice.
fn moves_on(error: &RemoteError, idempotent: bool) -> bool {
    let lost = matches!(error.kind(), ErrorKind::Gone | ErrorKind::NoSuchObject);
    let not_here = lost && error.executed() == Executed::No && !error.is_relayed();
    not_here || error.retry_is_safe(idempotent)
}
