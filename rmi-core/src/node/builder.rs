//! How a node is set up.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::endpoint::{Endpoint, EndpointError};
use crate::error::RemoteError;
use crate::id::ObjectId;
use crate::interface::Interface;
use crate::limits::{self, Limits};
use crate::node::{Node, Parts, accept};
use crate::object::Pin;
use crate::peer::Peer;
use crate::proxy::{AnyProxy, Proxy};
use crate::security::{AllowAll, Authorizer};
use crate::transport::{self, Listener, Transport, TransportError};

pub(super) type OnDisconnect = Box<dyn Fn(&Peer, bool) + Send + Sync>;

/// Sets up a [`Node`]. Made by [`Node::builder`]; what is not set has the defaults of [`Limits`].
#[must_use]
pub struct NodeBuilder {
    listen: Vec<Result<Endpoint, EndpointError>>,
    advertise: Vec<Result<Endpoint, EndpointError>>,
    transports: HashMap<String, Arc<dyn Transport>>,
    limits: Limits,
    authorizer: Arc<dyn Authorizer>,
    on_disconnect: Option<OnDisconnect>,
    objects: Vec<(ObjectId, AnyProxy)>,
    parent: Option<AnyProxy>,
}

/// Why a node could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NodeError {
    /// An endpoint that does not parse.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// No transport for the endpoint's scheme.
    #[error("{0}: there is no transport for {scheme:?}", scheme = .0.scheme())]
    NoTransport(Endpoint),
    /// The transport refused.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// More endpoints than a reference can carry.
    #[error("{0} endpoints exceed the limit of {limit}", limit = limits::ENDPOINTS_MAX)]
    TooManyEndpoints(usize),
    /// An object cannot be exported.
    #[error(transparent)]
    Export(#[from] RemoteError),
    /// The process that started this one is no parent that can be served.
    #[error("cannot serve a parent: {0}")]
    Parent(std::io::Error),
    /// Limits that contradict each other.
    #[error("{0}")]
    Limits(String),
    /// Not called inside a tokio runtime.
    #[error("a node starts inside a tokio runtime")]
    NoRuntime,
}

impl NodeBuilder {
    pub(super) fn new() -> Self {
        let transports = transport::defaults().into_iter().map(|one| (one.scheme().to_owned(), one)).collect();
        Self {
            listen: Vec::new(),
            advertise: Vec::new(),
            transports,
            limits: Limits::default(),
            authorizer: Arc::new(AllowAll),
            on_disconnect: None,
            objects: Vec::new(),
            parent: None,
        }
    }

    /// Listens there: `tcp://127.0.0.1:0`, `unix:/run/bank.sock`. May be said several times: a caller takes the
    /// endpoint with the cheapest transport that leads here. A node that listens nowhere can call, and be called back over its own connections.
    pub fn listen(mut self, endpoint: impl TryInto<Endpoint, Error: Into<EndpointError>>) -> Self {
        self.listen.push(endpoint.try_into().map_err(Into::into));
        self
    }

    /// Puts this endpoint into references instead of those the node listens on: for a node behind an address
    /// translation, or one that listens on `0.0.0.0`. May be said several times.
    pub fn advertise(mut self, endpoint: impl TryInto<Endpoint, Error: Into<EndpointError>>) -> Self {
        self.advertise.push(endpoint.try_into().map_err(Into::into));
        self
    }

    /// Adds a transport, or replaces the one for its scheme. Those of [`transport::defaults`] are there from the start.
    pub fn transport(mut self, transport: Arc<dyn Transport>) -> Self {
        self.transports.insert(transport.scheme().to_owned(), transport);
        self
    }

    /// Sets every bound of the node.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Gives calls that set no deadline this long, instead of 30 s.
    pub fn call_timeout(mut self, timeout: Duration) -> Self {
        self.limits.call_timeout = timeout;
        self
    }

