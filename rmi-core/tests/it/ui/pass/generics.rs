//! Every kind of a generic trait, in a crate that allows no warning.
#![deny(warnings, missing_docs, clippy::all)]

use std::fmt::Debug;

use rmi_core::{Interface, Proxy, RemoteError, remote};
use serde::{Serialize, de::DeserializeOwned};

/// A value that can be kept.
pub trait Kept: Serialize + DeserializeOwned + Clone + Send + Sync {}

impl Kept for u8 {}

impl Kept for u64 {}

/// Keeps one.
#[remote]
pub trait Store<T: Kept> {
    /// Swaps.
    async fn swap(&self, value: T) -> Result<T, RemoteError>;
}

/// Keeps many.
#[remote]
pub trait Ring<K, V = u64, const N: usize = 4>: Store<V>
where
    K: Debug + Serialize + DeserializeOwned + Send + Sync,
    V: Kept,
{
    /// Gone in this build.
    #[cfg(any())]
    async fn gone(&self) -> Result<(), RemoteError>;
    /// Turns.
    #[remote(alias = "spin")]
    async fn turn(&self, key: &K, to: Option<&K>) -> Result<Option<V>, RemoteError>;
}

/// Makes objects.
#[remote]
pub trait Factory<T: ?Sized + Interface> {
    /// Makes one.
    async fn make(&self) -> Result<Proxy<T>, RemoteError>;
}

/// Of which nothing is known.
#[remote]
pub trait Mark<T> {
    /// Marks.
    async fn mark(&self) -> Result<(), RemoteError>;
}

struct Shelf;

#[remote]
impl Store<u8> for Shelf {
    async fn swap(&self, value: u8) -> Result<u8, RemoteError> {
        Ok(value)
    }
}

#[remote]
impl<K: Debug + Serialize + DeserializeOwned + Send + Sync + 'static, const N: usize> Ring<K, u8, N> for Shelf {
    async fn turn(&self, _key: &K, _to: Option<&K>) -> Result<Option<u8>, RemoteError> {
        Ok(u8::try_from(N).ok())
    }
}

#[remote]
impl Factory<dyn Store<u8>> for Shelf {
    async fn make(&self) -> Result<Proxy<dyn Store<u8>>, RemoteError> {
        Ok(Proxy::new(Self))
    }
}

#[remote]
impl<T: 'static> Mark<T> for Shelf {
    async fn mark(&self) -> Result<(), RemoteError> {
        Ok(())
    }
}

fn main() {
    let ring = <dyn Ring<String, u8, 3>>::descriptor();
    assert_eq!(ring.names(), ["Ring<string,u8,3>", "Store<u8>"]);
    assert_eq!(ring.methods.iter().map(|method| method.name).collect::<Vec<_>>(), ["turn"]);
    let _ = (Proxy::<dyn Ring<char, u8, 1>>::new(Shelf), Proxy::<dyn Mark<Shelf>>::new(Shelf));
    assert_eq!(<dyn Factory<dyn Store<u8>>>::descriptor().name, "Factory<Store<u8>>");
    assert!(<dyn Factory<dyn Store<u8>>>::descriptor().methods[0].promises);
    let _ = Proxy::<dyn Factory<dyn Store<u8>>>::new(Shelf);
}
