//! Types that have changed between the program that writes and the one that reads.

use std::collections::BTreeMap;
use std::future::ready;

use rmi_core::{
    AnyProxy, Descriptor, Dispatch, Dispatched, ErrorKind, Incoming, Interface, Node, Proxy, RemoteError, Reply,
    Status, remote,
};
use serde::{Deserialize, Serialize};

use super::exchange::{Value, number};
use super::shapes::value;

/// Answers with the bytes of the argument, whatever their type is.
struct Mirror(&'static Descriptor);

impl Dispatch for Mirror {
    fn descriptor(&self) -> &'static Descriptor {
        self.0
    }

    fn dispatch(&self, call: Incoming) -> Dispatched {
        // An array of one value, and then the value.
        assert_eq!(call.body[0], 0x91);
        let reply = Reply::new(Status::Ok, call.body.slice(1..));
        Dispatched::Serve { future: Box::pin(ready(Ok(reply))), spawn: false }
    }
}

macro_rules! readers {
    ($(#[remote($($attribute:tt)*)] $name:ident $read:ident)*) => { $(
        #[remote($($attribute)*)]
        trait $name<Written: Value, Read: Value, const ROW: u32> {
            async fn read(&self, value: Written) -> Result<Read, RemoteError>;
        }

        /// Sends a value to another node and reads what comes back as another type.
        async fn $read<const ROW: u32, Read: Value, Written: Value>(value: Written) -> Result<Read, RemoteError> {
            let mirror = AnyProxy::from_dispatch(Mirror(<dyn $name<Written, Read, ROW> as Interface>::descriptor()));
            let host = Node::builder().listen("tcp://127.0.0.1:0").start().await.unwrap();
            let reference = host.export(&mirror.cast::<dyn $name<Written, Read, ROW>>()?)?;
            let caller = Node::builder().start().await.unwrap();
            let far: Proxy<dyn $name<Written, Read, ROW>> = caller.proxy(&reference)?;
            far.read(value).await
        }
    )* };
}

readers! {
    #[remote(name = "values.Later")] Later read_by_name
    #[remote(name = "values.LaterCompact", compact)] LaterCompact read_by_position
}

/// Reads a value as another type.
macro_rules! read {
    ($written:expr => $read:ty) => {
        read_by_name::<{ number(file!(), line!()) }, $read, _>($written).await
    };
    ($written:expr => compact $read:ty) => {
        read_by_position::<{ number(file!(), line!()) }, $read, _>($written).await
    };
}

/// The text of an error that says that a value does not read.
fn text<T: std::fmt::Debug>(read: Result<T, RemoteError>) -> String {
    let error = read.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadReply);
    error.message().to_owned()
}

fn ten() -> u8 {
    10
}

