//! Unix sockets that have a path: what the transports that meet at one share.

use std::fs::{self, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use tokio::net::{UnixListener, UnixSocket, UnixStream};

use crate::endpoint::Endpoint;
use crate::peer::Identity;
use crate::transport::TransportError;

/// What fits into `sockaddr_un` beside its closing zero.
const PATH_BYTES_MAX: usize = 107;
/// How many dials may wait for `accept`, as with TCP.
const BACKLOG: u32 = 1024;
/// How often a directory is tried to be held, and how long between: others of us hold it for a moment, and a stranger who holds
/// it for longer keeps nobody from listening.
const HOLDS_MAX: usize = 1000;
const PAUSE: Duration = Duration::from_millis(1);

/// A socket that this process listens on. It is for its owner alone, and its file goes when it is dropped.
pub(super) struct Bound {
    listener: UnixListener,
    path: PathBuf,
    inode: u64,
}

impl Bound {
    /// Listens at the path of `endpoint`. A socket that a killed process left behind there is taken over.
    pub(super) async fn new(endpoint: &Endpoint) -> Result<Self, TransportError> {
        let io = |error| TransportError::io(endpoint, error);
        let path = path(endpoint)?.to_owned();
        let _held = hold_directory(&path).await;
        clear(&path, endpoint).await?;
        let listener = listener(&path).map_err(io)?;
        fs::set_permissions(&path, Permissions::from_mode(0o600)).map_err(io)?;
        let inode = fs::symlink_metadata(&path).map_err(io)?.ino();
        Ok(Self { listener, path, inode })
    }

    /// Cancellation: dropping the future loses no connection.
    pub(super) async fn accept(&self) -> io::Result<UnixStream> {
        Ok(self.listener.accept().await?.0)
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        // Another listener may have taken the path since; its socket stays.
        if fs::symlink_metadata(&self.path).is_ok_and(|found| found.ino() == self.inode) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Listens at the path, at no moment for others than the owner.
fn listener(path: &Path) -> io::Result<UnixListener> {
    let socket = UnixSocket::new_stream()?;
    // On Linux the file has the mode that the socket has; elsewhere its umask alone keeps others out for a moment.
    #[cfg(target_os = "linux")]
    rustix::fs::fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
    socket.bind(path)?;
    socket.listen(BACKLOG)
}

pub(super) async fn connect(endpoint: &Endpoint) -> Result<UnixStream, TransportError> {
    UnixStream::connect(path(endpoint)?).await.map_err(|error| TransportError::io(endpoint, error))
}

/// The kernel's word about the process at the other end.
pub(super) fn identity(stream: &UnixStream) -> io::Result<Identity> {
    let peer = stream.peer_cred()?;
    Ok(Identity::Process { uid: peer.uid(), gid: peer.gid(), pid: peer.pid() })
}

fn path(endpoint: &Endpoint) -> Result<&Path, TransportError> {
    let path = endpoint.address();
    if path.len() > PATH_BYTES_MAX {
        let reason = format!("path of {} bytes exceeds the limit of {PATH_BYTES_MAX}", path.len());
        return Err(TransportError::address(endpoint, reason));
    }
    Ok(Path::new(path))
}

/// Keeps others of us out of the directory while a dead socket in it is removed and one that lives is made. Who had found the
/// same one dead would remove the new one, which is as silent until it is listened on.
async fn hold_directory(path: &Path) -> Option<OwnedFd> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let directory = rustix::fs::open(directory, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    for _ in 0..HOLDS_MAX {
        match rustix::fs::flock(&directory, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => tokio::time::sleep(PAUSE).await,
            held => return held.ok().map(|()| directory),
        }
    }
    None
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

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_is_made_for_its_owner_alone() {
        let directory = std::env::temp_dir().join(format!("rmi-core-socket-{}", std::process::id()));
        fs::create_dir(&directory).unwrap();
        let _listener = listener(&directory.join("s")).unwrap();
        let mode = fs::metadata(directory.join("s")).unwrap().permissions().mode();
        fs::remove_dir_all(&directory).unwrap();
        assert_eq!(mode & 0o777, 0o600);
    }
}
