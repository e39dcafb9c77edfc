//! The bytes of values on the wire, and that each comes back as itself.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Debug;
use std::net::IpAddr;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{read, written, written_in};
use crate::wire::codec::{self, Form};

fn hex(body: &[u8]) -> String {
    body.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn round<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T) {
    for form in [Form::ByName, Form::Compact] {
        let body = written_in(form, value);
        assert_eq!(&read::<T>(&body).unwrap_or_else(|error| panic!("{value:?} as {}: {error}", hex(&body))), value);
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Patch {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    limit: Option<u8>,
    owner: u8,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rank: Option<i8>,
    tail: bool,
}

#[test]
fn structs_are_maps_by_name_and_arrays_when_compact() {
    let patch = Patch { limit: Some(1), owner: 7, notes: vec!["a".into()], rank: Some(-1), tail: true };
    let by_name = "85a56c696d697401a56f776e657207a56e6f74657391a161a472616e6bffa47461696cc3";
    assert_eq!(hex(&written(&patch)), by_name);
    assert_eq!(hex(&written_in(Form::Compact, &patch)), "95010791a161ffc3");
}

#[test]
fn a_field_that_is_skipped_is_missed_by_nobody() {
    for (limit, notes, rank) in [
        (None, vec![], None),
        (Some(3), vec![], None),
        (None, vec!["a".to_owned()], None),
        (None, vec![], Some(4)),
        (Some(1), vec!["b".to_owned()], Some(4)),
    ] {
        round(&Patch { limit, owner: 7, notes, rank, tail: true });
    }
    let patch = Patch { limit: None, owner: 7, notes: vec![], rank: None, tail: false };
    assert_eq!(hex(&written(&patch)), "82a56f776e657207a47461696cc2");
    assert_eq!(hex(&written_in(Form::Compact, &patch)), "95c007c0c0c2");
}

#[test]
fn fields_of_variants_travel_by_name_too() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Old {
        Move { x: u8, y: u8 },
    }
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum New {
        Move {
            y: u8,
            #[serde(default)]
            z: u8,
            x: u8,
        },
    }
    assert_eq!(hex(&written(&Old::Move { x: 1, y: 2 })), "81a44d6f766582a17801a17902");
    assert_eq!(read::<New>(&written(&Old::Move { x: 1, y: 2 })).unwrap(), New::Move { x: 1, y: 2, z: 0 });
    assert_eq!(read::<Old>(&written(&New::Move { x: 1, y: 2, z: 3 })).unwrap(), Old::Move { x: 1, y: 2 });
}

#[test]
fn lists_of_bytes_are_packed_wherever_they_stand() {
    assert_eq!(hex(&written(&vec![1u8, 200, 3])), "c7030201c803");
    assert_eq!(hex(&written(&Vec::<u8>::new())), "90");
    let long = vec![0xff_u8; 70_000];
    assert_eq!(written(&long).len(), 70_000 + 6);
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Upload {
        content: Vec<u8>,
        parts: (Vec<u8>, BTreeMap<u8, Vec<u8>>),
        maybe: Option<Option<Vec<u8>>>,
        set: BTreeSet<u8>,
        queue: VecDeque<u8>,
        #[serde(with = "serde_bytes")]
        blob: Vec<u8>,
        bytes: Bytes,
    }
    for content in [vec![], vec![0], vec![255; 300], long] {
        round(&Upload {
            parts: (content.clone(), [(5, content.clone())].into()),
            maybe: Some(Some(content.clone())),
            set: content.iter().copied().collect(),
            queue: content.iter().copied().collect(),
            blob: content.clone(),
            bytes: content.clone().into(),
            content,
        });
    }
}

#[test]
fn a_list_that_only_begins_with_bytes_is_an_array() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(untagged)]
    enum Mixed {
        Byte(u8),
        Text(String),
    }
    let mixed = vec![Mixed::Byte(1), Mixed::Byte(200), Mixed::Text("x".into()), Mixed::Byte(3)];
    assert_eq!(hex(&written(&mixed)), "9401ccc8a17803");
    round(&mixed);
    round(&vec![Some(1u8), None, Some(2)]);
    round(&vec![Some(1u8), Some(2)]);
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Newtype(u8);
    assert_eq!(hex(&written(&vec![Newtype(1), Newtype(2)])), "c702020102");
    round(&vec![Newtype(1), Newtype(2)]);
}

