//! One value to and from MessagePack. Protocol §9.
//!
//! `rmp_serde` writes. Reading is ours: it lets a struct have more or fewer trailing fields than the reader knows, which
//! is how interfaces grow, and it bounds what `rmp_serde` does not (nesting through options and newtypes).

use std::fmt;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::limits::ELEMENTS_MAX;
use crate::wire::head::{Head, Reader};
use crate::wire::lenient::Lenient;
use crate::wire::scan;

/// Why a body cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CodecError {
    #[error("{0}")]
    Encode(#[from] rmp_serde::encode::Error),
    /// The bytes are not a MessagePack value within the limits.
    #[error("not a valid body: {0}")]
    Malformed(String),
    /// The value is not of the type that is read.
    #[error("{0}")]
    Decode(String),
}

impl CodecError {
    #[cold]
    pub(super) fn malformed(text: fmt::Arguments<'_>) -> Self {
        Self::Malformed(text.to_string())
    }
}

impl serde::de::Error for CodecError {
    #[cold]
    fn custom<T: fmt::Display>(text: T) -> Self {
        Self::Decode(text.to_string())
    }
}

pub(crate) fn array_header(count: u16, out: &mut Vec<u8>) {
    match u8::try_from(count) {
        Ok(count @ 0..=15) => out.push(0x90 | count),
        _ => {
            out.push(0xdc);
            out.extend_from_slice(&count.to_be_bytes());
        }
    }
}

pub(crate) fn encode<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) -> Result<(), CodecError> {
    Ok(value.serialize(&mut rmp_serde::Serializer::new(out))?)
}

/// Checks a body before anything is decoded from it.
pub(crate) fn check(body: &[u8]) -> Result<(), CodecError> {
    scan::check(body)
}

/// Checks the first value of `input` and says how many bytes it takes.
pub(crate) fn check_next(input: &[u8]) -> Result<usize, CodecError> {
    let mut reader = Reader::new(input);
    scan::skip(&mut reader, ELEMENTS_MAX)?;
    Ok(input.len() - reader.left())
}

/// How many values the array has that `body` is, and where the first begins.
pub(crate) fn read_array_header(body: &[u8]) -> Option<(u32, usize)> {
    let mut reader = Reader::new(body);
    match reader.head() {
        Ok(Head::Array(count)) => Some((u32::try_from(count).ok()?, body.len() - reader.left())),
        _ => None,
    }
}

/// A byte string (or nil) at `at` and where the next value begins. Nothing is copied.
pub(crate) fn take_bytes(body: &Bytes, at: usize) -> Option<(Option<Bytes>, usize)> {
    let mut reader = Reader::new(body.get(at..)?);
    match reader.head().ok()? {
        Head::Nil => Some((None, at + 1)),
        Head::Bin(bytes) => {
            let start = body.len() - reader.left();
            reader.take(bytes).ok()?;
            Some((Some(body.slice(start..start + bytes)), start + bytes))
        }
        _ => None,
    }
}

/// Decodes the first value of `input` and says how many bytes it took.
pub(crate) fn decode_next<T: DeserializeOwned>(input: &[u8]) -> Result<(T, usize), CodecError> {
    let mut lenient = Lenient::new(input);
    let value = T::deserialize(&mut lenient)?;
    Ok((value, input.len() - lenient.left()))
}
