//! Values are passed on by their types, not by what the types are called.

use std::borrow::Cow;
use std::path::Path;

use rmi_core::{Bytes, Interface, Proxy, RemoteError, remote};
use serde::{Deserialize, Serialize};

use super::far;

mod bounded {
    //! Types that are called as others are.

    /// At most `N` values.
    #[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
    pub(super) struct Vec<T, const N: usize>(pub(super) std::vec::Vec<T>);

    /// A number of bytes.
    #[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
    pub(super) struct Bytes(pub(super) u64);

    /// A choice.
    #[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
    pub(super) enum Option<T> {
        Chosen(T),
        Other,
    }

    /// A stand-in for a server.
    #[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
    pub(super) struct Proxy<T>(pub(super) T);
}

type Blob = Vec<u8>;
type Boxed = Box<[u8]>;
type Maybe<T> = Option<T>;
type Answer<T> = Result<T, RemoteError>;
type Swapped<E, T> = Result<T, E>;
type Reference = Proxy<dyn Shapes>;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Point {
    x: i32,
    y: i32,
}

#[remote(name = "hygiene.Shapes")]
trait Shapes {
    async fn bounded(&self, one: bounded::Vec<u8, 32>, other: &bounded::Vec<u8, 1>) -> Answer<bounded::Vec<u8, 3>>;
    async fn count(&self, bytes: bounded::Bytes) -> Answer<bounded::Bytes>;
    async fn choose(&self, one: bounded::Option<u8>, other: &bounded::Option<String>) -> Answer<bounded::Option<u8>>;
    async fn front(&self) -> Answer<bounded::Proxy<String>>;
    async fn blobs(&self, one: Blob, two: Maybe<Blob>, three: &[u8], four: Maybe<&[u8]>, five: Bytes) -> Answer<Blob>;
    async fn boxes(&self, one: Box<[u8]>, two: Option<Box<[u8]>>) -> Swapped<RemoteError, Option<Box<[u8]>>>;
    async fn lent(
        &self,
        text: &str,
        path: &Path,
        list: &[u16],
        point: Maybe<&Point>,
        name: Cow<'_, str>,
    ) -> Answer<String>;
    async fn whole(&self, one: &Bytes, two: &Blob, three: &Option<u8>, four: &Boxed) -> Answer<usize>;
    async fn nested(&self, nested: Option<Option<u8>>, unit: Option<()>) -> Answer<Option<Option<u8>>>;
    async fn last(&self, first: u8, last: Maybe<u8>, #[serde(default)] bytes: Blob) -> Answer<usize>;
    async fn me(&self, me: &Reference) -> Swapped<RemoteError, Reference>;
}

struct Echo;

#[remote]
impl Shapes for Echo {
    async fn bounded(&self, one: bounded::Vec<u8, 32>, other: &bounded::Vec<u8, 1>) -> Answer<bounded::Vec<u8, 3>> {
        Ok(bounded::Vec([one.0, other.0.clone()].concat()))
    }

    async fn count(&self, bytes: bounded::Bytes) -> Answer<bounded::Bytes> {
        Ok(bytes)
    }

    async fn choose(&self, one: bounded::Option<u8>, other: &bounded::Option<String>) -> Answer<bounded::Option<u8>> {
        Ok(if *other == bounded::Option::Other { bounded::Option::Other } else { one })
    }

    async fn front(&self) -> Answer<bounded::Proxy<String>> {
        Ok(bounded::Proxy("site".into()))
    }

    async fn blobs(&self, one: Blob, two: Maybe<Blob>, three: &[u8], four: Maybe<&[u8]>, five: Bytes) -> Answer<Blob> {
        Ok([one, two.unwrap_or_default(), three.to_vec(), four.unwrap_or_default().to_vec(), five.to_vec()].concat())
    }

    async fn boxes(&self, one: Box<[u8]>, two: Option<Box<[u8]>>) -> Swapped<RemoteError, Option<Box<[u8]>>> {
        Ok(two.or(Some(one)))
    }

    async fn lent(
        &self,
        text: &str,
        path: &Path,
        list: &[u16],
        point: Maybe<&Point>,
        name: Cow<'_, str>,
    ) -> Answer<String> {
        Ok(format!("{text} {} {list:?} {point:?} {name}", path.display()))
    }

    async fn whole(&self, one: &Bytes, two: &Blob, three: &Option<u8>, four: &Boxed) -> Answer<usize> {
        Ok(one.len() + two.len() + three.map_or(0, usize::from) + four.len())
    }

    async fn nested(&self, nested: Option<Option<u8>>, unit: Option<()>) -> Answer<Option<Option<u8>>> {
        Ok(nested.filter(|_| unit.is_some()))
    }

