//! MessagePack to values, with room for interfaces to grow.
//!
//! A struct is read by the names of its fields or by their positions. By name, unknown fields are skipped and missing ones
//! take their defaults. By position it may have more values than the type has fields, and the surplus is skipped, or
//! fewer: `#[serde(default)]` fields at the end take their defaults, as do fields in whose place a nil stands.

mod access;
mod small;

use serde::de::{DeserializeSeed, Visitor};
use serde::forward_to_deserialize_any;

use crate::limits::{DEPTH_MAX, STACK_BYTES_MAX};
use crate::wire::codec::DecodeError;
use crate::wire::encode::{I128, PACKED, REFERENCE, REFERENCE_INDEX, SOME_NIL, U128};
use crate::wire::head::{Head, Reader};
use crate::wire::scan;
use crate::wire::stack::Stack;
use access::{Fields, Pairs, Values, Variant};
use small::{Packed, Reference, SomeNil};

/// Decodes from the front of a body.
pub(super) struct Lenient<'a> {
    reader: Reader<'a>,
    /// The levels that may still nest: arrays, maps, variants, and options and newtypes, which take no byte.
    depth: usize,
    stack: Stack,
}

impl<'a> Lenient<'a> {
    pub(super) fn new(input: &'a [u8]) -> Self {
        Self { reader: Reader::new(input), depth: DEPTH_MAX, stack: Stack::here() }
    }

    pub(super) fn left(&self) -> usize {
        self.reader.left()
    }

    /// Runs `read` one level deeper.
    fn nested<R>(&mut self, read: impl FnOnce(&mut Self) -> Result<R, DecodeError>) -> Result<R, DecodeError> {
        if self.stack.is_used_up() {
            let text = format_args!("nesting so deep that reading it takes more than {STACK_BYTES_MAX} bytes of stack");
            return Err(DecodeError::malformed(text));
        }
        self.depth = deeper(self.depth)?;
        let result = read(self);
        self.depth += 1;
        result
    }

    fn skip(&mut self) -> Result<(), DecodeError> {
        scan::skip(&mut self.reader)
    }

    fn text(&mut self, bytes: usize) -> Result<&'a str, DecodeError> {
        let bytes = self.reader.take(bytes)?;
        std::str::from_utf8(bytes).map_err(|_| DecodeError::malformed(format_args!("a string is not UTF-8")))
    }

    fn visit_values<V: Visitor<'a>>(&mut self, count: usize, visitor: V) -> Result<V::Value, DecodeError> {
        self.nested(|this| {
            let mut values = Values { lenient: this, left: count };
            let value = visitor.visit_seq(&mut values)?;
            values.skip_rest()?;
            Ok(value)
        })
    }

    fn visit_fields<V: Visitor<'a>>(
        &mut self,
        count: usize,
        known: usize,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.nested(|this| {
            let values = Values { lenient: this, left: count };
            let mut fields = Fields { values, absent: known.saturating_sub(count) };
            let value = visitor.visit_seq(&mut fields)?;
            fields.values.skip_rest()?;
            Ok(value)
        })
    }

    fn visit_pairs<V: Visitor<'a>>(&mut self, count: usize, visitor: V) -> Result<V::Value, DecodeError> {
        self.nested(|this| {
            let mut pairs = Pairs { lenient: this, left: count };
            let value = visitor.visit_map(&mut pairs)?;
            pairs.skip_rest()?;
            Ok(value)
        })
    }

    fn visit<V: Visitor<'a>>(&mut self, head: Head, visitor: V) -> Result<V::Value, DecodeError> {
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
            Head::Ext(bytes) => {
                let extension = self.extension(bytes)?;
                self.visit_extension(extension, visitor)
            }
        }
    }

    fn visit_extension<V: Visitor<'a>>(
        &mut self,
        extension: Extension<'a>,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        match extension {
            Extension::Packed(bytes) => self.visit_packed(bytes, visitor),
            Extension::SomeNil(nil) => serde::Deserializer::deserialize_any(nil, visitor),
            // Whoever keeps it in a buffer can tell it from a number, and from a newtype of one.
            Extension::Reference(index) => visitor.visit_newtype_struct(Reference(index)),
            Extension::U128(value) => visitor.visit_u128(value),
            Extension::I128(value) => visitor.visit_i128(value),
        }
    }

    /// Reads the index of a reference for whoever asks for one; a number is taken for it, as nothing else can be meant.
    fn visit_reference<V: Visitor<'a>>(&mut self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.reader.head()? {
            Head::Unsigned(index) => {
                let index = u32::try_from(index);
                visitor.visit_u32(
                    index.map_err(|_| {
                        DecodeError::malformed(format_args!("an index beyond the references of any body"))
                    })?,
                )
            }
            Head::Ext(bytes) => match self.extension(bytes)? {
                Extension::Reference(index) => visitor.visit_u32(index),
                other => self.visit_extension(other, visitor),
            },
            head => self.visit(head, visitor),
        }
    }

    fn visit_packed<V: Visitor<'a>>(&mut self, bytes: &'a [u8], visitor: V) -> Result<V::Value, DecodeError> {
        self.nested(|this| visitor.visit_seq(Packed { bytes: bytes.iter(), depth: this.depth }))
    }

    /// Reads a list; a byte string is one of numbers.
    fn visit_list<V: Visitor<'a>>(&mut self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.reader.head()? {
            Head::Bin(bytes) => {
                let bytes = self.reader.take(bytes)?;
                self.visit_packed(bytes, visitor)
            }
            head => self.visit(head, visitor),
        }
    }

    fn extension(&mut self, bytes: usize) -> Result<Extension<'a>, DecodeError> {
        match self.reader.extension(bytes)? {
            (PACKED, bytes) => Ok(Extension::Packed(bytes)),
            (SOME_NIL, [somes]) if (1..=self.depth).contains(&usize::from(*somes)) => {
                Ok(Extension::SomeNil(SomeNil { somes: *somes, depth: self.depth }))
            }
            (SOME_NIL, _) => {
                Err(DecodeError::malformed(format_args!("a nil below more options than may nest, or none")))
            }
            (REFERENCE_INDEX, [index]) => Ok(Extension::Reference(u32::from(*index))),
            (REFERENCE_INDEX, [a, b]) => Ok(Extension::Reference(u16::from_be_bytes([*a, *b]).into())),
            (REFERENCE_INDEX, [a, b, c, d]) => Ok(Extension::Reference(u32::from_be_bytes([*a, *b, *c, *d]))),
            (U128, bytes) => sixteen(bytes).map(|bytes| Extension::U128(u128::from_be_bytes(bytes))),
            (I128, bytes) => sixteen(bytes).map(|bytes| Extension::I128(i128::from_be_bytes(bytes))),
            (REFERENCE_INDEX, _) => Err(DecodeError::malformed(format_args!("the index of a reference is too long"))),
            (number, _) => Err(DecodeError::malformed(format_args!("the extension type {number} is not used"))),
        }
    }
}

