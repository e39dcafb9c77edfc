//! How long a call takes.

use std::time::{Duration, Instant};

use rmi_core::{AnyProxy, Bytes, Call, ErrorKind, MethodId, Node, Registry};

use crate::command::Failure;
use crate::command::output::Output;

/// Calls the registry, or the node of a name, several times and prints a summary.
pub(super) async fn ping(
    node: &Node,
    registry: &Registry,
    name: Option<String>,
    count: u32,
    output: Output,
) -> Result<(), Failure> {
    let mut times = Vec::new();
    let object = match &name {
        Some(name) => Some(node.any_proxy(&registry.resolve(name).await?.object)),
        None => None,
    };
    for _ in 0..count.max(1) {
        times.push(match &object {
            Some(object) => ask(object).await?,
            None => registry.ping().await?,
        });
    }
    // The first call to a node may have dialled.
    if object.is_some() && times.len() > 1 {
        times.remove(0);
    }
    output.latencies(&name.unwrap_or_else(|| registry.endpoint().to_string()), &mut times)
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
