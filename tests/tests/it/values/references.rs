//! References inside values of every shape: each comes home as the object that it was.

use std::collections::BTreeMap;
use std::fmt::Debug;

use rmi_core::{AnyProxy, Node, Proxy, RemoteError, remote};
use rmi_tests::{Echo, Repeater};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::exchange::number;

type Object = Proxy<dyn Echo>;

trait Carried: Serialize + DeserializeOwned + Clone + PartialEq + Debug + Send + Sync + 'static {}

impl<T: Serialize + DeserializeOwned + Clone + PartialEq + Debug + Send + Sync + 'static> Carried for T {}

#[remote(name = "values.Carrier")]
trait Carrier<T: Carried, const ROW: u32> {
    async fn back(&self, value: T) -> Result<T, RemoteError>;
}

struct Walker;

#[remote]
impl<T: Carried, const ROW: u32> Carrier<T, ROW> for Walker {
    async fn back(&self, value: T) -> Result<T, RemoteError> {
        Ok(value)
    }
}

async fn comes_back<const ROW: u32, T: Carried>(value: T) {
    let host = Node::builder().listen("tcp://127.0.0.1:0").start().await.unwrap();
    let reference = host.export(&Proxy::<dyn Carrier<T, ROW>>::new(Walker)).unwrap();
    let caller = Node::builder().listen("tcp://127.0.0.1:0").start().await.unwrap();
    let far: Proxy<dyn Carrier<T, ROW>> = caller.proxy(&reference).unwrap();
    assert_eq!(far.back(value.clone()).await, Ok(value));
}

macro_rules! comes_back {
    ($value:expr) => {
        comes_back::<{ number(file!(), line!()) }, _>($value).await
    };
}

fn object() -> Object {
    Proxy::new(Repeater)
}

/// Derives what a carried value needs.
macro_rules! carried {
    ($($item:item)*) => { $(
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        $item
    )* };
}

carried! {
    struct Holder { before: u8, object: Object, raw: Vec<u8>, maybe: Option<Object> }
    #[serde(transparent)]
    struct Wrapped(Object);
    enum Kind { Unit, Newtype(Object), Tuple(Object, u8), Fields { object: Object, list: Vec<Object> } }
    #[serde(tag = "type")]
    enum Tagged { Holder(Holder), Fields { a: Object } }
    #[serde(tag = "t", content = "c")]
    enum Adjacent { Newtype(Object), Fields { a: Object } }
    #[serde(untagged)]
    enum Untagged { Holder(Holder), Object(Object), Number(u64), List(Vec<Self>) }
    struct Flat { first: Object, #[serde(flatten)] holder: Holder }
    struct Rest { #[serde(flatten)] rest: BTreeMap<String, Object> }
}

fn holder() -> Holder {
    Holder { before: 1, object: object(), raw: vec![0, 1, 2], maybe: Some(object()) }
}

#[tokio::test]
async fn references_in_structs_and_variants_come_home() {
    comes_back!(holder());
    comes_back!(Wrapped(object()));
    let fields = Kind::Fields { object: object(), list: vec![object(), object()] };
    comes_back!(vec![Kind::Unit, Kind::Newtype(object()), Kind::Tuple(object(), 0), fields]);
}

#[tokio::test]
async fn references_in_lists_options_and_maps_come_home() {
    let one = object();
    comes_back!((0..300).map(|_| object()).collect::<Vec<_>>());
    comes_back!(vec![one.clone(), object(), one.clone()]);
    comes_back!((Some(Some(object())), None::<Option<Object>>, Some(None::<Object>), [object(), one]));
    comes_back!(BTreeMap::from([(0_u8, object()), (1, object())]));
    comes_back!(Ok::<Object, u8>(object()));
}

#[tokio::test]
async fn references_without_type_come_home() {
    comes_back!((AnyProxy::from(object()), vec![AnyProxy::from(&object())]));
}

#[tokio::test]
async fn references_in_tagged_enums_come_home() {
    comes_back!(vec![Tagged::Holder(holder()), Tagged::Fields { a: object() }]);
    comes_back!(vec![Adjacent::Newtype(object()), Adjacent::Fields { a: object() }]);
}

#[tokio::test]
async fn references_in_untagged_enums_come_home_and_numbers_stay_numbers() {
    let list = Untagged::List(vec![Untagged::Object(object()), Untagged::Number(0), Untagged::Number(1)]);
    comes_back!(vec![Untagged::Holder(holder()), Untagged::Object(object()), Untagged::Number(0), list]);
}

#[tokio::test]
async fn references_in_flattened_fields_come_home() {
    comes_back!(Flat { first: object(), holder: holder() });
    comes_back!(Rest { rest: BTreeMap::from([("a".into(), object()), ("b".into(), object())]) });
}
