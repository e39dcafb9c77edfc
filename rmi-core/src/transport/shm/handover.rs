//! How the side that accepts gives the other the memory and the doorbells: one message with exactly three descriptors.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::EventfdFlags;
use rustix::fs::FileType;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags,
};
use tokio::io::Interest;
use tokio::net::UnixStream;

use super::memory::{Half, MEMORY_BYTES, Sealed};

/// What the message begins with; the last byte is the version.
const MAGIC: [u8; 8] = *b"rmi-shm\x01";
const MESSAGE_BYTES: usize = 16;
/// The memory, the bell of the side that dialled, the bell of the side that accepted.
const DESCRIPTORS: usize = 3;

/// What a side has after the handover.
pub(super) struct Shared {
    /// The ring to write to.
    pub(super) outgoing: Half,
    /// The ring to read from.
    pub(super) incoming: Half,
    /// What wakes this side.
    pub(super) own_bell: OwnedFd,
    /// What wakes the peer.
    pub(super) peer_bell: OwnedFd,
}

/// Makes everything and gives the peer its part. Never waits: the socket is new and its buffer empty.
pub(super) fn give(socket: &UnixStream) -> io::Result<Shared> {
    let memory = Sealed::new()?;
    let [outgoing, incoming] = memory.map()?;
    let (peer_bell, own_bell) = (bell()?, bell()?);
    let descriptors = [memory.as_fd(), peer_bell.as_fd(), own_bell.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(&descriptors));
    let message = message();
    let sent = rustix::net::sendmsg(
        socket,
        &[IoSlice::new(&message)],
        &mut control,
        SendFlags::DONTWAIT | SendFlags::NOSIGNAL,
    )?;
    if sent == MESSAGE_BYTES {
        Ok(Shared { outgoing, incoming, own_bell, peer_bell })
    } else {
        Err(io::ErrorKind::WriteZero.into())
    }
}

/// Waits for what `give` sends at the other end. Anything else is refused, and what came with it closed.
pub(super) async fn take(socket: &UnixStream) -> io::Result<Shared> {
    let [memory, own_bell, peer_bell] = loop {
        socket.readable().await?;
        match socket.try_io(Interest::READABLE, || receive(socket)) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            received => break received?,
        }
    };
    let [incoming, outgoing] = Sealed::received(memory)?.map()?;
    check_bell(&own_bell)?;
    check_bell(&peer_bell)?;
    Ok(Shared { outgoing, incoming, own_bell, peer_bell })
}

fn message() -> [u8; MESSAGE_BYTES] {
    let mut message = [0; MESSAGE_BYTES];
    let (magic, size) = message.split_at_mut(MAGIC.len());
    magic.copy_from_slice(&MAGIC);
    size.copy_from_slice(&MEMORY_BYTES.to_le_bytes());
    message
}

/// One byte and one descriptor more than agreed have room, so that they show.
fn receive(socket: &UnixStream) -> io::Result<[OwnedFd; DESCRIPTORS]> {
    let wrong = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
    let mut bytes = [0; MESSAGE_BYTES + 1];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS + 1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
    let received = rustix::net::recvmsg(socket, &mut [IoSliceMut::new(&mut bytes)], &mut control, flags)?;
    // Whatever came is owned from here on, and closed unless it is what was agreed.
    let descriptors: Vec<OwnedFd> = control.drain().flat_map(rights).flatten().collect();
    if received.bytes == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    if bytes.get(..received.bytes) != Some(&message()) {
        return Err(wrong("the other side does not speak this version of shm".into()));
    }
    let count = descriptors.len();
    let exactly = <[OwnedFd; DESCRIPTORS]>::try_from(descriptors).ok();
    let whole = !received.flags.contains(ReturnFlags::CTRUNC);
    exactly.filter(|_| whole).ok_or_else(|| {
        let more = if whole { "" } else { " or more" };
        wrong(format!("{count}{more} descriptors came where {DESCRIPTORS} are agreed"))
    })
}

fn rights(message: RecvAncillaryMessage<'_>) -> Option<impl Iterator<Item = OwnedFd>> {
    match message {
        RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
        _ => None,
    }
}

/// The count is one for ever: a bell is rung by adding nothing, which never has to wait for room, whatever the peer does to
/// the count or the flags that both sides share.
fn bell() -> io::Result<OwnedFd> {
    Ok(rustix::event::eventfd(1, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?)
}

/// A pipe or a socket in the place of a bell could make whoever rings it wait. Event counters are of no type.
fn check_bell(bell: &OwnedFd) -> io::Result<()> {
    let mode = rustix::fs::fstat(bell)?.st_mode;
    if FileType::from_raw_mode(mode) == FileType::Unknown {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, "what came as a doorbell is not one"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_handover_on_the_page_is_what_it_says() {
        assert_eq!(crate::tests::example("handover of shared memory"), &super::message()[..]);
    }
}
