//! Unix sockets.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use tokio::net::{UnixListener, UnixStream};

use crate::endpoint::Endpoint;
use crate::peer::Identity;
use crate::transport::{Channel, Listener, Transport, TransportError, pause_after};

/// `unix:/path`: Unix sockets. The kernel proves the peer's user, group and process.
///
/// The socket is for its owner alone (mode 0600) and removed with the listener; one that a killed process left behind is
/// taken over. Limit: the path has 107 bytes at most.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unix;

/// What fits into `sockaddr_un` beside its closing zero.
const PATH_BYTES_MAX: usize = 107;

#[async_trait]
impl Transport for Unix {
    fn scheme(&self) -> &'static str {
        "unix"
    }

    fn cost(&self) -> u8 {
        20
    }

    async fn dial(&self, endpoint: &Endpoint) -> Result<Channel, TransportError> {
        let io = |error| TransportError::io(endpoint, error);
        let stream = UnixStream::connect(path(endpoint)?).await.map_err(io)?;
        channel(stream, endpoint).map_err(io)
    }

    async fn listen(&self, endpoint: &Endpoint) -> Result<Box<dyn Listener>, TransportError> {
        let io = |error| TransportError::io(endpoint, error);
        let path = path(endpoint)?.to_owned();
        clear(&path, endpoint).await?;
        let listener = UnixListener::bind(&path).map_err(io)?;
        fs::set_permissions(&path, Permissions::from_mode(0o600)).map_err(io)?;
        let inode = fs::symlink_metadata(&path).map_err(io)?.ino();
        Ok(Box::new(Accepting { endpoint: endpoint.clone(), listener, path, inode }))
    }
}

fn path(endpoint: &Endpoint) -> Result<&Path, TransportError> {
    let path = endpoint.address();
    if path.len() > PATH_BYTES_MAX {
        let reason = format!("path of {} bytes exceeds the limit of {PATH_BYTES_MAX}", path.len());
        return Err(TransportError::address(endpoint, reason));
    }
    Ok(Path::new(path))
}

/// Removes a socket that nobody listens on any more, and nothing else.
async fn clear(path: &Path, endpoint: &Endpoint) -> Result<(), TransportError> {
    let Ok(found) = fs::symlink_metadata(path) else { return Ok(()) };
    if !found.file_type().is_socket() {
        return Err(TransportError::address(endpoint, "the path exists and is not a socket"));
    }
    match UnixStream::connect(path).await {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(|error| TransportError::io(endpoint, error))
        }
        _ => Err(TransportError::InUse(endpoint.clone())),
    }
}

struct Accepting {
    endpoint: Endpoint,
    listener: UnixListener,
    path: PathBuf,
    inode: u64,
}

#[async_trait]
impl Listener for Accepting {
    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    async fn accept(&mut self) -> Result<Channel, TransportError> {
        loop {
            let error = match self.listener.accept().await {
                Ok((stream, _)) => match channel(stream, &self.endpoint) {
                    Ok(channel) => return Ok(channel),
                    Err(error) => error,
                },
                Err(error) => error,
            };
            pause_after(&self.endpoint, &error).await;
        }
    }
}

impl Drop for Accepting {
    fn drop(&mut self) {
        // Another listener may have taken the path since; its socket stays.
        if fs::symlink_metadata(&self.path).is_ok_and(|found| found.ino() == self.inode) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn channel(stream: UnixStream, endpoint: &Endpoint) -> io::Result<Channel> {
    let peer = stream.peer_cred()?;
    let identity = Identity::Process { uid: peer.uid(), gid: peer.gid(), pid: peer.pid() };
    Ok(Channel::new(stream, identity, endpoint.to_string()))
}
