//! The registry as a remote object, and as something that can be started.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rmi_core::NodeId;
use rmi_core::naming::{
    Binding, Claim, Lease, Name, Naming, NamingError, Page, Position, Prefix, Renewed, Tags, Token, Watch,
};
use rmi_core::sync::Semaphores;
use rmi_core::{CallContext, Endpoint, Node, NodeBuilder, NodeError, ObjectId, ObjectRef, Proxy, remote};

use crate::leases::{LEASE, LEASES_MAX, Leases};
use crate::room::Room;
use crate::semaphores::Named;
use crate::state::{State, Want, Wish, told};
use crate::store::{Store, StoreError};
use crate::watchers::Watchers;
use crate::writer::Writer;

/// How often the registry looks for leases that are over.
const SWEEP: Duration = Duration::from_secs(1);

/// A registry that runs.
pub struct Running {
    node: Node,
    writer: Writer,
    semaphores: Arc<Named>,
    sweep: tokio::task::JoinHandle<()>,
}

/// Why a registry could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The node cannot listen.
    #[error(transparent)]
    Node(#[from] NodeError),
}

impl Running {
    /// Starts a registry on these endpoints.
    ///
    /// # Errors
    /// The store cannot be read, or an endpoint cannot be listened on.
    pub async fn start(endpoints: &[Endpoint], store: impl Store) -> Result<Self, StartError> {
        Self::start_with(endpoints, store, LEASE).await
    }

    /// Like [`start`](Self::start), with leases of another duration: of hosts to their bindings, and of peers to what they
    /// hold.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn start_with(endpoints: &[Endpoint], store: impl Store, lease: Duration) -> Result<Self, StartError> {
        Self::start_on(endpoints.iter().fold(Node::builder(), NodeBuilder::listen), store, lease).await
    }

    /// Like [`start_with`](Self::start_with), on a node that was set up otherwise: with places to listen, transports, limits,
    /// an authorizer. Its lease and what it does when a peer is gone are the registry's.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn start_on(builder: NodeBuilder, store: impl Store, lease: Duration) -> Result<Self, StartError> {
        let (leases, watchers) = (Arc::new(Leases::new(lease)), Arc::new(Watchers::default()));
        let writer = Writer::start(store, watchers.clone())?;
        writer.read(|state| watchers.begin(state.revision()));
        let now = now();
        writer.read(|state| state.owners().for_each(|owner| leases.restore(owner, now)));
        let (gone, ended) = tokio::sync::mpsc::unbounded_channel();
        let known = leases.clone();
        let builder = builder.lease(lease).on_disconnect(move |peer, clean| {
            let tokens = if clean { known.goodbye(peer.connection) } else { Vec::new() };
            if !tokens.is_empty() {
                // The registry itself may be shutting down.
                let _ = gone.send(tokens);
            }
        });
        let servant = Servant { writer: writer.clone(), leases: leases.clone(), watchers };
        let builder = builder.export_at(ObjectId::REGISTRY, &Proxy::<dyn Naming>::new(servant));
        let semaphores = Arc::new(Named::new(writer.clone()));
        let found = Proxy::<dyn Semaphores>::from_arc(semaphores.clone());
        let node = builder.export_at(ObjectId::SEMAPHORES, &found).start().await?;
        let sweep = tokio::spawn(sweep(writer.clone(), leases, ended));
        Ok(Self { node, writer, semaphores, sweep })
    }

    /// Where it listens.
    #[must_use]
    pub fn endpoints(&self) -> &[Endpoint] {
        self.node.endpoints()
    }

    /// Finishes accepted calls, says goodbye and closes the store.
    pub async fn shutdown(self) {
        // Who waits for a permit would wait on while accepted calls are finished.
        self.semaphores.close();
        self.node.shutdown().await;
        self.sweep.abort();
        // The aborted task holds the store until it is gone.
        let _ = self.sweep.await;
        drop(self.semaphores);
        self.writer.finish().await;
    }
}

/// Frees the names of hosts that are gone: those that said goodbye at once, the others after their lease.
async fn sweep(writer: Writer, leases: Arc<Leases>, mut ended: tokio::sync::mpsc::UnboundedReceiver<Vec<Token>>) {
    let mut ticks = tokio::time::interval(SWEEP);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let tokens = tokio::select! {
            Some(tokens) = ended.recv() => tokens,
            // A bind may have passed the end of its own lease on the way.
            _ = ticks.tick() => {
                let mut tokens = leases.expire(now());
                tokens.extend(writer.read(|state| state.owners().filter(|owner| !leases.is_held(*owner)).collect::<Vec<_>>()));
                tokens
            }
        };
        if tokens.is_empty() {
            continue;
        }
        if let Err(error) = writer.change(Wish::End(tokens.clone())).await {
            tracing::error!(%error, "the names of a host that is gone could not be freed; trying again");
            tokens.into_iter().for_each(|token| leases.restore(token, now()));
        }
    }
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

