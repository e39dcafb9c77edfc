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

/// The fields of a struct, and its name.
pub(crate) struct Fields<'e, 'a>(Body<'e, 'a>, &'static str);

impl<'e, 'a> Fields<'e, 'a> {
    pub(super) fn new(
        encoder: &'e mut Encoder<'a>,
        name: &'static str,
        count: usize,
        levels: usize,
    ) -> Result<Self, EncodeError> {
        let kind = match encoder.form {
            Form::ByName => Kind::Map,
            Form::Compact => Kind::Array,
        };
        Body::new(encoder, kind, count, levels).map(|body| Self(body, name))
    }

    #[inline]
    fn field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), EncodeError> {
        if self.0.kind == Kind::Array {
            let at = self.0.encoder.out.len();
            self.0.put(value)?;
            return if self.0.count == 1 && self.begins_with_tag(at) { self.name_fields(name) } else { Ok(()) };
        }
        self.0.put(name)?;
        value.serialize(&mut *self.0.encoder)
    }

    /// Says whether the first field, which begins at `at`, is the tag of a tagged struct: its own name. The reader does not count the
    /// tag as a field, so it would take every field for the one before.
    fn begins_with_tag(&self, at: usize) -> bool {
        let written = self.0.encoder.out.get(at..).unwrap_or_default();
        written.ends_with(self.1.as_bytes()) && matches!(written.len() - self.1.len(), 1..=3)
    }

    /// Goes on by name, now that the first field is there.
    fn name_fields(&mut self, first: &'static str) -> Result<(), EncodeError> {
        let body = &mut self.0;
        let (tag, name) = (self.1, first);
        body.encoder.out.truncate(body.start);
        body.kind = Kind::Map;
        head::write(body.encoder.out, Kind::Map, body.announced);
        name.serialize(&mut *body.encoder)?;
        tag.serialize(&mut *body.encoder)
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