    /// Keeps objects this long for a peer that is not heard of, instead of 60 s.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.limits.lease = lease;
        self
    }

    /// Asks `authorizer` who may connect and who may call what.
    pub fn authorizer(mut self, authorizer: impl Authorizer) -> Self {
        self.authorizer = Arc::new(authorizer);
        self
    }

    /// Calls `listener` when a connection to a peer that had said hello is over; its second argument says whether the
    /// peer said goodbye because it was done. It runs on the task of the connection and must not wait.
    pub fn on_disconnect(mut self, listener: impl Fn(&Peer, bool) + Send + Sync + 'static) -> Self {
        self.on_disconnect = Some(Box::new(listener));
        self
    }

    /// Exports an object under a well-known id before the node takes its first connection: a host that comes back in the
    /// place of another never answers that it has no such object. Otherwise like [`Node::export_at`].
    pub fn export_at<T: ?Sized + Interface>(mut self, id: ObjectId, proxy: &Proxy<T>) -> Self {
        self.objects.push((id, proxy.to_any()));
        self
    }

    /// Serves the process that started this one with [`Node::spawn`]; it gets `root`, an object of this process.
    ///
    /// The node takes the standard input and output for itself when it starts: the input is empty from then on, and what is
    /// printed goes where the standard error goes, which is the parent's log. A program ends when
    /// [`Node::parent_gone`] does; one that does not is killed by its parent, if that lives. Start the node before any
    /// process of the program's own: such a one could hold the pipes open.
    ///
    /// ```no_run
    /// # use rmi_core::{Node, Proxy, RemoteError, remote};
    /// # #[remote] trait Worker { async fn work(&self) -> Result<u64, RemoteError>; }
    /// # struct Fast;
    /// # #[remote] impl Worker for Fast { async fn work(&self) -> Result<u64, RemoteError> { Ok(5) } }
    /// # async fn child() -> Result<(), Box<dyn std::error::Error>> {
    /// let node = Node::builder().serve_parent(&Proxy::<dyn Worker>::new(Fast)).start().await?;
    /// node.parent_gone().await;
    /// # Ok(())
    /// # }
    /// # async fn parent(node: Node) -> Result<(), Box<dyn std::error::Error>> {
    /// let child = node.spawn::<dyn Worker>("exec:./worker --fast").await?;
    /// assert_eq!(child.proxy().work().await?, 5);
    /// # Ok(())
    /// # }
    /// ```
    pub fn serve_parent<T: ?Sized + Interface>(mut self, root: &Proxy<T>) -> Self {
        self.parent = Some(root.to_any());
        self
    }

    /// Starts the node.
    ///
    /// # Errors
    /// An endpoint that does not parse or cannot be listened on, limits that contradict each other, no parent where one is to be served, or no
    /// tokio runtime.
    pub async fn start(self) -> Result<Node, NodeError> {
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| NodeError::NoRuntime)?;
        check(&self.limits)?;
        let mut listeners = Vec::new();
        for endpoint in self.listen {
            listeners.push(listen(&self.transports, endpoint?).await?);
        }
        let mut endpoints = self.advertise.into_iter().collect::<Result<Vec<_>, _>>()?;
        if endpoints.is_empty() {
            endpoints = listeners.iter().map(|listener| listener.endpoint().clone()).collect();
        }
        if endpoints.len() > limits::ENDPOINTS_MAX {
            return Err(NodeError::TooManyEndpoints(endpoints.len()));
        }
        let listening = listeners.iter().map(|listener| listener.endpoint().clone()).collect();
        let (transports, limits, authorizer) = (self.transports, Arc::new(self.limits), self.authorizer);
        let on_disconnect = self.on_disconnect;
        let node = Node::new(Parts { endpoints, listening, transports, limits, authorizer, on_disconnect, runtime });
        for (id, object) in self.objects {
            node.export_any(&object, Some(id), Pin::Exported)?;
        }
        if let Some(root) = self.parent {
            node.serve_parent(&root).await?;
        }
        for listener in listeners {
            node.spawn_listener(accept::accept(node.shared().clone(), listener));
        }
        Ok(node)
    }
}

async fn listen(
    transports: &HashMap<String, Arc<dyn Transport>>,
    endpoint: Endpoint,
) -> Result<Box<dyn Listener>, NodeError> {
    let Some(transport) = transports.get(endpoint.scheme()) else { return Err(NodeError::NoTransport(endpoint)) };
    Ok(transport.listen(&endpoint).await?)
}

fn check(limits: &Limits) -> Result<(), NodeError> {
    let pairs = [
        ("frame_bytes_max", limits.frame_bytes_max, limits::FRAME_BYTES_LEAST, ""),
        ("window_bytes", limits.window_bytes, limits.body_bytes_max.saturating_mul(2), ", twice body_bytes_max"),
        ("references_per_body_max", limits.references_per_body_max, limits::REFERENCES_PER_FRAME_MAX, ""),
        ("calls_in_flight_max", limits.calls_in_flight_max, 1, ""),
    ];
    if limits.lease < limits::LEASE_LEAST {
        return Err(NodeError::Limits(format!("lease of {:?} is below {:?}", limits.lease, limits::LEASE_LEAST)));
    }
    match pairs.into_iter().find(|(_, value, least, _)| value < least) {
        Some((name, value, least, why)) => {
            Err(NodeError::Limits(format!("limit {name} of {value} is below {least}{why}")))
        }
        None => Ok(()),
    }
}
