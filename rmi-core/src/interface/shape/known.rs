//! Names for types that read themselves from a text and have no name in serde.

use std::any::type_name;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::path::PathBuf;

use uuid::Uuid;

/// Returns the name of the type that the compiler of this program calls `rust`, if it is one of these.
pub(super) fn name(rust: &str) -> Option<&'static str> {
    let known: [(&str, &'static str); 8] = [
        (type_name::<Uuid>(), "uuid"),
        (type_name::<IpAddr>(), "ip"),
        (type_name::<Ipv4Addr>(), "ipv4"),
        (type_name::<Ipv6Addr>(), "ipv6"),
        (type_name::<SocketAddr>(), "socket"),
        (type_name::<SocketAddrV4>(), "socketv4"),
        (type_name::<SocketAddrV6>(), "socketv6"),
        (type_name::<PathBuf>(), "path"),
    ];
    known.into_iter().find(|(known, _)| *known == rust).map(|(_, name)| name)
}
