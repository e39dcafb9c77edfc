//! Connects a proxy inside a value with the list of references beside the bytes.
//!
//! A frame carries bytes and references; inside the bytes a reference is an index. While one value is encoded or decoded,
//! which never waits, the list stands in a thread-local; outside that time it is empty, and serializing a proxy is an
//! error. Decision 0002 says why this is not an explicit argument: serde has no room for one.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use crate::call::Target;
use crate::id::{NodeId, ObjectId};

/// The references beside some bytes, each once.
#[derive(Clone, Default)]
pub(crate) struct References {
    list: Vec<Target>,
    /// Only of a list that is too long to look through for every proxy. Apart, so that the others are moved at no cost.
    beyond: Option<Box<Beyond>>,
}

/// How many references are looked through.
const SHORT: usize = 16;

/// Where the references behind the first [`SHORT`] ones stand.
#[derive(Clone, Default)]
struct Beyond(HashMap<Key, u32>);

/// What makes two targets the same.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Key {
    Local(usize),
    Remote(NodeId, ObjectId),
}

impl Key {
    fn of(target: &Target) -> Self {
        match target.settled() {
            Target::Local(object) => Self::Local(Arc::as_ptr(object).addr()),
            Target::Remote(remote) => Self::Remote(remote.reference().node, remote.reference().object),
        }
    }
}

impl References {
    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    /// Forgets all but the first `count`.
    pub(crate) fn truncate(&mut self, count: usize) {
        self.list.truncate(count);
        if let Some(beyond) = &mut self.beyond {
            beyond.0.retain(|_, at| usize::try_from(*at).is_ok_and(|at| at < count));
        }
    }

    pub(crate) fn into_list(self) -> Vec<Target> {
        self.list
    }

    fn place(&mut self, target: &Target) -> Result<u32, ScopeError> {
        if let Some(at) = self.find(target) {
            return Ok(at);
        }
        let at = u32::try_from(self.list.len()).map_err(|_| ScopeError::TooMany)?;
        self.list.push(target.clone());
        if self.list.len() > SHORT {
            self.beyond.get_or_insert_default().0.insert(Key::of(target), at);
        }
        Ok(at)
    }

    fn find(&self, target: &Target) -> Option<u32> {
        let near = self.list.iter().take(SHORT).position(|known| known == target);
        let beyond = || self.beyond.as_ref()?.0.get(&Key::of(target)).copied();
        near.map_or_else(beyond, |at| u32::try_from(at).ok())
    }
}

impl From<Vec<Target>> for References {
    fn from(list: Vec<Target>) -> Self {
        Self { list, ..Self::default() }
    }
}

enum Scope {
    Closed,
    Encoding(References),
    Decoding(References),
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
pub(crate) fn encoding<R>(references: &mut References, encode: impl FnOnce() -> R) -> R {
    let scope = Restore::enter(Scope::Encoding(std::mem::take(references)));
    let result = encode();
    if let Scope::Encoding(list) = scope.leave() {
        *references = list;
    }
    result
}

/// Runs `decode`; the proxies it deserializes come from `references`.
pub(crate) fn decoding<R>(references: &mut References, decode: impl FnOnce() -> R) -> R {
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
    #[error("more references in one value than can be counted")]
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
        list.place(target)
    })
}

