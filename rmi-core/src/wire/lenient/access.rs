//! The values inside arrays, maps and variants.

use serde::de::value::U32Deserializer;
use serde::de::{DeserializeSeed, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, VariantAccess, Visitor};

use super::{Lenient, read};
use crate::wire::codec::CodecError;
use crate::wire::head::Head;

/// What a collection may reserve before its values are read: a length is the peer's word.
const RESERVE_MAX: usize = 4096;

/// The values of an array.
pub(super) struct Values<'l, 'a> {
    pub(super) lenient: &'l mut Lenient<'a>,
    pub(super) left: usize,
}

impl Values<'_, '_> {
    pub(super) fn skip_rest(&mut self) -> Result<(), CodecError> {
        while self.left > 0 {
            self.left -= 1;
            self.lenient.skip()?;
        }
        Ok(())
    }
}

impl<'a> SeqAccess<'a> for &mut Values<'_, 'a> {
    type Error = CodecError;

    #[inline]
    fn next_element_seed<S: DeserializeSeed<'a>>(&mut self, seed: S) -> Result<Option<S::Value>, CodecError> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = left;
        read(self.lenient, seed).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left.min(self.lenient.left()).min(RESERVE_MAX))
    }
}

/// The pairs of a map.
pub(super) struct Pairs<'l, 'a> {
    pub(super) lenient: &'l mut Lenient<'a>,
    pub(super) left: usize,
}

impl Pairs<'_, '_> {
    pub(super) fn skip_rest(&mut self) -> Result<(), CodecError> {
        while self.left > 0 {
            self.left -= 1;
            self.lenient.skip()?;
            self.lenient.skip()?;
        }
        Ok(())
    }
}

impl<'a> MapAccess<'a> for &mut Pairs<'_, 'a> {
    type Error = CodecError;

    fn next_key_seed<S: DeserializeSeed<'a>>(&mut self, seed: S) -> Result<Option<S::Value>, CodecError> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = left;
        read(self.lenient, seed).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'a>>(&mut self, seed: S) -> Result<S::Value, CodecError> {
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
    type Error = CodecError;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'a>>(self, seed: S) -> Result<(S::Value, Self), CodecError> {
        let mut peek = self.lenient.reader;
        let name = match peek.head()? {
            Head::Unsigned(index) => {
                self.lenient.reader = peek;
                let index = u32::try_from(index)
                    .map_err(|_| CodecError::malformed(format_args!("a variant with number {index}")))?;
                let index: U32Deserializer<CodecError> = index.into_deserializer();
                seed.deserialize(index)?
            }
            _ => read(self.lenient, seed)?,
        };
        Ok((name, self))
    }
}

impl<'a> VariantAccess<'a> for Variant<'_, 'a> {
    type Error = CodecError;

    fn unit_variant(self) -> Result<(), CodecError> {
        // A variant that had a value once, and has none now.
        if self.with_value { self.lenient.skip() } else { Ok(()) }
    }

    fn newtype_variant_seed<S: DeserializeSeed<'a>>(self, seed: S) -> Result<S::Value, CodecError> {
        self.needs_value()?;
        read(self.lenient, seed)
    }

    fn tuple_variant<V: Visitor<'a>>(self, _: usize, visitor: V) -> Result<V::Value, CodecError> {
        self.needs_value()?;
        serde::Deserializer::deserialize_any(self.lenient, visitor)
    }

    fn struct_variant<V: Visitor<'a>>(self, _: &'static [&'static str], visitor: V) -> Result<V::Value, CodecError> {
        self.needs_value()?;
        serde::Deserializer::deserialize_any(self.lenient, visitor)
    }
}

impl Variant<'_, '_> {
    fn needs_value(&self) -> Result<(), CodecError> {
        if self.with_value { Ok(()) } else { Err(CodecError::malformed(format_args!("a variant without its value"))) }
    }
}
