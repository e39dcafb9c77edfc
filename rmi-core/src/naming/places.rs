//! Where registries are found when nothing else is said. The registry listens there, too.

use std::path::PathBuf;

use crate::endpoint::Endpoint;

/// The environment variable that names the registry's endpoint.
pub const REGISTRY_VARIABLE: &str = "RMI_REGISTRY";

/// The directory for this user's sockets: `$XDG_RUNTIME_DIR`, if it is set.
#[must_use]
pub fn runtime_directory() -> Option<PathBuf> {
    std::env::var_os("XDG_RUNTIME_DIR").filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// Where a registry listens by default, the faster place first: a Unix socket under `$XDG_RUNTIME_DIR`, if that is set,
/// and `tcp://127.0.0.1:1099`.
#[must_use]
pub fn default_endpoints() -> Vec<Endpoint> {
    let socket = runtime_directory().map(|directory| format!("unix:{}", directory.join("rmi-registry.sock").display()));
    let texts = socket.into_iter().chain(std::iter::once("tcp://127.0.0.1:1099".to_owned()));
    // A directory whose name is too long for a socket is left out.
    texts.filter_map(|text| text.parse().ok()).collect()
}
