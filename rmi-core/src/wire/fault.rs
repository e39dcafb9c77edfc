//! A failure of the framework as the body of a reply. Protocol §8.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use std::time::Duration;

use crate::error::{ErrorKind, Executed, RemoteError, cut};
use crate::wire::FrameError;

/// The body: `u16 kind · u8 executed · u8 relayed · u32 retry after, in ms · text`.
pub(crate) fn encode(error: &RemoteError) -> Bytes {
    let mut out = BytesMut::with_capacity(8 + error.message().len());
    out.put_u16_le(error.kind().code());
    out.put_u8(match error.executed() {
        Executed::No => 0,
        Executed::Maybe => 1,
        Executed::Yes => 2,
    });
    out.put_u8(error.is_relayed().into());
    let retry_after = error.retry_after().map_or(0, |after| after.as_millis());
    out.put_u32_le(u32::try_from(retry_after).unwrap_or(u32::MAX));
    out.put_slice(cut(error.message()).as_bytes());
    out.freeze()
}

pub(crate) fn decode(mut input: Bytes) -> Result<RemoteError, FrameError> {
    let short = |_| FrameError::Truncated("fault");
    let code = input.try_get_u16_le().map_err(short)?;
    let executed = match input.try_get_u8().map_err(short)? {
        0 => Executed::No,
        1 => Executed::Maybe,
        2 => Executed::Yes,
        other => return Err(FrameError::UnknownValue { what: "executed", value: other.into() }),
    };
    let relayed = input.try_get_u8().map_err(short)? != 0;
    let retry_after = input.try_get_u32_le().map_err(short)?;
    let text = String::from_utf8_lossy(&input);
    // A kind of a later version keeps its text.
    let kind = ErrorKind::from_code(code).unwrap_or(ErrorKind::Unknown);
    let mut error = RemoteError::new(kind, executed, cut(&text));
    if retry_after > 0 {
        error = error.with_retry_after(Duration::from_millis(retry_after.into()));
    }
    Ok(if relayed { error.relayed() } else { error })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_arrives_as_it_was() {
        let error = RemoteError::new(ErrorKind::Overloaded, Executed::No, "too much")
            .with_retry_after(Duration::from_millis(7))
            .relayed();
        let back = decode(encode(&error)).unwrap();
        assert_eq!((back.clone(), back.retry_after()), (error.clone(), error.retry_after()));
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let error = RemoteError::new(ErrorKind::Denied, Executed::No, "ä".repeat(4000));
        assert_eq!(decode(encode(&error)).unwrap().message().len(), 4096);
    }
}
