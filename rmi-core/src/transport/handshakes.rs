//! Handshakes that a listener has under way, so that a slow one holds nobody up.

use std::collections::VecDeque;
use std::future::Future;

use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;

use crate::limits::{LISTENER_HANDSHAKE_TIMEOUT, LISTENER_HANDSHAKES_MAX};
use crate::transport::{Channel, TransportError};

/// The handshakes under way, each a task, ended with this. Of more than the limit the oldest gives way: mute strangers
/// cannot keep honest peers out by being there first.
#[derive(Default)]
pub(super) struct Handshakes {
    tasks: JoinSet<Option<Channel>>,
    begun: VecDeque<AbortHandle>,
}

impl Handshakes {
    /// Begins the handshake with `peer`. One that fails or takes too long is told to the log.
    pub(super) fn begin(
        &mut self,
        peer: String,
        handshake: impl Future<Output = Result<Channel, TransportError>> + Send + 'static,
    ) {
        self.begun.retain(|task| !task.is_finished());
        if self.begun.len() >= LISTENER_HANDSHAKES_MAX
            && let Some(oldest) = self.begun.pop_front()
        {
            oldest.abort();
        }
        self.begun.push_back(self.tasks.spawn(async move {
            match timeout(LISTENER_HANDSHAKE_TIMEOUT, handshake).await {
                Ok(Ok(channel)) => return Some(channel),
                Ok(Err(error)) => tracing::info!(peer, %error, "refused a connection"),
                Err(_) => tracing::debug!(peer, "no handshake within {LISTENER_HANDSHAKE_TIMEOUT:?}"),
            }
            None
        }));
    }

    /// Waits for the next handshake that succeeds. Cancellation: dropping the future loses no channel.
    pub(super) async fn next(&mut self) -> Channel {
        loop {
            match self.tasks.join_next().await {
                Some(Ok(Some(channel))) => return channel,
                Some(_) => {}
                None => std::future::pending().await,
            }
        }
    }

    /// How many are under way.
    #[cfg(any(feature = "quic", test))]
    pub(super) fn under_way(&self) -> usize {
        self.begun.iter().filter(|task| !task.is_finished()).count()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::peer::Identity;

    async fn mute() -> Result<Channel, TransportError> {
        std::future::pending().await
    }

    async fn honest() -> Result<Channel, TransportError> {
        let (near, _far) = tokio::io::duplex(1);
        Ok(Channel::new(near, Identity::Unproven, "honest"))
    }

    #[tokio::test(start_paused = true)]
    async fn of_too_many_handshakes_the_oldest_gives_way_and_the_slow_hold_nobody_up() {
        let mut handshakes = Handshakes::default();
        for number in 0..=LISTENER_HANDSHAKES_MAX {
            handshakes.begin(number.to_string(), mute());
        }
        handshakes.begin("honest".into(), honest());
        assert_eq!(handshakes.next().await.address, "honest");
        assert!(handshakes.under_way() < LISTENER_HANDSHAKES_MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn a_handshake_takes_no_longer_than_its_limit() {
        let mut handshakes = Handshakes::default();
        handshakes.begin("mute".into(), mute());
        let waiting = timeout(LISTENER_HANDSHAKE_TIMEOUT + Duration::from_secs(1), handshakes.next());
        assert!(waiting.await.is_err());
        assert_eq!(handshakes.under_way(), 0);
    }
}
