//! Sends values every way they can go and compares what arrived.

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::stream;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use rmi_core::{Executed, Node, Proxy, RemoteError, Streaming, remote};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Makes a check whose interface has a number, and so a name, of its own: many of the types have one shape, as texts above all,
/// and `Shelf<Url>` and `Shelf<String>` would have one name.
macro_rules! row {
    ($check:ident($($argument:expr),* $(,)?)) => {
        crate::values::exchange::$check::<{ crate::values::exchange::number(file!(), line!()) }, _>($($argument),*)
    };
}
pub(super) use row;

/// The number of a line.
pub(super) const fn number(file: &str, line: u32) -> u32 {
    let (mut hash, mut at) = (line, 0);
    while at < file.len() {
        hash = hash.wrapping_mul(31).wrapping_add(file.as_bytes()[at] as u32);
        at += 1;
    }
    hash
}

/// The number of values of a type that are sent.
const CASES: usize = 16;

/// A value that can be sent, compared, and shown when it did not arrive.
pub(super) trait Value:
    Serialize + DeserializeOwned + Clone + PartialEq + Debug + Send + Sync + 'static
{
}

impl<T: Serialize + DeserializeOwned + Clone + PartialEq + Debug + Send + Sync + 'static> Value for T {}

/// An error that has a value in it.
#[derive(Debug, thiserror::Error, Serialize, Deserialize)]
pub(super) enum Failure<T> {
    #[error("a value")]
    Value(T),
    #[error(transparent)]
    Remote(#[from] RemoteError),
}

/// The values that a servant was given, and those that it has to give.
struct Shelf<T> {
    given: Mutex<Option<T>>,
    has: Mutex<Option<T>>,
}

impl<T: Clone> Shelf<T> {
    fn value(&self) -> T {
        lock(&self.has).clone().expect("a value was put there")
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

macro_rules! ways {
    ($(#[remote($($attribute:tt)*)] $name:ident)*) => { $(
        #[remote($($attribute)*)]
        trait $name<T: Value, const ROW: u32> {
            async fn take(&self, before: u8, value: T, after: u8) -> Result<(), RemoteError>;
            async fn give(&self) -> Result<T, RemoteError>;
            async fn fail(&self) -> Result<(), Failure<T>>;
            async fn items(&self) -> Result<Streaming<T>, RemoteError>;
        }

        #[remote]
        impl<T: Value, const ROW: u32> $name<T, ROW> for Shelf<T> {
            async fn take(&self, before: u8, value: T, after: u8) -> Result<(), RemoteError> {
                assert_eq!((before, after), (1, 2));
                *lock(&self.given) = Some(value);
                Ok(())
            }

            async fn give(&self) -> Result<T, RemoteError> {
                Ok(self.value())
            }

            async fn fail(&self) -> Result<(), Failure<T>> {
                Err(Failure::Value(self.value()))
            }

            async fn items(&self) -> Result<Streaming<T>, RemoteError> {
                Ok(Streaming::new(stream::iter([self.value(), self.value()])))
            }
        }

        impl<T: Value, const ROW: u32> Ways<T> for Proxy<dyn $name<T, ROW>> {
            async fn send(&self, way: Way, shelf: &Shelf<T>, value: &T) -> Result<Vec<T>, RemoteError> {
                *lock(&shelf.given) = None;
                *lock(&shelf.has) = Some(value.clone());
                match way {
                    Way::Argument => match self.take(1, value.clone(), 2).await {
                        Ok(()) => Ok(lock(&shelf.given).take().into_iter().collect()),
                        Err(error) => {
                            assert!(lock(&shelf.given).is_none(), "the method ran, and then: {error}");
                            assert_eq!(error.executed(), Executed::No, "{error}");
                            assert!(error.message().contains("argument `value` of values."), "{error}");
                            Err(error)
                        }
                    },
                    Way::Result => Ok(vec![self.give().await?]),
                    Way::Error => match self.fail().await.expect_err("it fails") {
                        Failure::Value(value) => Ok(vec![value]),
                        Failure::Remote(error) => Err(error),
                    },
                    Way::Item => {
                        let mut items = self.items().await?;
                        let mut came = Vec::new();
                        while let Some(item) = items.next().await {
                            came.push(item?);
                        }
                        assert_eq!(came.len(), 2);
                        Ok(came)
                    }
                }
            }
        }
    )* };
}

#[derive(Debug, Clone, Copy)]
enum Way {
    Argument,
    Result,
    Error,
    Item,
}

/// Sends a value one way and returns what came.
trait Ways<T> {
    async fn send(&self, way: Way, shelf: &Shelf<T>, value: &T) -> Result<Vec<T>, RemoteError>;
}

ways! {
    #[remote(name = "values.ByName")] ByName
    #[remote(name = "values.Compact", compact)] Compact
}

/// The fates of a value.
struct Expected<T> {
    /// One of these arrives,
    arrives: Vec<T>,
    /// or its sender learns that it does not.
    is_told: bool,
}

impl<T> Expected<T> {
    fn arrives(value: T) -> Self {
        Self { arrives: vec![value], is_told: false }
    }

    fn is_told() -> Self {
        Self { arrives: Vec::new(), is_told: true }
    }
}

/// Random values, the same in every run.
pub(super) fn samples<S: Strategy>(values: &S) -> Vec<S::Value> {
    let mut runner = TestRunner::deterministic();
    (0..CASES).map(|_| values.new_tree(&mut runner).expect("the strategy has values").current()).collect()
}

async fn exchange<const ROW: u32, T: Value>(
    values: impl Strategy<Value = T>,
    expected: impl Fn(&T, Form) -> Expected<T>,
) {
    let shelf = Arc::new(Shelf { given: Mutex::default(), has: Mutex::default() });
    let host = Node::builder().listen("tcp://127.0.0.1:0").start().await.unwrap();
    let caller = Node::builder().start().await.unwrap();
    let by_name = host.export(&Proxy::<dyn ByName<T, ROW>>::from_arc(shelf.clone())).unwrap();
    let by_name: Proxy<dyn ByName<T, ROW>> = caller.proxy(&by_name).unwrap();
    let compact = host.export(&Proxy::<dyn Compact<T, ROW>>::from_arc(shelf.clone())).unwrap();
    let compact: Proxy<dyn Compact<T, ROW>> = caller.proxy(&compact).unwrap();
    for value in samples(&values) {
        every_way(&by_name, &shelf, &value, || expected(&value, Form::ByName)).await;
        every_way(&compact, &shelf, &value, || expected(&value, Form::Compact)).await;
    }
}

/// The form in which structs travel.
#[derive(Clone, Copy, PartialEq)]
enum Form {
    ByName,
    Compact,
}

async fn every_way<T: Value>(ways: &impl Ways<T>, shelf: &Shelf<T>, value: &T, expected: impl Fn() -> Expected<T>) {
    for way in [Way::Argument, Way::Result, Way::Error, Way::Item] {
        let came = ways.send(way, shelf, value).await;
        let Expected { arrives, is_told } = expected();
        let right = came.as_ref().map_or(is_told, |came| came.iter().all(|came| arrives.contains(came)));
        assert!(right, "sent as {way:?}: {value:?}\ncame: {came:?}");
    }
}

/// Every value arrives as it is.
pub(super) async fn arrives<const ROW: u32, T: Value>(values: impl Strategy<Value = T>) {
    exchange::<ROW, T>(values, |value, _| Expected::arrives(value.clone())).await;
}

/// By name every value arrives as it is; by position it does, or its sender is told.
pub(super) async fn arrives_by_name<const ROW: u32, T: Value>(values: impl Strategy<Value = T>) {
    let expected = |value: &T, form| Expected { arrives: vec![value.clone()], is_told: form == Form::Compact };
    exchange::<ROW, T>(values, expected).await;
}

/// Every value arrives as it comes back from JSON: its type loses something by itself.
pub(super) async fn arrives_as_from_json<const ROW: u32, T: Value>(values: impl Strategy<Value = T>) {
    let expected = |value: &T, _| Expected::arrives(from_json(value).expect("it comes back"));
    exchange::<ROW, T>(values, expected).await;
}

/// By name every value arrives as it comes back from JSON, or its sender is told if it does not come back. By position, where
/// no names are compared, it may also arrive as it is.
pub(super) async fn arrives_by_name_as_from_json<const ROW: u32, T: Value>(values: impl Strategy<Value = T>) {
    let expected = |value: &T, form| match (form, from_json(value)) {
        (Form::ByName, Some(value)) => Expected::arrives(value),
        (Form::ByName, None) => Expected::is_told(),
        (Form::Compact, back) => Expected { arrives: back.into_iter().chain([value.clone()]).collect(), is_told: true },
    };
    exchange::<ROW, T>(values, expected).await;
}

/// No value arrives, and its sender is told so.
pub(super) async fn is_told<const ROW: u32, T: Value>(values: impl Strategy<Value = T>) {
    exchange::<ROW, T>(values, |_, _| Expected::is_told()).await;
}

fn from_json<T: Value>(value: &T) -> Option<T> {
    serde_json::from_str(&serde_json::to_string(value).ok()?).ok()
}