#[test]
fn each_element_is_written_once() {
    /// Gives away what it has when it is written.
    #[derive(Default)]
    struct Drain(std::cell::Cell<Vec<u64>>);
    impl Serialize for Drain {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            self.0.take().serialize(serializer)
        }
    }
    let drains = [vec![1, 2], vec![], vec![3]].map(|list| Drain(list.into()));
    assert_eq!(written(&drains.as_slice()), written(&vec![vec![1, 2], vec![], vec![3_u64]]));
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(untagged)]
    enum Mixed {
        Byte(u8),
        Bytes(Vec<u8>),
        Maybe(Option<u8>),
    }
    round(&vec![Mixed::Byte(1), Mixed::Byte(255), Mixed::Bytes(vec![2, 255]), Mixed::Byte(3)]);
    round(&vec![Mixed::Bytes(vec![]), Mixed::Byte(200)]);
    round(&vec![Mixed::Byte(200), Mixed::Maybe(None), Mixed::Byte(7)]);
    round(&vec![vec![vec![1_u8], vec![200, 2]], vec![], vec![vec![]]]);
}

#[test]
fn lists_without_a_known_length_are_written_as_others() {
    struct Unknown(usize, u64);
    impl Serialize for Unknown {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            use serde::ser::SerializeSeq;
            let mut list = serializer.serialize_seq(None)?;
            for _ in 0..self.0 {
                match u8::try_from(self.1) {
                    Ok(byte) => list.serialize_element(&byte)?,
                    Err(_) => list.serialize_element(&self.1)?,
                }
            }
            list.end()
        }
    }
    for count in [0, 1, 15, 16, 300, 70_000] {
        assert_eq!(written(&Unknown(count, 9)), written(&vec![9u8; count]));
        assert_eq!(written(&Unknown(count, 1000)), written(&vec![1000u64; count]));
    }
}

#[test]
fn bytes_are_read_as_numbers_and_numbers_as_bytes() {
    let forms = [written(&vec![1u8, 2, 3]), written(&serde_bytes::Bytes::new(&[1, 2, 3])), written(&(1u8, 2u8, 3u8))];
    for body in forms {
        assert_eq!(read::<Vec<u8>>(&body).unwrap(), [1, 2, 3]);
        assert_eq!(read::<Vec<u64>>(&body).unwrap(), [1, 2, 3]);
        assert_eq!(read::<[u8; 3]>(&body).unwrap(), [1, 2, 3]);
        assert_eq!(read::<serde_bytes::ByteBuf>(&body).unwrap().as_ref(), [1, 2, 3]);
    }
    let body = Bytes::from(written(&vec![1u8, 2, 3]));
    let (bytes, end) = codec::take_bytes(&body, 0).unwrap();
    assert_eq!((&bytes.unwrap()[..], end), (&[1u8, 2, 3][..], body.len()));
}

#[test]
fn lists_are_as_long_as_a_body() {
    let numbers: Vec<u64> = (0..300_000).map(|n| n * 1000).collect();
    assert_eq!(read::<Vec<u64>>(&written(&numbers)).unwrap(), numbers);
}

#[test]
fn some_around_nil_is_kept_apart_from_nil() {
    type Twice = Option<Option<u8>>;
    for value in [None, Some(None), Some(Some(5))] {
        round::<Twice>(&value);
        round(&vec![value]);
        round(&BTreeMap::from([("a".to_owned(), value)]));
    }
    assert_eq!(hex(&written(&Twice::Some(None))), "d40101");
    assert_eq!(hex(&written(&Some(Some(None::<u8>)))), "d40102");
    for value in [None, Some(None), Some(Some(None)), Some(Some(Some(1u8)))] {
        round(&value);
    }
    round(&Some(()));
    round(&None::<()>);
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Newtype(Option<u8>);
    round(&Some(Newtype(None)));
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Unit;
    round(&Some(Unit));
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Held {
        note: Twice,
        #[serde(flatten)]
        rest: Rest,
    }
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Rest {
        inner: Twice,
    }
    round(&Held { note: Some(None), rest: Rest { inner: Some(None) } });
}

