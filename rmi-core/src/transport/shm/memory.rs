//! Memory that two processes share. All unsafe code of the crate is in this file.
#![allow(unsafe_code, reason = "mapping memory, and seeing rings in it")]

use std::io;
use std::ops::Deref;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::Arc;

use rustix::fs::{FallocateFlags, MemfdFlags, SealFlags};
use rustix::mm::{MapFlags, ProtFlags};

use super::ring;
use crate::limits::SHM_RING_BYTES;

pub(super) type Ring = ring::Ring<{ SHM_RING_BYTES / size_of::<u64>() }>;

/// What is mapped: a ring for each direction, the first for the side that accepted.
type Rings = [Ring; 2];

pub(super) const MEMORY_BYTES: u64 = size_of::<Rings>() as u64;

/// With these nobody can change the size of the memory, and nobody can change that: touching what is mapped never faults.
const SEALS: SealFlags = SealFlags::SHRINK.union(SealFlags::GROW).union(SealFlags::SEAL);

/// Memory of [`MEMORY_BYTES`] whose size cannot change.
pub(super) struct Sealed(OwnedFd);

impl Sealed {
    /// New memory, all zeros, which has no name anywhere and all its pages.
    pub(super) fn new() -> io::Result<Self> {
        let memory = rustix::fs::memfd_create("rmi", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        rustix::fs::fallocate(&memory, FallocateFlags::empty(), 0, MEMORY_BYTES)?;
        rustix::fs::fcntl_add_seals(&memory, SEALS)?;
        Ok(Self(memory))
    }

    /// What a peer says is such memory.
    pub(super) fn received(memory: OwnedFd) -> io::Result<Self> {
        let wrong = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
        let seals = rustix::fs::fcntl_get_seals(&memory).map_err(|_| wrong("what came is not shared memory".into()))?;
        if !seals.contains(SEALS) {
            return Err(wrong("the size of the shared memory is not sealed".into()));
        }
        let bytes = rustix::fs::fstat(&memory)?.st_size;
        if u64::try_from(bytes) != Ok(MEMORY_BYTES) {
            return Err(wrong(format!("shared memory of {bytes} bytes where {MEMORY_BYTES} are agreed")));
        }
        Ok(Self(memory))
    }

    /// The rings in it.
    pub(super) fn map(&self) -> io::Result<[Half; 2]> {
        let (access, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED);
        // SAFETY: the address is the kernel's choice, so no memory that is in use is replaced.
        let at = unsafe { rustix::mm::mmap(std::ptr::null_mut(), size_of::<Rings>(), access, flags, &self.0, 0)? };
        let at = NonNull::new(at.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        let mapping = Arc::new(Mapping { at });
        Ok([Half { mapping: mapping.clone(), first: true }, Half { mapping, first: false }])
    }
}

impl AsFd for Sealed {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

struct Mapping {
    at: NonNull<Rings>,
}

// SAFETY: the pointer is to a mapping that is there until the drop and does not depend on the thread; what it points to
// consists of atomics.
unsafe impl Send for Mapping {}
// SAFETY: as above; shared access only ever goes through atomics.
unsafe impl Sync for Mapping {}

impl Deref for Mapping {
    type Target = Rings;

    fn deref(&self) -> &Rings {
        // SAFETY: the mapping has the size of `Rings`, begins at a page and stays until the drop; its size is sealed. Every
        // pattern of bits is a valid `Rings`, which is all atomics: that others write it at the same time is what they are for.
        unsafe { self.at.as_ref() }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: this mapping was made by `map` with this size, and nobody has a reference into it any more.
        let _ = unsafe { rustix::mm::munmap(self.at.as_ptr().cast(), size_of::<Rings>()) };
    }
}

/// One of the two rings.
pub(super) struct Half {
    mapping: Arc<Mapping>,
    first: bool,
}

impl Deref for Half {
    type Target = Ring;

    fn deref(&self) -> &Ring {
        let [first, second] = &**self.mapping;
        if self.first { first } else { second }
    }
}
