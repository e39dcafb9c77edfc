//! Tuples, maps and structs.

use serde::Serialize;
use serde::ser::{
    SerializeMap, SerializeStruct, SerializeStructVariant, SerializeTuple, SerializeTupleStruct, SerializeTupleVariant,
};

use super::head::{self, Kind};
use super::{EncodeError, Encoder, Form};

/// An array or a map that is being written. Its head is corrected at the end, if it was announced with another length.
struct Body<'e, 'a> {
    encoder: &'e mut Encoder<'a>,
    kind: Kind,
    start: usize,
    announced: usize,
    count: usize,
    /// The levels that end with it: one more for that of a variant.
    levels: usize,
}

impl<'e, 'a> Body<'e, 'a> {
    fn new(encoder: &'e mut Encoder<'a>, kind: Kind, announced: usize, levels: usize) -> Result<Self, EncodeError> {
        let start = encoder.out.len();
        encoder.open(kind, announced)?;
        Ok(Self { encoder, kind, start, announced, count: 0, levels })
    }

    #[inline]
    fn put<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
        self.count += 1;
        value.serialize(&mut *self.encoder)
    }

    fn close(self) {
        head::correct(self.encoder.out, self.start, self.kind, self.announced, self.count);
        self.encoder.depth += self.levels;
    }
}

/// The values of a tuple.
pub(crate) struct Items<'e, 'a>(Body<'e, 'a>);

impl<'e, 'a> Items<'e, 'a> {
    pub(super) fn new(encoder: &'e mut Encoder<'a>, count: usize, levels: usize) -> Result<Self, EncodeError> {
        Body::new(encoder, Kind::Array, count, levels).map(Self)
    }
}

macro_rules! items {
    ($($name:ident::$method:ident)*) => { $(
        impl $name for Items<'_, '_> {
            type Ok = ();
            type Error = EncodeError;

            #[inline]
            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
                self.0.put(value)
            }

            fn end(self) -> Result<(), EncodeError> {
                self.0.close();
                Ok(())
            }
        }
    )* };
}

items! {
    SerializeTuple::serialize_element
    SerializeTupleStruct::serialize_field
    SerializeTupleVariant::serialize_field
}

/// The pairs of a map.
pub(crate) struct Pairs<'e, 'a>(Body<'e, 'a>);

impl<'e, 'a> Pairs<'e, 'a> {
    pub(super) fn new(encoder: &'e mut Encoder<'a>, count: usize) -> Result<Self, EncodeError> {
        Body::new(encoder, Kind::Map, count, 1).map(Self)
    }
}

impl SerializeMap for Pairs<'_, '_> {
    type Ok = ();
    type Error = EncodeError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), EncodeError> {
        self.0.put(key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
        value.serialize(&mut *self.0.encoder)
    }

    fn end(self) -> Result<(), EncodeError> {
        self.0.close();
        Ok(())
    }
}

/// The fields of a struct.
pub(crate) struct Fields<'e, 'a>(Body<'e, 'a>);

impl<'e, 'a> Fields<'e, 'a> {
    pub(super) fn new(encoder: &'e mut Encoder<'a>, count: usize, levels: usize) -> Result<Self, EncodeError> {
        let kind = match encoder.form {
            Form::ByName => Kind::Map,
            Form::Compact => Kind::Array,
        };
        Body::new(encoder, kind, count, levels).map(Self)
    }

    #[inline]
    fn field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), EncodeError> {
        if self.0.kind == Kind::Array {
            return self.0.put(value);
        }
        self.0.put(name)?;
        value.serialize(&mut *self.0.encoder)
    }

    /// A field that is left out this time keeps its position.
    fn skip(&mut self) -> Result<(), EncodeError> {
        if self.0.kind == Kind::Array { self.0.put(&()) } else { Ok(()) }
    }
}

macro_rules! fields {
    ($($name:ident)*) => { $(
        impl $name for Fields<'_, '_> {
            type Ok = ();
            type Error = EncodeError;

            #[inline]
            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                name: &'static str,
                value: &T,
            ) -> Result<(), EncodeError> {
                self.field(name, value)
            }

            fn skip_field(&mut self, _: &'static str) -> Result<(), EncodeError> {
                self.skip()
            }

            fn end(self) -> Result<(), EncodeError> {
                self.0.close();
                Ok(())
            }
        }
    )* };
}

fields! { SerializeStruct SerializeStructVariant }