#[test]
fn what_serde_keeps_in_a_buffer_is_read_from_there() {
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Inner {
        id: Uuid,
        ip: IpAddr,
        data: Vec<u8>,
        bytes: Bytes,
        maybe: Option<u8>,
        keys: BTreeMap<u64, char>,
    }
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Flat {
        before: u8,
        #[serde(flatten)]
        inner: Inner,
    }
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(untagged)]
    enum Untagged {
        Number(u64),
        Data(Vec<u8>),
        Inner(Inner),
    }
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(tag = "kind")]
    enum Tagged {
        Unit,
        Inner(Inner),
        Named { id: Uuid, data: Vec<u8> },
    }
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(tag = "t", content = "c")]
    enum Adjacent {
        Unit,
        Pair(u8, Vec<u8>),
        Inner(Inner),
    }
    let inner = Inner {
        id: Uuid::from_u128(7),
        ip: "::1".parse().unwrap(),
        data: vec![1, 255],
        bytes: Bytes::from_static(&[9, 200]),
        maybe: None,
        keys: [(1000, 'ß')].into(),
    };
    round(&Flat { before: 1, inner: inner.clone() });
    round(&[Untagged::Number(5), Untagged::Data(vec![1, 200]), Untagged::Inner(inner.clone())]);
    round(&[Tagged::Unit, Tagged::Inner(inner.clone()), Tagged::Named { id: Uuid::nil(), data: vec![200] }]);
    round(&[Adjacent::Unit, Adjacent::Pair(1, vec![200]), Adjacent::Inner(inner)]);
}

#[test]
fn integers_of_128_bits_are_nothing_else() {
    assert_eq!(hex(&written(&1_u128)), "d80400000000000000000000000000000001");
    assert_eq!(hex(&written(&-1_i128)), "d805ffffffffffffffffffffffffffffffff");
    for value in [0, 1, u128::from(u64::MAX), u128::MAX] {
        round(&value);
    }
    for value in [i128::MIN, -1, 0, i128::MAX] {
        round(&value);
    }
    assert_eq!(read::<u128>(&written(&5_u8)).unwrap(), 5);
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(untagged)]
    enum Untagged {
        Large(u128),
        Small(u64),
        Raw(#[serde(with = "serde_bytes")] Vec<u8>),
    }
    // Serde cannot keep it in its buffer: it is refused, and not taken for another variant.
    for value in [Untagged::Large(5), Untagged::Large(u128::MAX)] {
        assert!(read::<Untagged>(&written(&value)).is_err());
    }
    round(&[Untagged::Small(5), Untagged::Raw(vec![7; 16])]);
    assert!(read::<u128>(&[0xd4, 4, 1]).unwrap_err().to_string().ends_with("an integer of 1 bytes, not 16"));
}

#[test]
fn a_struct_with_a_tag_is_read_by_name_in_both_forms() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(tag = "t")]
    struct Tagged {
        a: String,
        b: String,
    }
    round(&Tagged { a: "x".into(), b: "y".into() });
    // A value that happens to look like one is right, too.
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Named {
        name: String,
        other: u8,
    }
    round(&Named { name: "Named".into(), other: 5 });
    assert_eq!(hex(&written_in(Form::Compact, &Named { name: "other".into(), other: 5 })), "92a56f7468657205");
}

#[test]
fn extensions_of_other_kinds_are_refused() {
    for (body, text) in [
        (&[0xd4, 9, 0][..], "the extension type 9 is not used"),
        (&[0xd4, 1, 0], "a nil below more options than may nest, or none"),
        (&[0xd4, 1, 255], "a nil below more options than may nest, or none"),
    ] {
        let error = read::<Option<Option<u8>>>(body).unwrap_err();
        assert_eq!(error.to_string(), format!("not a valid body: {text}"));
    }
}
