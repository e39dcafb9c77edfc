//! One value to and from MessagePack. Protocol §9.
//!
//! Writing ([`encode`](crate::wire::encode)) lets structs travel by name and keeps apart what MessagePack does not. Reading
//! ([`lenient`](crate::wire::lenient)) lets a struct have more or fewer fields than the reader knows, which is how
//! interfaces grow. Both bound how deep a value nests, and count alike.

use std::fmt;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::wire::encode::{Encoder, PACKED, REFERENCE_INDEX};
use crate::wire::head::{Head, Reader};
use crate::wire::lenient::Lenient;
use crate::wire::scan;

pub(crate) use crate::wire::encode::{EncodeError, Form, REFERENCE};

/// The reason why a body cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DecodeError {
    /// The bytes are not one MessagePack value.
    #[error("not a valid body: {0}")]
    Malformed(String),
    /// The value is not of the type that is read.
    #[error("{0}")]
    Decode(String),
}

impl DecodeError {
    #[cold]
    pub(super) fn malformed(text: fmt::Arguments<'_>) -> Self {
        Self::Malformed(text.to_string())
    }
}

impl serde::de::Error for DecodeError {
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

/// Appends a value.
pub(crate) fn encode<T: Serialize + ?Sized>(value: &T, form: Form, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    value.serialize(&mut Encoder::new(out, form))
}

/// Checks a body before anything is decoded from it.
pub(crate) fn check(body: &[u8]) -> Result<(), DecodeError> {
    scan::check(body)
}

/// Checks the first value of `input` and says how many bytes it takes.
pub(crate) fn check_next(input: &[u8]) -> Result<usize, DecodeError> {
    let mut reader = Reader::new(input);
    scan::skip(&mut reader)?;
    Ok(input.len() - reader.left())
}

/// The body that is the first reference beside it, and nothing else.
pub(crate) const FIRST_REFERENCE: &[u8] = &[0xd4, REFERENCE_INDEX, 0];

/// How many values the array has that `body` is, and where the first begins.
pub(crate) fn read_array_header(body: &[u8]) -> Option<(u32, usize)> {
    let mut reader = Reader::new(body);
    match reader.head() {
        Ok(Head::Array(count)) => Some((u32::try_from(count).ok()?, body.len() - reader.left())),
        _ => None,
    }
}

/// A byte string, a packed list or nil at `at`, and where the next value begins. Nothing is copied.
pub(crate) fn take_bytes(body: &Bytes, at: usize) -> Option<(Option<Bytes>, usize)> {
    let mut reader = Reader::new(body.get(at..)?);
    let bytes = match reader.head().ok()? {
        Head::Nil => return Some((None, at + 1)),
        Head::Bin(bytes) => reader.take(bytes).ok()?.len(),
        Head::Ext(bytes) => reader.extension(bytes).ok().filter(|(number, _)| *number == PACKED)?.1.len(),
        _ => return None,
    };
    let end = body.len() - reader.left();
    Some((Some(body.slice(end - bytes..end)), end))
}

/// Decodes the first value of `input` and says how many bytes it took.
pub(crate) fn decode_next<T: DeserializeOwned>(input: &[u8]) -> Result<(T, usize), DecodeError> {
    let mut lenient = Lenient::new(input);
    let value = T::deserialize(&mut lenient)?;
    Ok((value, input.len() - lenient.left()))
}
