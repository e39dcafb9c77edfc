//! How long a call takes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rmi_core::{AnyProxy, Bytes, Call, Endpoint, ErrorKind, MethodId, Node, Registry};

use crate::command::Failure;
use crate::command::output::Output;

/// Calls the registry several times and prints a summary.
pub(super) async fn registry(node: &Node, registry: &Registry, count: u32, output: Output) -> Result<(), Failure> {
    let mut times = Vec::new();
    for _ in 0..count.max(1) {
        times.push(registry.ping().await?);
    }
    let way = node.peers().first().map(|peer| peer.address.clone());
    output.latencies("the registry", way.as_deref(), &mut times)
}

/// Calls the node of a name several times and prints a summary.
pub(super) async fn object(
    node: &Node,
    registry: &Registry,
    name: &str,
    via: Option<&str>,
    count: u32,
    output: Output,
) -> Result<(), Failure> {
    let mut reference = registry.resolve(name).await?.object;
    if let Some(via) = via {
        reference.endpoints = only(&reference.endpoints, via)?;
    }
    let object = node.any_proxy(&reference);
    // The first call may dial.
    ask(&object).await?;
    let mut times = Vec::new();
    for _ in 0..count.max(1) {
        times.push(ask(&object).await?);
    }
    // The registry may be on the same node: the way to the object is the later one.
    let peers = node.peers().into_iter().filter(|peer| peer.node == reference.node);
    let peer = peers.max_by_key(|peer| peer.connection);
    output.latencies(name, peer.map(|peer| peer.address).as_deref(), &mut times)
}

/// The endpoints of this scheme, or this endpoint.
fn only(endpoints: &[Endpoint], via: &str) -> Result<Arc<[Endpoint]>, Failure> {
    let found: Arc<[Endpoint]> =
        endpoints.iter().filter(|endpoint| via == endpoint.scheme() || via == endpoint.as_str()).cloned().collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let wanted = || {
        let known: Vec<&str> = endpoints.iter().map(Endpoint::as_str).collect();
        Failure::usage(format!("no endpoint of the object has the scheme {via:?}: it has {}", known.join(", ")))
    };
    let endpoint: Endpoint = via.parse().map_err(|_| wanted())?;
    Ok([endpoint].into())
}

/// One round trip to an object of any interface: a method that none has is answered by the node.
async fn ask(object: &AnyProxy) -> Result<Duration, Failure> {
    let begun = Instant::now();
    let call = Call::new(MethodId::of("rmi.Ping", "ping"), Bytes::from_static(&[0x90]));
    match object.invoke(call).await {
        Err(error) if error.kind() != ErrorKind::NoSuchInterface => Err(Failure::failed(error)),
        _ => Ok(begun.elapsed()),
    }
}
