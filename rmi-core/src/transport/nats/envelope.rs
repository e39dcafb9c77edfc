//! What a message over the broker looks like.
//!
//! ```text
//! version u8 = 1 | kind u8 | number u64 | received u64 | taken u64 | bytes      (little-endian)
//! ```

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// The layout; a peer with another one cannot be understood.
const VERSION: u8 = 1;

/// What a message takes beside its bytes.
pub(super) const HEAD_BYTES: usize = 26;

/// What a message is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Asks for a channel; its reply subject is the inbox of who asks.
    Open,
    /// Gives one; its reply subject is the inbox of who gives.
    Answer,
    /// A piece of the stream; one without bytes is its end.
    Piece,
    /// A sign of life, and news of what has arrived.
    Sign,
    /// The sender is no more.
    Gone,
}

/// A message between the two sides of a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Envelope {
    pub(super) kind: Kind,
    /// Of a piece: how many came before it.
    pub(super) number: u64,
    /// How many pieces of the other side have arrived here, in order.
    pub(super) received: u64,
    /// How many of them were read: what the other side may send depends on it.
    pub(super) taken: u64,
    pub(super) bytes: Bytes,
}

/// Why a message is none of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Malformed {
    #[error("a message of {0} bytes is shorter than its head of {HEAD_BYTES}")]
    Short(usize),
    #[error("a message of version {0} where {VERSION} is known")]
    Version(u8),
    #[error("a message of the unknown kind {0}")]
    Kind(u8),
}

impl Envelope {
    /// A message without a piece.
    pub(super) fn bare(kind: Kind) -> Self {
        Self { kind, number: 0, received: 0, taken: 0, bytes: Bytes::new() }
    }

    pub(super) fn encode(&self) -> Bytes {
        let mut message = BytesMut::with_capacity(HEAD_BYTES + self.bytes.len());
        message.put_u8(VERSION);
        message.put_u8(self.kind.code());
        message.put_u64_le(self.number);
        message.put_u64_le(self.received);
        message.put_u64_le(self.taken);
        message.put_slice(&self.bytes);
        message.freeze()
    }

    pub(super) fn decode(mut message: Bytes) -> Result<Self, Malformed> {
        if message.len() < HEAD_BYTES {
            return Err(Malformed::Short(message.len()));
        }
        let version = message.get_u8();
        if version != VERSION {
            return Err(Malformed::Version(version));
        }
        let kind = Kind::of(message.get_u8())?;
        let (number, received, taken) = (message.get_u64_le(), message.get_u64_le(), message.get_u64_le());
        Ok(Self { kind, number, received, taken, bytes: message })
    }
}

impl Kind {
    fn code(self) -> u8 {
        match self {
            Self::Open => 1,
            Self::Answer => 2,
            Self::Piece => 3,
            Self::Sign => 4,
            Self::Gone => 5,
        }
    }

    fn of(code: u8) -> Result<Self, Malformed> {
        match code {
            1 => Ok(Self::Open),
            2 => Ok(Self::Answer),
            3 => Ok(Self::Piece),
            4 => Ok(Self::Sign),
            5 => Ok(Self::Gone),
            other => Err(Malformed::Kind(other)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_envelope_is_read_as_it_was_written() {
        for kind in [Kind::Open, Kind::Answer, Kind::Piece, Kind::Sign, Kind::Gone] {
            let sent = Envelope { kind, number: 7, received: u64::MAX, taken: 1, bytes: Bytes::from_static(b"piece") };
            assert_eq!(Envelope::decode(sent.encode()).unwrap(), sent);
        }
    }

    #[test]
    fn the_message_on_the_page_is_what_it_says() {
        let bytes = Bytes::from_static(&[9, 0, 0, 0, 7]);
        let piece = Envelope { kind: Kind::Piece, number: 5, received: 9, taken: 8, bytes };
        let message = crate::tests::example("message over a broker");
        assert_eq!(piece.encode(), message);
        assert_eq!(Envelope::decode(message), Ok(piece));
    }

    #[test]
    fn what_is_no_envelope_is_refused_with_its_reason() {
        let good = Envelope::bare(Kind::Sign).encode();
        for length in 0..HEAD_BYTES {
            assert_eq!(Envelope::decode(good.slice(..length)), Err(Malformed::Short(length)));
        }
        let changed = |at: usize, to: u8| {
            let mut bytes = good.to_vec();
            bytes[at] = to;
            Envelope::decode(bytes.into())
        };
        assert_eq!(changed(0, 2), Err(Malformed::Version(2)));
        assert_eq!(changed(1, 0), Err(Malformed::Kind(0)));
        assert_eq!(changed(1, 6), Err(Malformed::Kind(6)));
    }
}
