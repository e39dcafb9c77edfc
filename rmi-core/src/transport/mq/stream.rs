//! A stream of bytes over a pair of queues.

use std::io::{self, ErrorKind, IoSlice};
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};

use super::queue::{Queue, watched};
use crate::limits;
use crate::transport::ends::Ends;

/// The stream that reads from one queue and writes to the other until the process at the other end has ended.
///
/// # Errors
/// The messages of a queue are longer than any of ours.
pub(super) fn over(reads: AsyncFd<Queue>, writes: Queue, peer: &OwnedFd) -> io::Result<Ends<Reads, Writes>> {
    let watch = || watched(peer.try_clone()?, Interest::READABLE);
    let message = vec![0; message_bytes(reads.get_ref())?];
    let reads = Reads { queue: reads, peer: watch()?, message, unread: (0, 0), ended: false };
    let room = message_bytes(&writes)?;
    let queue = watched(writes, Interest::WRITABLE)?;
    Ok(Ends::new(reads, Writes { queue, peer: watch()?, room, message: Vec::new() }))
}

fn message_bytes(queue: &Queue) -> io::Result<usize> {
    let (bytes, limit) = (queue.message_bytes()?, limits::QUEUE_MESSAGE_BYTES_MAX);
    if bytes > limit {
        let text = format!("a queue of messages of {bytes} bytes exceeds the limit of {limit}");
        return Err(io::Error::new(ErrorKind::InvalidData, text));
    }
    Ok(bytes)
}

/// The end that is read.
pub(super) struct Reads {
    queue: AsyncFd<Queue>,
    peer: AsyncFd<OwnedFd>,
    /// The last message, and which part of it was not taken yet.
    message: Vec<u8>,
    unread: (usize, usize),
    ended: bool,
}

impl Reads {
    /// Receives the next message; an empty one is the end, and so is none from a process that has ended.
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // It is asked first: what the peer wrote before it ended is in the queue by now.
        let gone = self.peer.poll_read_ready(cx)?.is_ready();
        let received = if gone {
            self.queue.get_ref().receive(&mut self.message)
        } else {
            let mut ready = ready!(self.queue.poll_read_ready(cx))?;
            match ready.try_io(|queue| queue.get_ref().receive(&mut self.message)) {
                Ok(received) => received,
                Err(_) => Err(ErrorKind::WouldBlock.into()),
            }
        };
        match received {
            Ok(0) => self.ended = true,
            Ok(length) => self.unread = (0, length),
            Err(error) if error.kind() != ErrorKind::WouldBlock => return Poll::Ready(Err(error)),
            Err(_) => self.ended = gone,
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Reads {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            let (from, to) = this.unread;
            if from < to {
                let end = to.min(from + buffer.remaining());
                buffer.put_slice(this.message.get(from..end).unwrap_or_default());
                this.unread.0 = end;
                return Poll::Ready(Ok(()));
            }
            if this.ended {
                return Poll::Ready(Ok(()));
            }
            ready!(this.poll_receive(cx))?;
        }
    }
}

/// The end that is written. Dropping it writes the end of the stream: there is always a place for that.
pub(super) struct Writes {
    queue: AsyncFd<Queue>,
    peer: AsyncFd<OwnedFd>,
    /// The size of the longest message.
    room: usize,
    message: Vec<u8>,
}

impl Writes {
    /// Sends the message that was gathered.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        // An empty message would be the end.
        if self.message.is_empty() {
            return Poll::Ready(Ok(0));
        }
        loop {
            if self.peer.poll_read_ready(cx)?.is_ready() {
                return Poll::Ready(Err(ErrorKind::BrokenPipe.into()));
            }
            let mut ready = ready!(self.queue.poll_write_ready(cx))?;
            if let Ok(sent) = ready.try_io(|queue| queue.get_ref().send_before_last(&self.message)) {
                return Poll::Ready(sent.map(|()| self.message.len()));
            }
        }
    }
}

impl AsyncWrite for Writes {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.message.clear();
        for slice in slices {
            let room = this.room - this.message.len();
            this.message.extend(slice.iter().take(room));
        }
        this.poll_send(cx)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The end is written when this is dropped, which comes next.
        Poll::Ready(Ok(()))
    }
}

impl Drop for Writes {
    fn drop(&mut self) {
        if let Err(error) = self.queue.get_ref().send(&[]) {
            tracing::debug!(%error, "the end of a stream could not be written");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::mq::queue;
    use nix::mqueue::MQ_OFlag;

    #[test]
    fn a_queue_of_longer_messages_is_refused() {
        let name = format!("/rmi-test-{}", std::process::id());
        let made = Queue::make(&name, MQ_OFlag::O_RDONLY, 2, limits::QUEUE_MESSAGE_BYTES_MAX + 1).unwrap();
        queue::remove(&name);
        let text = message_bytes(&made).unwrap_err().to_string();
        assert_eq!(text, "a queue of messages of 4097 bytes exceeds the limit of 4096");
    }
}
