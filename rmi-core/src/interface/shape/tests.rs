//! The names of many types.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::marker::PhantomData;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Deserializer};
use uuid::Uuid;

use super::*;

mod elsewhere {
    #[derive(serde::Deserialize)]
    pub(super) struct Point {
        _north: f64,
    }
}

#[derive(Deserialize)]
struct Point {
    _x: i32,
}

#[derive(Deserialize)]
struct Page<T> {
    #[serde(rename = "items")]
    _items: Vec<T>,
    _total: u32,
}

#[derive(Deserialize)]
enum Either<A, B = ()> {
    _Left(A),
    _Right(B, A),
    _Both { _left: A, _right: B },
    _Neither,
}

#[derive(Deserialize)]
struct Tree<T> {
    _value: T,
    _kids: Vec<Self>,
}

#[derive(Deserialize)]
struct Metres<T>(T);

#[derive(Deserialize)]
struct Pair<A, B>(A, B);

#[derive(Deserialize)]
#[serde(transparent)]
struct Clear<T>(T);

#[derive(Deserialize)]
#[serde(rename = "wire.Renamed")]
struct Renamed<T> {
    _of: T,
}

#[derive(Deserialize)]
#[serde(tag = "kind")]
enum Tagged {
    _Small { _size: u8 },
}

#[derive(Deserialize)]
struct Text<'t> {
    _of: Cow<'t, str>,
}

#[derive(Deserialize)]
enum Expression {
    _Negative { _of: Box<Self> },
    _Number { _is: i64 },
}

/// Takes one word only.
struct Secret;

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = String::deserialize(deserializer)?;
        if word == "sesame" { Ok(Self) } else { Err(serde::de::Error::custom("no")) }
    }
}

struct Careless;

impl<'de> Deserialize<'de> for Careless {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        u8::deserialize(deserializer).expect("it has always worked");
        Ok(Self)
    }
}

