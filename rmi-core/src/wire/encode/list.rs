//! Lists: packed as long as every element is a byte, else an array.

use serde::Serialize;
use serde::ser::SerializeSeq;

use super::head::{self, Kind};
use super::{EncodeError, Encoder, PACKED};

/// The elements of a list. Each is written once: whether it is a byte shows when it is there.
pub(crate) struct List<'e, 'a> {
    encoder: &'e mut Encoder<'a>,
    /// The offsets of its head and of its elements.
    start: usize,
    first: usize,
    kind: Kind,
    announced: usize,
    count: usize,
}

impl<'e, 'a> List<'e, 'a> {
    pub(super) fn new(encoder: &'e mut Encoder<'a>, count: Option<usize>) -> Self {
        let start = encoder.out.len();
        let mut list =
            Self { encoder, start, first: start, kind: Kind::Array, announced: count.unwrap_or(0), count: 0 };
        list.begin(Kind::Array);
        list
    }

    /// Begins again, as this kind.
    fn begin(&mut self, kind: Kind) {
        self.encoder.out.truncate(self.start);
        head::write(self.encoder.out, kind, self.announced);
        self.first = self.encoder.out.len();
        self.kind = kind;
    }

    /// Goes on as a packed list behind its first element, which is this byte.
    fn pack(&mut self, byte: u8) {
        self.begin(Kind::Ext(PACKED));
        // A length is the word of the program's own `Serialize`, and may be wrong.
        self.encoder.out.reserve(self.announced.min(1 << 20));
        self.encoder.out.push(byte);
    }

    /// Writes again as an array what was packed, because the element at `last` is no byte.
    fn unpack(&mut self, last: usize) -> Result<(), EncodeError> {
        let element = self.encoder.out.split_off(last);
        let bytes = self.encoder.out.split_off(self.first);
        self.begin(Kind::Array);
        bytes.iter().try_for_each(|byte| byte.serialize(&mut *self.encoder))?;
        self.encoder.out.extend_from_slice(&element);
        Ok(())
    }
}

impl SerializeSeq for List<'_, '_> {
    type Ok = ();
    type Error = EncodeError;

    #[inline]
    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
        self.count += 1;
        let packed = self.kind != Kind::Array;
        if !packed && self.count > 1 {
            return value.serialize(&mut *self.encoder);
        }
        let at = self.encoder.out.len();
        match (self.encoder.element(value)?, packed) {
            (Some(byte), false) => self.pack(byte),
            (None, true) => self.unpack(at)?,
            (Some(_), true) | (None, false) => {}
        }
        Ok(())
    }

    fn end(self) -> Result<(), EncodeError> {
        head::correct(self.encoder.out, self.start, self.kind, self.announced, self.count);
        self.encoder.leave();
        Ok(())
    }
}
