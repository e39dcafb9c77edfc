//! A stream as a part of a value: a reference to its source.

use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::proxy::Proxy;
use crate::streaming::source::{Producing, Source};
use crate::streaming::{Item, Items, State, Streaming};

impl<T: Item> Streaming<T> {
    /// The source to send instead of the stream, or why there is none.
    fn source(&self, state: State<T>) -> Result<Proxy<dyn Source>, (State<T>, &'static str)> {
        let serve = |items: Items<T>| Proxy::new(Producing::new(Box::new(items)));
        match state {
            State::Away(source) => Ok(source),
            State::Here(items) => Ok(serve(items)),
            // What was read here cannot be read again: the rest passes through.
            reading @ State::Reading(_) => {
                let rest = Self { state: Mutex::new(reading), end: None, ..*self };
                Ok(serve(Box::pin(rest)))
            }
            State::Sent => Err((State::Sent, "a stream can be sent once")),
            State::Over => Err((State::Over, "a stream that is over cannot be sent")),
        }
    }
}

impl<T: Item> Serialize for Streaming<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match self.source(std::mem::replace(&mut *state, State::Sent)) {
            Ok(source) => source.serialize(serializer).inspect_err(|_| *state = State::Away(source)),
            Err((before, text)) => {
                *state = before;
                Err(serde::ser::Error::custom(text))
            }
        }
    }
}

impl<'de, T: Item> Deserialize<'de> for Streaming<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::made_of(State::Away(Proxy::deserialize(deserializer)?)))
    }
}
