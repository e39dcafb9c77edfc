//! A body as text for people: what an error says whose type is not known here.

use std::fmt::Write;

use crate::wire::head::{Head, Reader};

/// What is shown of a body. The rest of the text says where it came from.
const SHOWN_BYTES_MAX: usize = 256;
const SHOWN_DEPTH_MAX: usize = 4;

/// The first part of the value that `body` is, whatever its bytes: `{"Insufficient": 5}`.
pub(crate) fn describe(body: &[u8]) -> String {
    let mut text = String::new();
    if value(&mut Reader::new(body), 0, &mut text).is_none() {
        text.push('…');
    }
    text
}

/// Appends the next value; `None` when there is no more room or the bytes are not a value.
fn value(reader: &mut Reader<'_>, depth: usize, out: &mut String) -> Option<()> {
    if out.len() > SHOWN_BYTES_MAX || depth > SHOWN_DEPTH_MAX {
        return None;
    }
    match reader.head().ok()? {
        Head::Nil => out.push_str("nil"),
        Head::Bool(value) => write!(out, "{value}").ok()?,
        Head::Unsigned(value) => write!(out, "{value}").ok()?,
        Head::Signed(value) => write!(out, "{value}").ok()?,
        Head::F32(value) => write!(out, "{value}").ok()?,
        Head::F64(value) => write!(out, "{value}").ok()?,
        Head::Str(length) => string(reader.take(length).ok()?, out)?,
        Head::Bin(length) | Head::Ext(length) => {
            reader.take(length).ok()?;
            write!(out, "{length} bytes").ok()?;
        }
        Head::Array(count) => list(count, ('[', ']'), out, |out| value(reader, depth + 1, out))?,
        Head::Map(count) => list(count, ('{', '}'), out, |out| {
            value(reader, depth + 1, out)?;
            out.push_str(": ");
            value(reader, depth + 1, out)
        })?,
    }
    Some(())
}

fn string(bytes: &[u8], out: &mut String) -> Option<()> {
    let shown = bytes.get(..SHOWN_BYTES_MAX.min(bytes.len()))?;
    write!(out, "{:?}", String::from_utf8_lossy(shown)).ok()?;
    (shown.len() == bytes.len()).then_some(())
}

fn list(
    count: usize,
    (open, close): (char, char),
    out: &mut String,
    mut each: impl FnMut(&mut String) -> Option<()>,
) -> Option<()> {
    out.push(open);
    for at in 0..count {
        if at > 0 {
            out.push_str(", ");
        }
        each(out)?;
    }
    out.push(close);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::describe;

    #[test]
    fn an_error_is_shown_as_it_was_written() {
        assert_eq!(describe(b"\xacInsufficient"), "\"Insufficient\"");
        assert_eq!(describe(b"\x81\xa5Limit\x92\x05\xc3"), "{\"Limit\": [5, true]}");
    }

    #[test]
    fn what_is_shown_of_any_bytes_is_bounded() {
        assert_eq!(describe(&[]), "…");
        assert!(describe(&[0x91; 1000]).starts_with("[[[[["));
        let long = [&[0xdd, 0xff, 0xff, 0xff, 0xff][..], &[0xc0; 100_000]].concat();
        assert!(describe(&long).len() < 300);
        let long = [&[0xdb, 0, 1, 0, 0][..], &[b'x'; 65_536]].concat();
        assert!(describe(&long).ends_with("\"…"));
    }
}
