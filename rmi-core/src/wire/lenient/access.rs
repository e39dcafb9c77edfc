//! The values inside arrays, maps and variants.

use serde::de::value::U32Deserializer;
use serde::de::{DeserializeSeed, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, VariantAccess, Visitor};

use super::small::SomeNil;
use super::{Lenient, read};
use crate::wire::codec::DecodeError;
use crate::wire::head::Head;

/// What a collection may reserve before its values are read: a length is the peer's word.
const RESERVE_MAX: usize = 4096;

/// The values of an array.
pub(super) struct Values<'l, 'a> {
    pub(super) lenient: &'l mut Lenient<'a>,
    pub(super) left: usize,
}

impl<'a> Values<'_, 'a> {
    fn next<S: DeserializeSeed<'a>>(&mut self, seed: S) -> Result<Option<S::Value>, DecodeError> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = left;
        read(self.lenient, seed).map(Some)
    }

    pub(super) fn skip_rest(&mut self) -> Result<(), DecodeError> {
        while self.left > 0 {
            self.left -= 1;
            self.lenient.skip()?;
        }
        Ok(())
    }
}

impl<'a> SeqAccess<'a> for &mut Values<'_, 'a> {
    type Error = DecodeError;

    #[inline]
    fn next_element_seed<S: DeserializeSeed<'a>>(&mut self, seed: S) -> Result<Option<S::Value>, DecodeError> {
        self.next(seed)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left.min(self.lenient.left()).min(RESERVE_MAX))
    }
}

/// The fields of a struct by position. Its writer puts a nil for one that it leaves out, and may not know the last ones.
pub(super) struct Fields<'l, 'a> {
    pub(super) values: Values<'l, 'a>,
    /// The number of fields that the reader knows beyond those that came.
    pub(super) absent: usize,
}

impl<'a> SeqAccess<'a> for &mut Fields<'_, 'a> {
    type Error = DecodeError;

    /// A field that a nil is a value of takes it; another one is missing, and has its default if it has one.
    #[inline]
    fn next_element_seed<S: DeserializeSeed<'a>>(&mut self, seed: S) -> Result<Option<S::Value>, DecodeError> {
        let nil = SomeNil { somes: 0, depth: self.values.lenient.depth };
        if self.values.left == 0 {
            let Some(absent) = self.absent.checked_sub(1) else { return Ok(None) };
            self.absent = absent;
            return Ok(seed.deserialize(nil).ok());
        }
        if self.values.lenient.reader.is_nil() {
            self.values.left -= 1;
            self.values.lenient.reader.head()?;
            return Ok(seed.deserialize(nil).ok());
        }
        self.values.next(seed)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.values.left.min(RESERVE_MAX))
    }
}

/// The pairs of a map.
pub(super) struct Pairs<'l, 'a> {
    pub(super) lenient: &'l mut Lenient<'a>,
    pub(super) left: usize,
}

impl Pairs<'_, '_> {
    pub(super) fn skip_rest(&mut self) -> Result<(), DecodeError> {
        while self.left > 0 {
            self.left -= 1;
            self.lenient.skip()?;
            self.lenient.skip()?;
        }
        Ok(())
    }
}

impl<'a> MapAccess<'a> for &mut Pairs<'_, 'a> {
    type Error = DecodeError;

    fn next_key_seed<S: DeserializeSeed<'a>>(&mut self, seed: S) -> Result<Option<S::Value>, DecodeError> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = left;
        read(self.lenient, seed).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'a>>(&mut self, seed: S) -> Result<S::Value, DecodeError> {
        read(self.lenient, seed)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left.min(self.lenient.left() / 2).min(RESERVE_MAX))
    }
}

/// A variant, by name or by number.
pub(super) struct Variant<'l, 'a> {
    pub(super) lenient: &'l mut Lenient<'a>,
    pub(super) with_value: bool,
}

impl<'a> EnumAccess<'a> for Variant<'_, 'a> {
    type Error = DecodeError;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'a>>(self, seed: S) -> Result<(S::Value, Self), DecodeError> {
        let mut peek = self.lenient.reader;
        let name = match peek.head()? {
            Head::Unsigned(index) => {
                self.lenient.reader = peek;
                let index = u32::try_from(index)
                    .map_err(|_| DecodeError::malformed(format_args!("a variant with number {index}")))?;
                let index: U32Deserializer<DecodeError> = index.into_deserializer();
                seed.deserialize(index)?
            }
            _ => read(self.lenient, seed)?,
        };
        Ok((name, self))
    }
}

impl<'a> VariantAccess<'a> for Variant<'_, 'a> {
    type Error = DecodeError;

    fn unit_variant(self) -> Result<(), DecodeError> {
        // A variant that had a value once, and has none now.
        if self.with_value { self.lenient.skip() } else { Ok(()) }
    }

    fn newtype_variant_seed<S: DeserializeSeed<'a>>(self, seed: S) -> Result<S::Value, DecodeError> {
        self.needs_value()?;
        read(self.lenient, seed)
    }

    fn tuple_variant<V: Visitor<'a>>(self, count: usize, visitor: V) -> Result<V::Value, DecodeError> {
        self.needs_value()?;
        serde::Deserializer::deserialize_tuple(self.lenient, count, visitor)
    }

    fn struct_variant<V: Visitor<'a>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.needs_value()?;
        serde::Deserializer::deserialize_struct(self.lenient, "", fields, visitor)
    }
}

impl Variant<'_, '_> {
    fn needs_value(&self) -> Result<(), DecodeError> {
        if self.with_value { Ok(()) } else { Err(DecodeError::malformed(format_args!("a variant without its value"))) }
    }
}
