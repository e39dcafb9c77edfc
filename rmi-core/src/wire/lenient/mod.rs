//! MessagePack to values, with room for interfaces to grow.
//!
//! A struct, tuple or variant that arrives as an array may have more values than the type has fields: the surplus is
//! skipped. It may have fewer: `#[serde(default)]` fields at the end take their defaults. Fields by name work as well.
//!
//! Not told apart: `Some(None)` and `None`. Not readable when written by position: untagged and adjacently tagged enums.

mod access;

use serde::de::{DeserializeSeed, Visitor};
use serde::forward_to_deserialize_any;

use crate::limits::{ELEMENTS_MAX, TYPE_DEPTH_MAX};
use crate::wire::codec::CodecError;
use crate::wire::head::{Head, Reader};
use crate::wire::scan;
use access::{Pairs, Values, Variant};

/// Decodes from the front of a body.
pub(super) struct Lenient<'a> {
    reader: Reader<'a>,
    /// How many more levels of types may nest, wrappers that take no byte included.
    depth: usize,
}

impl<'a> Lenient<'a> {
    pub(super) fn new(input: &'a [u8]) -> Self {
        Self { reader: Reader::new(input), depth: TYPE_DEPTH_MAX }
    }

    pub(super) fn left(&self) -> usize {
        self.reader.left()
    }

    /// Runs `read` one level deeper.
    fn nested<R>(&mut self, read: impl FnOnce(&mut Self) -> Result<R, CodecError>) -> Result<R, CodecError> {
        self.depth = self.depth.checked_sub(1).ok_or_else(|| {
            CodecError::malformed(format_args!("types nested deeper than the limit of {TYPE_DEPTH_MAX}"))
        })?;
        let result = read(self);
        self.depth += 1;
        result
    }

    fn skip(&mut self) -> Result<(), CodecError> {
        scan::skip(&mut self.reader, ELEMENTS_MAX)
    }

    fn text(&mut self, bytes: usize) -> Result<&'a str, CodecError> {
        let bytes = self.reader.take(bytes)?;
        std::str::from_utf8(bytes).map_err(|_| CodecError::malformed(format_args!("a string is not UTF-8")))
    }

    fn visit_values<V: Visitor<'a>>(&mut self, count: usize, visitor: V) -> Result<V::Value, CodecError> {
        self.nested(|this| {
            let mut values = Values { lenient: this, left: count };
            let value = visitor.visit_seq(&mut values)?;
            values.skip_rest()?;
            Ok(value)
        })
    }

    fn visit_pairs<V: Visitor<'a>>(&mut self, count: usize, visitor: V) -> Result<V::Value, CodecError> {
        self.nested(|this| {
            let mut pairs = Pairs { lenient: this, left: count };
            let value = visitor.visit_map(&mut pairs)?;
            pairs.skip_rest()?;
            Ok(value)
        })
    }

    fn visit<V: Visitor<'a>>(&mut self, head: Head, visitor: V) -> Result<V::Value, CodecError> {
        match head {
            Head::Nil => visitor.visit_unit(),
            Head::Bool(value) => visitor.visit_bool(value),
            Head::Unsigned(value) => visitor.visit_u64(value),
            Head::Signed(value) => visitor.visit_i64(value),
            Head::F32(value) => visitor.visit_f32(value),
            Head::F64(value) => visitor.visit_f64(value),
            Head::Str(bytes) => visitor.visit_borrowed_str(self.text(bytes)?),
            Head::Bin(bytes) => visitor.visit_borrowed_bytes(self.reader.take(bytes)?),
            Head::Array(count) => self.visit_values(count, visitor),
            Head::Map(count) => self.visit_pairs(count, visitor),
            Head::Ext(_) => Err(CodecError::malformed(format_args!("extension types are not used"))),
        }
    }
}

impl<'de> serde::Deserializer<'de> for &mut Lenient<'de> {
    type Error = CodecError;

    #[inline]
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        let head = self.reader.head()?;
        self.visit(head, visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        if self.reader.is_nil() {
            self.reader.head()?;
            return visitor.visit_none();
        }
        self.nested(|this| visitor.visit_some(this))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, CodecError> {
        self.nested(|this| visitor.visit_newtype_struct(this))
    }

    /// A unit struct is written as an empty array by some versions of the writer, and as nil by others.
    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, CodecError> {
        self.skip()?;
        visitor.visit_unit()
    }

    fn deserialize_i128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        match self.reader.head()? {
            Head::Bin(16) => visitor.visit_i128(i128::from_be_bytes(sixteen(self.reader.take(16)?))),
            head => self.visit(head, visitor),
        }
    }

    fn deserialize_u128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        match self.reader.head()? {
            Head::Bin(16) => visitor.visit_u128(u128::from_be_bytes(sixteen(self.reader.take(16)?))),
            head => self.visit(head, visitor),
        }
    }

    /// A string is accepted where bytes are expected: other languages know only one of the two.
    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        match self.reader.head()? {
            Head::Str(bytes) => visitor.visit_borrowed_bytes(self.reader.take(bytes)?),
            head => self.visit(head, visitor),
        }
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        self.deserialize_bytes(visitor)
    }

    /// A variant without a value is its name; one with a value is a map of one pair.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, CodecError> {
        let mut peek = self.reader;
        let with_value = match peek.head()? {
            Head::Map(1) => {
                self.reader = peek;
                true
            }
            Head::Map(count) => return Err(CodecError::malformed(format_args!("a variant with {count} values"))),
            _ => false,
        };
        self.nested(|this| visitor.visit_enum(Variant { lenient: this, with_value }))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CodecError> {
        self.skip()?;
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string unit seq tuple tuple_struct map struct identifier
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

fn sixteen(bytes: &[u8]) -> [u8; 16] {
    bytes.first_chunk::<16>().copied().unwrap_or_default()
}

/// Reads the next value with `seed`.
fn read<'a, S: DeserializeSeed<'a>>(lenient: &mut Lenient<'a>, seed: S) -> Result<S::Value, CodecError> {
    seed.deserialize(lenient)
}
