//! The side of a program that serves the process which started it.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{line, pipes};
use crate::id::ObjectId;
use crate::transport::Channel;

/// Takes the standard input and output away for the parent, and greets it with the id of the root object.
///
/// # Errors
/// They lead to no parent that understands: the program was started by hand, or by something else.
pub(crate) async fn serve(root: ObjectId) -> io::Result<Channel> {
    let (reads, writes) = take()?;
    let mut channel = pipes(reads, writes, "exec:parent")?;
    let greeting = line(root);
    channel.stream.write_all(&greeting).await?;
    channel.stream.flush().await?;
    let mut answer = vec![0; greeting.len()];
    channel.stream.read_exact(&mut answer).await?;
    if answer != greeting {
        return Err(io::Error::new(ErrorKind::InvalidData, "the process that started this one does not speak rmi"));
    }
    Ok(channel)
}

/// The descriptors of the standard input and output, in whose places nothing and the standard error are put.
fn take() -> io::Result<(OwnedFd, OwnedFd)> {
    // The copies are closed in every program that this one starts.
    let reads = io::stdin().as_fd().try_clone_to_owned()?;
    let writes = io::stdout().as_fd().try_clone_to_owned()?;
    for (name, descriptor) in [("input", &reads), ("output", &writes)] {
        let kind = File::from(descriptor.try_clone()?).metadata()?.file_type();
        if !kind.is_fifo() && !kind.is_socket() {
            let text = format!("the standard {name} is no pipe: this program is started by another one");
            return Err(io::Error::new(ErrorKind::InvalidInput, text));
        }
    }
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    rustix::stdio::dup2_stdout(io::stderr())?;
    Ok((reads, writes))
}
