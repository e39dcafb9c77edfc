//! What programs hold to use a registry.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::call::CallOptions;
use crate::endpoint::{Endpoint, EndpointError};
use crate::error::ErrorKind;
use crate::id::ObjectId;
use crate::interface::Interface;
use crate::naming::binding::{Binding, Tags};
use crate::naming::group::Balance;
use crate::naming::interface::{Lease, Naming, NamingError};
use crate::naming::listing::{Wanted, list};
use crate::naming::name::{Name, NameError};
use crate::naming::places::{REGISTRY_VARIABLE, default_endpoints};
use crate::naming::renewal;
use crate::naming::watch::{Follow, Position, Watch};
use crate::node::Node;
use crate::proxy::{AnyProxy, Proxy};
use crate::reference::ObjectRef;

/// The time to find out whether a registry answers.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A registry, as programs see it. Cheap to clone.
///
/// What is bound through it stays bound as long as a clone of it lives and its process does: it renews the lease by
/// itself, finds the registry again after that was restarted, and binds again what the registry lost. When the process
/// ends its names go: at once if the node was shut down or dropped, after the lease (60 s) if it was killed.
#[derive(Clone)]
pub struct Registry(Arc<Shared>);

/// What the clones of a registry and its renewal share.
pub(super) struct Shared {
    node: Node,
    pub(super) naming: Proxy<dyn Naming>,
    endpoint: Endpoint,
    /// Held while a lease is begun, so that there is one.
    joining: tokio::sync::Mutex<()>,
    pub(super) state: Mutex<State>,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) lease: Option<Lease>,
    pub(super) bound: BTreeMap<Name, Bound>,
    renewal: Option<tokio::task::AbortHandle>,
}

/// What was bound here, to bind it again.
#[derive(Clone)]
pub(super) struct Bound {
    pub(super) object: ObjectRef,
    pub(super) tags: Tags,
    pub(super) revision: u64,
}

impl Shared {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        state.renewal.take().into_iter().for_each(|task| task.abort());
        for (name, bound) in &state.bound {
            self.node.unbind(bound.object.object, name.as_str());
        }
    }
}

impl Registry {
    /// The registry at `endpoint`, which must answer.
    ///
    /// # Errors
    /// `Endpoint`: the text is not an endpoint. `NoRegistry`: nothing answers there within 5 s, or no registry.
    pub async fn connect<E>(node: &Node, endpoint: E) -> Result<Self, NamingError>
    where
        E: TryInto<Endpoint, Error: Into<EndpointError>>,
    {
        let endpoint = endpoint.try_into().map_err(|error| NamingError::from(error.into()))?;
        let naming: Proxy<dyn Naming> = node.at(&endpoint, ObjectId::REGISTRY);
        let answered = naming.with(CallOptions::new().timeout(CONNECT_TIMEOUT)).ping().await;
        answered.map_err(|error| NamingError::NoRegistry { tried: endpoint.to_string(), reason: error.to_string() })?;
        let node = node.clone();
        Ok(Self(Arc::new(Shared {
            node,
            naming,
            endpoint,
            joining: tokio::sync::Mutex::default(),
            state: Mutex::default(),
        })))
    }

    /// The registry that the environment names: at `RMI_REGISTRY`, else at the first of the default places that answers.
    ///
    /// # Errors
    /// `NoRegistry`: nothing answers; the error names every place that was tried.
    pub async fn find(node: &Node) -> Result<Self, NamingError> {
        if let Some(endpoint) = std::env::var(REGISTRY_VARIABLE).ok().filter(|endpoint| !endpoint.is_empty()) {
            return Self::connect(node, endpoint).await;
        }
        let (mut tried, mut reasons) = (Vec::new(), Vec::new());
        for endpoint in default_endpoints() {
            match Self::connect(node, &endpoint).await {
                Err(NamingError::NoRegistry { reason, .. }) => reasons.push(reason),
                other => return other,
            }
            tried.push(endpoint.to_string());
        }
        Err(NamingError::NoRegistry { tried: tried.join(" or "), reason: reasons.join("; ") })
    }

    /// The node through which the registry is used.
    pub(crate) fn node(&self) -> &Node {
        &self.0.node
    }

