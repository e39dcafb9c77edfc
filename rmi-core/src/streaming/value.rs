//! A stream as a part of a value: a reference to its source.

use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::interface::shape;
use crate::proxy::{Proxy, index};
use crate::streaming::source::{Producing, Source};
use crate::streaming::{Item, Items, State, Streaming};

impl<T: Item> Serialize for Streaming<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let source = match std::mem::replace(&mut *state, State::Sent) {
            State::Away(source) => source,
            State::Here(items) => serve(items),
            // What was read here cannot be read again: the rest passes through.
            reading @ State::Reading(_) => serve(Box::pin(Self { state: Mutex::new(reading), end: None, ..*self })),
            State::Sent => return Err(serde::ser::Error::custom("a stream can be sent once")),
            State::Over => return Err(serde::ser::Error::custom("a stream that is over cannot be sent")),
        };
        source.serialize(serializer).inspect_err(|_| *state = State::Away(source))
    }
}

fn serve<T: Item>(items: Items<T>) -> Proxy<dyn Source> {
    Proxy::new(Producing::new(Box::new(items)))
}

impl<'de, T: Item> Deserialize<'de> for Streaming<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let source = index::target(deserializer, || format!("stream<{}>", shape::name::<T>()))?;
        let source = Proxy::from_target(&source, None).map_err(|error| serde::de::Error::custom(error.message()))?;
        Ok(Self::made_of(State::Away(source)))
    }
}
