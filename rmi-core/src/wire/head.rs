//! The first byte of a MessagePack value, and the number or length that follows it.

use crate::wire::codec::DecodeError;

/// What a value begins with. For strings, bytes, arrays, maps and extensions, its length follows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Head {
    Nil,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    F32(f32),
    F64(f64),
    Str(usize),
    Bin(usize),
    Array(usize),
    Map(usize),
    Ext(usize),
}

/// The bytes of a body, read from the front.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(rest: &'a [u8]) -> Self {
        Self { rest }
    }

    pub(super) fn left(&self) -> usize {
        self.rest.len()
    }

    /// The next `count` bytes.
    #[inline]
    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        let Some((taken, rest)) = self.rest.split_at_checked(count) else {
            return Err(DecodeError::malformed(format_args!(
                "{count} bytes are announced and {} are left",
                self.rest.len()
            )));
        };
        self.rest = rest;
        Ok(taken)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let Some((taken, rest)) = self.rest.split_first_chunk::<N>() else {
            return Err(DecodeError::malformed(format_args!("the body ends inside a value")));
        };
        self.rest = rest;
        Ok(*taken)
    }

    #[inline]
    fn u8(&mut self) -> Result<u8, DecodeError> {
        self.array::<1>().map(u8::from_be_bytes)
    }

    #[inline]
    fn length_16(&mut self) -> Result<usize, DecodeError> {
        self.array::<2>().map(|bytes| u16::from_be_bytes(bytes).into())
    }

    #[inline]
    fn length_32(&mut self) -> Result<usize, DecodeError> {
        self.array::<4>().map(|bytes| usize::try_from(u32::from_be_bytes(bytes)).unwrap_or(usize::MAX))
    }

    /// The type and the data of an extension whose head announced so many bytes, its type included.
    pub(super) fn extension(&mut self, bytes: usize) -> Result<(u8, &'a [u8]), DecodeError> {
        match self.take(bytes)? {
            [number, data @ ..] => Ok((*number, data)),
            [] => Err(DecodeError::malformed(format_args!("an extension without a type"))),
        }
    }

    /// Says whether the next byte is this one.
    #[inline]
    pub(super) fn starts_with(&self, byte: u8) -> bool {
        self.rest.first() == Some(&byte)
    }

    /// Whether the next value is nil.
    #[inline]
    pub(super) fn is_nil(&self) -> bool {
        self.starts_with(0xc0)
    }

    /// Takes what the next value begins with.
    #[inline]
    pub(super) fn head(&mut self) -> Result<Head, DecodeError> {
        let marker = self.u8()?;
        Ok(match marker {
            0x00..=0x7f => Head::Unsigned(marker.into()),
            0x80..=0x8f => Head::Map(usize::from(marker & 0x0f)),
            0x90..=0x9f => Head::Array(usize::from(marker & 0x0f)),
            0xa0..=0xbf => Head::Str(usize::from(marker & 0x1f)),
            0xc0 => Head::Nil,
            0xc1 => return Err(DecodeError::malformed(format_args!("the reserved byte c1"))),
            0xc2 => Head::Bool(false),
            0xc3 => Head::Bool(true),
            0xc4 => Head::Bin(self.u8()?.into()),
            0xc5 => Head::Bin(self.length_16()?),
            0xc6 => Head::Bin(self.length_32()?),
            0xc7 => Head::Ext(usize::from(self.u8()?) + 1),
            0xc8 => Head::Ext(self.length_16()? + 1),
            0xc9 => Head::Ext(self.length_32()?.saturating_add(1)),
            0xca => Head::F32(f32::from_be_bytes(self.array()?)),
            0xcb => Head::F64(f64::from_be_bytes(self.array()?)),
            0xcc => Head::Unsigned(self.u8()?.into()),
            0xcd => Head::Unsigned(u16::from_be_bytes(self.array()?).into()),
            0xce => Head::Unsigned(u32::from_be_bytes(self.array()?).into()),
            0xcf => Head::Unsigned(u64::from_be_bytes(self.array()?)),
            0xd0 => Head::Signed(i8::from_be_bytes(self.array()?).into()),
            0xd1 => Head::Signed(i16::from_be_bytes(self.array()?).into()),
            0xd2 => Head::Signed(i32::from_be_bytes(self.array()?).into()),
            0xd3 => Head::Signed(i64::from_be_bytes(self.array()?)),
            0xd4..=0xd8 => Head::Ext((1 << (marker - 0xd4)) + 1),
            0xd9 => Head::Str(self.u8()?.into()),
            0xda => Head::Str(self.length_16()?),
            0xdb => Head::Str(self.length_32()?),
            0xdc => Head::Array(self.length_16()?),
            0xdd => Head::Array(self.length_32()?),
            0xde => Head::Map(self.length_16()?),
            0xdf => Head::Map(self.length_32()?),
            0xe0..=0xff => Head::Signed(i8::from_be_bytes([marker]).into()),
        })
    }
}