    async fn last(&self, first: u8, last: Maybe<u8>, bytes: Blob) -> Answer<usize> {
        Ok(usize::from(first) + usize::from(last.unwrap_or(100)) + bytes.len())
    }

    async fn me(&self, me: &Reference) -> Swapped<RemoteError, Reference> {
        Ok(me.clone())
    }
}

#[tokio::test]
async fn types_that_are_called_as_others_travel_as_what_they_are() {
    let (echo, _nodes) = far(Proxy::<dyn Shapes>::new(Echo)).await;
    let both = echo.bounded(bounded::Vec(vec![1, 2]), &bounded::Vec(vec![3])).await.unwrap();
    assert_eq!(both, bounded::Vec(vec![1, 2, 3]));
    assert_eq!(echo.count(bounded::Bytes(7)).await.unwrap(), bounded::Bytes(7));
    let chosen = bounded::Option::Chosen("x".to_owned());
    assert_eq!(echo.choose(bounded::Option::Chosen(1), &chosen).await.unwrap(), bounded::Option::Chosen(1));
    assert_eq!(echo.pipelined().front().await.unwrap(), bounded::Proxy("site".into()));
}

#[tokio::test]
async fn byte_strings_travel_under_every_name() {
    let (echo, _nodes) = far(Proxy::<dyn Shapes>::new(Echo)).await;
    let all = echo.blobs(vec![1], Some(vec![2]), &[3], Some(&[4]), Bytes::from_static(&[5])).await.unwrap();
    assert_eq!(all, [1, 2, 3, 4, 5]);
    assert!(echo.blobs(vec![], None, &[], None, Bytes::new()).await.unwrap().is_empty());
    assert_eq!(echo.boxes([1].into(), None).await.unwrap().unwrap()[..], [1]);
}

#[tokio::test]
async fn what_is_lent_is_held_for_the_time_of_the_call() {
    let (echo, _nodes) = far(Proxy::<dyn Shapes>::new(Echo)).await;
    let point = Point { x: 1, y: 2 };
    let told = echo.lent("a", Path::new("b/c"), &[7, 8], Some(&point), "d".into()).await.unwrap();
    assert_eq!(told, "a b/c [7, 8] Some(Point { x: 1, y: 2 }) d");
    assert!(echo.lent("", Path::new(""), &[], None, Cow::Owned(String::new())).await.unwrap().contains("None"));
    let length = echo.whole(&Bytes::from_static(&[1]), &vec![2], &Some(3), &[4].into()).await.unwrap();
    assert_eq!(length, 6);
    assert_eq!(echo.me(&echo).await.unwrap(), echo);
}

#[tokio::test]
async fn options_of_options_compile() {
    let (echo, _nodes) = far(Proxy::<dyn Shapes>::new(Echo)).await;
    assert_eq!(echo.nested(Some(Some(1)), Some(())).await.unwrap(), Some(Some(1)));
    assert_eq!(echo.nested(None, None).await.unwrap(), None);
}

#[tokio::test]
async fn an_option_under_another_name_may_be_missing_at_the_end() {
    let (echo, _nodes) = far(Proxy::<dyn Shapes>::new(Echo)).await;
    let call = rmi_core::Call::new(rmi_core::MethodId::of("hygiene.Shapes", "last"), Bytes::from_static(&[0x91, 5]));
    assert_eq!(echo.to_any().invoke(call).await.unwrap().body[..], [105]);
    assert_eq!(echo.last(1, Some(2), vec![0; 3]).await.unwrap(), 6);
}

#[test]
fn a_reference_under_another_name_can_be_promised() {
    let promising: Vec<_> = <dyn Shapes>::descriptor().methods.iter().filter(|method| method.promises).collect();
    assert_eq!(promising.iter().map(|method| method.name).collect::<Vec<_>>(), ["me"]);
}

#[remote(name = "hygiene.Compact", compact)]
trait Compact {
    async fn point(&self, point: &Point) -> Answer<Point>;
}

#[remote]
impl Compact for Echo {
    async fn point(&self, point: &Point) -> Answer<Point> {
        Ok(point.clone())
    }
}

#[tokio::test]
async fn a_compact_trait_says_so_of_its_methods() {
    assert!(<dyn Compact>::descriptor().methods[0].compact && !<dyn Shapes>::descriptor().methods[0].compact);
    let (compact, _nodes) = far(Proxy::<dyn Compact>::new(Echo)).await;
    let point = Point { x: -1, y: 1 };
    assert_eq!(compact.point(&point).await.unwrap(), point);
}
