//! The first frame of each side, and what follows from the two. Protocol §2.

use std::fmt;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::endpoint::Endpoint;
use crate::id::{LeaseId, NodeId};
use crate::limits;
use crate::wire::FrameError;
use crate::wire::frame::take_16;
use crate::wire::reference::{put_texts, take_endpoints};

/// The oldest and the newest version of the protocol that this build speaks.
pub(crate) const VERSIONS: (u16, u16) = (2, 2);

const MAGIC: [u8; 4] = *b"rmio";

/// What a node says about itself before anything else.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Hello {
    pub(crate) versions: (u16, u16),
    /// Bits for abilities that later versions add; unknown bits are ignored.
    pub(crate) features: u32,
    pub(crate) node: NodeId,
    pub(crate) endpoints: Vec<Endpoint>,
    pub(crate) accepts: Accepts,
    pub(crate) lease: LeaseOffer,
}

/// What a node keeps for its peer: under which id, and how long without a renewal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LeaseOffer {
    pub(crate) id: LeaseId,
    pub(crate) millis: u32,
}

/// What a node is ready to receive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Accepts {
    pub(crate) frame_bytes: u32,
    pub(crate) body_bytes: u32,
    pub(crate) window_bytes: u64,
    pub(crate) calls: u32,
    /// The references of one body.
    pub(crate) references: u32,
}

impl Hello {
    pub(super) fn encode(&self, out: &mut BytesMut) {
        out.put_slice(&MAGIC);
        out.put_u16_le(self.versions.0);
        out.put_u16_le(self.versions.1);
        out.put_u32_le(self.features);
        out.put_slice(&self.node.to_bytes());
        out.put_u32_le(self.accepts.frame_bytes);
        out.put_u32_le(self.accepts.body_bytes);
        out.put_u64_le(self.accepts.window_bytes);
        out.put_u32_le(self.accepts.calls);
        out.put_slice(&self.lease.id.to_bytes());
        out.put_u32_le(self.lease.millis);
        put_texts(self.endpoints.iter().map(Endpoint::as_str), out);
        out.put_u32_le(self.accepts.references);
    }

    /// A hello of other versions is not read any further: its fields may be others. What follows the known fields belongs
    /// to later versions and is not looked at.
    pub(super) fn decode(mut input: Bytes) -> Result<Self, FrameError> {
        let short = FrameError::Truncated("hello");
        let magic = *input.first_chunk::<4>().ok_or_else(|| short.clone())?;
        if magic != MAGIC {
            return Err(FrameError::NotOurs(magic));
        }
        input.advance(4);
        let versions = take_versions(&mut input).ok_or_else(|| short.clone())?;
        if agree(VERSIONS, versions).is_none() {
            return Err(FrameError::OtherVersions { theirs: Versions(versions), ours: Versions(VERSIONS) });
        }
        let mut hello = Self::decode_fixed(versions, &mut input).ok_or(short)?;
        hello.endpoints = take_endpoints(&mut input)?;
        // Who does not say takes what every node must take.
        if let Ok(references) = input.try_get_u32_le() {
            hello.accepts.references = references;
        }
        Ok(hello)
    }

    fn decode_fixed(versions: (u16, u16), input: &mut Bytes) -> Option<Self> {
        Some(Self {
            versions,
            features: input.try_get_u32_le().ok()?,
            node: NodeId::from_bytes(take_16(input)?),
            accepts: Accepts {
                frame_bytes: input.try_get_u32_le().ok()?,
                body_bytes: input.try_get_u32_le().ok()?,
                window_bytes: input.try_get_u64_le().ok()?,
                calls: input.try_get_u32_le().ok()?,
                references: u32::try_from(limits::REFERENCES_PER_FRAME_MAX).unwrap_or(u32::MAX),
            },
            lease: LeaseOffer { id: LeaseId::from_bytes(take_16(input)?), millis: input.try_get_u32_le().ok()? },
            endpoints: Vec::new(),
        })
    }
}

fn take_versions(input: &mut Bytes) -> Option<(u16, u16)> {
    Some((input.try_get_u16_le().ok()?, input.try_get_u16_le().ok()?))
}

/// The versions that a side speaks, as text: `version 2`, `versions 2 to 4`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Versions((u16, u16));

impl fmt::Display for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            (oldest, newest) if oldest == newest => write!(f, "version {oldest}"),
            (oldest, newest) => write!(f, "versions {oldest} to {newest}"),
        }
    }
}

/// The newest version that both sides speak.
fn agree(ours: (u16, u16), theirs: (u16, u16)) -> Option<u16> {
    let newest = ours.1.min(theirs.1);
    (newest >= ours.0 && newest >= theirs.0).then_some(newest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_common_version_is_agreed() {
        assert_eq!(agree((1, 1), (1, 3)), Some(1));
        assert_eq!(agree((1, 4), (2, 3)), Some(3));
        assert_eq!(agree((1, 2), (3, 4)), None);
        assert_eq!(agree((3, 4), (1, 2)), None);
    }
}
