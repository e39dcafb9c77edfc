//! One value to MessagePack. Protocol §9.
//!
//! `rmp_serde` writes what has no inside: numbers, strings, bytes. This decides the shape of the rest: structs by name or
//! by position, lists of bytes packed, `Some` around nil kept apart from nil.

mod compound;
mod head;
mod list;

use std::fmt;

use serde::Serialize;

use crate::limits::{DEPTH_MAX, STACK_BYTES_MAX};
use crate::wire::stack::Stack;
use compound::{Fields, Items, Pairs};
use head::Kind;
use list::List;

/// The extension type of a nil below a number of `Some`s.
pub(super) const SOME_NIL: u8 = 1;
/// The extension type of a list of numbers that each fit into a byte.
pub(super) const PACKED: u8 = 2;

/// The extension type of a reference: its data is the index, most significant byte first.
pub(super) const REFERENCE_INDEX: u8 = 3;

/// The extension type of a `u128`: its data are the 16 bytes, most significant first.
pub(super) const U128: u8 = 4;
/// The extension type of an `i128`: likewise, in two's complement.
pub(super) const I128: u8 = 5;

/// The name of the newtype as which a reference gives its index to a serializer, and asks a deserializer for it.
pub(crate) const REFERENCE: &str = "rmi.Reference";

/// The form in which structs and struct variants are written. Both forms are read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Form {
    /// As maps from the names of their fields.
    #[default]
    ByName,
    /// As arrays of their fields.
    Compact,
}

/// The reason why a value cannot be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EncodeError {
    #[error(
        "it nests deeper than the limit of {DEPTH_MAX} lists, maps, variants, options and newtypes; send its parts in a list"
    )]
    Depth,
    #[error("it nests so deep that writing it takes more than {STACK_BYTES_MAX} bytes of stack")]
    Stack,
    #[error("{0}")]
    Atom(#[from] rmp_serde::encode::Error),
    /// The value's own `Serialize` says so.
    #[error("{0}")]
    Value(String),
}

impl serde::ser::Error for EncodeError {
    #[cold]
    fn custom<T: fmt::Display>(text: T) -> Self {
        Self::Value(text.to_string())
    }
}

/// Appends values to a body.
pub(super) struct Encoder<'a> {
    out: &'a mut Vec<u8>,
    form: Form,
    /// The levels that may still nest.
    depth: usize,
    stack: Stack,
    /// The `Some`s around the value that comes next.
    somes: u8,
    /// Set when the number that comes next is the index of a reference.
    reference: bool,
    /// Set when the value that comes next is written as itself if it is a byte.
    raw: bool,
    /// The byte that was written so.
    byte: Option<u8>,
}

impl<'a> Encoder<'a> {
    pub(super) fn new(out: &'a mut Vec<u8>, form: Form) -> Self {
        Self { out, form, depth: DEPTH_MAX, stack: Stack::here(), somes: 0, reference: false, raw: false, byte: None }
    }

    /// Begins anything but nil and what is transparent.
    #[inline]
    fn begin(&mut self) -> &mut Vec<u8> {
        self.somes = 0;
        self.raw = false;
        self.out
    }

    /// Writes an element of a list: a byte as itself, which is returned, anything else as ever.
    #[inline]
    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<Option<u8>, EncodeError> {
        (self.raw, self.byte) = (true, None);
        value.serialize(&mut *self)?;
        Ok(self.byte.take())
    }

    #[inline]
    fn atom(&mut self) -> rmp_serde::Serializer<&mut Vec<u8>> {
        rmp_serde::Serializer::new(self.begin())
    }

    #[inline]
    fn enter(&mut self) -> Result<(), EncodeError> {
        self.depth = self.depth.checked_sub(1).ok_or(EncodeError::Depth)?;
        if self.stack.is_used_up() { Err(EncodeError::Stack) } else { Ok(()) }
    }

    #[inline]
    fn leave(&mut self) {
        self.depth += 1;
    }

    /// Begins an array or a map and goes one level deeper.
    fn open(&mut self, kind: Kind, count: usize) -> Result<(), EncodeError> {
        self.enter()?;
        head::write(self.begin(), kind, count);
        Ok(())
    }

    /// Begins a variant that has a value: a map of one pair.
    fn variant(&mut self, name: &str) -> Result<(), EncodeError> {
        self.open(Kind::Map, 1)?;
        serde::Serializer::serialize_str(self, name)
    }

    fn index(&mut self, index: u32) {
        let out = self.begin();
        match (u8::try_from(index), u16::try_from(index)) {
            (Ok(index), _) => out.extend_from_slice(&[0xd4, REFERENCE_INDEX, index]),
            (_, Ok(index)) => {
                out.extend_from_slice(&[0xd5, REFERENCE_INDEX]);
                out.extend_from_slice(&index.to_be_bytes());
            }
            _ => {
                out.extend_from_slice(&[0xd6, REFERENCE_INDEX]);
                out.extend_from_slice(&index.to_be_bytes());
            }
        }
    }