#[test]
fn plain_values_have_the_names_of_the_data_model() {
    assert_eq!([name::<bool>(), name::<i8>(), name::<u128>(), name::<f32>()], ["bool", "i8", "u128", "f32"]);
    assert_eq!([name::<char>(), name::<()>(), name::<usize>()], ["char", "unit", "u64"]);
    assert_eq!([name::<String>(), name::<Arc<str>>(), name::<Cow<'static, str>>()], ["string"; 3]);
    assert_eq!([name::<bytes::Bytes>(), name::<serde_bytes::ByteBuf>()], ["bytes"; 2]);
    assert_eq!([name::<String>(), name::<Cow<'static, str>>(), name::<Box<str>>()], ["string"; 3]);
    let known = [name::<Uuid>(), name::<IpAddr>(), name::<SocketAddr>(), name::<PathBuf>()];
    assert_eq!(known, ["uuid", "ip", "socket", "path"]);
    assert_eq!([name::<NonZeroU32>(), name::<Box<u32>>()], ["u32"; 2]);
}

#[test]
fn what_is_inside_counts() {
    assert_eq!(name::<Option<Option<u8>>>(), "option<option<u8>>");
    assert_eq!(name::<Vec<u8>>(), "list<u8>");
    assert_eq!(name::<BTreeSet<Vec<u8>>>(), "list<list<u8>>");
    assert_eq!(name::<HashMap<u16, Vec<String>>>(), "map<u16,list<string>>");
    assert_eq!(name::<BTreeMap<(u8, Uuid), Point>>(), "map<(u8,uuid),Point>");
    assert_eq!(name::<[u8; 3]>(), "(u8,u8,u8)");
    assert_eq!(name::<(u8,)>(), "(u8)");
}

#[test]
fn every_element_of_a_tuple_counts_as_long_as_there_are_samples() {
    assert_eq!(name::<(Uuid, IpAddr, u8)>(), "(uuid,ip,u8)");
    assert_eq!(name::<(NonZeroU32, Expression, Point, Text<'static>, bool)>(), "(u32,Expression,Point,Text,bool)");
    assert_eq!(name::<(Pair<u8, Uuid>, char, Duration, SystemTime)>(), "(Pair<u8,uuid>,char,Duration,SystemTime)");
    assert_eq!(name::<(Either<u8>, f32)>(), "(Either<u8,(unit,u8),(u8,unit),unit>,f32)");
    assert_eq!(name::<(u8, Secret, u8, u16)>(), "(u8,string,_,_)");
    assert_eq!(name::<(Tagged, u8)>(), "(Tagged,_)");
}

#[test]
fn a_type_with_a_name_has_that_name() {
    assert_eq!([name::<Point>(), name::<elsewhere::Point>(), name::<Box<Point>>()], ["Point"; 3]);
    assert_eq!([name::<Expression>(), name::<Duration>()], ["Expression", "Duration"]);
    assert_eq!(name::<Text<'static>>(), "Text");
    assert_eq!(name::<Tagged>(), "Tagged");
    assert_eq!(name::<PhantomData<u8>>(), "PhantomData<>");
}

#[test]
fn of_a_generic_type_what_is_inside_counts() {
    assert_eq!(name::<Page<u64>>(), "Page<list<u64>,u32>");
    assert_eq!(name::<Page<Page<String>>>(), "Page<list<Page<list<string>,u32>>,u32>");
    assert_eq!(name::<Vec<Metres<f64>>>(), "list<Metres<f64>>");
    assert_eq!(name::<Pair<u8, Point>>(), "Pair<u8,Point>");
    assert_eq!(name::<Either<u8, bool>>(), "Either<u8,(bool,u8),(u8,bool),unit>");
    assert_eq!(name::<Result<u8, String>>(), "Result<u8,string>");
    assert_eq!(name::<Range<i64>>(), "Range<i64,i64>");
    assert_eq!(name::<Option<Box<Range<i8>>>>(), "option<Range<i8,i8>>");
    assert_eq!(name::<Box<Text<'static>>>(), "Text");
    assert_eq!(name::<Renamed<u8>>(), "wire.Renamed<u8>");
    assert_eq!(name::<Clear<u8>>(), "u8");
}

#[test]
fn a_type_that_holds_itself_ends() {
    assert_eq!(name::<Tree<u8>>(), "Tree<u8,list<Tree>>");
    assert_ne!(name::<Tree<u8>>(), name::<Tree<u16>>());
}

#[test]
fn a_type_that_panics_is_asked_all_the_same() {
    assert_eq!(name::<Vec<Careless>>(), "list<u8>");
}

#[test]
fn a_wide_and_deep_type_ends() {
    type Four<T> = (Vec<T>, Vec<T>, Vec<T>, Vec<T>);
    type Deep<T> = Four<Four<Four<T>>>;
    assert!(name::<Deep<Deep<Deep<u8>>>>().len() < 64 * QUESTIONS_MAX);
}

#[test]
fn references_are_named_by_their_interface() {
    use crate::{AnyProxy, Proxy, RemoteError, Streaming, remote};

    #[remote(name = "shape.Bell")]
    trait Bell {
        async fn ring(&self) -> Result<(), RemoteError>;
    }

    assert_eq!(name::<Vec<Proxy<dyn Bell>>>(), "list<proxy<shape.Bell>>");
    assert_eq!(name::<AnyProxy>(), "proxy<any>");
    assert_eq!(name::<Streaming<u8>>(), "proxy<stream<u8>>");
}

#[test]
fn a_type_is_not_asked_for_its_name_because_of_what_came() {
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    #[derive(serde::Serialize)]
    struct Counted;
    impl<'de> Deserialize<'de> for Counted {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            ASKED.fetch_add(1, Ordering::Relaxed);
            u8::deserialize(deserializer).map(|_| Self)
        }
    }
    let error = crate::wire::codec::decode_next::<crate::Streaming<Counted>>(&[0xc3]).unwrap_err();
    assert_eq!(error.to_string(), "invalid type: boolean `true`, expected a reference");
    assert_eq!(ASKED.load(Ordering::Relaxed), 0);
}

#[test]
fn more_elements_than_there_can_be_are_not_asked_for() {
    /// A list whose reader asks for a tuple without end.
    struct Short;
    impl<'de> Deserialize<'de> for Short {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Elements;
            impl<'de> serde::de::Visitor<'de> for Elements {
                type Value = Short;
                fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str("elements")
                }
                fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut elements: A) -> Result<Short, A::Error> {
                    while elements.next_element::<u8>()?.is_some() {}
                    Ok(Short)
                }
            }
            deserializer.deserialize_tuple(usize::MAX, Elements)
        }
    }
    assert_eq!(name::<Short>(), format!("(_;{})", usize::MAX));
    assert_eq!(name::<(Short, u8)>(), format!("((_;{}),u8)", usize::MAX));
}
