//! A side of a channel through shared memory without the transport's code: it can do what no honest side does.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::path::Path;

use rmi_core::limits::SHM_RING_BYTES;
use rustix::event::EventfdFlags;
use rustix::fs::{MemfdFlags, OFlags, SealFlags};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
};

/// What both sides write beside the bytes of a ring.
const CONTROL_BYTES: u64 = 256;
const RING_BYTES: u64 = CONTROL_BYTES + SHM_RING_BYTES as u64;
/// The size of the memory of a channel.
pub const MEMORY_BYTES: u64 = 2 * RING_BYTES;
/// The seals without which memory is refused.
pub const SEALS: SealFlags = SealFlags::SHRINK.union(SealFlags::GROW).union(SealFlags::SEAL);

/// The words of a ring that a side says something with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// How many bytes the producer has written.
    Written,
    /// Whether the producer sleeps.
    ProducerSleeps,
    /// How many bytes the consumer has read.
    Read,
    /// Whether the consumer sleeps.
    ConsumerSleeps,
}

/// The two rings, as the side that dialled sees them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ring {
    /// What the side that accepted writes.
    Incoming,
    /// What the side that dialled writes.
    Outgoing,
}

/// The side that dialled.
pub struct RawSide {
    /// The memory of the channel.
    pub memory: File,
    /// Where the two met.
    pub socket: UnixStream,
    own_bell: OwnedFd,
    peer_bell: OwnedFd,
}

impl RawSide {
    /// Takes what a listener hands over.
    ///
    /// # Errors
    /// Nobody listens there, or something else was handed over.
    pub fn dial(path: &Path) -> io::Result<Self> {
        let socket = UnixStream::connect(path)?;
        let mut descriptors = receive(&socket)?.into_iter();
        let (Some(memory), Some(own_bell), Some(peer_bell)) =
            (descriptors.next(), descriptors.next(), descriptors.next())
        else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        Ok(Self { memory: memory.into(), socket, own_bell, peer_bell })
    }

    /// What stands in a word.
    ///
    /// # Errors
    /// The operating system refused.
    pub fn peek(&self, ring: Ring, word: Word) -> io::Result<u64> {
        let mut bytes = [0; 8];
        self.memory.read_exact_at(&mut bytes, place(ring, word))?;
        Ok(u64::from_le_bytes(bytes))
    }

    /// Writes a word.
    ///
    /// # Errors
    /// The operating system refused.
    pub fn poke(&self, ring: Ring, word: Word, value: u64) -> io::Result<()> {
        self.memory.write_all_at(&value.to_le_bytes(), place(ring, word))
    }

    /// Writes what the ring carries, from its beginning.
    ///
    /// # Errors
    /// The operating system refused.
    pub fn poke_bytes(&self, ring: Ring, bytes: &[u8]) -> io::Result<()> {
        self.memory.write_all_at(bytes, begin(ring) + CONTROL_BYTES)
    }

    /// Wakes the peer.
    ///
    /// # Errors
    /// The operating system refused.
    pub fn ring(&self) -> io::Result<()> {
        rustix::io::write(&self.peer_bell, &[0; 8])?;
        Ok(())
    }

    /// Fills the count of the own bell and lets the peer wait who adds to it.
    ///
    /// # Errors
    /// The operating system refused.
    pub fn jam(&self) -> io::Result<()> {
        let flags = rustix::fs::fcntl_getfl(&self.own_bell)?;
        rustix::io::write(&self.own_bell, &(u64::MAX - 2).to_ne_bytes())?;
        rustix::fs::fcntl_setfl(&self.own_bell, flags - OFlags::NONBLOCK)?;
        Ok(())
    }
}

fn begin(ring: Ring) -> u64 {
    if ring == Ring::Incoming { 0 } else { RING_BYTES }
}

fn place(ring: Ring, word: Word) -> u64 {
    let offset = match word {
        Word::Written => 0,
        Word::ProducerSleeps => 8,
        Word::Read => 128,
        Word::ConsumerSleeps => 136,
    };
    begin(ring) + offset
}

/// The message of an honest listener.
#[must_use]
pub fn message() -> Vec<u8> {
    [&b"rmi-shm\x01"[..], &MEMORY_BYTES.to_le_bytes()].concat()
}

/// Memory that is not sealed.
///
/// # Errors
/// The operating system refused.
pub fn memory(name: &str, bytes: u64) -> io::Result<OwnedFd> {
    let memory = rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    rustix::fs::ftruncate(&memory, bytes)?;
    Ok(memory)
}

/// A doorbell.
///
/// # Errors
/// The operating system refused.
pub fn bell() -> io::Result<OwnedFd> {
    Ok(rustix::event::eventfd(1, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?)
}

/// Sends bytes and descriptors in one message.
///
/// # Errors
/// The operating system refused.
pub fn send(socket: impl AsFd, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(253))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(descriptors));
    }
    rustix::net::sendmsg(socket, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

fn receive(socket: &UnixStream) -> io::Result<Vec<OwnedFd>> {
    let mut bytes = [0; 64];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    rustix::net::recvmsg(socket, &mut [IoSliceMut::new(&mut bytes)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let rights = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
        _ => None,
    });
    Ok(rights.flatten().collect())
}
