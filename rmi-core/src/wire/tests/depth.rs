//! The depth of values: the writer and the reader count alike, and neither overflows its stack.

use serde::{Deserialize, Serialize};

use super::{read, written_in};
use crate::limits::DEPTH_MAX;
use crate::wire::codec::{self, Form};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Tree {
    Leaf,
    Many(Vec<Self>),
    Named { left: Option<Box<Self>>, note: [u64; 8] },
}

/// Wraps a value `levels` levels deep, as its own variants allow.
fn deep(mut levels: usize, named: bool) -> Tree {
    let mut tree = Tree::Leaf;
    let step = if named { 3 } else { 2 };
    while levels >= step {
        tree = if named { Tree::Named { left: Some(Box::new(tree)), note: [1; 8] } } else { Tree::Many(vec![tree]) };
        levels -= step;
    }
    tree
}

fn encode<T: Serialize>(value: &T, form: Form) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    codec::encode(value, form, &mut out).map_err(|error| error.to_string()).map(|()| out)
}

#[test]
fn the_writer_refuses_what_the_reader_would() {
    for form in [Form::ByName, Form::Compact] {
        for named in [false, true] {
            let most = deep(DEPTH_MAX, named);
            let body = encode(&most, form).unwrap();
            assert_eq!(read::<Tree>(&body).unwrap(), most);
            let error = encode(&deep(DEPTH_MAX + 3, named), form).unwrap_err();
            let text = "it nests deeper than the limit of 128 lists, maps, variants, options and newtypes; send its parts in a list";
            assert_eq!(error, text);
        }
    }
}

#[test]
fn nesting_has_a_bound() {
    let nested = |depth: usize| {
        let mut body = vec![0x91; depth];
        body.push(0xc0);
        body
    };
    #[derive(Debug)]
    struct Lists;
    impl<'de> Deserialize<'de> for Lists {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Visit;
            impl<'de> serde::de::Visitor<'de> for Visit {
                type Value = Lists;
                fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str("lists of lists")
                }
                fn visit_unit<E>(self) -> Result<Lists, E> {
                    Ok(Lists)
                }
                fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut list: A) -> Result<Lists, A::Error> {
                    list.next_element::<Lists>().map(|_| Lists)
                }
            }
            deserializer.deserialize_any(Visit)
        }
    }
    assert!(read::<Lists>(&nested(DEPTH_MAX)).is_ok());
    for depth in [DEPTH_MAX + 1, 10_000_000] {
        let error = read::<Lists>(&nested(depth)).unwrap_err();
        assert_eq!(error.to_string(), "not a valid body: nesting deeper than the limit of 128");
    }
    // Nothing recurses over what is only skipped.
    assert!(read::<serde::de::IgnoredAny>(&nested(10_000_000)).is_ok());
}

#[test]
fn a_recursive_type_has_a_bound_though_it_takes_no_bytes() {
    #[derive(Debug, Deserialize)]
    struct Endless(#[expect(dead_code, reason = "only its nesting counts")] Box<Self>);
    let error = codec::decode_next::<Endless>(&[0xc0]).unwrap_err();
    assert_eq!(error.to_string(), "not a valid body: nesting deeper than the limit of 128");
}

#[test]
fn options_and_newtypes_count() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Wrapped(Option<Box<Self>>);
    let wrapped = |levels: usize| (1..levels).fold(Wrapped(None), |inner, _| Wrapped(Some(Box::new(inner))));
    let most = wrapped(DEPTH_MAX / 2);
    assert_eq!(read::<Wrapped>(&written_in(Form::ByName, &most)).unwrap(), most);
    assert!(encode(&wrapped(DEPTH_MAX / 2 + 1), Form::ByName).is_err());
}

#[test]
fn a_byte_of_a_list_is_no_endless_option() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Wrapped(Option<Box<Self>>);
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(transparent)]
    struct Transparent {
        next: Option<Box<Self>>,
    }
    // A packed list, and a byte string, of one byte.
    for body in [&[0xc7, 1, 2, 0][..], &[0xc4, 1, 0]] {
        let text = "not a valid body: nesting deeper than the limit of 128";
        assert_eq!(read::<Vec<Wrapped>>(body).unwrap_err().to_string(), text);
        assert_eq!(read::<(Wrapped,)>(body).unwrap_err().to_string(), text);
        assert_eq!(read::<Vec<Transparent>>(body).unwrap_err().to_string(), text);
    }
    // A nil below a `Some`.
    #[derive(Debug, Deserialize)]
    struct Endless(#[expect(dead_code, reason = "only its nesting counts")] Box<Self>);
    assert!(read::<Option<Endless>>(&[0xd4, 1, 1]).is_err());
}

#[test]
fn a_type_whose_levels_take_much_of_the_stack_has_a_bound() {
    use std::hint::black_box;
    #[derive(Debug)]
    struct Heavy(Option<Box<Self>>);
    impl Serialize for Heavy {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let room = black_box([0_u8; 1 << 16]);
            let written = (&self.0,).serialize(serializer);
            black_box(room);
            written
        }
    }
    impl<'de> Deserialize<'de> for Heavy {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            let room = black_box([0_u8; 1 << 16]);
            let read = <(Option<Box<Self>>,)>::deserialize(deserializer);
            black_box(room);
            read.map(|(inner,)| Self(inner))
        }
    }
    let heavy = |levels: usize| (1..levels).fold(Heavy(None), |inner, _| Heavy(Some(Box::new(inner))));
    let body = |levels: usize| [vec![0x91; levels], vec![0xc0]].concat();
    let thread = std::thread::Builder::new().stack_size(2 << 20);
    let tried = move || {
        assert!(read::<Heavy>(&body(4)).is_ok() && encode(&heavy(4), Form::ByName).is_ok());
        let text = "nesting so deep that reading it takes more than 1572864 bytes of stack";
        assert!(read::<Heavy>(&body(60)).unwrap_err().to_string().ends_with(text));
        let text = "it nests so deep that writing it takes more than 1572864 bytes of stack";
        assert_eq!(encode(&heavy(60), Form::ByName).unwrap_err(), text);
    };
    thread.spawn(tried).unwrap().join().unwrap();
}