    fn sixteen(&mut self, number: u8, bytes: [u8; 16]) {
        let out = self.begin();
        out.extend_from_slice(&[0xd8, number]);
        out.extend_from_slice(&bytes);
    }

    fn nil(&mut self) {
        self.raw = false;
        match std::mem::take(&mut self.somes) {
            0 => self.out.push(0xc0),
            somes => self.out.extend_from_slice(&[0xd4, SOME_NIL, somes]),
        }
    }
}

macro_rules! atoms {
    ($($method:ident($value:ty))*) => { $(
        #[inline]
        fn $method(self, value: $value) -> Result<(), EncodeError> {
            Ok(serde::Serializer::$method(&mut self.atom(), value)?)
        }
    )* };
}

impl<'e, 'a> serde::Serializer for &'e mut Encoder<'a> {
    type Ok = ();
    type Error = EncodeError;
    type SerializeSeq = List<'e, 'a>;
    type SerializeTuple = Items<'e, 'a>;
    type SerializeTupleStruct = Items<'e, 'a>;
    type SerializeTupleVariant = Items<'e, 'a>;
    type SerializeMap = Pairs<'e, 'a>;
    type SerializeStruct = Fields<'e, 'a>;
    type SerializeStructVariant = Fields<'e, 'a>;

    atoms! {
        serialize_bool(bool)
        serialize_i8(i8) serialize_i16(i16) serialize_i32(i32) serialize_i64(i64)
        serialize_u16(u16) serialize_u64(u64)
        serialize_f32(f32) serialize_f64(f64) serialize_char(char) serialize_str(&str) serialize_bytes(&[u8])
    }

    #[inline]
    fn serialize_u8(self, value: u8) -> Result<(), EncodeError> {
        if std::mem::take(&mut self.raw) {
            self.byte = Some(value);
            self.out.push(value);
            return Ok(());
        }
        Ok(serde::Serializer::serialize_u8(&mut self.atom(), value)?)
    }

    #[inline]
    fn serialize_u32(self, value: u32) -> Result<(), EncodeError> {
        if std::mem::take(&mut self.reference) {
            self.index(value);
            return Ok(());
        }
        Ok(serde::Serializer::serialize_u32(&mut self.atom(), value)?)
    }

    /// Serde cannot keep one in a buffer. As a byte string it would be kept as that, and read as what it is not.
    fn serialize_u128(self, value: u128) -> Result<(), EncodeError> {
        self.sixteen(U128, value.to_be_bytes());
        Ok(())
    }

    fn serialize_i128(self, value: i128) -> Result<(), EncodeError> {
        self.sixteen(I128, value.to_be_bytes());
        Ok(())
    }

    fn serialize_none(self) -> Result<(), EncodeError> {
        self.nil();
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), EncodeError> {
        self.enter()?;
        self.raw = false;
        self.somes = self.somes.saturating_add(1);
        value.serialize(&mut *self)?;
        self.leave();
        Ok(())
    }

    fn serialize_unit(self) -> Result<(), EncodeError> {
        self.nil();
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), EncodeError> {
        self.nil();
        Ok(())
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<(), EncodeError> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, name: &'static str, value: &T) -> Result<(), EncodeError> {
        if name == REFERENCE {
            self.reference = true;
            return value.serialize(self);
        }
        self.enter()?;
        value.serialize(&mut *self)?;
        self.leave();
        Ok(())
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), EncodeError> {
        self.variant(variant)?;
        value.serialize(&mut *self)?;
        self.leave();
        Ok(())
    }

    fn serialize_seq(self, count: Option<usize>) -> Result<List<'e, 'a>, EncodeError> {
        self.enter()?;
        self.begin();
        Ok(List::new(self, count))
    }

    fn serialize_tuple(self, count: usize) -> Result<Items<'e, 'a>, EncodeError> {
        Items::new(self, count, 1)
    }

    fn serialize_tuple_struct(self, _: &'static str, count: usize) -> Result<Items<'e, 'a>, EncodeError> {
        Items::new(self, count, 1)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        count: usize,
    ) -> Result<Items<'e, 'a>, EncodeError> {
        self.variant(variant)?;
        Items::new(self, count, 2)
    }

    fn serialize_map(self, count: Option<usize>) -> Result<Pairs<'e, 'a>, EncodeError> {
        Pairs::new(self, count.unwrap_or(0))
    }

    fn serialize_struct(self, name: &'static str, count: usize) -> Result<Fields<'e, 'a>, EncodeError> {
        Fields::new(self, name, count, 1)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        count: usize,
    ) -> Result<Fields<'e, 'a>, EncodeError> {
        self.variant(variant)?;
        Fields::new(self, variant, count, 2)
    }

    /// Serde reads what it keeps in a buffer (untagged and tagged enums, flattened structs) as a format for people; so values
    /// with two forms must be written in that one, or they could not be read from there.
    fn is_human_readable(&self) -> bool {
        true
    }
}
