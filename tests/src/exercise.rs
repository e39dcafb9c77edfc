//! An object with a method for each thing that a session does.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rmi_core::streaming::Policy;
use rmi_core::{Bytes, Proxy, RemoteError, Streaming, remote};
use tokio::sync::watch;

/// What a session can be made to do.
#[remote]
pub trait Exercise {
    /// Returns the bytes.
    async fn echo(&self, bytes: Bytes) -> Result<Bytes, RemoteError>;
    /// Returns so many bytes.
    async fn give(&self, bytes: u32) -> Result<Bytes, RemoteError>;
    /// Calls the other back, which calls back in its turn, `depth` times in all; returns how deep it went.
    async fn play(&self, other: Proxy<dyn Exercise>, own: Proxy<dyn Exercise>, depth: u32) -> Result<u32, RemoteError>;
    /// The numbers below `to`, in order.
    async fn count(&self, to: u64) -> Result<Streaming<u64>, RemoteError>;
    /// Never returns.
    async fn hang(&self) -> Result<(), RemoteError>;
    /// Returns after so many milliseconds.
    async fn wait(&self, millis: u64) -> Result<(), RemoteError>;
    /// Notes that it was called, without an answer.
    #[remote(oneway)]
    async fn note(&self) -> Result<(), RemoteError>;
    /// How many notes there were.
    async fn notes(&self) -> Result<u64, RemoteError>;
}

/// An [`Exercise`] that says how many calls run in it.
#[derive(Debug)]
pub struct Gymnast {
    running: watch::Sender<u64>,
    notes: AtomicU64,
    given: AtomicU64,
}

impl Default for Gymnast {
    fn default() -> Self {
        Self { running: watch::Sender::new(0), notes: AtomicU64::new(0), given: AtomicU64::new(0) }
    }
}

impl Gymnast {
    /// How many calls of `hang` and `wait` run.
    #[must_use]
    pub fn running(&self) -> watch::Receiver<u64> {
        self.running.subscribe()
    }

    /// How often it gave bytes.
    #[must_use]
    pub fn given(&self) -> u64 {
        self.given.load(Ordering::SeqCst)
    }
}

/// Counts a call while it runs.
struct Run<'a>(&'a watch::Sender<u64>);

impl<'a> Run<'a> {
    fn new(running: &'a watch::Sender<u64>) -> Self {
        running.send_modify(|running| *running += 1);
        Self(running)
    }
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|running| *running -= 1);
    }
}

#[remote]
impl Exercise for Gymnast {
    async fn echo(&self, bytes: Bytes) -> Result<Bytes, RemoteError> {
        Ok(bytes)
    }

    async fn give(&self, bytes: u32) -> Result<Bytes, RemoteError> {
        self.given.fetch_add(1, Ordering::SeqCst);
        Ok(vec![0; bytes as usize].into())
    }

    async fn play(&self, other: Proxy<dyn Exercise>, own: Proxy<dyn Exercise>, depth: u32) -> Result<u32, RemoteError> {
        if depth == 0 { Ok(0) } else { Ok(1 + other.play(own, other.clone(), depth - 1).await?) }
    }

    async fn count(&self, to: u64) -> Result<Streaming<u64>, RemoteError> {
        let (sender, numbers) = Streaming::channel(64, Policy::Block);
        tokio::spawn(async move {
            for number in 0..to {
                sender.send(number).await?;
            }
            Ok::<_, RemoteError>(())
        });
        Ok(numbers)
    }

    async fn hang(&self) -> Result<(), RemoteError> {
        let _run = Run::new(&self.running);
        std::future::pending().await
    }

    async fn wait(&self, millis: u64) -> Result<(), RemoteError> {
        let _run = Run::new(&self.running);
        tokio::time::sleep(Duration::from_millis(millis)).await;
        Ok(())
    }

    async fn note(&self) -> Result<(), RemoteError> {
        self.notes.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    async fn notes(&self) -> Result<u64, RemoteError> {
        Ok(self.notes.load(Ordering::SeqCst))
    }
}
