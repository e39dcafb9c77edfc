//! A directory for one user, and the pipes in it.

use std::fs::DirBuilder;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use rustix::process::geteuid;

use crate::endpoint::Endpoint;
use crate::peer::Identity;
use crate::transport::TransportError;

/// A path at which a node listens, in a directory that was checked and is held open.
pub(super) struct Place {
    endpoint: Endpoint,
    directory: OwnedFd,
    name: String,
}

/// The digits of the name of a pair.
const ID_BYTES: usize = 32;

fn parts(endpoint: &Endpoint) -> Result<(&Path, &str), TransportError> {
    let path = Path::new(endpoint.address());
    let name = path.file_name().and_then(|name| name.to_str());
    match (path.parent(), name) {
        (Some(directory), Some(name)) if path.is_absolute() => Ok((directory, name)),
        _ => Err(TransportError::address(endpoint, "the path is not absolute, or names no file")),
    }
}

/// Makes the directory of the path, if there is none.
pub(super) fn make_directory(endpoint: &Endpoint) -> Result<(), TransportError> {
    let (directory, _) = parts(endpoint)?;
    match DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(TransportError::io(endpoint, error)),
        _ => Ok(()),
    }
}

impl Place {
    /// The place of the endpoint. What is done there later is done in this directory, whatever its path leads to then.
    pub(super) fn of(endpoint: &Endpoint) -> Result<Self, TransportError> {
        let (path, name) = parts(endpoint)?;
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let io = |error: Errno| TransportError::io(endpoint, error.into());
        let directory = rustix::fs::openat(CWD, path, flags, Mode::empty()).map_err(io)?;
        let found = rustix::fs::fstat(&directory).map_err(io)?;
        private(&found).map_err(|reason| TransportError::address(endpoint, format!("the directory {reason}")))?;
        Ok(Self { endpoint: endpoint.clone(), directory, name: name.to_owned() })
    }

    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The name of the pipe at the path itself.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The names of a pair: what the caller writes, and what it reads.
    pub(super) fn pair(&self, id: &str) -> [String; 2] {
        ["up", "down"].map(|way| format!("{}.{id}.{way}", self.name))
    }

    /// Makes a pipe.
    pub(super) fn make(&self, name: &str) -> io::Result<()> {
        Ok(rustix::fs::mkfifoat(&self.directory, name, Mode::RUSR | Mode::WUSR)?)
    }

    /// Opens a pipe that no other user can have opened. Never waits for the other end.
    pub(super) fn open(&self, name: &str, flags: OFlags) -> io::Result<OwnedFd> {
        let flags = flags | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let pipe = rustix::fs::openat(&self.directory, name, flags, Mode::empty())?;
        let found = rustix::fs::fstat(&pipe)?;
        let checked = match FileType::from_raw_mode(found.st_mode) {
            FileType::Fifo => private(&found),
            _ => Err("is not a pipe".to_owned()),
        };
        checked.map_err(|reason| io::Error::new(io::ErrorKind::InvalidInput, format!("{name} {reason}")))?;
        Ok(pipe)
    }

    pub(super) fn remove(&self, name: &str) {
        let _ = rustix::fs::unlinkat(&self.directory, name, AtFlags::empty());
    }

    /// Whether the open pipe is the one that has the name now.
    pub(super) fn has(&self, name: &str, pipe: impl AsFd) -> bool {
        let named = rustix::fs::statat(&self.directory, name, AtFlags::SYMLINK_NOFOLLOW);
        matches!((named, rustix::fs::fstat(pipe)), (Ok(named), Ok(found)) if named.st_ino == found.st_ino)
    }

    /// Removes the pairs that nobody waits for any more: whoever made one and lives has the end to read open.
    pub(super) fn sweep(&self) -> io::Result<()> {
        for entry in Dir::read_from(&self.directory)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy();
            let dead = || matches!(self.open(&name, OFlags::WRONLY), Err(error) if is_without_reader(&error));
            if self.is_of_pair(&name) && dead() {
                self.remove(&name);
            }
        }
        Ok(())
    }

    fn is_of_pair(&self, name: &str) -> bool {
        let rest = name.strip_prefix(&self.name).and_then(|rest| rest.strip_prefix('.'));
        rest.and_then(|rest| rest.split_once('.')).is_some_and(|(id, way)| is_id(id) && matches!(way, "up" | "down"))
    }
}

/// Whether a text may name a pair: it comes from whoever can write to the pipe, and must lead nowhere else.
pub(super) fn is_id(text: &str) -> bool {
    text.len() == ID_BYTES && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Whether a pipe could not be opened for writing because no process has the other end.
pub(super) fn is_without_reader(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::NXIO.raw_os_error())
}

/// Whether what was found is for our user alone, or why not.
fn private(found: &Stat) -> Result<(), String> {
    let (owner, own) = (found.st_uid, geteuid().as_raw());
    if owner != own {
        return Err(format!("belongs to user {owner}, not to user {own}"));
    }
    match found.st_mode & 0o777 {
        mode if mode & 0o077 == 0 => Ok(()),
        mode => Err(format!("is open to other users: its mode is {mode:03o}")),
    }
}

/// Who alone can have opened a pipe.
pub(super) fn identity(pipe: &OwnedFd) -> io::Result<Identity> {
    let found = rustix::fs::fstat(pipe)?;
    Ok(Identity::Process { uid: found.st_uid, gid: found.st_gid, pid: None })
}
