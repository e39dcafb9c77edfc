//! The registry through its public API, its processes and its command line.

mod certificates;
mod command;
mod discovery;
mod durability;
mod groups;
mod holding;
mod naming;
mod process;
mod semaphores;
mod sizes;
mod state;
mod transports;
mod watching;

use std::sync::LazyLock;
use std::time::Duration;

use rmi_tests::Way;

/// The transport that names and groups are tried over.
static WAY: LazyLock<Way> = LazyLock::new(Way::from_environment);
/// The lease of a registry that is told nothing.
const LEASE: Duration = Duration::from_secs(60);
