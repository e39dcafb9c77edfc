//! Lists: packed as long as every element is a byte, else an array.

use std::fmt;

use serde::Serialize;
use serde::ser::{Impossible, SerializeSeq, Serializer};

use super::head::{self, Kind};
use super::{EncodeError, Encoder, PACKED};

/// The elements of a list.
pub(crate) struct List<'e, 'a> {
    encoder: &'e mut Encoder<'a>,
    /// The offsets of its head and of its elements.
    start: usize,
    first: usize,
    /// The kind as which it is written; not known before the first element.
    kind: Option<Kind>,
    announced: usize,
    count: usize,
}

impl<'e, 'a> List<'e, 'a> {
    pub(super) fn new(encoder: &'e mut Encoder<'a>, count: Option<usize>) -> Self {
        let start = encoder.out.len();
        Self { encoder, start, first: start, kind: None, announced: count.unwrap_or(0), count: 0 }
    }

    fn begin(&mut self, kind: Kind) {
        if kind != Kind::Array {
            // A length is the word of the program's own `Serialize`, and may be wrong.
            self.encoder.out.reserve(self.announced.min(1 << 20));
        }
        head::write(self.encoder.out, kind, self.announced);
        self.first = self.encoder.out.len();
        self.kind = Some(kind);
    }

    /// Writes again as an array what was packed, because an element is no byte.
    fn unpack(&mut self) -> Result<(), EncodeError> {
        let bytes = self.encoder.out.split_off(self.first);
        self.encoder.out.truncate(self.start);
        self.begin(Kind::Array);
        bytes.iter().try_for_each(|byte| byte.serialize(&mut *self.encoder))
    }
}

impl SerializeSeq for List<'_, '_> {
    type Ok = ();
    type Error = EncodeError;

    #[inline]
    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
        self.count += 1;
        if self.kind == Some(Kind::Array) {
            return value.serialize(&mut *self.encoder);
        }
        match (value.serialize(Byte), self.kind) {
            (Ok(byte), kind) => {
                if kind.is_none() {
                    self.begin(Kind::Ext(PACKED));
                }
                self.encoder.out.push(byte);
                return Ok(());
            }
            (Err(NoByte), None) => self.begin(Kind::Array),
            (Err(NoByte), Some(_)) => self.unpack()?,
        }
        value.serialize(&mut *self.encoder)
    }

    fn end(mut self) -> Result<(), EncodeError> {
        if self.kind.is_none() {
            self.begin(Kind::Array);
        }
        if let Some(kind) = self.kind {
            head::correct(self.encoder.out, self.start, kind, self.announced, self.count);
        }
        self.encoder.leave();
        Ok(())
    }
}

/// Takes a `u8` and refuses everything else. The compiler knows which of the two most types come to.
struct Byte;

/// The element is no `u8`.
#[derive(Debug)]
struct NoByte;

impl fmt::Display for NoByte {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the element is no byte")
    }
}

impl std::error::Error for NoByte {}

impl serde::ser::Error for NoByte {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

macro_rules! refused {
    ($($method:ident($($value:ty),*) -> $ok:ty;)*) => { $(
        #[inline]
        fn $method(self, $(_: $value),*) -> Result<$ok, NoByte> {
            Err(NoByte)
        }
    )* };
}

impl Serializer for Byte {
    type Ok = u8;
    type Error = NoByte;
    type SerializeSeq = Impossible<u8, NoByte>;
    type SerializeTuple = Impossible<u8, NoByte>;
    type SerializeTupleStruct = Impossible<u8, NoByte>;
    type SerializeTupleVariant = Impossible<u8, NoByte>;
    type SerializeMap = Impossible<u8, NoByte>;
    type SerializeStruct = Impossible<u8, NoByte>;
    type SerializeStructVariant = Impossible<u8, NoByte>;

    #[inline]
    fn serialize_u8(self, value: u8) -> Result<u8, NoByte> {
        Ok(value)
    }

    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<u8, NoByte> {
        value.serialize(self)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, _: &T) -> Result<u8, NoByte> {
        Err(NoByte)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<u8, NoByte> {
        Err(NoByte)
    }

    fn collect_str<T: fmt::Display + ?Sized>(self, _: &T) -> Result<u8, NoByte> {
        Err(NoByte)
    }

    refused! {
        serialize_bool(bool) -> u8;
        serialize_i8(i8) -> u8;
        serialize_i16(i16) -> u8;
        serialize_i32(i32) -> u8;
        serialize_i64(i64) -> u8;
        serialize_i128(i128) -> u8;
        serialize_u16(u16) -> u8;
        serialize_u32(u32) -> u8;
        serialize_u64(u64) -> u8;
        serialize_u128(u128) -> u8;
        serialize_f32(f32) -> u8;
        serialize_f64(f64) -> u8;
        serialize_char(char) -> u8;
        serialize_str(&str) -> u8;
        serialize_bytes(&[u8]) -> u8;
        serialize_none() -> u8;
        serialize_unit() -> u8;
        serialize_unit_struct(&'static str) -> u8;
        serialize_unit_variant(&'static str, u32, &'static str) -> u8;
        serialize_seq(Option<usize>) -> Self::SerializeSeq;
        serialize_tuple(usize) -> Self::SerializeTuple;
        serialize_tuple_struct(&'static str, usize) -> Self::SerializeTupleStruct;
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> Self::SerializeTupleVariant;
        serialize_map(Option<usize>) -> Self::SerializeMap;
        serialize_struct(&'static str, usize) -> Self::SerializeStruct;
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> Self::SerializeStructVariant;
    }
}
