//! What is known about the other side of a connection.

use std::fmt;
use std::str::FromStr;

use crate::id::NodeId;

/// What the transport has *proven* about the peer. What the peer says about itself is not in here.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Identity {
    /// Nothing: anybody who can reach the socket.
    #[default]
    Unproven,
    /// This very process.
    SameProcess,
    /// The kernel's word about a process on this machine: who connected (`SO_PEERCRED`), which process was started, or, of pipes
    /// and queues, as whom a process must run to have them.
    Process {
        /// The user id the peer ran as when it connected.
        uid: u32,
        /// The group id the peer ran as when it connected.
        gid: u32,
        /// The process id when it connected; it may have been given to another process since. `None` where nothing proves it.
        pid: Option<i32>,
    },
    /// A certificate that an authority of our choice has signed, or a key that we knew, and proof that the peer has the
    /// private key to it.
    Certificate {
        /// The names that the certificate is for.
        names: Vec<String>,
        /// Its public key.
        key: Fingerprint,
    },
}

/// The SHA-256 digest of a public key (`SubjectPublicKeyInfo`, RFC 5280 §4.1); prints as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint(pub [u8; 32]);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for Fingerprint {
    type Err = FingerprintError;

    fn from_str(text: &str) -> Result<Self, FingerprintError> {
        let wrong = || FingerprintError(text.to_owned());
        let mut digest = [0; 32];
        if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(wrong());
        }
        for (byte, digits) in digest.iter_mut().zip(text.as_bytes().chunks(2)) {
            let digits = std::str::from_utf8(digits).map_err(|_| wrong())?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| wrong())?;
        }
        Ok(Self(digest))
    }
}

/// A text that is not a fingerprint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a fingerprint of 64 hexadecimal digits")]
pub struct FingerprintError(String);

impl Identity {
    /// Whether the two are proven to be the same user, or nothing is proven about either.
    pub(crate) fn is_same_principal(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Process { uid, .. }, Self::Process { uid: other, .. }) => uid == other,
            // The same key under another certificate is the same principal.
            (Self::Certificate { key, .. }, Self::Certificate { key: other, .. }) => key == other,
            _ => self == other,
        }
    }

    /// Whether the operating system says at once that the peer is gone: a connection that is lost then means a process
    /// that is gone, not a network in between that fails.
    pub(crate) fn is_local(&self) -> bool {
        matches!(self, Self::SameProcess | Self::Process { .. })
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unproven => f.write_str("unproven"),
            Self::SameProcess => f.write_str("this process"),
            Self::Process { uid, gid, pid: Some(pid) } => write!(f, "uid {uid}, gid {gid}, pid {pid}"),
            Self::Process { uid, gid, pid: None } => write!(f, "uid {uid}, gid {gid}"),
            Self::Certificate { names, key } => write!(f, "{}, key {key}", names.join(", ")),
        }
    }
}

/// The peer of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Peer {
    /// The node id the peer gave in its hello. It is a claim, not a proof.
    pub node: NodeId,
    /// The connection: a number that no other connection of this process has.
    pub connection: u64,
    /// What the transport has proven.
    pub identity: Identity,
    /// Where the connection goes to or came from, in the transport's words, for people.
    pub address: String,
}

#[cfg(test)]
mod tests {
    use super::Fingerprint;

    #[test]
    fn a_fingerprint_prints_and_parses() {
        let mut digest = [7; 32];
        digest[0] = 0xfe;
        let text = Fingerprint(digest).to_string();
        assert!(text.starts_with("fe07"));
        assert_eq!(text.parse(), Ok(Fingerprint(digest)));
        for wrong in ["", "fe", &"g".repeat(64), &"é".repeat(32), &"0".repeat(65)] {
            assert!(wrong.parse::<Fingerprint>().is_err(), "{wrong}");
        }
    }
}
