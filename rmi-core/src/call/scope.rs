//! Connects a proxy inside a value with the list of references beside the bytes.
//!
//! A frame carries bytes and references; inside the bytes a reference is an index. While one value is encoded or decoded,
//! which never waits, the list stands in a thread-local; outside that time it is empty, and serializing a proxy is an
//! error. Decision 0002 says why this is not an explicit argument: serde has no room for one.

use std::cell::RefCell;

use crate::call::Target;
use crate::limits;

enum Scope {
    Closed,
    Encoding(Vec<Target>),
    Decoding(Vec<Target>),
}

thread_local! {
    static SCOPE: RefCell<Scope> = const { RefCell::new(Scope::Closed) };
}

/// Puts the scope that was there before back, also when a user's `Serialize` panics.
struct Restore(Option<Scope>);

impl Restore {
    fn enter(scope: Scope) -> Self {
        Self(Some(SCOPE.replace(scope)))
    }

    fn leave(mut self) -> Scope {
        self.0.take().map_or(Scope::Closed, |before| SCOPE.replace(before))
    }
}

impl Drop for Restore {
    fn drop(&mut self) {
        if let Some(before) = self.0.take() {
            SCOPE.replace(before);
        }
    }
}

/// Runs `encode`; the proxies it serializes go to `references`.
pub(crate) fn encoding<R>(references: &mut Vec<Target>, encode: impl FnOnce() -> R) -> R {
    let scope = Restore::enter(Scope::Encoding(std::mem::take(references)));
    let result = encode();
    if let Scope::Encoding(list) = scope.leave() {
        *references = list;
    }
    result
}

/// Runs `decode`; the proxies it deserializes come from `references`.
pub(crate) fn decoding<R>(references: &mut Vec<Target>, decode: impl FnOnce() -> R) -> R {
    let scope = Restore::enter(Scope::Decoding(std::mem::take(references)));
    let result = decode();
    if let Scope::Decoding(list) = scope.leave() {
        *references = list;
    }
    result
}

/// Why a proxy could not be serialized or deserialized here.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ScopeError {
    #[error("a proxy can be serialized only as part of a remote call")]
    NotEncoding,
    #[error("a proxy can be deserialized only as part of a remote call")]
    NotDecoding,
    #[error("{0}")]
    Stays(&'static str),
    #[error("more references in one value than the limit of {}", limits::REFERENCES_PER_FRAME_MAX)]
    TooMany,
    #[error("reference {0} of {1}")]
    NoSuchIndex(u32, usize),
}

/// The index under which `target` travels.
pub(crate) fn put(target: &Target) -> Result<u32, ScopeError> {
    SCOPE.with_borrow_mut(|scope| {
        let Scope::Encoding(list) = scope else { return Err(ScopeError::NotEncoding) };
        if let Target::Remote(remote) = target
            && let Some(reason) = remote.stays()
        {
            return Err(ScopeError::Stays(reason));
        }
        if let Some(at) = list.iter().position(|known| known == target) {
            return u32::try_from(at).map_err(|_| ScopeError::TooMany);
        }
        if list.len() >= limits::REFERENCES_PER_FRAME_MAX {
            return Err(ScopeError::TooMany);
        }
        list.push(target.clone());
        u32::try_from(list.len() - 1).map_err(|_| ScopeError::TooMany)
    })
}

/// The reference that travelled under `index`.
pub(crate) fn take(index: u32) -> Result<Target, ScopeError> {
    SCOPE.with_borrow(|scope| {
        let Scope::Decoding(list) = scope else { return Err(ScopeError::NotDecoding) };
        let found = usize::try_from(index).ok().and_then(|at| list.get(at)).cloned();
        found.ok_or(ScopeError::NoSuchIndex(index, list.len()))
    })
}
