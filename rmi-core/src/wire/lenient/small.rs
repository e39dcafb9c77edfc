//! Values that are read without a body of their own: the bytes of a packed list, a nil below `Some`s, and the index of a
//! reference for whoever does not ask for one.

use std::iter;

use serde::de::value::{MapDeserializer, UnitDeserializer};
use serde::de::{DeserializeSeed, Deserializer, IntoDeserializer, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

use super::deeper;
use crate::wire::codec::DecodeError;

/// The elements of a packed list.
pub(super) struct Packed<'a> {
    pub(super) bytes: std::slice::Iter<'a, u8>,
    /// The levels that may still nest in an element: options and newtypes, of which a type may have any number.
    pub(super) depth: usize,
}

impl<'a> SeqAccess<'a> for Packed<'a> {
    type Error = DecodeError;

    #[inline]
    fn next_element_seed<S: DeserializeSeed<'a>>(&mut self, seed: S) -> Result<Option<S::Value>, DecodeError> {
        self.bytes.next().map(|byte| seed.deserialize(Byte { byte: *byte, depth: self.depth })).transpose()
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.bytes.len())
    }
}

/// One of them, as a number.
#[derive(Clone, Copy)]
struct Byte {
    byte: u8,
    depth: usize,
}

impl<'de> Deserializer<'de> for Byte {
    type Error = DecodeError;

    #[inline]
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_u8(self.byte)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_some(Self { depth: deeper(self.depth)?, ..self })
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_newtype_struct(Self { depth: deeper(self.depth)?, ..self })
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct enum identifier ignored_any
    }

    fn is_human_readable(&self) -> bool {
        true
    }
}

/// A nil with so many `Some`s around it.
pub(super) struct SomeNil {
    pub(super) somes: u8,
    /// The levels that may still nest.
    pub(super) depth: usize,
}

impl SomeNil {
    /// Returns the value below the first `Some`; nothing when there is none.
    fn below(&self) -> Result<Option<Self>, DecodeError> {
        let Some(somes) = self.somes.checked_sub(1) else { return Ok(None) };
        Ok(Some(Self { somes, depth: deeper(self.depth)? }))
    }
}

impl<'de> Deserializer<'de> for SomeNil {
    type Error = DecodeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.below()? {
            Some(below) => visitor.visit_some(below),
            None => visitor.visit_unit(),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.below()? {
            Some(below) => visitor.visit_some(below),
            None => visitor.visit_none(),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_newtype_struct(Self { depth: deeper(self.depth)?, ..self })
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct enum identifier ignored_any
    }

    fn is_human_readable(&self) -> bool {
        true
    }
}

/// The index of a reference, as it is kept in a buffer: a map from a newtype of nothing, which no value of a program is.
pub(super) struct Reference(pub(super) u32);

impl<'de> Deserializer<'de> for Reference {
    type Error = DecodeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_map(MapDeserializer::new(iter::once((Mark, self.0))))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }

    fn is_human_readable(&self) -> bool {
        true
    }
}

/// The key of that map.
struct Mark;

impl IntoDeserializer<'_, DecodeError> for Mark {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Mark {
    type Error = DecodeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_newtype_struct(UnitDeserializer::new())
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}
