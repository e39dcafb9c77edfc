//! Structs and enums of every shape.

use std::collections::BTreeMap;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::exchange::row;

/// Derives what a value needs.
macro_rules! value {
    ($($item:item)*) => { $(
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        $item
    )* };
}
pub(super) use value;

value! {
    struct Unit;
    struct Newtype(u32);
    struct Nested(Newtype);
    struct Bytes(Vec<u8>);
    struct Tuple(u8, String, Option<bool>);
    struct Empty {}
    struct One { only: Option<()> }
    struct Fields { id: u64, name: String, raw: Vec<u8>, inner: Tuple, unit: Unit, maybe: Option<Nested> }
    struct Page<T> { items: Vec<T>, next: Option<T>, total: (T, T) }
    struct Keyword { r#type: u8, r#match: bool }

    enum Colour { Red, Green, Blue }
    enum Shape {
        Unit,
        Newtype(u8),
        Wrapped(Newtype),
        Nothing(()),
        Maybe(Option<Option<u8>>),
        Bytes(Vec<u8>),
        Tuple(u8, String),
        Fields { x: i32, y: Option<i32>, bytes: Vec<u8> },
        NoFields {},
        NoValues(),
        Nested(Box<Self>),
    }
    enum Single { Only }

    struct Tree { name: String, children: Vec<Self> }
    enum List { End, Next(i32, Box<Self>) }
    struct Chain { next: Option<Box<Self>> }
}

fn tuple() -> impl Strategy<Value = Tuple> {
    any::<(u8, String, Option<bool>)>().prop_map(|(a, b, c)| Tuple(a, b, c))
}

fn fields() -> impl Strategy<Value = Fields> {
    (any::<(u64, String, Vec<u8>, Option<u32>)>(), tuple()).prop_map(|((id, name, raw, maybe), inner)| Fields {
        id,
        name,
        raw,
        inner,
        unit: Unit,
        maybe: maybe.map(|number| Nested(Newtype(number))),
    })
}

fn colour() -> impl Strategy<Value = Colour> {
    prop_oneof![Just(Colour::Red), Just(Colour::Green), Just(Colour::Blue)]
}

fn shape() -> impl Strategy<Value = Shape> {
    let leaf = prop_oneof![
        Just(Shape::Unit),
        Just(Shape::Nothing(())),
        Just(Shape::NoFields {}),
        Just(Shape::NoValues()),
        any::<u8>().prop_map(Shape::Newtype),
        any::<u32>().prop_map(|number| Shape::Wrapped(Newtype(number))),
        any::<Option<Option<u8>>>().prop_map(Shape::Maybe),
        any::<Vec<u8>>().prop_map(Shape::Bytes),
        any::<(u8, String)>().prop_map(|(a, b)| Shape::Tuple(a, b)),
        any::<(i32, Option<i32>, Vec<u8>)>().prop_map(|(x, y, bytes)| Shape::Fields { x, y, bytes }),
    ];
    leaf.prop_recursive(5, 8, 1, |inner| inner.prop_map(|shape| Shape::Nested(Box::new(shape))))
}

#[tokio::test]
async fn structs_of_every_kind_arrive() {
    row!(arrives((Just(Unit), Just(Empty {}), any::<u32>().prop_map(|number| Nested(Newtype(number))), tuple()))).await;
    row!(arrives(any::<Option<()>>().prop_map(|only| One { only }))).await;
    row!(arrives(any::<Vec<u8>>().prop_map(Bytes))).await;
    row!(arrives(fields())).await;
    row!(arrives(any::<(u8, bool)>().prop_map(|(r#type, r#match)| Keyword { r#type, r#match }))).await;
}

#[tokio::test]
async fn generic_structs_arrive() {
    let page = (vec(fields(), 0..4), proptest::option::of(fields()), (fields(), fields()));
    row!(arrives(page.prop_map(|(items, next, total)| Page { items, next, total }))).await;
    let page = any::<(Vec<u8>, Option<u8>, (u8, u8))>();
    row!(arrives(page.prop_map(|(items, next, total)| Page { items, next, total }))).await;
}

#[tokio::test]
async fn variants_of_every_kind_arrive() {
    row!(arrives(colour())).await;
    row!(arrives(Just(Single::Only))).await;
    row!(arrives(shape())).await;
    row!(arrives((vec(shape(), 0..5), proptest::option::of(shape()), vec(colour(), 0..5)))).await;
}

#[tokio::test]
async fn structs_and_variants_as_keys_arrive() {
    row!(arrives(btree_map(colour(), any::<u8>(), 0..4))).await;
    row!(arrives(btree_map(fields(), shape(), 0..4))).await;
    row!(arrives(btree_map(shape(), fields(), 0..4))).await;
    row!(arrives(btree_map(any::<u32>().prop_map(|number| Nested(Newtype(number))), Just(Unit), 0..4))).await;
}

#[tokio::test]
async fn recursive_values_arrive() {
    let tree = ".{0,4}".prop_map(|name| Tree { name, children: Vec::new() });
    let tree = tree.prop_recursive(6, 30, 4, |inner| {
        (".{0,4}", vec(inner, 0..4)).prop_map(|(name, children)| Tree { name, children })
    });
    row!(arrives(tree)).await;
    let list = vec(any::<i32>(), 0..30);
    row!(arrives(
        list.prop_map(|list| list.into_iter().fold(List::End, |rest, number| List::Next(number, Box::new(rest))))
    ))
    .await;
}

#[tokio::test]
async fn values_nested_too_deeply_are_told_to_their_sender() {
    let chain = |depth| (0..depth).fold(Chain { next: None }, |chain, _| Chain { next: Some(Box::new(chain)) });
    row!(arrives(Just(chain(40)))).await;
    row!(is_told((200..300_usize).prop_map(chain))).await;
}

#[tokio::test]
async fn maps_in_structs_in_maps_arrive() {
    let page = (btree_map(tuple(), colour(), 0..3), any::<BTreeMap<i8, Vec<u8>>>());
    row!(arrives(btree_map(any::<i64>(), page, 0..3))).await;
}
