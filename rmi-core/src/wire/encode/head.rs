//! The first bytes of arrays, maps and extensions.

/// A value with a length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Array,
    Map,
    /// An extension of this type.
    Ext(u8),
}

/// Appends the head of a value of so many elements, pairs or bytes. No body has more than `u32::MAX`.
pub(super) fn write(out: &mut Vec<u8>, kind: Kind, count: usize) {
    let (word, long) = match kind {
        Kind::Array => (0xdc, 0xdd),
        Kind::Map => (0xde, 0xdf),
        Kind::Ext(_) => (0xc8, 0xc9),
    };
    match (kind, u8::try_from(count), u16::try_from(count)) {
        (Kind::Array, Ok(count @ 0..=15), _) => out.push(0x90 | count),
        (Kind::Map, Ok(count @ 0..=15), _) => out.push(0x80 | count),
        (Kind::Ext(_), Ok(count), _) => out.extend_from_slice(&[0xc7, count]),
        (_, _, Ok(count)) => {
            out.push(word);
            out.extend_from_slice(&count.to_be_bytes());
        }
        _ => {
            out.push(long);
            out.extend_from_slice(&u32::try_from(count).unwrap_or(u32::MAX).to_be_bytes());
        }
    }
    if let Kind::Ext(number) = kind {
        out.push(number);
    }
}

/// Corrects the head at `start`, which was written for `announced`, when there are `count`.
pub(super) fn correct(out: &mut Vec<u8>, start: usize, kind: Kind, announced: usize, count: usize) {
    if announced == count {
        return;
    }
    let (mut before, mut after) = (Vec::new(), Vec::new());
    write(&mut before, kind, announced);
    write(&mut after, kind, count);
    out.splice(start..start + before.len(), after);
}
