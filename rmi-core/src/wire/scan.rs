//! Looks a body over before anything is decoded from it: nesting, lengths, and how many values there are.

use crate::limits::{DEPTH_MAX, ELEMENTS_MAX};
use crate::wire::codec::CodecError;
use crate::wire::head::{Head, Reader};

/// Checks that `body` is one well-formed value within the limits, and nothing else.
pub(super) fn check(body: &[u8]) -> Result<(), CodecError> {
    let mut reader = Reader::new(body);
    skip(&mut reader, ELEMENTS_MAX)?;
    match reader.left() {
        0 => Ok(()),
        left => Err(CodecError::malformed(format_args!("{left} bytes follow the value"))),
    }
}

/// Skips one value of at most `budget` values in all. Nothing recurses: the depth is the peer's choice.
pub(super) fn skip(reader: &mut Reader<'_>, mut budget: usize) -> Result<(), CodecError> {
    // How many values each open array or map still has.
    let mut open = [0usize; DEPTH_MAX];
    let mut depth = 0;
    loop {
        let Some(left) = budget.checked_sub(1) else {
            return Err(CodecError::malformed(format_args!("more values than the limit of {ELEMENTS_MAX}")));
        };
        budget = left;
        let values = match reader.head()? {
            Head::Str(bytes) | Head::Bin(bytes) | Head::Ext(bytes) => {
                reader.take(bytes)?;
                0
            }
            Head::Array(values) => values,
            Head::Map(pairs) => pairs.saturating_mul(2),
            _ => 0,
        };
        if values > 0 {
            if values > reader.left() {
                let left = reader.left();
                return Err(CodecError::malformed(format_args!(
                    "{values} values are announced and {left} bytes are left"
                )));
            }
            let Some(place) = open.get_mut(depth) else {
                return Err(CodecError::malformed(format_args!("nesting deeper than the limit of {DEPTH_MAX}")));
            };
            *place = values;
            depth += 1;
            continue;
        }
        // A value is complete, and with it every array or map whose last value it was.
        loop {
            let Some(place) = depth.checked_sub(1).and_then(|at| open.get_mut(at)) else { return Ok(()) };
            *place -= 1;
            if *place > 0 {
                break;
            }
            depth -= 1;
        }
    }
}
