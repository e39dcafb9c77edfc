//! Values, arguments and methods of everything that have the names of what generated code calls.
#![allow(
    non_upper_case_globals,
    non_camel_case_types,
    non_snake_case,
    clippy::wrong_self_convention,
    dead_code,
    reason = "the names are those that might be in the way"
)]

use rmi_core::{Proxy, RemoteError, remote};

use super::far;

const METHOD_0: u8 = 0;
const call: u8 = 1;
static target: u8 = 2;
struct servant;
struct outgoing;
struct arguments;
struct found;
enum served {}
enum MethodPlace {}

/// Has a method of its own for everything.
trait Meddling {
    fn clone(&self) {}
    fn is_some(self)
    where
        Self: Sized,
    {
    }
    fn map(self)
    where
        Self: Sized,
    {
    }
    fn push(&self) {}
    fn take(&self) {}
    fn serve(&self) {}
    fn dispatch(&self) {}
    fn cast(&self) {}
    fn as_deref(&self) {}
    fn as_ref(&self) {}
    fn into(&self) {}
    fn poll(&self) {}
    fn descriptor(&self) {}
    fn into_result(&self) {}
    fn into_future(&self) {}
}

impl<T: ?Sized> Meddling for T {}

#[remote(name = "hygiene.Base")]
trait Base<T: serde::Serialize + serde::de::DeserializeOwned + Send + Sync> {
    async fn base(&self, value: T) -> Result<T, RemoteError>;
}

#[remote(name = "hygiene.Values")]
trait Values: Base<u8> {
    #[allow(clippy::too_many_arguments, reason = "each name is one that might be in the way")]
    async fn sum(
        &self,
        method: u8,
        info: &u8,
        future: Option<&u8>,
        result: &[u8],
        proxy: &str,
        r#type: u8,
        krate: Option<u8>,
        Some: u8,
        #[serde(default)] __self: u8,
    ) -> Result<u64, RemoteError>;
    async fn dyn_future(&self) -> Result<Vec<u8>, RemoteError>;
}

struct Summing;

#[remote]
impl Base<u8> for Summing {
    async fn base(&self, value: u8) -> Result<u8, RemoteError> {
        Ok(value)
    }
}

#[remote]
impl Values for Summing {
    async fn sum(
        &self,
        method: u8,
        info: &u8,
        future: Option<&u8>,
        result: &[u8],
        proxy: &str,
        r#type: u8,
        krate: Option<u8>,
        some: u8,
        own: u8,
    ) -> Result<u64, RemoteError> {
        let mut sum = proxy.len() as u64;
        for one in [method, *info, *future.unwrap(), result[0], r#type, krate.unwrap(), some, own] {
            sum += u64::from(one);
        }
        Ok(sum)
    }

    async fn dyn_future(&self) -> Result<Vec<u8>, RemoteError> {
        Ok(vec![METHOD_0, call, target])
    }
}

#[tokio::test]
async fn names_of_values_and_methods_are_not_in_the_way() {
    let (values, _nodes) = far(Proxy::<dyn Values>::new(Summing)).await;
    let sum = values.sum(1, &2, Some(&3), &[4], "five5", 6, Some(7), 8, 9).await.unwrap();
    assert_eq!((sum, values.base(3).await.unwrap()), (45, 3));
    assert_eq!(values.dyn_future().await.unwrap(), [0, 1, 2]);
}

/// Nothing of the prelude is here.
mod bare {
    #![no_implicit_prelude]

    use ::rmi_core::{Proxy, RemoteError, remote};
    use ::std::result::Result::{self, Ok};
    use ::std::string::String;
    use ::std::vec::Vec;

    #[remote(name = "hygiene.Bare")]
    pub(super) trait Bare: ::core::marker::Send {
        async fn join(&self, parts: &[String], sign: &str, last: Vec<u8>) -> Result<Vec<u8>, RemoteError>;
        #[deprecated]
        async fn me(&self, me: Proxy<dyn Bare>) -> Result<Proxy<dyn Bare>, RemoteError>;
    }

    pub(super) struct Joining;

    #[remote]
    impl Bare for Joining {
        async fn join(&self, parts: &[String], sign: &str, last: Vec<u8>) -> Result<Vec<u8>, RemoteError> {
            let mut joined = parts.join(sign).into_bytes();
            joined.extend_from_slice(&last);
            Ok(joined)
        }

        async fn me(&self, me: Proxy<dyn Bare>) -> Result<Proxy<dyn Bare>, RemoteError> {
            Ok(me)
        }
    }
}

#[tokio::test]
async fn a_module_without_the_prelude_has_remote_traits() {
    use bare::{Bare, Joining};
    let (bare, _nodes) = far(Proxy::<dyn Bare>::new(Joining)).await;
    assert_eq!(bare.join(&[String::from("a"), String::from("b")], "-", vec![b'c']).await.unwrap(), b"a-bc");
}

#[tokio::test]
async fn a_trait_inside_of_a_function_is_remote() {
    #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
    struct Local(u8);

    #[remote(name = "hygiene.Inside")]
    trait Inside {
        async fn pass(&self, local: Local) -> Result<Local, RemoteError>;
    }

    struct Passing;

    #[remote]
    impl Inside for Passing {
        async fn pass(&self, local: Local) -> Result<Local, RemoteError> {
            Ok(local)
        }
    }

    let (inside, _nodes) = far(Proxy::<dyn Inside>::new(Passing)).await;
    assert_eq!(inside.pass(Local(3)).await.unwrap(), Local(3));
}

/// A trait that is deprecated itself, in a module that warns of nothing it does not know.
mod former {
    #![deny(warnings, unfulfilled_lint_expectations)]

    use super::{RemoteError, remote};

    #[deprecated]
    #[remote(name = "hygiene.Former")]
    pub(super) trait Former<T: serde::Serialize + serde::de::DeserializeOwned + Send + Sync> {
        async fn last(&self, value: T) -> Result<T, RemoteError>;
    }

    pub(super) struct Late;

    #[expect(deprecated, reason = "it is the one implementation")]
    #[remote]
    impl Former<u8> for Late {
        async fn last(&self, value: u8) -> Result<u8, RemoteError> {
            Ok(value)
        }
    }
}

#[tokio::test]
#[allow(deprecated, reason = "it is tested")]
async fn a_deprecated_trait_is_remote() {
    use former::{Former, Late};
    let (former, _nodes) = far(Proxy::<dyn Former<u8>>::new(Late)).await;
    assert_eq!(former.last(4).await.unwrap(), 4);
}