struct Servant {
    writer: Writer,
    leases: Arc<Leases>,
    watchers: Arc<Watchers>,
}

impl Servant {
    fn connection() -> u64 {
        CallContext::current().and_then(|context| context.peer().map(|peer| peer.connection)).unwrap_or_default()
    }

    fn node() -> NodeId {
        CallContext::current().and_then(|context| context.peer().map(|peer| peer.node)).unwrap_or(NodeId::UNKNOWN)
    }

    fn want(&self, owner: Token, name: &Name, object: &ObjectRef, tags: &Tags) -> Result<Want, NamingError> {
        if !self.leases.is_held(owner) {
            return Err(NamingError::NoLease);
        }
        Ok(Want { owner, name: name.clone(), object: object.clone(), tags: tags.clone() })
    }

    fn told(&self, state: &State, name: &Name) -> Result<Binding, NamingError> {
        let stored = state.get(name).ok_or_else(|| NamingError::NotBound(name.clone()))?;
        Ok(told(name, stored, self.leases.is_verified(stored.owner)))
    }
}

#[remote]
impl Naming for Servant {
    async fn ping(&self) -> Result<(), NamingError> {
        Ok(())
    }

    async fn join(&self) -> Result<Lease, NamingError> {
        let token = self.leases.join(Self::connection(), now());
        let full = || NamingError::Full { what: "leases".into(), limit: LEASES_MAX as u64 };
        Ok(Lease::new(token.ok_or_else(full)?, self.leases.duration()))
    }

    async fn renew(&self, token: Token, claims: &[Claim]) -> Result<Renewed, NamingError> {
        if !self.leases.renew(token, Self::connection(), now()) {
            return Err(NamingError::NoLease);
        }
        let known = |state: &State, claim: &Claim| state.get(&claim.name).is_some_and(|stored| stored.owner == token);
        let lost = self
            .writer
            .read(|state| claims.iter().filter(|claim| !known(state, claim)).map(|claim| claim.name.clone()).collect());
        Ok(Renewed::new(lost))
    }

    async fn leave(&self, token: Token) -> Result<(), NamingError> {
        self.leases.end(token);
        self.writer.change(Wish::End(vec![token])).await.map(drop)
    }

    async fn bind(&self, token: Token, name: &Name, object: &ObjectRef, tags: &Tags) -> Result<u64, NamingError> {
        self.writer.change(Wish::Bind(self.want(token, name, object, tags)?)).await
    }

    async fn rebind(
        &self,
        token: Token,
        name: &Name,
        object: &ObjectRef,
        tags: &Tags,
        expected: Option<u64>,
    ) -> Result<u64, NamingError> {
        self.writer.change(Wish::Rebind(self.want(token, name, object, tags)?, expected)).await
    }

    async fn unbind(&self, name: &Name, expected: Option<u64>) -> Result<u64, NamingError> {
        self.writer.change(Wish::Unbind(name.clone(), expected)).await
    }

    async fn lookup(&self, name: &Name) -> Result<Binding, NamingError> {
        self.writer.read(|state| self.told(state, name))
    }

    async fn list(&self, prefix: &Prefix, after: Option<&Name>, limit: u32) -> Result<Page, NamingError> {
        Ok(self.writer.read(|state| {
            let mut found = state.list(prefix, after).peekable();
            let mut room = Room::new(limit);
            let mut bindings = Vec::new();
            while let Some((name, stored)) = found.next_if(|(name, stored)| room.takes(name, stored)) {
                bindings.push(told(name, stored, self.leases.is_verified(stored.owner)));
            }
            Page::new(bindings, found.peek().is_some(), state.revision())
        }))
    }

    async fn watch(&self, prefix: &Prefix, position: Option<Position>) -> Result<Watch, NamingError> {
        // Under the lock, so that no change falls between the revision and the first event.
        self.writer.read(|state| {
            let position = position.unwrap_or_else(|| self.watchers.position(state.revision()));
            let events = self.watchers.add(Self::node(), prefix, position)?;
            Ok(Watch::new(position, events))
        })
    }
}
