//! The probe as serde sees it: a type reads what the probe has for it.

use std::any::type_name;

use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error as _, Expected, MapAccess, SeqAccess, VariantAccess, Visitor,
    value::Error,
};

use super::probe::{Answer, Inside, Parts, Probe, Variant};
use crate::wire::codec::REFERENCE;

fn nothing<T>() -> Result<T, Error> {
    Err(Error::custom("nothing is here"))
}

macro_rules! numbers {
    ($($ask:ident $name:literal $visit:ident,)*) => {$(
        fn $ask<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            match self.number($name, &visitor) {
                Answer::Number(number) => visitor.$visit(number as _),
                _ => nothing(),
            }
        }
    )*};
}

macro_rules! texts {
    ($($ask:ident $name:literal,)*) => {$(
        fn $ask<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            match self.text($name, type_name::<V::Value>()) {
                Answer::Text(text) => visitor.visit_borrowed_str(text),
                _ => nothing(),
            }
        }
    )*};
}

/// The name of a type that serde's derive reads as anything (a tagged enum) or as a map (a flattened struct). It says it in the text
/// of what it expects, and nowhere else.
fn derived<V: Expected>(visitor: &V, prefix: &str) -> Option<String> {
    (visitor as &dyn Expected).to_string().strip_prefix(prefix).map(str::to_owned)
}

fn read_parts<'de, V: Visitor<'de>>(answer: Answer<'_>, visitor: V) -> Result<V::Value, Error> {
    match answer {
        Answer::Parts(parts) => visitor.visit_seq(parts),
        _ => nothing(),
    }
}

fn read_pairs<'de, V: Visitor<'de>>(answer: Answer<'_>, visitor: V) -> Result<V::Value, Error> {
    match answer {
        Answer::Parts(parts) => visitor.visit_map(parts),
        _ => nothing(),
    }
}

impl<'de> Deserializer<'de> for Probe<'_> {
    type Error = Error;

    numbers! {
        deserialize_i8 "i8" visit_i8, deserialize_i16 "i16" visit_i16, deserialize_i32 "i32" visit_i32,
        deserialize_i64 "i64" visit_i64, deserialize_i128 "i128" visit_i128,
        deserialize_u8 "u8" visit_u8, deserialize_u16 "u16" visit_u16, deserialize_u32 "u32" visit_u32,
        deserialize_u64 "u64" visit_u64, deserialize_u128 "u128" visit_u128,
        deserialize_f32 "f32" visit_f32, deserialize_f64 "f64" visit_f64,
    }

    texts! {
        deserialize_str "string", deserialize_string "string", deserialize_identifier "string",
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let name = derived(&visitor, "internally tagged enum ").unwrap_or_else(|| "any".to_owned());
        match self.text(&name, type_name::<V::Value>()) {
            Answer::Text(text) => visitor.visit_borrowed_str(text),
            _ => nothing(),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        read_parts(self.list(), visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, count: usize, visitor: V) -> Result<V::Value, Error> {
        read_parts(self.tuple(count), visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        count: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        read_parts(self.named(name, type_name::<V::Value>(), Inside::Elements(count)), visitor)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.plain("bool", |_| Answer::Absent) {
            Answer::Absent => visitor.visit_bool(false),
            _ => nothing(),
        }
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.plain("char", |_| Answer::Absent) {
            Answer::Absent => visitor.visit_char('a'),
            _ => nothing(),
        }
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.text("bytes", type_name::<V::Value>()) {
            Answer::Text(text) => visitor.visit_borrowed_bytes(text.as_bytes()),
            _ => nothing(),
        }
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.plain("unit", |_| Answer::Absent) {
            Answer::Absent => visitor.visit_unit(),
            _ => nothing(),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.plain("any", |_| Answer::Absent) {
            Answer::Absent => visitor.visit_unit(),
            _ => nothing(),
        }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Error> {
        match self.named(name, type_name::<V::Value>(), Inside::Nothing) {
            Answer::Absent => visitor.visit_unit(),
            _ => nothing(),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.option() {
            Answer::Absent => visitor.visit_none(),
            Answer::Inside(probe) => visitor.visit_some(probe),
            _ => nothing(),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Error> {
        if name == REFERENCE {
            return self.deserialize_u32(visitor);
        }
        match self.named(name, type_name::<V::Value>(), Inside::Newtype) {
            Answer::Inside(probe) => visitor.visit_newtype_struct(probe),
            _ => nothing(),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if let Some(name) = derived(&visitor, "struct ") {
            return read_pairs(self.record_of(&name), visitor);
        }
        read_pairs(self.map(), visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        read_pairs(self.named(name, type_name::<V::Value>(), Inside::Fields(fields)), visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.named(name, type_name::<V::Value>(), Inside::Variants(variants)) {
            Answer::Variant(variant) => visitor.visit_enum(variant),
            Answer::Text(name) => visitor.visit_borrowed_str(name),
            _ => nothing(),
        }
    }
}

impl Parts<'_> {
    fn next<'de, S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Error> {
        let Some(part) = self.0.next() else { return Ok(None) };
        seed.deserialize(part.of(type_name::<S::Value>())).map(Some)
    }
}

impl<'de> SeqAccess<'de> for Parts<'_> {
    type Error = Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Error> {
        self.next(seed)
    }
}

impl<'de> MapAccess<'de> for Parts<'_> {
    type Error = Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Error> {
        self.next(seed)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Error> {
        self.next(seed)?.map_or_else(nothing, Ok)
    }
}

impl<'de, 'q> EnumAccess<'de> for Variant<'q> {
    type Error = Error;
    type Variant = Probe<'q>;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Probe<'q>), Error> {
        let name = self.probe.name_of(self.name);
        Ok((seed.deserialize(name)?, self.probe))
    }
}

impl<'de> VariantAccess<'de> for Probe<'_> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        match self.plain("unit", |_| Answer::Absent) {
            Answer::Absent => Ok(()),
            _ => nothing(),
        }
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Error> {
        seed.deserialize(self.of(type_name::<S::Value>()))
    }

    fn tuple_variant<V: Visitor<'de>>(self, count: usize, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_tuple(count, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(self, fields: &'static [&'static str], visitor: V) -> Result<V::Value, Error> {
        read_pairs(self.fields(fields), visitor)
    }
}
