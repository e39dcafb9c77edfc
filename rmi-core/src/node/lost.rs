//! After contact was lost: until the leases are over the two nodes may meet again and go on with what they hold.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::timeout_at;

use crate::limits;
use crate::node::connection::Connection;
use crate::node::now;

/// Between a connection that was lost soon and the next one.
const PAUSE: Duration = Duration::from_millis(50);

/// Until when each side keeps what it holds.
struct Until {
    /// The peer's references to our objects.
    theirs: Instant,
    /// Our references to the peer's.
    ours: Instant,
}

impl Until {
    fn of(connection: &Connection) -> Self {
        let now = now();
        let (theirs, ours) = connection.locked(|session| (session.held_until(now), session.holding_until()));
        // The kernel has said that the other end is closed; a process that lives comes back at once.
        let local = connection.peer().is_some_and(|peer| peer.identity.is_local());
        let bound = if local { now + limits::LOCAL_LEASE } else { theirs.max(ours) };
        Self { theirs: theirs.min(bound), ours: ours.min(bound) }
    }
}

/// Keeps what the two sides hold until it is taken over by another connection, or the time is over.
pub(super) async fn outlive(connection: Arc<Connection>) {
    let node = connection.node.clone();
    let until = Until::of(&connection);
    connection.claim_introduced();
    if connection.is_accepted() {
        connection.doubt_all();
    }
    let theirs = async {
        let continued = connection.until(|| !node.table.holds(connection.id));
        let _ = timeout_at(until.theirs.into(), continued).await;
        // The lease stays known: the peer names it to go on, although it holds nothing itself.
        node.table.empty(connection.id);
    };
    let ours = async {
        let moved = connection.until(|| connection.holds_no_more());
        let _ = timeout_at(until.ours.into(), moved).await;
        connection.lose_all();
    };
    let again = async {
        let _ = timeout_at(until.theirs.max(until.ours).into(), dial_again(&connection)).await;
    };
    let closed = node.until(|| node.is_closed());
    tokio::select! {
        _ = async { tokio::join!(theirs, ours, again) } => {}
        () = closed => {}
    }
    node.lost.remove(&connection.id);
    node.table.close(connection.id, connection.lease);
    connection.lose_all();
}

/// Dials until the peer answers, if it was us who dialled and something is held.
async fn dial_again(connection: &Arc<Connection>) {
    let node = &connection.node;
    // The route knows how often dialling has failed, and so how long to wait; holding it also keeps the new connection from
    // being closed as unused before it is opened.
    let route = connection.route();
    while connection.is_dialled() && (!connection.holds_no_more() || node.table.holds(connection.id)) {
        let Ok(next) = route.connection() else { return };
        next.until(|| next.peer().is_some() || next.is_over()).await;
        if next.answered_as_another() {
            return another(connection);
        }
        if let (Some(found), Some(before)) = (next.peer(), connection.peer()) {
            if found.node != before.node {
                // Of the node that answered before nothing is left.
                return another(connection);
            }
            if waits_for_others(connection) {
                node.sleep_until(now() + PAUSE).await;
                continue;
            }
            next.continue_from(connection);
            // That may be lost in its turn before the peer has heard of it.
            tokio::select! {
                () = connection.until(|| connection.holds_no_more() && !node.table.holds(connection.id)) => return,
                () = next.until(|| next.is_over()) => node.sleep_until(now() + PAUSE).await,
            }
        }
    }
}

/// Whether nothing is held here any more, but over another connection of the same route that is over: it may have gone on from
/// here, and the peer may not have heard of that. It still keeps it for us here until we go on, so that goes first.
fn waits_for_others(connection: &Connection) -> bool {
    let Some(dialler) = &connection.dialler else { return false };
    let is_one = |other: &Connection| {
        let same = other.dialler.as_ref().is_some_and(|known| known.destination == dialler.destination);
        same && other.id != connection.id && other.is_over() && other.holds_anything()
    };
    let node = &connection.node;
    connection.holds_no_more() && node.connections.iter().chain(node.lost.iter()).any(|entry| is_one(entry.value()))
}

/// Another node answers in the place of the lost one, which is gone with all that it held.
fn another(connection: &Arc<Connection>) {
    connection.lose_all();
    connection.node.table.empty(connection.id);
    connection.tell();
}
