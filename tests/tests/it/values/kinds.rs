//! Enums that are told apart by a field or by nothing, and structs in structs: what serde buffers before it knows the type.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::time::Duration;

use chrono::{DateTime, Utc};
use proptest::collection::{btree_map, vec};
use proptest::option::of;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::exchange::row;
use super::shapes::value;

value! {
    struct Point { x: i32, y: Option<i8>, raw: Vec<u8> }

    #[serde(untagged)]
    enum Untagged {
        Number(i64),
        Flag(bool),
        Id(Uuid),
        Moment(DateTime<Utc>),
        Address(IpAddr),
        Text(String),
        List(Vec<u8>),
        Pair((i8, String)),
        Point(Point),
        Named { name: String, inner: Box<Self> },
        Map(BTreeMap<String, u8>),
        Nothing,
    }

    #[serde(tag = "type")]
    enum Tagged { Unit, Point(Point), Named { id: Uuid, address: IpAddr, list: Vec<u8>, span: Duration }, Inner(Box<Tagging>) }
    #[serde(tag = "kind")]
    enum Tagging { Deep { raw: Vec<u8>, maybe: Option<char> }, Other(BTreeMap<String, Option<u64>>) }

    #[serde(tag = "type")]
    struct TaggedStruct { a: u8, b: Vec<u8> }

    #[serde(tag = "t", content = "c")]
    enum Adjacent { Unit, Newtype(Vec<u8>), Tuple(u8, Uuid), Fields { a: IpAddr, b: Option<u8> }, Nested(Box<Self>) }

    #[serde(tag = "t", content = "c", rename_all = "kebab-case")]
    enum Bare { OneThing, TwoThings }

    struct Flat {
        before: u8,
        #[serde(flatten)]
        point: Point,
        after: Vec<u8>,
        #[serde(flatten)]
        rest: BTreeMap<String, i64>,
    }
    struct FlatTagged {
        before: u8,
        #[serde(flatten)]
        tagged: Tagged,
        after: Vec<u8>,
    }
    struct MaybeFlat {
        id: Uuid,
        #[serde(flatten)]
        point: Option<Point>,
    }
    struct NumberKeys {
        name: String,
        #[serde(flatten)]
        rest: BTreeMap<u64, Vec<u8>>,
    }
    struct FlatEnum {
        #[serde(flatten)]
        shape: Outside,
        last: Option<Vec<u8>>,
    }
    enum Outside { Unit, Newtype(u8), Fields { a: Vec<u8>, b: IpAddr } }

    enum Mixed {
        Known { id: u8 },
        #[serde(untagged)]
        Other(String, u8),
    }

    #[serde(untagged)]
    enum LargeNumber { Large(u128), Text(String) }
    struct FlatLarge {
        #[serde(flatten)]
        inner: Large,
    }
    struct Large { number: i128 }
    #[serde(tag = "type")]
    enum TaggedLarge { Large(Large) }
}

fn point() -> impl Strategy<Value = Point> {
    any::<(i32, Option<i8>, Vec<u8>)>().prop_map(|(x, y, raw)| Point { x, y, raw })
}

fn uuid() -> impl Strategy<Value = Uuid> {
    any::<u128>().prop_map(Uuid::from_u128)
}

fn untagged() -> impl Strategy<Value = Untagged> {
    let leaf = prop_oneof![
        any::<i64>().prop_map(Untagged::Number),
        any::<bool>().prop_map(Untagged::Flag),
        uuid().prop_map(Untagged::Id),
        any::<u32>().prop_map(|seconds| Untagged::Moment(DateTime::from_timestamp(seconds.into(), 5).unwrap())),
        any::<IpAddr>().prop_map(Untagged::Address),
        "[g-z]{0,9}".prop_map(Untagged::Text),
        any::<Vec<u8>>().prop_map(Untagged::List),
        any::<(i8, String)>().prop_map(Untagged::Pair),
        point().prop_map(Untagged::Point),
        btree_map("[a-d]{2,3}", any::<u8>(), 0..4).prop_map(Untagged::Map),
        Just(Untagged::Nothing),
    ];
    leaf.prop_recursive(4, 8, 1, |inner| {
        (any::<String>(), inner).prop_map(|(name, inner)| Untagged::Named { name, inner: Box::new(inner) })
    })
}

fn tagged() -> impl Strategy<Value = Tagged> {
    let deep = any::<(Vec<u8>, Option<char>)>().prop_map(|(raw, maybe)| Tagging::Deep { raw, maybe });
    let other = btree_map("[a-d]{1,3}", any::<Option<u64>>(), 0..4).prop_map(Tagging::Other);
    let named = (uuid(), any::<(IpAddr, Vec<u8>, Duration)>());
    prop_oneof![
        Just(Tagged::Unit),
        point().prop_map(Tagged::Point),
        named.prop_map(|(id, (address, list, span))| Tagged::Named { id, address, list, span }),
        prop_oneof![deep, other].prop_map(|inner| Tagged::Inner(Box::new(inner))),
    ]
}

