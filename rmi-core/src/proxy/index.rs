//! A reference inside a value: the index under which it travels.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde::ser::{Error as _, Serializer};

use crate::call::{Target, scope};
use crate::interface::shape;
use crate::wire::codec::REFERENCE;

/// Writes the index of `target`, which travels beside the value.
pub(crate) fn serialize<S: Serializer>(target: &Target, serializer: S) -> Result<S::Ok, S::Error> {
    let index = scope::put(target).map_err(S::Error::custom)?;
    serializer.serialize_newtype_struct(REFERENCE, &index)
}

/// Reads the index of a reference and takes what it refers to, which is called `name`.
pub(crate) fn target<'de, D: Deserializer<'de>>(deserializer: D, name: fn() -> String) -> Result<Target, D::Error> {
    let index = deserializer.deserialize_newtype_struct(REFERENCE, Index(name))?;
    scope::take(index).map_err(D::Error::custom)
}

/// Reads an index. The numbers of a body never come as `u32`, so that none of them is taken for one. What it refers to it says
/// where a type is named by its shape, which asks for the other form of the text; not where something else came: to name it
/// runs code of the program, and what comes is the peer's.
struct Index(fn() -> String);

impl<'de> Visitor<'de> for Index {
    type Value = u32;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.alternate() { write!(f, "{}{}", shape::REFERENCE, (self.0)()) } else { f.write_str("a reference") }
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<u32, D::Error> {
        deserializer.deserialize_any(Marked(self))
    }

    fn visit_u32<E: Error>(self, index: u32) -> Result<u32, E> {
        Ok(index)
    }
}

/// Reads the map that is an index in a buffer. Its key shows that it came from no map of the body.
struct Marked(Index);

impl<'de> Visitor<'de> for Marked {
    type Value = u32;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<u32, A::Error> {
        match map.next_key()? {
            Some(Mark) => map.next_value().map(|Number(index)| index),
            None => Err(A::Error::invalid_length(0, &self)),
        }
    }
}

struct Mark;

impl<'de> Deserialize<'de> for Mark {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Key;
        impl<'de> Visitor<'de> for Key {
            type Value = Mark;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a reference")
            }

            fn visit_newtype_struct<D: Deserializer<'de>>(self, _: D) -> Result<Mark, D::Error> {
                Ok(Mark)
            }
        }
        deserializer.deserialize_any(Key)
    }
}

struct Number(u32);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Index(String::new)).map(Self)
    }
}
