//! Every attribute of serde that changes what is written or read.

use std::collections::BTreeMap;

use proptest::collection::{btree_map, vec};
use proptest::option::of;
use proptest::prelude::*;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::exchange::row;
use super::shapes::value;

fn seven() -> u8 {
    7
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
fn is_seven(number: &u8) -> bool {
    *number == 7
}

value! {
    #[serde(rename = "Other", rename_all = "camelCase", deny_unknown_fields)]
    struct Renamed { first_name: String, #[serde(rename = "the id")] id: u8, #[serde(alias = "mail")] e_mail: String }

    #[serde(rename_all = "SCREAMING-KEBAB-CASE", rename_all_fields = "PascalCase")]
    enum RenamedVariants { OneThing, #[serde(rename = "2")] Two(u8), #[serde(alias = "iii")] Three { a_field: u8 } }

    // What is written under one name and read under another arrives as its default.
    struct TwoNames { #[serde(default, rename(serialize = "written", deserialize = "read"))] name: String, id: u8 }
    struct TwoNamesRequired { #[serde(rename(serialize = "written", deserialize = "read"))] name: String }

    struct Skipping {
        #[serde(skip_serializing_if = "Option::is_none")]
        first: Option<u8>,
        id: u8,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        list: Vec<u16>,
        #[serde(default = "seven", skip_serializing_if = "is_seven")]
        number: u8,
        #[serde(default, skip_serializing_if = "String::is_empty")]
        text: String,
        last: i8,
    }
    enum SkippingVariant {
        Fields {
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            list: Vec<u16>,
            #[serde(skip_serializing_if = "Option::is_none")]
            maybe: Option<String>,
            last: u8,
        },
    }
    #[serde(default)]
    struct WholeDefault { #[serde(skip_serializing_if = "Vec::is_empty")] list: Vec<u8>, number: u8 }

    struct Skipped {
        #[serde(skip)]
        never: u8,
        before: u8,
        #[serde(skip_serializing, default = "seven")]
        unwritten: u8,
        #[serde(skip_deserializing)]
        unread: String,
        after: u8,
        #[serde(skip)]
        last: Option<u8>,
    }
    enum SkippedVariant { Kept(u8), #[serde(skip)] Gone, #[serde(skip_serializing)] Unwritten, #[serde(skip_deserializing)] Unread }
    struct SkippedInTuple(u8, #[serde(skip)] u16, String);

    struct With {
        #[serde(with = "hex")]
        hex: u64,
        #[serde(serialize_with = "negated", deserialize_with = "negated_back")]
        negative: i8,
        #[serde(with = "serde_bytes")]
        raw: Vec<u8>,
        #[serde(with = "serde_bytes", skip_serializing_if = "Option::is_none", default)]
        maybe: Option<Vec<u8>>,
        #[serde(with = "Pairs")]
        pairs: Foreign,
    }

    #[serde(transparent)]
    struct Transparent { inner: Vec<u8> }
    #[serde(transparent)]
    struct TransparentOption(Option<Option<u8>>);

    #[serde(from = "String", into = "String")]
    struct Reversed(String);
    #[serde(try_from = "u8", into = "u8")]
    struct Even(u8);
    struct Foreign { a: u8, b: Vec<u8> }
    #[serde(remote = "Foreign")]
    struct Pairs { b: Vec<u8>, #[serde(rename = "A")] a: u8 }

    #[serde(deny_unknown_fields)]
    struct Strict { a: u8, b: Option<u8>, #[serde(default, skip_serializing_if = "Option::is_none")] c: Option<Vec<u8>> }

    #[serde(bound(serialize = "T: Clone + Into<u8>", deserialize = "T: From<u8>"))]
    struct Bounded<T>(#[serde(serialize_with = "into_u8", deserialize_with = "from_u8")] T);
}

impl Default for WholeDefault {
    fn default() -> Self {
        Self { list: vec![1, 2, 3], number: 9 }
    }
}

impl From<String> for Reversed {
    fn from(text: String) -> Self {
        Self(text.chars().rev().collect())
    }
}

impl From<Reversed> for String {
    fn from(reversed: Reversed) -> Self {
        reversed.0.chars().rev().collect()
    }
}

impl TryFrom<u8> for Even {
    type Error = String;

    fn try_from(number: u8) -> Result<Self, String> {
        if number.is_multiple_of(2) { Ok(Self(number)) } else { Err(format!("{number} is odd")) }
    }
}

impl From<Even> for u8 {
    fn from(even: Even) -> Self {
        even.0
    }
}

mod hex {
    use serde::{Deserialize, Deserializer, Serializer};

    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
    pub(super) fn serialize<S: Serializer>(number: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{number:x}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        // Borrowed from the body.
        let text = <&str>::deserialize(deserializer)?;
        u64::from_str_radix(text, 16).map_err(serde::de::Error::custom)
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn negated<S: Serializer>(number: &i8, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_i16(-i16::from(*number))
}

fn negated_back<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i8, D::Error> {
    i8::try_from(-i16::deserialize(deserializer)?).map_err(serde::de::Error::custom)
}

fn into_u8<T: Clone + Into<u8>, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u8(value.clone().into())
}

fn from_u8<'de, T: From<u8>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    u8::deserialize(deserializer).map(T::from)
}

fn renamed() -> impl Strategy<Value = Renamed> {
    any::<(String, u8, String)>().prop_map(|(first_name, id, e_mail)| Renamed { first_name, id, e_mail })
}

fn skipping() -> impl Strategy<Value = Skipping> {
    let small = (of(any::<u8>()), any::<u8>(), vec(any::<u16>(), 0..2), 5..9_u8, "[a-z]{0,1}", any::<i8>());
    small.prop_map(|(first, id, list, number, text, last)| Skipping { first, id, list, number, text, last })
}

#[tokio::test]
async fn renamed_fields_and_variants_arrive() {
    row!(arrives(renamed())).await;
    let three = any::<u8>().prop_map(|a_field| RenamedVariants::Three { a_field });
    let two = any::<u8>().prop_map(RenamedVariants::Two);
    row!(arrives(prop_oneof![Just(RenamedVariants::OneThing), two, three])).await;
}

#[tokio::test]
async fn skipped_fields_take_no_other_ones_place() {
    row!(arrives(skipping())).await;
    let variant = (vec(any::<u16>(), 0..2), of("[a-z]{0,1}"), any::<u8>());
    row!(arrives(variant.prop_map(|(list, maybe, last)| SkippingVariant::Fields { list, maybe, last }))).await;
    row!(arrives((vec(skipping(), 0..4), btree_map(any::<u8>(), skipping(), 0..3)))).await;
}

#[tokio::test]
async fn what_is_written_under_another_name_arrives_as_in_json_or_is_told() {
    row!(arrives_by_name_as_from_json(any::<(String, u8)>().prop_map(|(name, id)| TwoNames { name, id }))).await;
    row!(arrives_by_name_as_from_json(any::<String>().prop_map(|name| TwoNamesRequired { name }))).await;
}

#[tokio::test]
async fn fields_that_are_not_written_or_not_read_arrive_as_in_json() {
    let values = (any::<(u8, u8, u8, String)>(), any::<(u8, Option<u8>)>());
    row!(arrives_by_name_as_from_json(values.prop_map(|((never, before, unwritten, unread), (after, last))| {
        Skipped { never, before, unwritten, unread, after, last }
    })))
    .await;
    row!(arrives_as_from_json(any::<(u8, u16, String)>().prop_map(|(a, b, c)| SkippedInTuple(a, b, c)))).await;
}

#[tokio::test]
async fn variants_that_are_not_written_or_not_read_are_told() {
    row!(arrives(any::<u8>().prop_map(SkippedVariant::Kept))).await;
    row!(is_told(prop_oneof![
        Just(SkippedVariant::Gone),
        Just(SkippedVariant::Unwritten),
        Just(SkippedVariant::Unread)
    ]))
    .await;
}

#[tokio::test]
async fn defaults_of_a_whole_struct_arrive_as_in_json() {
    let values = (vec(any::<u8>(), 0..2), any::<u8>()).prop_map(|(list, number)| WholeDefault { list, number });
    row!(arrives_as_from_json(values)).await;
}

#[tokio::test]
async fn fields_written_by_functions_arrive() {
    let values = any::<(u64, i8, Vec<u8>, Option<Vec<u8>>, u8, Vec<u8>)>();
    row!(arrives(values.prop_map(|(hex, negative, raw, maybe, a, b)| With {
        hex,
        negative: negative.max(-127),
        raw,
        maybe,
        pairs: Foreign { a, b },
    })))
    .await;
    row!(arrives(any::<u8>().prop_map(Bounded))).await;
}

#[tokio::test]
async fn transparent_structs_arrive() {
    row!(arrives(any::<Vec<u8>>().prop_map(|inner| Transparent { inner }))).await;
    row!(arrives(any::<Option<Option<u8>>>().prop_map(TransparentOption))).await;
}

#[tokio::test]
async fn converted_values_arrive() {
    row!(arrives(any::<String>().prop_map(Reversed))).await;
    row!(arrives((0..128_u8).prop_map(|half| Even(half * 2)))).await;
}

#[tokio::test]
async fn values_that_do_not_convert_back_are_told() {
    row!(is_told((0..127_u8).prop_map(|half| Even(half * 2 + 1)))).await;
}

#[tokio::test]
async fn structs_that_deny_unknown_fields_arrive() {
    row!(arrives_by_name(any::<(u8, Option<u8>, Option<Vec<u8>>)>().prop_map(|(a, b, c)| Strict { a, b, c }))).await;
    row!(arrives(any::<BTreeMap<String, u8>>())).await;
}
