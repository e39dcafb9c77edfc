//! Looks a body over before anything is decoded from it: whether it is whole, and nothing but one value.

use crate::wire::codec::DecodeError;
use crate::wire::head::{Head, Reader};

/// Checks that `body` is one well-formed value, and nothing else.
pub(super) fn check(body: &[u8]) -> Result<(), DecodeError> {
    let mut reader = Reader::new(body);
    skip(&mut reader)?;
    match reader.left() {
        0 => Ok(()),
        left => Err(DecodeError::malformed(format_args!("{left} bytes follow the value"))),
    }
}

/// Skips one value. Nothing recurses, and one number suffices: how many values are still to come.
pub(super) fn skip(reader: &mut Reader<'_>) -> Result<(), DecodeError> {
    let mut open = 1_usize;
    while open > 0 {
        open -= 1;
        let values = match reader.head()? {
            Head::Str(bytes) | Head::Bin(bytes) | Head::Ext(bytes) => {
                reader.take(bytes)?;
                continue;
            }
            Head::Array(values) => values,
            Head::Map(pairs) => pairs.saturating_mul(2),
            _ => continue,
        };
        // Each value has at least one byte.
        open = open.saturating_add(values);
        if open > reader.left() {
            let left = reader.left();
            return Err(DecodeError::malformed(format_args!("{open} values are announced and {left} bytes are left")));
        }
    }
    Ok(())
}
