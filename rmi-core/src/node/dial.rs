//! Looking for a node: the places where it may be, one after the other, while calls wait for it.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::time::timeout;

use crate::endpoint::Endpoint;
use crate::error::{ErrorKind, Executed, RemoteError};
use crate::node::connection::Connection;
use crate::node::driver::{self, Driver, Timer};
use crate::node::now;
use crate::peer::Identity;
use crate::proto::Session;
use crate::transport::Channel;

/// Dials the endpoints in their order until the node answers at one, and drives the channel to it.
pub(super) async fn dial(connection: Arc<Connection>, endpoints: Vec<Endpoint>, not_before: Option<Instant>) {
    if let Some(until) = not_before {
        let _ = tended(&connection, connection.node.sleep_until(until)).await;
    }
    let limits = &connection.node.settings.limits;
    let mut left = limits.dial_timeout;
    connection.locked(|session| session.set_alternatives(endpoints.len() > 1));
    let proof = needs_proof(&connection, &endpoints);
    let mut failures = Vec::new();
    let mut endpoints = endpoints.into_iter();
    while let Some(endpoint) = endpoints.next() {
        let (begun, within) = (now(), share(left, endpoints.len()));
        let reached = tended(&connection, reach(&connection, &endpoint, within)).await;
        left = left.saturating_sub(now() - begun);
        let channel = match reached {
            Some(Ok(channel)) if proof && !is_proven(&channel.identity) => {
                let text =
                    format!("{endpoint}: whoever answers proves nothing, and the reference says whose key must answer");
                failures.push(RemoteError::new(ErrorKind::Unreachable, Executed::No, text));
                continue;
            }
            Some(Ok(channel)) => channel,
            Some(Err(error)) => {
                failures.push(error);
                continue;
            }
            None => break,
        };
        // Somebody who accepts and stays silent must not take the time that the node needs elsewhere.
        connection.locked(|session| session.set_handshake(share(limits.handshake_timeout, endpoints.len())));
        let driver = driver::run(&connection, Driver::new(connection.clone(), channel, Some(endpoint))).await;
        match connection.locked(Session::begin_again) {
            Some(error) => failures.push(error),
            None => return driver::finish(&connection, driver).await,
        }
    }
    connection.locked(|session| {
        session.set_alternatives(false);
        session.handle_lost(unreachable(&failures));
    });
    connection.ended();
    connection.gone();
}

/// Whether one of the endpoints says whose key must answer, and we can find out. Then somebody who only claims to be the node
/// must not be met first at another of its endpoints: a path, or a port of this machine, may be anybody's here.
fn needs_proof(connection: &Connection, endpoints: &[Endpoint]) -> bool {
    endpoints.iter().any(|endpoint| endpoint.option("key").is_some() && connection.node.can_dial(endpoint))
}

/// Whether the peer has proven a key, or is a process that could have ours: of this user, or of root.
fn is_proven(identity: &Identity) -> bool {
    match identity {
        Identity::Certificate { .. } | Identity::SameProcess => true,
        Identity::Process { uid, .. } => *uid == 0 || *uid == rustix::process::geteuid().as_raw(),
        Identity::Unproven => false,
    }
}

/// What of the time that is left one endpoint has when so many come after it. Those that fail at once leave theirs to the others;
/// the last one has all of it.
fn share(left: Duration, after: usize) -> Duration {
    left / u32::try_from(after).unwrap_or(u32::MAX).saturating_add(1)
}

async fn reach(connection: &Connection, endpoint: &Endpoint, within: Duration) -> Result<Channel, RemoteError> {
    let failed = |text| Err(RemoteError::new(ErrorKind::Unreachable, Executed::No, text));
    match timeout(within, unpanicked(connection.node.dial(endpoint))).await {
        Ok(Some(Ok(channel))) => Ok(Channel { address: endpoint.to_string(), ..channel }),
        Ok(Some(Err(reason))) => failed(reason),
        Ok(None) => failed(format!("{endpoint}: the transport panicked")),
        Err(_) => failed(format!("{endpoint} did not answer within {within:?}")),
    }
}

/// What `work` comes to, or `None` when it panics: a transport and its libraries hear strangers before we do, and whoever
/// waits for the connection would wait for ever.
async fn unpanicked<T>(work: impl Future<Output = T>) -> Option<T> {
    let mut work = std::pin::pin!(work);
    std::future::poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx))) {
        Ok(polled) => polled.map(Some),
        Err(_) => Poll::Ready(None),
    })
    .await
}

/// Why the node was found nowhere. It is gone only if another answers at every place.
fn unreachable(failures: &[RemoteError]) -> RemoteError {
    let gone = !failures.is_empty() && failures.iter().all(|error| error.kind() == ErrorKind::Gone);
    let kind = if gone { ErrorKind::Gone } else { ErrorKind::Unreachable };
    let reasons: Vec<&str> = failures.iter().map(RemoteError::message).collect();
    RemoteError::new(kind, Executed::No, format!("cannot reach the node: {}", reasons.join("; ")))
}

/// What `work` comes to, while deadlines of the calls that wait for it pass; `None` when nobody waits any more.
async fn tended<T>(connection: &Arc<Connection>, work: impl Future<Output = T>) -> Option<T> {
    let tended = Tended { connection, timer: Timer::default() };
    tokio::select! {
        result = work => Some(result),
        () = tended => None,
    }
}

/// Lets the session's time pass before there is a channel. Resolves when the session is over.
struct Tended<'a> {
    connection: &'a Arc<Connection>,
    timer: Timer,
}

impl Future for Tended<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let due = self.connection.locked(|session| {
                session.handle_timeout(now());
                session.set_driver(cx.waker());
                if session.is_over() { Err(()) } else { Ok(session.poll_timeout()) }
            });
            let Ok(due) = due else { return Poll::Ready(()) };
            ready!(self.timer.poll(due, cx));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_of_another_user_proves_nothing_about_the_key_that_must_answer() {
        let own = rustix::process::geteuid().as_raw();
        let process = |uid| Identity::Process { uid, gid: 0, pid: Some(1) };
        assert!(is_proven(&process(own)) && is_proven(&process(0)));
        assert!(!is_proven(&process(own + 1)) && !is_proven(&Identity::Unproven));
    }
}
