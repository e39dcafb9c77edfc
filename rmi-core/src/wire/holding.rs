//! What keeps objects alive, on the wire: release, claim and its answer. Protocol §11.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::id::{LeaseId, ObjectId};
use crate::limits;
use crate::wire::FrameError;
use crate::wire::frame::{take_16, within};

/// Copies of a reference that their receiver has let go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Released {
    pub(crate) object: ObjectId,
    pub(crate) copies: u32,
}

/// A wish to hold objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claim {
    /// The lease of an earlier connection that held them.
    pub(crate) continues: Option<LeaseId>,
    /// Nothing more of that lease is claimed: it may end.
    pub(crate) last: bool,
    pub(crate) objects: Vec<ObjectId>,
}

/// The answer about one object of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Claimed {
    pub(crate) object: ObjectId,
    /// Whether it is held now, with one copy more; else there is no such object.
    pub(crate) held: bool,
}

const CONTINUES: u8 = 1;
const LAST: u8 = 2;

impl Claim {
    pub(super) fn encode(&self, out: &mut BytesMut) {
        let flags = if self.continues.is_some() { CONTINUES } else { 0 } | if self.last { LAST } else { 0 };
        out.put_u8(flags);
        if let Some(lease) = self.continues {
            out.put_slice(&lease.to_bytes());
        }
        put_count(self.objects.len(), out);
        self.objects.iter().for_each(|object| out.put_slice(&object.to_bytes()));
    }

    pub(super) fn decode(input: &mut Bytes) -> Result<Option<Self>, FrameError> {
        let Ok(flags) = input.try_get_u8() else { return Ok(None) };
        let continues = if flags & CONTINUES == 0 { None } else { take_16(input).map(LeaseId::from_bytes) };
        if flags & CONTINUES != 0 && continues.is_none() {
            return Ok(None);
        }
        let objects = take_all(input, 16, |input| take_16(input).map(ObjectId::from_bytes))?;
        Ok(objects.map(|objects| Self { continues, last: flags & LAST != 0, objects }))
    }
}

pub(super) fn encode_released(released: &[Released], out: &mut BytesMut) {
    put_count(released.len(), out);
    for one in released {
        out.put_slice(&one.object.to_bytes());
        out.put_u32_le(one.copies);
    }
}

pub(super) fn decode_released(input: &mut Bytes) -> Result<Option<Vec<Released>>, FrameError> {
    let released = take_all(input, 20, |input| {
        Some(Released { object: take_16(input).map(ObjectId::from_bytes)?, copies: input.try_get_u32_le().ok()? })
    })?;
    match released {
        Some(released) if released.iter().any(|one| one.copies == 0) => {
            Err(FrameError::Invalid { what: "release", reason: "of no copies".into() })
        }
        released => Ok(released),
    }
}

pub(super) fn encode_claimed(claimed: &[Claimed], out: &mut BytesMut) {
    put_count(claimed.len(), out);
    for one in claimed {
        out.put_slice(&one.object.to_bytes());
        out.put_u8(one.held.into());
    }
}

pub(super) fn decode_claimed(input: &mut Bytes) -> Result<Option<Vec<Claimed>>, FrameError> {
    take_all(input, 17, |input| {
        Some(Claimed { object: take_16(input).map(ObjectId::from_bytes)?, held: input.try_get_u8().ok()? != 0 })
    })
}

fn put_count(count: usize, out: &mut BytesMut) {
    out.put_u16_le(u16::try_from(count).unwrap_or(u16::MAX));
}

/// A counted list of values of at least `bytes` bytes each; `None` when it is cut short.
fn take_all<T>(
    input: &mut Bytes,
    bytes: usize,
    take: impl Fn(&mut Bytes) -> Option<T>,
) -> Result<Option<Vec<T>>, FrameError> {
    let Ok(count) = input.try_get_u16_le().map(usize::from) else { return Ok(None) };
    within("objects in a frame", count, limits::OBJECTS_PER_FRAME_MAX)?;
    if input.len() < count * bytes {
        return Ok(None);
    }
    Ok((0..count).map(|_| take(input)).collect())
}