value! {
    struct Size { width: u32, height: u32, label: String }
    struct Moved { label: String, height: u32, width: u32 }
    struct Grown { depth: Option<u8>, width: u32, #[serde(default)] tags: Vec<u8>, height: u32, label: String, #[serde(default = "ten")] rank: u8 }
    struct Needs { width: u32, colour: String }
    struct Renamed { #[serde(alias = "width")] breadth: u64, #[serde(alias = "label", alias = "name")] title: String, height: u32 }
    #[serde(deny_unknown_fields)]
    struct Strict { width: u32, height: u32 }
    struct Narrowed { height: u32, width: u32 }
    struct Wide { width: u64, height: Option<u32>, label: Box<str> }
    struct Narrow { width: u8, height: i16 }

    struct Order<T> { size: T, sizes: Vec<T>, by_name: BTreeMap<String, T>, pair: (T, Option<T>) }

    enum Event { Opened, Moved { x: i8, y: i8 }, Named(String), Sized(Size) }
    enum NewEvent {
        Closed { why: String },
        Moved { z: Option<i8>, y: i8, x: i8 },
        Opened,
        Sized(Grown),
        Named(String),
        Counted(u8),
    }
    enum Lenient { Named(String), #[serde(other)] Other }
    #[serde(tag = "type")]
    enum Tagged { Opened { at: u8 }, Closed { at: u8, why: String } }
    #[serde(tag = "type")]
    enum LenientTagged { Opened { #[serde(default)] by: u8, at: u8 }, #[serde(other)] Other }

    struct Short { height: u32, breadth: u32 }
    struct Longer { height: u32, width: u32, #[serde(default)] label: String, #[serde(default = "ten")] rank: u8, last: Option<u8> }

    struct Pair(u8, String);
    struct Triple(u8, String, #[serde(default)] u8);
}

fn size() -> Size {
    Size { width: 300, height: 7, label: "box".into() }
}

fn grown() -> Grown {
    Grown { depth: None, width: 300, tags: Vec::new(), height: 7, label: "box".into(), rank: 10 }
}

#[tokio::test]
async fn fields_that_change_places_keep_their_values() {
    let moved = Moved { label: "box".into(), height: 7, width: 300 };
    assert_eq!(read!(size() => Moved), Ok(moved.clone()));
    assert_eq!(read!(moved => Size), Ok(size()));
}

#[tokio::test]
async fn fields_come_and_go_anywhere() {
    assert_eq!(read!(size() => Grown), Ok(grown()));
    let full = Grown { depth: Some(1), tags: vec![2], rank: 3, ..grown() };
    assert_eq!(read!(full => Size), Ok(size()));
}

#[tokio::test]
async fn fields_come_and_go_wherever_the_struct_stands() {
    fn order<T: Clone>(size: &T) -> Order<T> {
        let by_name = BTreeMap::from([("a".into(), size.clone())]);
        Order { size: size.clone(), sizes: vec![size.clone(); 2], by_name, pair: (size.clone(), Some(size.clone())) }
    }
    assert_eq!(read!(order(&size()) => Order<Grown>), Ok(order(&grown())));
    assert_eq!(read!(order(&grown()) => Order<Size>), Ok(order(&size())));
}

#[tokio::test]
async fn a_field_without_default_that_is_missing_is_named() {
    let text = text(read!(size() => Needs));
    assert!(text.contains("missing field `colour`"), "{text}");
}

#[tokio::test]
async fn a_renamed_field_is_read_by_its_alias_and_missed_by_those_who_know_the_old_name_alone() {
    let renamed = Renamed { breadth: 300, title: "box".into(), height: 7 };
    assert_eq!(read!(size() => Renamed), Ok(renamed.clone()));
    let text = text(read!(renamed => Size));
    assert!(text.contains("missing field `width`"), "{text}");
}

#[tokio::test]
async fn a_struct_that_denies_unknown_fields_names_them() {
    let text = text(read!(size() => Strict));
    assert!(text.contains("unknown field `label`"), "{text}");
    let two = read!(size() => Narrowed).unwrap();
    assert_eq!(read!(two => Strict), Ok(Strict { width: 300, height: 7 }));
}

#[tokio::test]
async fn fields_may_become_wider_or_optional() {
    let wide = Wide { width: 300, height: Some(7), label: "box".into() };
    assert_eq!(read!(size() => Wide), Ok(wide.clone()));
    assert_eq!(read!(wide.clone() => Size), Ok(size()));
    let none = Wide { height: None, ..wide };
    let text = text(read!(none => Size));
    assert!(text.contains("expected u32"), "{text}");
}

#[tokio::test]
async fn a_number_that_does_not_fit_any_more_is_an_error() {
    let text = text(read!(size() => Narrow));
    assert!(text.contains("300") && text.contains("u8"), "{text}");
    let small = Size { width: 3, ..size() };
    assert_eq!(read!(small => Narrow), Ok(Narrow { width: 3, height: 7 }));
}

#[tokio::test]
async fn variants_and_their_fields_come_go_and_change_places() {
    assert_eq!(read!(Event::Opened => NewEvent), Ok(NewEvent::Opened));
    assert_eq!(read!(Event::Named("n".into()) => NewEvent), Ok(NewEvent::Named("n".into())));
    assert_eq!(read!(Event::Moved { x: 1, y: 2 } => NewEvent), Ok(NewEvent::Moved { z: None, y: 2, x: 1 }));
    assert_eq!(read!(NewEvent::Moved { z: Some(3), y: 2, x: 1 } => Event), Ok(Event::Moved { x: 1, y: 2 }));
    assert_eq!(read!(Event::Sized(size()) => NewEvent), Ok(NewEvent::Sized(grown())));
    assert_eq!(read!(NewEvent::Sized(grown()) => Event), Ok(Event::Sized(size())));
}

#[tokio::test]
async fn a_variant_that_the_reader_does_not_know_is_named() {
    for event in [NewEvent::Counted(5), NewEvent::Closed { why: "late".into() }] {
        let name = if matches!(event, NewEvent::Counted(_)) { "Counted" } else { "Closed" };
        let text = text(read!(event => Event));
        assert!(text.contains(&format!("unknown variant `{name}`")), "{text}");
    }
}

#[tokio::test]
async fn an_enum_with_another_variant_for_the_unknown_takes_all_of_them() {
    let known = NewEvent::Named("n".into());
    let unknown =
        [NewEvent::Opened, NewEvent::Counted(5), NewEvent::Moved { z: None, y: 2, x: 1 }, NewEvent::Sized(grown())];
    assert_eq!(read!(known => Lenient), Ok(Lenient::Named("n".into())));
    for event in unknown {
        assert_eq!(read!(event => Lenient), Ok(Lenient::Other));
    }
    assert_eq!(read!(Tagged::Opened { at: 5 } => LenientTagged), Ok(LenientTagged::Opened { by: 0, at: 5 }));
    let closed = Tagged::Closed { at: 5, why: "late".into() };
    assert_eq!(read!(closed => LenientTagged), Ok(LenientTagged::Other));
}

#[tokio::test]
async fn a_tuple_struct_grows_at_its_end() {
    assert_eq!(read!(Pair(1, "p".into()) => Triple), Ok(Triple(1, "p".into(), 0)));
    assert_eq!(read!(Triple(1, "p".into(), 9) => Pair), Ok(Pair(1, "p".into())));
}

#[tokio::test]
async fn a_struct_is_a_map_of_its_fields() {
    let map = BTreeMap::from([("height".to_owned(), 7_u32), ("width".to_owned(), 300)]);
    assert_eq!(read!(Narrowed { height: 7, width: 300 } => BTreeMap<String, u32>), Ok(map.clone()));
    assert_eq!(read!(map => Narrowed), Ok(Narrowed { height: 7, width: 300 }));
}

#[tokio::test]
async fn by_position_fields_come_and_go_at_the_end_and_names_do_not_matter() {
    let longer = Longer { height: 7, width: 300, label: String::new(), rank: 10, last: None };
    assert_eq!(read!(Short { height: 7, breadth: 300 } => compact Longer), Ok(longer));
    let full = Longer { height: 7, width: 300, label: "box".into(), rank: 3, last: Some(1) };
    assert_eq!(read!(full => compact Short), Ok(Short { height: 7, breadth: 300 }));
}

#[tokio::test]
async fn by_position_a_required_field_that_is_missing_is_named_by_its_place() {
    let text = text(read!(Short { height: 7, breadth: 300 } => compact Size));
    assert!(text.contains("invalid length 2, expected struct Size with 3 elements"), "{text}");
}
