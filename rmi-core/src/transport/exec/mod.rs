//! Programs that this process starts, and the process that started this one.
//!
//! The program's standard input and output are two anonymous pipes to its parent. A program that serves its parent takes
//! them away at once, to descriptors that nothing it starts inherits; from then on its standard output is its standard error,
//! which goes to the parent's log, and its standard input is empty. So whatever it prints cannot get among the frames, and a
//! program behind `ssh`, which passes on nothing but these three, works the same way.
//!
//! The child greets with the id of its root object, the parent answers, and the session begins. What comes before the
//! greeting was printed by others, such as a shell's profile, and goes to the log as well.
//!
//! This is not a transport that a node dials: a reference from a peer that named a command line would run it.

mod child;
mod log;
mod program;

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixStream as StdStream;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;
use tokio::net::unix::pipe;

use crate::id::ObjectId;
use crate::peer::Identity;
use crate::transport::Channel;
use crate::transport::ends::Ends;

pub(crate) use child::serve;
pub(crate) use log::Log;
pub use program::Program;
pub(crate) use program::{Started, Talk};

/// A channel that reads from one descriptor and writes to another: two anonymous pipes, as between a parent and its child, or
/// one Unix socket twice. Proven is who made what is read from, and nothing about the process at the other end.
///
/// # Errors
/// A descriptor is neither, or is not open for what it is to do. Must be called inside a tokio runtime.
pub fn pipes(reads: OwnedFd, writes: OwnedFd, address: impl Into<String>) -> io::Result<Channel> {
    let (reads, writes) = (File::from(reads), File::from(writes));
    let made = reads.metadata()?;
    let identity = Identity::Process { uid: made.uid(), gid: made.gid(), pid: None };
    Ok(Channel::new(Ends::new(reading(reads)?, writing(writes)?), identity, address))
}

fn reading(file: File) -> io::Result<Box<dyn AsyncRead + Send + Unpin>> {
    if is_socket(&file)? { Ok(Box::new(socket(file)?)) } else { Ok(Box::new(pipe::Receiver::from_file(file)?)) }
}

fn writing(file: File) -> io::Result<Box<dyn AsyncWrite + Send + Unpin>> {
    // The half of a socket that only writes tells the peer when it is dropped.
    if is_socket(&file)? {
        Ok(Box::new(socket(file)?.into_split().1))
    } else {
        Ok(Box::new(pipe::Sender::from_file(file)?))
    }
}

fn is_socket(file: &File) -> io::Result<bool> {
    Ok(file.metadata()?.file_type().is_socket())
}

fn socket(file: File) -> io::Result<UnixStream> {
    let stream = StdStream::from(OwnedFd::from(file));
    stream.set_nonblocking(true)?;
    UnixStream::from_std(stream)
}

/// What the child says first, before the id of its root object and the end of the line; the parent answers with the same
/// line. Its first byte is in no text that a program prints.
const GREETING: &[u8] = b"\0rmi exec 1 ";
/// The whole line: an id prints as 32 digits.
const LINE_BYTES: usize = GREETING.len() + 33;

/// The line that greets.
fn line(root: ObjectId) -> Vec<u8> {
    let mut line = GREETING.to_vec();
    line.extend_from_slice(format!("{root}\n").as_bytes());
    line
}

/// The id in a line that greets.
fn root(line: &[u8]) -> Option<ObjectId> {
    let id = line.strip_prefix(GREETING)?.strip_suffix(b"\n")?;
    std::str::from_utf8(id).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_on_the_page_is_what_it_says() {
        let expected = ObjectId::from_bytes(std::array::from_fn(|at| 0xc0 + u8::try_from(at).unwrap()));
        let greeting = crate::tests::example("line of a child");
        assert_eq!(greeting, line(expected));
        assert_eq!((root(&greeting), greeting.len()), (Some(expected), LINE_BYTES));
    }
}
