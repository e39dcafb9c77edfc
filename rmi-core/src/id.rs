//! The names of things: nodes, objects, interfaces and methods.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! uuid_id {
    ($(#[$doc:meta])* $visibility:vis $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        $visibility struct $name(Uuid);

        impl $name {
            /// A fresh id from the operating system's random source.
            #[must_use]
            $visibility fn random() -> Self {
                Self(Uuid::new_v4())
            }

            /// The id with these 16 bytes, most significant first.
            #[must_use]
            $visibility const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }

            /// The 16 bytes of the id, most significant first.
            #[must_use]
            $visibility const fn to_bytes(self) -> [u8; 16] {
                self.0.into_bytes()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0.as_simple(), f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self)
            }
        }
    };
}

uuid_id! {
    /// One start of one process: a restarted process is another node.
    pub NodeId
}

uuid_id! {
    /// An exported object. Shape: 128 random bits (UUID version 4), so knowing the id is the right to call.
    pub ObjectId
}

uuid_id! {
    /// What one side of a connection keeps for the other. Knowing it is the right to continue the lease elsewhere.
    pub(crate) LeaseId
}

impl NodeId {
    /// Stands for whatever node answers, in references that were made from an endpoint and a well-known id.
    pub const UNKNOWN: Self = Self::from_bytes([0; 16]);
}

impl ObjectId {
    /// The registry's own object, the same on every node that serves one.
    pub const REGISTRY: Self = Self::from_bytes(*b"rmi-core.naming\0");
    /// The object through which a registry's semaphores are found, the same on every registry.
    pub const SEMAPHORES: Self = Self::from_bytes(*b"rmi-core.sync\0\0\0");
}

/// An interface on the wire: the hash of its name. Protocol §6.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InterfaceId(pub u32);

impl InterfaceId {
    /// The id of the interface called `name`.
    #[must_use]
    pub const fn of(name: &str) -> Self {
        Self(hash(name))
    }
}

impl fmt::Debug for InterfaceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

/// A method on the wire: its interface and the hash of its wire name. Protocol §6.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MethodId {
    /// The interface that declares the method.
    pub interface: InterfaceId,
    /// The hash of the method's wire name.
    pub method: u32,
}

impl MethodId {
    /// The id of method `method` of the interface called `interface`.
    #[must_use]
    pub const fn of(interface: &str, method: &str) -> Self {
        Self::named(InterfaceId::of(interface), method)
    }

    /// The id of method `method` of the interface with this id.
    #[must_use]
    pub const fn named(interface: InterfaceId, method: &str) -> Self {
        Self { interface, method: hash(method) }
    }
}

impl fmt::Debug for MethodId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}.{:08x}", self.interface.0, self.method)
    }
}

/// FNV-1a, 32 bits: computed by the compiler for every interface, and again by `#[remote]` to find collisions.
#[must_use]
pub(crate) const fn hash(name: &str) -> u32 {
    let bytes = name.as_bytes();
    let mut hash = 0x811c_9dc5_u32;
    let mut at = 0;
    while at < bytes.len() {
        hash = (hash ^ bytes[at] as u32).wrapping_mul(0x0100_0193);
        at += 1;
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hash_is_fnv_1a() {
        assert_eq!(hash(""), 0x811c_9dc5);
        assert_eq!(hash("a"), 0xe40c_292c);
        assert_eq!(hash("foobar"), 0xbf9c_f968);
    }

    #[test]
    fn ids_print_and_parse() {
        let id = ObjectId::random();
        assert_eq!(id.to_string().parse::<ObjectId>().unwrap(), id);
    }
}