fn adjacent() -> impl Strategy<Value = Adjacent> {
    let leaf = prop_oneof![
        Just(Adjacent::Unit),
        any::<Vec<u8>>().prop_map(Adjacent::Newtype),
        (any::<u8>(), uuid()).prop_map(|(a, b)| Adjacent::Tuple(a, b)),
        any::<(IpAddr, Option<u8>)>().prop_map(|(a, b)| Adjacent::Fields { a, b }),
    ];
    leaf.prop_recursive(4, 6, 1, |inner| inner.prop_map(|inner| Adjacent::Nested(Box::new(inner))))
}

#[tokio::test]
async fn untagged_enums_arrive() {
    row!(arrives_by_name(untagged())).await;
    row!(arrives_by_name((
        vec(untagged(), 0..4),
        of(untagged()).prop_map(|value| value.filter(|value| *value != Untagged::Nothing)),
    )))
    .await;
}

#[tokio::test]
async fn tagged_enums_and_structs_arrive() {
    row!(arrives(tagged())).await;
    row!(arrives_by_name(any::<(u8, Vec<u8>)>().prop_map(|(a, b)| TaggedStruct { a, b }))).await;
    row!(arrives(btree_map(uuid(), tagged(), 0..4))).await;
}

#[tokio::test]
async fn adjacently_tagged_enums_arrive() {
    row!(arrives_by_name(adjacent())).await;
    row!(arrives(vec(prop_oneof![Just(Bare::OneThing), Just(Bare::TwoThings)], 0..4))).await;
}

#[tokio::test]
async fn flattened_fields_arrive() {
    let rest = btree_map("[p-s]{3,5}", any::<i64>(), 0..4);
    let flat = (any::<(u8, Vec<u8>)>(), point(), rest);
    row!(arrives(flat.prop_map(|((before, after), point, rest)| Flat { before, point, after, rest }))).await;
    let flat = (any::<(u8, Vec<u8>)>(), tagged());
    // The map of a variant takes the fields around it, too, in every format.
    let flat = flat.prop_filter("no map", |(_, tagged)| !matches!(tagged, Tagged::Inner(_)));
    row!(arrives(flat.prop_map(|((before, after), tagged)| FlatTagged { before, tagged, after }))).await;
}

#[tokio::test]
async fn flattened_options_arrive() {
    row!(arrives((uuid(), of(point())).prop_map(|(id, point)| MaybeFlat { id, point }))).await;
}

#[tokio::test]
async fn flattened_enums_arrive() {
    let shape = prop_oneof![
        Just(Outside::Unit),
        any::<u8>().prop_map(Outside::Newtype),
        any::<(Vec<u8>, IpAddr)>().prop_map(|(a, b)| Outside::Fields { a, b }),
    ];
    row!(arrives((shape, any::<Option<Vec<u8>>>()).prop_map(|(shape, last)| FlatEnum { shape, last }))).await;
}

#[tokio::test]
async fn flattened_maps_arrive_whatever_their_keys_are() {
    let rest = btree_map(any::<u64>(), any::<Vec<u8>>(), 0..5);
    row!(arrives((any::<String>(), rest).prop_map(|(name, rest)| NumberKeys { name, rest }))).await;
}

#[tokio::test]
async fn enums_with_an_untagged_variant_arrive() {
    let known = any::<u8>().prop_map(|id| Mixed::Known { id });
    let other = any::<(String, u8)>().prop_map(|(a, b)| Mixed::Other(a, b));
    row!(arrives(prop_oneof![known, other])).await;
}

#[tokio::test]
async fn large_numbers_that_serde_cannot_buffer_are_told_to_their_sender() {
    let large = u128::from(u64::MAX) + 1..u128::MAX;
    row!(is_told(large.clone().prop_map(LargeNumber::Large))).await;
    let large = large.prop_map(|number| Large { number: (number >> 1).cast_signed() | 1 << 100 });
    row!(is_told(large.clone().prop_map(|inner| FlatLarge { inner }))).await;
    row!(is_told(large.prop_map(TaggedLarge::Large))).await;
    row!(arrives("[a-z]{0,9}".prop_map(LargeNumber::Text))).await;
}

#[tokio::test]
async fn json_like_values_arrive_as_they_do_in_json() {
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Loose {
        #[serde(flatten)]
        rest: HashMap<String, serde_json::Value>,
    }
    let number = any::<i32>().prop_map(serde_json::Value::from);
    let text = any::<String>().prop_map(serde_json::Value::from);
    let rest = proptest::collection::hash_map("[a-z]{1,4}", prop_oneof![number, text], 0..5);
    row!(arrives_as_from_json(rest.prop_map(|rest| Loose { rest }))).await;
}