/// The extension types that a body may have.
enum Extension<'a> {
    /// A list of numbers that each fit into a byte.
    Packed(&'a [u8]),
    SomeNil(SomeNil),
    /// The index of a reference.
    Reference(u32),
    U128(u128),
    I128(i128),
}

impl<'de> serde::Deserializer<'de> for &mut Lenient<'de> {
    type Error = DecodeError;

    #[inline]
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        let head = self.reader.head()?;
        self.visit(head, visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        if self.reader.is_nil() {
            self.reader.head()?;
            return visitor.visit_none();
        }
        let mut peek = self.reader;
        if let Head::Ext(2) = peek.head()?
            && peek.starts_with(SOME_NIL)
        {
            return self.deserialize_any(visitor);
        }
        self.nested(|this| visitor.visit_some(this))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        if name == REFERENCE {
            return self.visit_reference(visitor);
        }
        self.nested(|this| visitor.visit_newtype_struct(this))
    }

    /// A unit struct is written as an empty array by some versions of the writer, and as nil by others.
    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, DecodeError> {
        self.skip()?;
        visitor.visit_unit()
    }

    /// A string is accepted where bytes are expected: other languages know only one of the two.
    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.reader.head()? {
            Head::Str(bytes) => visitor.visit_borrowed_bytes(self.reader.take(bytes)?),
            Head::Ext(bytes) => match self.extension(bytes)? {
                Extension::Packed(bytes) => visitor.visit_borrowed_bytes(bytes),
                other => self.visit_extension(other, visitor),
            },
            head => self.visit(head, visitor),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.visit_list(visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, DecodeError> {
        self.visit_list(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.visit_list(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        match self.reader.head()? {
            Head::Array(count) => self.visit_fields(count, fields.len(), visitor),
            head => self.visit(head, visitor),
        }
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_bytes(visitor)
    }

    /// A variant without a value is its name; one with a value is a map of one pair.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        let mut peek = self.reader;
        match peek.head()? {
            Head::Map(1) => self.reader = peek,
            Head::Map(count) => return Err(DecodeError::malformed(format_args!("a variant with {count} values"))),
            _ => return visitor.visit_enum(Variant { lenient: self, with_value: false }),
        };
        self.nested(|this| visitor.visit_enum(Variant { lenient: this, with_value: true }))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.skip()?;
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string unit map identifier
    }

    /// As what writes says, for the reason that stands there.
    fn is_human_readable(&self) -> bool {
        true
    }
}

/// One level less of those that may nest.
#[inline]
fn deeper(depth: usize) -> Result<usize, DecodeError> {
    depth
        .checked_sub(1)
        .ok_or_else(|| DecodeError::malformed(format_args!("nesting deeper than the limit of {DEPTH_MAX}")))
}

fn sixteen(bytes: &[u8]) -> Result<[u8; 16], DecodeError> {
    let whole = bytes.try_into();
    whole.map_err(|_| DecodeError::malformed(format_args!("an integer of {} bytes, not 16", bytes.len())))
}

/// Reads the next value with `seed`.
fn read<'a, S: DeserializeSeed<'a>>(lenient: &mut Lenient<'a>, seed: S) -> Result<S::Value, DecodeError> {
    seed.deserialize(lenient)
}