    /// Where the registry was found.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.0.endpoint
    }

    /// Gives an object a name that is free, and returns the revision. The object is exported while it is bound.
    ///
    /// When it returns `Ok` the binding is durable.
    ///
    /// # Errors
    /// `AlreadyBound`, `Name`, `NoEndpoint`, and what the call itself may fail with.
    pub async fn bind<T: ?Sized + Interface>(
        &self,
        name: impl TryInto<Name, Error: Into<NameError>>,
        proxy: &Proxy<T>,
    ) -> Result<u64, NamingError> {
        self.bind_with(name, proxy, Tags::new()).await
    }

    /// Like [`bind`](Self::bind), with tags beside the binding.
    ///
    /// # Errors
    /// As [`bind`](Self::bind), and `Tags`.
    pub async fn bind_with<T: ?Sized + Interface>(
        &self,
        name: impl TryInto<Name, Error: Into<NameError>>,
        proxy: &Proxy<T>,
        tags: Tags,
    ) -> Result<u64, NamingError> {
        let name = parse(name)?;
        let lease = self.lease().await?;
        let object = self.export(proxy, &name)?;
        let bound = self.0.naming.bind(lease.token, &name, &object, &tags).await;
        self.keep(name, object, tags, bound)
    }

    /// Gives an object a name whether or not it is free; when `expected` is given, only if the binding still has that
    /// revision. Returns the new revision.
    ///
    /// # Errors
    /// `Conflict`, `NotBound` when a revision was expected, and as [`bind`](Self::bind).
    pub async fn rebind<T: ?Sized + Interface>(
        &self,
        name: impl TryInto<Name, Error: Into<NameError>>,
        proxy: &Proxy<T>,
        expected: Option<u64>,
    ) -> Result<u64, NamingError> {
        let name = parse(name)?;
        let lease = self.lease().await?;
        let (object, tags) = (self.export(proxy, &name)?, Tags::new());
        let bound = self.0.naming.rebind(lease.token, &name, &object, &tags, expected).await;
        self.keep(name, object, tags, bound)
    }

    /// Frees a name, whoever bound it, and returns the revision of the change.
    ///
    /// # Errors
    /// `NotBound`, `Conflict`.
    pub async fn unbind(
        &self,
        name: impl TryInto<Name, Error: Into<NameError>>,
        expected: Option<u64>,
    ) -> Result<u64, NamingError> {
        let name = parse(name)?;
        let revision = self.0.naming.unbind(&name, expected).await?;
        self.forget(&name);
        Ok(revision)
    }

    /// A proxy for the object with this name. Its interface is checked here. A name that is not bound but has members is
    /// that of a group, whose members take turns: see [`group`](Self::group).
    ///
    /// # Errors
    /// `NotBound`, `WrongInterface`, `Name`, and what the call itself may fail with.
    pub async fn lookup<T: ?Sized + Interface>(
        &self,
        name: impl TryInto<Name, Error: Into<NameError>>,
    ) -> Result<Proxy<T>, NamingError> {
        let name = parse(name)?;
        let binding = match self.resolve(&name).await {
            Err(NamingError::NotBound(_)) if self.has_members(&name).await? => {
                return self.group(name, Balance::RoundRobin).await;
            }
            resolved => resolved?,
        };
        self.proxy(&binding).cast().map_err(|error| match error.kind() {
            ErrorKind::NoSuchInterface => NamingError::WrongInterface {
                name: binding.name.clone(),
                wanted: T::descriptor().name.to_owned(),
                found: binding.object.interfaces.join(", "),
            },
            _ => error.into(),
        })
    }

    /// What the registry knows about a name: the reference, the revision, the tags, and whether the host has been heard of
    /// since the registry was started.
    ///
    /// # Errors
    /// `NotBound`, `Name`.
    pub async fn resolve(&self, name: impl TryInto<Name, Error: Into<NameError>>) -> Result<Binding, NamingError> {
        self.0.naming.lookup(&parse(name)?).await
    }

    /// A proxy for the object of a binding, without its type.
    #[must_use]
    pub fn proxy(&self, binding: &Binding) -> AnyProxy {
        self.0.node.any_proxy(&binding.object)
    }

    /// Every binding under a prefix (`""` for all), in the order of names. Asked for in pages: what is bound or unbound
    /// meanwhile may or may not be in it.
    ///
    /// # Errors
    /// `Name`: the prefix is not a name.
    pub async fn list(&self, prefix: &str) -> Result<Vec<Binding>, NamingError> {
        Ok(list(&self.0.naming, &prefix.parse()?, Wanted::ALL).await?.bindings)
    }

    /// Every change under a prefix after `position`, or from now on, in order and none left out, until the returned
    /// [`Watch`] is dropped or the registry is gone. To go on after that, watch again from
    /// [`Position::after`] the last event.
    ///
    /// The registry remembers 4,096 changes, and none from before it was started. Who reads too slowly, and is 4,096 changes
    /// behind, gets an error in place of the next one.
    ///
    /// # Errors
    /// `Gap`: the changes after `position` are not known any more, or the registry was started again. `Name`, `Full`.
    pub async fn watch(&self, prefix: &str, position: Option<Position>) -> Result<Watch, NamingError> {
        self.0.naming.watch(&prefix.parse()?, position).await
    }

    /// Follows what is bound under a prefix: first the list of all, then every change, resumed after a lost connection and
    /// listed anew after a restart of the registry.
    ///
    /// Limits: 100,000 bindings in a list.
    ///
    /// # Errors
    /// `Name`, `Full`, and what the call itself may fail with.
    pub async fn follow(&self, prefix: &str) -> Result<Follow, NamingError> {
        Follow::begin(self.0.naming.clone(), prefix.parse()?, Wanted::ALL).await
    }

    /// The latency of one call to the registry.
    ///
    /// # Errors
    /// What the call may fail with.
    pub async fn ping(&self) -> Result<Duration, NamingError> {
        let begun = std::time::Instant::now();
        self.0.naming.ping().await?;
        Ok(begun.elapsed())
    }

    /// Frees every name that was bound through this registry: the first step of an orderly end.
    ///
    /// # Errors
    /// What the call may fail with; the names go with the lease then.
    pub async fn leave(&self) -> Result<(), NamingError> {
        let (lease, names) = {
            let mut state = self.0.state();
            (state.lease.take(), state.bound.keys().cloned().collect::<Vec<_>>())
        };
        names.iter().for_each(|name| self.forget(name));
        match lease {
            Some(lease) => self.0.naming.leave(lease.token).await,
            None => Ok(()),
        }
    }

    pub(super) fn naming(&self) -> &Proxy<dyn Naming> {
        &self.0.naming
    }

    /// The part that its clones and its renewal share.
    #[cfg(test)]
    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.0
    }

    fn export<T: ?Sized + Interface>(&self, proxy: &Proxy<T>, name: &Name) -> Result<ObjectRef, NamingError> {
        let object = self.0.node.export_bound(proxy, name.as_str())?;
        if object.endpoints.is_empty() {
            self.0.node.unbind(object.object, name.as_str());
            return Err(NamingError::NoEndpoint);
        }
        Ok(object)
    }

    /// Remembers what was bound, or takes the export back.
    fn keep(
        &self,
        name: Name,
        object: ObjectRef,
        tags: Tags,
        bound: Result<u64, NamingError>,
    ) -> Result<u64, NamingError> {
        match bound {
            Ok(revision) => {
                let before = self.0.state().bound.insert(name.clone(), Bound { object, tags, revision });
                if let Some(before) = before {
                    self.0.node.unbind(before.object.object, name.as_str());
                }
                Ok(revision)
            }
            Err(error) => {
                self.0.node.unbind(object.object, name.as_str());
                Err(error)
            }
        }
    }

    fn forget(&self, name: &Name) {
        let before = self.0.state().bound.remove(name);
        if let Some(before) = before {
            self.0.node.unbind(before.object.object, name.as_str());
        }
    }

    /// The lease, begun when it is first needed.
    async fn lease(&self) -> Result<Lease, NamingError> {
        let _joining = self.0.joining.lock().await;
        if let Some(lease) = self.0.state().lease.clone() {
            return Ok(lease);
        }
        let lease = self.0.naming.join().await?;
        let task = tokio::spawn(renewal::keep(Arc::downgrade(&self.0), lease.duration)).abort_handle();
        let mut state = self.0.state();
        state.lease = Some(lease.clone());
        if let Some(before) = state.renewal.replace(task) {
            before.abort();
        }
        Ok(lease)
    }
}

pub(super) fn parse(name: impl TryInto<Name, Error: Into<NameError>>) -> Result<Name, NamingError> {
    name.try_into().map_err(|error| NamingError::Name(error.into()))
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Registry({})", self.0.endpoint)
    }
}
