//! One message queue, for one user.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use nix::mqueue::{MQ_OFlag, MqAttr, MqdT, mq_attr_member_t, mq_getattr, mq_open, mq_receive, mq_send, mq_unlink};
use nix::sys::stat::Mode;
use nix::unistd::close;
use rustix::fs::FlockOperation;
use rustix::io::Errno;
use rustix::process::geteuid;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::kernel;
use crate::peer::Identity;

/// Waits for events on a descriptor.
///
/// # Errors
/// The kernel watches no more. Must be called inside a tokio runtime.
#[expect(deprecated, reason = "its successor is unsafe; what that asks for, who implements `AsFd` promises")]
pub(super) fn watched<T: AsFd + AsRawFd>(inner: T, interest: Interest) -> io::Result<AsyncFd<T>> {
    AsyncFd::with_interest(inner, interest)
}

/// An open queue. Nothing done with it waits.
pub(super) struct Queue(MqdT);

impl Queue {
    /// Makes a queue of so many messages of so many bytes, or of fewer if the kernel allows no more.
    ///
    /// # Errors
    /// There is one of that name, or a limit of the kernel is too low, which the text names.
    pub(super) fn make(name: &str, flags: MQ_OFlag, messages: usize, bytes: usize) -> io::Result<Self> {
        let (messages, bytes) = kernel::granted(messages, bytes);
        let size = |size: usize| mq_attr_member_t::try_from(size).unwrap_or(mq_attr_member_t::MAX);
        let attributes = MqAttr::new(0, size(messages), size(bytes), 0);
        let flags = flags | MQ_OFlag::O_CREAT | MQ_OFlag::O_EXCL | MQ_OFlag::O_NONBLOCK | MQ_OFlag::O_CLOEXEC;
        let made = mq_open(name, flags, Mode::S_IRUSR | Mode::S_IWUSR, Some(&attributes));
        made.map(Self).map_err(|error| kernel::explain(error, messages, bytes))
    }

    /// Opens a queue that no other user can have opened.
    pub(super) fn open(name: &str, flags: MQ_OFlag) -> io::Result<Self> {
        let queue = Self(mq_open(name, flags | MQ_OFlag::O_NONBLOCK | MQ_OFlag::O_CLOEXEC, Mode::empty(), None)?);
        let found = rustix::fs::fstat(&queue)?;
        let (owner, own, mode) = (found.st_uid, geteuid().as_raw(), found.st_mode & 0o777);
        let reason = match () {
            () if owner != own => format!("belongs to user {owner}, not to user {own}"),
            () if mode & 0o077 != 0 => format!("is open to other users: its mode is {mode:03o}"),
            () => return Ok(queue),
        };
        Err(io::Error::new(io::ErrorKind::InvalidInput, format!("the queue {name} {reason}")))
    }

    /// Sends a message.
    pub(super) fn send(&self, message: &[u8]) -> io::Result<()> {
        Ok(mq_send(&self.0, message, 0)?)
    }

    /// Sends a message if there is a place for another one after it.
    pub(super) fn send_before_last(&self, message: &[u8]) -> io::Result<()> {
        let now = mq_getattr(&self.0)?;
        if now.curmsgs() + 1 >= now.maxmsg() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.send(message)
    }

    /// Receives a message; the buffer must have room for the longest.
    pub(super) fn receive(&self, message: &mut [u8]) -> io::Result<usize> {
        Ok(mq_receive(&self.0, message, &mut 0)?)
    }

    /// The size of the longest message.
    pub(super) fn message_bytes(&self) -> io::Result<usize> {
        let bytes = mq_getattr(&self.0)?.msgsize();
        usize::try_from(bytes).map_err(|_| io::ErrorKind::InvalidData.into())
    }

    /// Locks the queue until it is closed. Says whether nobody else had done so.
    pub(super) fn hold(&self) -> io::Result<bool> {
        match rustix::fs::flock(self, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => Ok(false),
            locked => Ok(locked.map(|()| true)?),
        }
    }

    /// Whether somebody else holds the queue: a process that is dead holds nothing.
    pub(super) fn is_held(&self) -> io::Result<bool> {
        match rustix::fs::flock(self, FlockOperation::NonBlockingLockShared) {
            Err(Errno::WOULDBLOCK) => return Ok(true),
            locked => locked?,
        }
        rustix::fs::flock(self, FlockOperation::Unlock)?;
        Ok(false)
    }

    /// Whether this is the queue that has the name now.
    pub(super) fn is_named(&self, name: &str) -> bool {
        let inode = |queue: &Self| Ok(rustix::fs::fstat(queue)?.st_ino);
        let named = Self::open(name, MQ_OFlag::O_RDONLY).and_then(|named| inode(&named));
        matches!((named, inode(self)), (Ok(named), Ok(own)) if named == own)
    }

    /// Who alone can have opened it.
    pub(super) fn identity(&self) -> io::Result<Identity> {
        let found = rustix::fs::fstat(self)?;
        Ok(Identity::Process { uid: found.st_uid, gid: found.st_gid, pid: None })
    }
}

/// Removes the name of a queue; whoever has it open keeps it.
pub(super) fn remove(name: &str) {
    // It was removed already.
    let _ = mq_unlink(name);
}

impl AsRawFd for Queue {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl AsFd for Queue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // On Linux it is a descriptor like any other, and nothing else closes it.
        let _ = close(self.0.as_raw_fd());
    }
}
