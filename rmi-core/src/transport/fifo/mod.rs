//! Named pipes.

mod listen;
mod place;

use std::io;
use std::os::fd::OwnedFd;

use async_trait::async_trait;
use rustix::fs::OFlags;
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::unix::pipe::{Receiver, Sender};

use crate::endpoint::Endpoint;
use crate::transport::ends::Ends;
use crate::transport::{Channel, Listener, Transport, TransportError};
use place::{Place, identity, is_without_reader};

/// `fifo:/path`: named pipes. The modes of the files prove the peer's user: only one user can open them.
///
/// At the path is the pipe on which callers announce themselves, each with the name of a pair of pipes that it has made
/// beside it for its channel. The names are gone as soon as both sides have opened the pair. The pipes are for their owner
/// alone (mode 0600), and so is the directory (0700), which is made if there is none. What a killed process left behind is
/// removed by the next that listens there. Limit: only processes of one user can meet.
#[derive(Debug, Clone, Copy, Default)]
pub struct Fifo;

/// What the listener writes into a pair that it has opened.
const READY: u8 = b'!';

#[async_trait]
impl Transport for Fifo {
    fn scheme(&self) -> &'static str {
        "fifo"
    }

    fn cost(&self) -> u8 {
        30
    }

    async fn dial(&self, endpoint: &Endpoint) -> Result<Channel, TransportError> {
        let place = Place::of(endpoint)?;
        announce(&place).await.map_err(|error| TransportError::io(endpoint, error))
    }

    async fn listen(&self, endpoint: &Endpoint) -> Result<Box<dyn Listener>, TransportError> {
        place::make_directory(endpoint)?;
        Ok(Box::new(listen::Accepting::at(Place::of(endpoint)?)?))
    }
}

/// Makes a pair, tells the listener its name, and waits until it has opened it.
async fn announce(place: &Place) -> io::Result<Channel> {
    let rendezvous = match place.open(place.name(), OFlags::WRONLY) {
        Err(error) if is_without_reader(&error) => return Err(io::ErrorKind::ConnectionRefused.into()),
        opened => opened?,
    };
    let identity = identity(&rendezvous)?;
    let mut rendezvous = Sender::from_owned_fd(rendezvous)?;
    let pair = Pair::make(place)?;
    let (mut reads, writes, held) = pair.open()?;
    // Short enough to come in one piece, whoever else writes.
    rendezvous.write_all(format!("{}\n", pair.id).as_bytes()).await?;
    let answered = tokio::select! {
        biased;
        ready = reads.read_u8() => ready.map(drop),
        () = without_reader(&rendezvous) => Err(io::ErrorKind::ConnectionRefused.into()),
    };
    answered?;
    drop(held);
    Ok(Channel::new(Ends::new(reads, writes), identity, place.endpoint().to_string()))
}

/// Resolves when nobody reads the pipe any more.
async fn without_reader(pipe: &Sender) {
    while let Ok(ready) = pipe.ready(Interest::ERROR).await {
        if ready.is_error() || ready.is_write_closed() {
            return;
        }
    }
}

/// The names of a pair of pipes, which are gone with it.
struct Pair<'a> {
    place: &'a Place,
    id: String,
}

impl<'a> Pair<'a> {
    fn make(place: &'a Place) -> io::Result<Self> {
        let pair = Self { place, id: uuid::Uuid::new_v4().simple().to_string() };
        place.pair(&pair.id).iter().try_for_each(|name| place.make(name))?;
        Ok(pair)
    }

    /// What the caller reads and what it writes, and the other ends of both: they are held until the listener has them, or
    /// the one could not be opened and the other would seem to be at its end.
    fn open(&self) -> io::Result<(Receiver, Sender, [OwnedFd; 2])> {
        let [up, down] = self.place.pair(&self.id);
        let held = [self.place.open(&up, OFlags::RDWR)?, self.place.open(&down, OFlags::RDWR)?];
        let reads = Receiver::from_owned_fd(self.place.open(&down, OFlags::RDONLY)?)?;
        let writes = Sender::from_owned_fd(self.place.open(&up, OFlags::WRONLY)?)?;
        Ok((reads, writes, held))
    }
}

impl Drop for Pair<'_> {
    fn drop(&mut self) {
        self.place.pair(&self.id).iter().for_each(|name| self.place.remove(name));
    }
}
