//! Bodies: what is read is what was written, leniently, and nothing a peer sends does harm.

mod depth;
mod shapes;

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::wire::codec::{self, DecodeError, Form};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Unit;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Newtype(Option<i16>);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Choice {
    Nothing,
    One(u32),
    Two(i64, String),
    Named { left: u8, right: Option<bool> },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Everything {
    unit: Unit,
    flag: bool,
    small: i8,
    big: u64,
    huge: i128,
    ratio: f64,
    letter: char,
    text: String,
    #[serde(with = "serde_bytes")]
    blob: Vec<u8>,
    newtype: Newtype,
    choices: Vec<Choice>,
    map: BTreeMap<String, (i32, u16)>,
    nested: Option<Box<Self>>,
}

fn written<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    written_in(Form::ByName, value)
}

fn written_in<T: Serialize + ?Sized>(form: Form, value: &T) -> Vec<u8> {
    let mut out = Vec::new();
    codec::encode(value, form, &mut out).unwrap();
    out
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, DecodeError> {
    codec::check(body)?;
    codec::decode_next(body).map(|(value, _)| value)
}

fn choice() -> impl Strategy<Value = Choice> {
    prop_oneof![
        Just(Choice::Nothing),
        any::<u32>().prop_map(Choice::One),
        (any::<i64>(), ".*").prop_map(|(number, text)| Choice::Two(number, text)),
        (any::<u8>(), any::<Option<bool>>()).prop_map(|(left, right)| Choice::Named { left, right }),
    ]
}

fn everything() -> impl Strategy<Value = Everything> {
    let numbers = (any::<bool>(), any::<i8>(), any::<u64>(), any::<i128>(), -1e300..1e300f64, any::<char>());
    let rest = (
        ".*",
        prop::collection::vec(any::<u8>(), 0..300),
        any::<Option<i16>>(),
        prop::collection::vec(choice(), 0..20),
        prop::collection::btree_map(".*", any::<(i32, u16)>(), 0..5),
    );
    let flat =
        (numbers, rest).prop_map(|((flag, small, big, huge, ratio, letter), (text, blob, newtype, choices, map))| {
            let newtype = Newtype(newtype);
            Everything {
                unit: Unit,
                flag,
                small,
                big,
                huge,
                ratio,
                letter,
                text,
                blob,
                newtype,
                choices,
                map,
                nested: None,
            }
        });
    let flat = flat.boxed();
    (flat.clone(), prop::option::of(flat))
        .prop_map(|(outer, inner)| Everything { nested: inner.map(Box::new), ..outer })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(128) })]

    #[test]
    fn what_is_read_is_what_was_written(value in everything()) {
        for form in [Form::ByName, Form::Compact] {
            prop_assert_eq!(&read::<Everything>(&written_in(form, &value)).unwrap(), &value);
        }
    }

    #[test]
    fn every_truncation_is_refused(value in everything()) {
        let body = written(&value);
        for end in 0..body.len() {
            prop_assert!(codec::check(&body[..end]).is_err());
            prop_assert!(codec::decode_next::<Everything>(&body[..end]).is_err());
        }
    }

    #[test]
    fn random_bytes_are_a_value_or_an_error(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = read::<Everything>(&body);
        let _ = codec::decode_next::<Vec<Choice>>(&body);
        let _ = codec::take_bytes(&Bytes::from(body), 0);
    }
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Old {
    id: u32,
    inner: (u8, u8),
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct New {
    id: u32,
    inner: (u8, u8, String),
    #[serde(default)]
    note: Option<String>,
    #[serde(default)]
    rank: u8,
}

#[test]
fn fields_that_the_reader_does_not_know_are_skipped() {
    let new = vec![New { id: 1, inner: (2, 3, "x".into()), note: Some("n".into()), rank: 9 }];
    for form in [Form::ByName, Form::Compact] {
        assert_eq!(read::<Vec<Old>>(&written_in(form, &new)).unwrap(), [Old { id: 1, inner: (2, 3) }]);
    }
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Grown {
        Two(i64, String, Vec<u8>),
        Named { left: u8, right: Option<bool>, more: Vec<Choice> },
    }
    assert_eq!(read::<Choice>(&written(&Grown::Two(7, "t".into(), vec![1]))).unwrap(), Choice::Two(7, "t".into()));
    let named = Grown::Named { left: 1, right: None, more: vec![Choice::Nothing] };
    assert_eq!(read::<Choice>(&written(&named)).unwrap(), Choice::Named { left: 1, right: None });
}

#[test]
fn missing_fields_take_their_defaults() {
    #[derive(Serialize)]
    struct Short {
        id: u32,
        inner: (u8, u8, String),
    }
    let short = Short { id: 1, inner: (2, 3, "x".into()) };
    let new = New { id: 1, inner: (2, 3, "x".into()), note: None, rank: 0 };
    for form in [Form::ByName, Form::Compact] {
        assert_eq!(read::<New>(&written_in(form, &short)).unwrap(), new);
    }
    let error = read::<Old>(&written(&(1u32,))).unwrap_err();
    assert!(error.to_string().contains("invalid length 1"), "{error}");
}

#[test]
fn numbers_fit_into_every_width_that_holds_them() {
    assert_eq!(read::<u8>(&written(&200u64)).unwrap(), 200);
    assert_eq!(read::<f64>(&written(&1.5f32)).unwrap(), 1.5);
    assert!(read::<i8>(&written(&200u64)).is_err());
    assert!(read::<u64>(&written(&-1i8)).is_err());
}

#[test]
fn announced_lengths_are_compared_with_what_is_there() {
    for (body, text) in [
        (&[0xdd, 0xff, 0xff, 0xff, 0xff][..], "4294967295 values are announced and 0 bytes are left"),
        (&[0xdf, 0x00, 0x00, 0x00, 0x02, 0xc0], "4 values are announced and 1 bytes are left"),
        (&[0x92, 0x91, 0xc0], "2 values are announced and 1 bytes are left"),
        (&[0xc6, 0xff, 0xff, 0xff, 0xff, 0x00], "4294967295 bytes are announced and 1 are left"),
        (&[0xdb, 0x00, 0x00, 0x00, 0x02, 0x61], "2 bytes are announced and 1 are left"),
    ] {
        assert_eq!(codec::check(body).unwrap_err().to_string(), format!("not a valid body: {text}"));
        assert!(codec::decode_next::<Vec<()>>(body).is_err());
    }
}

#[test]
fn what_is_not_one_value_is_refused() {
    assert!(codec::check(&[0xc0, 0xc0]).unwrap_err().to_string().contains("1 bytes follow the value"));
    assert!(codec::check(&[0xc1]).unwrap_err().to_string().contains("reserved"));
    assert!(codec::check(&[]).is_err());
    assert!(read::<String>(&[0xa1, 0xff]).unwrap_err().to_string().contains("UTF-8"));
}

#[test]
fn bytes_are_cut_out_without_copying() {
    let body = Bytes::from(written(&(serde_bytes::Bytes::new(b"abc"), Option::<u8>::None, 7u8)));
    let (count, at) = codec::read_array_header(&body).unwrap();
    assert_eq!(count, 3);
    let (bytes, at) = codec::take_bytes(&body, at).unwrap();
    let bytes = bytes.unwrap();
    assert_eq!(&bytes[..], b"abc");
    assert!(body.as_ptr_range().contains(&bytes.as_ptr()));
    let (none, at) = codec::take_bytes(&body, at).unwrap();
    assert_eq!(none, None);
    assert_eq!(codec::take_bytes(&body, at), None);
    assert_eq!(codec::decode_next::<u8>(&body[at..]).unwrap(), (7, 1));
}
