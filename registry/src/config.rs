//! Where things are by default, and how options are read.

use std::path::PathBuf;
use std::time::Duration;

use rmi_core::Endpoint;
use rmi_core::naming::default_endpoints;

/// Where the registry listens when nothing else is said.
#[must_use]
pub fn endpoints() -> Vec<Endpoint> {
    default_endpoints()
}

/// Where bindings are kept when nothing else is said: `rmi/registry.redb` under `$XDG_STATE_HOME`, or under
/// `~/.local/state`; `None` when neither is known.
#[must_use]
pub fn data() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let state = set("XDG_STATE_HOME").or_else(|| set("HOME").map(|home| home.join(".local/state")))?;
    Some(state.join("rmi/registry.redb"))
}

/// A number of seconds, which may have a fraction: `0.5`.
///
/// # Errors
/// Not a number, negative, or too large.
pub fn seconds(text: &str) -> Result<Duration, String> {
    let number: f64 = text.parse().map_err(|_| format!("{text:?} is not a number of seconds"))?;
    Duration::try_from_secs_f64(number).map_err(|error| format!("{text} seconds: {error}"))
}
