//! Arguments that are lent, and those whose types have a form of their own.

use std::path::Path;
use std::sync::Mutex;

use bytes::Bytes;
use proptest::prelude::*;
use rmi_core::{Node, Proxy, RemoteError, remote};

use super::exchange::samples;

type Lent = (String, Vec<u8>, Vec<u16>, String, Option<String>, Option<Vec<u8>>);

macro_rules! lending {
    ($(#[remote($($attribute:tt)*)] $name:ident)*) => { $(
        #[remote($($attribute)*)]
        trait $name {
            #[allow(clippy::too_many_arguments, reason = "one of each kind")]
            async fn lend(
                &self,
                text: &str,
                bytes: &[u8],
                list: &[u16],
                path: &Path,
                word: Option<&str>,
                maybe: Option<&[u8]>,
            ) -> Result<Vec<u8>, RemoteError>;
            async fn tuple(&self, tuple: &(String, Vec<u8>)) -> Result<Bytes, RemoteError>;
            async fn several(&self, a: Vec<u8>, b: Option<Bytes>, c: Bytes) -> Result<Option<Bytes>, RemoteError>;
        }

        #[remote]
        impl $name for Desk {
            #[allow(clippy::too_many_arguments, reason = "one of each kind")]
            async fn lend(
                &self,
                text: &str,
                bytes: &[u8],
                list: &[u16],
                path: &Path,
                word: Option<&str>,
                maybe: Option<&[u8]>,
            ) -> Result<Vec<u8>, RemoteError> {
                let (word, maybe) = (word.map(str::to_owned), maybe.map(<[u8]>::to_vec));
                let path = path.to_str().unwrap().to_owned();
                *self.0.lock().unwrap() = Some((text.into(), bytes.into(), list.into(), path, word, maybe));
                Ok(bytes.to_vec())
            }

            async fn tuple(&self, tuple: &(String, Vec<u8>)) -> Result<Bytes, RemoteError> {
                Ok(tuple.1.clone().into())
            }

            async fn several(&self, a: Vec<u8>, b: Option<Bytes>, c: Bytes) -> Result<Option<Bytes>, RemoteError> {
                assert_eq!(a, c);
                Ok(b)
            }
        }

        impl Lending for Proxy<dyn $name> {
            async fn all(&self, desk: &Desk, sent: &Lent) {
                let (text, bytes, list, path, word, maybe) = sent;
                let back = self.lend(text, bytes, list, Path::new(path), word.as_deref(), maybe.as_deref()).await;
                assert_eq!(back.as_ref(), Ok(bytes));
                assert_eq!(desk.0.lock().unwrap().take().as_ref(), Some(sent));
                assert_eq!(self.tuple(&(text.clone(), bytes.clone())).await.unwrap(), bytes);
                let maybe = maybe.clone().map(Bytes::from);
                assert_eq!(self.several(bytes.clone(), maybe.clone(), bytes.clone().into()).await, Ok(maybe));
            }
        }
    )* };
}

/// Makes every call once.
trait Lending {
    async fn all(&self, desk: &Desk, sent: &Lent);
}

#[derive(Default)]
struct Desk(Mutex<Option<Lent>>);

lending! {
    #[remote(name = "values.Lending")] ByName
    #[remote(name = "values.CompactLending", compact)] Compact
}

#[tokio::test]
async fn lent_arguments_arrive() {
    let desk = std::sync::Arc::new(Desk::default());
    let host = Node::builder().listen("tcp://127.0.0.1:0").start().await.unwrap();
    let caller = Node::builder().start().await.unwrap();
    let by_name: Proxy<dyn ByName> =
        caller.proxy(&host.export(&Proxy::<dyn ByName>::from_arc(desk.clone())).unwrap()).unwrap();
    let compact: Proxy<dyn Compact> =
        caller.proxy(&host.export(&Proxy::<dyn Compact>::from_arc(desk.clone())).unwrap()).unwrap();
    for sent in samples(&any::<Lent>()) {
        by_name.all(&desk, &sent).await;
        compact.all(&desk, &sent).await;
    }
}
