//! Peers that dial us.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tracing::Instrument;

use crate::node::connection::Connection;
use crate::node::{Shared, driver};
use crate::transport::{Channel, Listener};

/// Takes connections until the listener is over.
pub(super) async fn accept(node: Arc<Shared>, mut listener: Box<dyn Listener>) {
    loop {
        match listener.accept().await {
            Ok(channel) => {
                take(&node, channel);
            }
            Err(error) => {
                tracing::error!(endpoint = %listener.endpoint(), %error, "the listener is over");
                return;
            }
        }
    }
}

/// Drives a channel that was not dialled as a connection, unless there are too many.
pub(super) fn take(node: &Arc<Shared>, channel: Channel) -> Arc<Connection> {
    let limits = &node.settings.limits;
    let (open, opening) = (node.connections.len(), node.handshakes.load(Ordering::Relaxed));
    let connection = Connection::new(node.clone(), None);
    let full = [("connections", open, limits.connections_max), ("handshakes", opening, limits.handshakes_max)];
    if let Some((what, _, limit)) = full.into_iter().find(|(_, count, limit)| count >= limit) {
        let text = format!("the node has {limit} {what}, which is the limit");
        tracing::warn!(address = channel.address, "refused a connection: {text}");
        node.runtime.spawn(driver::refuse(connection.clone(), channel, text));
        return connection;
    }
    connection.begin_handshake();
    let span = tracing::debug_span!("connection", id = connection.id, address = channel.address);
    node.runtime.spawn(driver::drive(connection.clone(), channel).instrument(span));
    connection
}
