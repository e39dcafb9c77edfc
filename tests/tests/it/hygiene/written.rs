//! Traits that macros write: what comes through them is what it is.

use rmi_core::{Interface, Proxy, RemoteError, remote};

use super::far;

/// A trait whose types come through.
macro_rules! store {
    ($wire:literal $name:ident $servant:ident: $method:ident($argument:ident: $t:ty, $lent:ty) -> $value:ty | $result:ty) => {
        #[remote(name = $wire)]
        trait $name {
            async fn $method(
                &self,
                $argument: $t,
                lent: $lent,
                of: Option<$t>,
                many: &[$t],
            ) -> Result<$value, RemoteError>;
            async fn whole(&self) -> $result;
        }

        struct $servant;

        #[remote]
        impl $name for $servant {
            async fn $method(
                &self,
                $argument: $t,
                lent: $lent,
                of: Option<$t>,
                many: &[$t],
            ) -> Result<$value, RemoteError> {
                assert_eq!(($argument, 1), (of.unwrap(), many.len()));
                Ok(lent.to_owned().into())
            }

            async fn whole(&self) -> $result {
                Ok(Default::default())
            }
        }
    };
}

store!("hygiene.Bytes" Bytes BytesServant: keep(bytes: Vec<u8>, &[u8]) -> Vec<u8> | Result<Vec<u8>, RemoteError>);
store!("hygiene.Texts" Texts TextsServant: keep(text: String, &str) -> String | Result<(String, u8), RemoteError>);

#[tokio::test]
async fn types_that_come_through_a_macro_are_what_they_are() {
    let (bytes, _nodes) = far(Proxy::<dyn Bytes>::new(BytesServant)).await;
    assert_eq!(bytes.keep(vec![1], &[2], Some(vec![1]), &[vec![]]).await.unwrap(), [2]);
    assert!(bytes.whole().await.unwrap().is_empty());
    let (texts, _nodes) = far(Proxy::<dyn Texts>::new(TextsServant)).await;
    assert_eq!(texts.keep("a".into(), "b", Some("a".into()), &["c".into()]).await.unwrap(), "b");
    assert_eq!(texts.whole().await.unwrap(), (String::new(), 0));
}

/// A trait as it is, with the attribute.
macro_rules! whole {
    ($($item:item)*) => { $(#[remote] $item)* };
}

whole! {
    trait Whole<T: ?Sized + Interface>: Bytes {
        async fn pass(&self, object: Proxy<T>) -> Result<Option<Proxy<T>>, RemoteError>;
    }

    impl<T: ?Sized + Interface> Whole<T> for BytesServant {
        async fn pass(&self, object: Proxy<T>) -> Result<Option<Proxy<T>>, RemoteError> {
            Ok(Some(object))
        }
    }
}

#[tokio::test]
async fn a_trait_that_comes_through_a_macro_whole_is_remote() {
    let (whole, _nodes) = far(Proxy::<dyn Whole<dyn Texts>>::new(BytesServant)).await;
    let texts = Proxy::<dyn Texts>::new(TextsServant);
    assert_eq!(whole.pass(texts.clone()).await.unwrap().unwrap(), texts);
    assert!(whole.whole().await.unwrap().is_empty());
}

/// A trait of which each part comes through on its own.
macro_rules! parts {
    ($(#[$attribute:meta])* $name:ident: $parent:path { $($(#[$of:meta])* $method:ident($($argument:ident: $t:ty),*) -> $r:ty;)* }) => {
        $(#[$attribute])*
        trait $name: $parent {
            $($(#[$of])* async fn $method(&self, $($argument: $t),*) -> $r;)*
        }
    };
}

parts! {
    #[remote(name = "hygiene.Parts")]
    Parts: Texts {
        #[remote(idempotent, rename = "one")]
        first(text: &str, maybe: Option<&[u8]>, count: u8) -> Result<Proxy<dyn Texts>, RemoteError>;
        #[remote(oneway)]
        second() -> Result<(), RemoteError>;
    }
}

#[test]
fn a_trait_that_comes_through_a_macro_in_parts_is_remote() {
    let parts = <dyn Parts>::descriptor();
    assert_eq!(parts.names(), ["hygiene.Parts", "hygiene.Texts"]);
    let [first, second] = parts.methods else { panic!("two methods") };
    assert!(first.idempotent && first.promises && second.oneway);
    assert_eq!((first.name, first.arguments), ("one", &["text", "maybe", "count"][..]));
}