/// The reference that travelled under `index`.
pub(crate) fn take(index: u32) -> Result<Target, ScopeError> {
    SCOPE.with_borrow(|scope| {
        let Scope::Decoding(References { list, .. }) = scope else { return Err(ScopeError::NotDecoding) };
        let found = usize::try_from(index).ok().and_then(|at| list.get(at)).cloned();
        found.ok_or(ScopeError::NoSuchIndex(index, list.len()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::AnyProxy;
    use crate::wire::codec;

    struct Nothing;

    impl crate::call::Dispatch for Nothing {
        fn descriptor(&self) -> &'static crate::interface::Descriptor {
            const { &crate::interface::Descriptor::new("Nothing") }
        }

        fn dispatch(&self, call: crate::call::Incoming) -> crate::call::Dispatched {
            crate::call::Dispatched::Unknown(call)
        }
    }

    fn objects(count: usize) -> Vec<Target> {
        (0..count).map(|_| AnyProxy::from_dispatch(Nothing).target().clone()).collect()
    }

    #[test]
    fn each_object_travels_once_however_many_there_are() {
        let (objects, mut references) = (objects(3 * SHORT), References::default());
        for _ in 0..2 {
            for (at, object) in objects.iter().enumerate() {
                assert_eq!(references.place(object).unwrap() as usize, at);
            }
        }
        assert_eq!(references.len(), objects.len());
    }

    #[test]
    fn what_is_taken_back_is_found_no_more() {
        let (objects, mut references) = (objects(3 * SHORT), References::default());
        objects.iter().for_each(|object| drop(references.place(object)));
        references.truncate(2 * SHORT);
        assert_eq!(references.place(&objects[3 * SHORT - 1]).unwrap() as usize, 2 * SHORT);
        assert_eq!(references.place(&objects[2 * SHORT - 1]).unwrap() as usize, 2 * SHORT - 1);
    }

    fn round<T: serde::Serialize + serde::de::DeserializeOwned>(value: &T) -> (Vec<u8>, T) {
        let (mut body, mut references) = (Vec::new(), References::default());
        encoding(&mut references, || codec::encode(value, codec::Form::ByName, &mut body)).unwrap();
        let (read, _) = decoding(&mut references, || codec::decode_next(&body)).unwrap();
        (body, read)
    }

    #[test]
    fn a_reference_and_a_number_are_never_taken_for_each_other() {
        #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(untagged)]
        enum NumberFirst {
            Number(u64),
            Object(AnyProxy),
        }
        #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(untagged)]
        enum ObjectFirst {
            Object(AnyProxy),
            Number(u64),
        }
        let object = || AnyProxy::from_dispatch(Nothing);
        let sent = vec![NumberFirst::Object(object()), NumberFirst::Number(0)];
        assert_eq!(round(&sent).1, sent);
        let sent = vec![ObjectFirst::Number(0), ObjectFirst::Object(object())];
        assert_eq!(round(&sent).1, sent);
        #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
        struct Id(u32);
        #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(untagged)]
        enum NewtypeFirst {
            Id(Id),
            Ids((Id, Id)),
            Map(std::collections::BTreeMap<String, u32>),
            Object(AnyProxy),
        }
        let ids = NewtypeFirst::Ids((Id(0), Id(1)));
        let map = NewtypeFirst::Map([("a".to_owned(), 0)].into());
        let sent = vec![NewtypeFirst::Object(object()), NewtypeFirst::Id(Id(0)), ids, map];
        assert_eq!(round(&sent).1, sent);
        #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(untagged)]
        enum ObjectBeforeMap {
            Object(AnyProxy),
            Map(std::collections::BTreeMap<String, u32>),
        }
        let map = ObjectBeforeMap::Map([("a".to_owned(), 0)].into());
        let sent = vec![map, ObjectBeforeMap::Object(object())];
        assert_eq!(round(&sent).1, sent);
        assert!(codec::decode_next::<AnyProxy>(&[0]).is_err());
        assert!(codec::decode_next::<AnyProxy>(&[0x81, 0xc0, 0]).is_err());
        assert!(codec::decode_next::<u64>(&[0xd4, 3, 0]).is_err());
    }

    #[test]
    fn a_number_is_an_index_where_a_reference_is_asked_for() {
        let object = AnyProxy::from_dispatch(Nothing);
        let mut references = References::from(vec![object.target().clone()]);
        let (read, _) = decoding(&mut references, || codec::decode_next::<Vec<AnyProxy>>(&[0x92, 0, 0xcc, 0])).unwrap();
        assert_eq!(read, [object.clone(), object]);
        assert!(decoding(&mut references, || codec::decode_next::<AnyProxy>(&[1])).is_err());
        assert!(decoding(&mut references, || codec::decode_next::<AnyProxy>(&[0xcf, 1, 0, 0, 0, 0, 0, 0, 0])).is_err());
    }

    #[test]
    fn references_of_every_index_travel() {
        let objects: Vec<_> = (0..70_000).map(|_| AnyProxy::from_dispatch(Nothing)).collect();
        let (body, read) = round(&objects);
        assert_eq!(body[5..8], [0xd4, 3, 0]);
        assert!(read == objects);
    }
}
