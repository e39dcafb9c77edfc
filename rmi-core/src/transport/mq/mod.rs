//! POSIX message queues.

mod kernel;
mod listen;
mod peer;
mod queue;
mod stream;
#[cfg(test)]
mod tests;

use std::io;
use std::pin::pin;
use std::time::Duration;

use async_trait::async_trait;
use nix::mqueue::MQ_OFlag;
use tokio::io::Interest;
use tokio::time::timeout;

use crate::endpoint::Endpoint;
use crate::limits;
use crate::transport::{Channel, Listener, Transport, TransportError};
use queue::{Queue, watched};

/// `mq:/name`: message queues of the kernel. The modes of the queues prove the peer's user: only one user can open them.
///
/// On the queue of that name callers announce themselves, each with the name of a pair of queues that it has made for its
/// channel. The names are gone as soon as both sides have opened the pair. The stream is cut to the size of the messages, a
/// writer waits while a queue is full, and the end is an empty message. A queue does not say that the process at its other
/// end has died: each side watches the other's process.
///
/// Limits: only processes of one user, in one IPC and one PID namespace, can meet. A pair takes about 66 KiB of the
/// `RLIMIT_MSGQUEUE` of that user, which is 800 KiB unless it was changed: enough for twelve channels. A caller that is
/// killed within the microseconds between making its pair and announcing it leaves the pair behind.
#[derive(Debug, Clone, Copy, Default)]
pub struct Mq;

/// How often a caller that waits looks whether anybody listens still.
const LOOK: Duration = Duration::from_millis(200);
/// The longest name, so that with the name of a pair it is a name of a file.
const NAME_BYTES_MAX: usize = 200;

#[async_trait]
impl Transport for Mq {
    fn scheme(&self) -> &'static str {
        "mq"
    }

    fn cost(&self) -> u8 {
        40
    }

    async fn dial(&self, endpoint: &Endpoint) -> Result<Channel, TransportError> {
        let name = name(endpoint)?;
        announce(name, endpoint).await.map_err(|error| TransportError::io(endpoint, error))
    }

    async fn listen(&self, endpoint: &Endpoint) -> Result<Box<dyn Listener>, TransportError> {
        name(endpoint)?;
        Ok(Box::new(listen::Accepting::at(endpoint.clone()).await?))
    }
}

/// The name of the queue on which callers announce themselves.
fn name(endpoint: &Endpoint) -> Result<&str, TransportError> {
    let name = endpoint.address();
    let bad = |reason: String| Err(TransportError::address(endpoint, reason));
    match name.strip_prefix('/') {
        Some(rest) if !rest.is_empty() && !rest.contains('/') => {}
        _ => return bad("the name of a queue is a slash and no other".into()),
    }
    match name.len() {
        bytes if bytes > NAME_BYTES_MAX => bad(format!("name of {bytes} bytes exceeds the limit of {NAME_BYTES_MAX}")),
        _ => Ok(name),
    }
}

/// Makes a pair, tells the listener its name, and waits until it has opened it.
async fn announce(name: &str, endpoint: &Endpoint) -> io::Result<Channel> {
    let rendezvous = Queue::open(name, MQ_OFlag::O_WRONLY)?;
    if !rendezvous.is_held()? {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    let identity = rendezvous.identity()?;
    let rendezvous = watched(rendezvous, Interest::WRITABLE)?;
    let pair = Pair::make(name)?;
    let [writes, reads] = pair.queues()?;
    // Whoever opens it can see by the lock that we live.
    writes.hold()?;
    let reads = watched(reads, Interest::READABLE)?;
    let announcement = peer::announcement(&pair.id);
    let told = rendezvous.async_io(Interest::WRITABLE, |queue| queue.send(announcement.as_bytes()));
    while_held(rendezvous.get_ref(), told).await?;
    let mut message = vec![0; reads.get_ref().message_bytes()?];
    let answered = reads.async_io(Interest::READABLE, |queue| queue.receive(&mut message));
    let length = while_held(rendezvous.get_ref(), answered).await?;
    let listener = peer::process(message.get(..length).unwrap_or_default())?;
    // The answer came from a process with that number, and it lives still: so the number is not another's meanwhile.
    if !rendezvous.get_ref().is_held()? {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    Ok(Channel::new(stream::over(reads, writes, &listener)?, identity, endpoint.to_string()))
}

/// What is done while somebody listens.
async fn while_held<T>(rendezvous: &Queue, doing: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let mut doing = pin!(doing);
    loop {
        match timeout(LOOK, &mut doing).await {
            Ok(done) => return done,
            Err(_) if rendezvous.is_held()? => {}
            Err(_) => return Err(io::ErrorKind::ConnectionRefused.into()),
        }
    }
}

/// The names of a pair: what the caller writes, and what it reads.
fn pair_names(name: &str, id: &str) -> [String; 2] {
    ["up", "down"].map(|way| format!("{name}.{id}.{way}"))
}

/// The names of a pair of queues, which are gone with it.
struct Pair<'a> {
    name: &'a str,
    id: String,
}

impl<'a> Pair<'a> {
    fn make(name: &'a str) -> io::Result<Self> {
        kernel::check()?;
        Ok(Self { name, id: uuid::Uuid::new_v4().simple().to_string() })
    }

    /// Makes the queues: the one that is written, and the one that is read.
    fn queues(&self) -> io::Result<[Queue; 2]> {
        let [up, down] = pair_names(self.name, &self.id);
        let (messages, bytes) = (limits::QUEUE_MESSAGES_MAX, limits::QUEUE_MESSAGE_BYTES_MAX);
        let make = |name: &str, flags| Queue::make(name, flags, messages, bytes);
        Ok([make(&up, MQ_OFlag::O_WRONLY)?, make(&down, MQ_OFlag::O_RDONLY)?])
    }
}

impl Drop for Pair<'_> {
    fn drop(&mut self) {
        pair_names(self.name, &self.id).iter().for_each(|name| queue::remove(name));
    }
}
