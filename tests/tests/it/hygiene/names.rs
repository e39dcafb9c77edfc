//! Types of the program that have the names of the prelude, of serde, of tokio and of this framework.

use rmi_core::{RemoteError, remote};

use super::far;

/// Types with these names, a trait that takes and returns each of them, a servant, and a test that calls every method.
macro_rules! echoed {
    ($test:ident $wire:literal: $($method:ident $name:ident,)*) => {
        mod $test {
            use super::RemoteError;

            $(
                #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
                pub(super) struct $name {
                    pub(super) of: u8,
                }
            )*

            #[super::remote(name = $wire)]
            pub(super) trait Everything {
                $(async fn $method(&self, one: $name, other: &$name) -> std::result::Result<$name, RemoteError>;)*
            }

            pub(super) struct Serving;

            #[super::remote]
            impl Everything for Serving {
                $(async fn $method(&self, one: $name, other: &$name) -> std::result::Result<$name, RemoteError> {
                    std::result::Result::Ok($name { of: one.of + other.of })
                })*
            }
        }

        #[tokio::test]
        async fn $test() {
            use $test::Everything as _;
            let (everything, _nodes) = far(rmi_core::Proxy::<dyn $test::Everything>::new($test::Serving)).await;
            $(assert_eq!(everything.$method($test::$name { of: 2 }, &$test::$name { of: 3 }).await.unwrap().of, 5);)*
        }
    };
}

echoed! {
    types_of_the_prelude "hygiene.Prelude":
    a Box, b Vec, c String, d Option, e Some, f None, g Result, h Ok, i Err, j Send, k Sync, l Sized, m Copy, n Clone,
    o Drop, p Fn, q FnMut, r FnOnce, s Iterator, t Into, u From, v Default, w Eq, x ToString, y ToOwned, z AsRef,
    aa TryFrom, ab TryInto, ac Future, ad IntoFuture, ae Unpin, af Extend, ag Ord, ah Debug, ai PhantomData, aj Pin, ak Arc,
    al Any, am TypeId, an Infallible, ao Str, ap Bool,
}

echoed! {
    types_of_serde_and_tokio "hygiene.Serde":
    a Serialize, b Deserialize, c Serializer, d Deserializer, e DeserializeOwned, f Visitor, g Bytes, h ByteBuf, i Mutex,
    j RwLock, k Notify, l Semaphore, m JoinHandle, n Runtime, o Handle, p Instant, q Duration, r Sender, s Receiver, t Stream,
    u Uuid, v AsyncRead, w AsyncWrite, x BytesMut, y Buf, z Span,
}

echoed! {
    types_of_this_framework "hygiene.Framework":
    a Servant, b Proxy, c AnyProxy, d Node, e Registry, f Interface, g Accepts, h Failure, i Method, j MethodResult,
    k Descriptor, l Streaming, m Call, n Reply, o Incoming, p Outgoing, q Arguments, r Dispatched, s Dispatch, t Target,
    u Argument, v Generic, w Given, x Owned, y Lending, z Returning, aa Serving2, ab Travels, ac MethodId, ad InterfaceId,
    ae Parent, af Super, ag Push, ah Take, ai InterfaceType, aj Limits, ak Endpoint, al ErrorKind,
}

/// A trait with such a name, one that extends it, a servant, and a test that calls both.
macro_rules! extended {
    ($($test:ident $name:ident $base:literal $derived:literal,)*) => {$(
        mod $test {
            use super::RemoteError;

            pub(super) mod base {
                use super::RemoteError;

                #[super::super::remote(name = $base)]
                pub(crate) trait $name {
                    async fn base(&self) -> Result<u8, RemoteError>;
                }
            }

            #[super::remote(name = $derived)]
            pub(super) trait Derived: base::$name + Send {
                async fn own(&self) -> Result<u8, RemoteError>;
            }

            pub(super) struct Both;

            #[super::remote]
            impl base::$name for Both {
                async fn base(&self) -> Result<u8, RemoteError> {
                    Ok(1)
                }
            }

            #[super::remote]
            impl Derived for Both {
                async fn own(&self) -> Result<u8, RemoteError> {
                    Ok(2)
                }
            }
        }

        #[tokio::test]
        async fn $test() {
            use {$test::{Both, Derived}, $test::base::$name as Base};
            let (both, _nodes) = far(rmi_core::Proxy::<dyn Derived>::new(Both)).await;
            assert_eq!((both.base().await.unwrap(), both.own().await.unwrap()), (1, 2));
            let base = both.cast::<dyn Base>().unwrap();
            assert_eq!(base.base().await.unwrap(), 1);
        }
    )*};
}

extended! {
    a_trait_called_send Send "hygiene.Send" "hygiene.Sender",
    a_trait_called_sync Sync "hygiene.Sync" "hygiene.Syncer",
    a_trait_called_unpin Unpin "hygiene.Unpin" "hygiene.Unpinner",
    a_trait_called_unwind_safe UnwindSafe "hygiene.UnwindSafe" "hygiene.Unwinder",
    a_trait_called_ref_unwind_safe RefUnwindSafe "hygiene.RefUnwindSafe" "hygiene.RefUnwinder",
    a_trait_called_servant Servant "hygiene.Servant" "hygiene.Servants",
    a_trait_called_interface Interface "hygiene.Interface" "hygiene.Interfaces",
    a_trait_called_fn Fn "hygiene.Fn" "hygiene.Fns",
}

/// A derived trait that names the markers as supertraits.
mod marked {
    use super::{RemoteError, remote};

    #[remote(name = "hygiene.Marked")]
    pub(super) trait Marked: Send + Sync + Unpin + std::panic::UnwindSafe + std::panic::RefUnwindSafe {
        async fn mark(&self) -> Result<(), RemoteError>;
    }
}

#[test]
fn markers_are_no_interfaces() {
    assert_eq!(<dyn marked::Marked as rmi_core::Interface>::descriptor().names(), ["hygiene.Marked"]);
}
