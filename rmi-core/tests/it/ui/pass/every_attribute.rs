//! Everything the attribute can say, in a crate that allows no warning.
#![deny(warnings, missing_docs, clippy::all)]
#![forbid(unsafe_code)]

/// A module with interfaces.
pub mod shop {
    use std::fmt::Debug;

    use rmi_core::{Bytes, Proxy, RemoteError, remote};

    /// The base.
    #[remote]
    pub trait Named {
        /// Its name.
        async fn name(&self) -> Result<String, RemoteError>;
    }

    /// A result of the shop.
    pub type Sold<T> = Result<T, RemoteError>;

    /// The shop.
    #[remote(name = "shop.Shop", crate = "rmi_core")]
    pub trait Shop<T: Debug + serde::Serialize + serde::de::DeserializeOwned + Clone + Send + Sync>: Named + Send {
        /// Buys.
        #[must_use]
        #[remote(rename = "purchase", alias = "buy_it", idempotent, timeout = "2s")]
        async fn buy(&self, what: T, note: Option<&str>, #[serde(default)] count: u8) -> Sold<Option<Vec<u8>>>;
        /// Old.
        #[deprecated(note = "buy")]
        #[remote(oneway)]
        async fn ring(&self) -> Sold<()>;
        /// May be lost.
        #[remote(oneway, unreliable)]
        async fn hum(&self) -> Sold<()>;
        /// Heavy, and with names that the macro uses itself.
        #[remote(spawn)]
        async fn count(&self, servant: u8, call: &[u8], arguments: &[T], outgoing: Bytes, r#type: &T) -> Sold<usize> {
            Ok(usize::from(servant) + call.len() + arguments.len() + outgoing.len() + usize::from(format!("{type:?}").is_empty()))
        }
        /// Gone in this build.
        #[cfg(any())]
        async fn gone(&self, missing: Missing) -> Sold<()>;
    }

    pub(crate) struct Corner;

    #[remote]
    impl Named for Corner {
        async fn name(&self) -> Result<String, RemoteError> {
            Ok("corner".into())
        }
    }

    #[remote]
    impl Shop<u8> for Corner {
        async fn buy(&self, what: u8, _note: Option<&str>, _count: u8) -> Sold<Option<Vec<u8>>> {
            Ok(Some(vec![what]))
        }
        async fn ring(&self) -> Sold<()> {
            Ok(())
        }
        async fn hum(&self) -> Sold<()> {
            Ok(())
        }
    }

    /// A proxy to it.
    pub fn open() -> Proxy<dyn Shop<u8>> {
        Proxy::new(Corner)
    }
}

fn main() {
    let _ = shop::open();
}
