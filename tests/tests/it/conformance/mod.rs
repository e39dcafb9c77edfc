//! What the suites of other remote-object systems check, through the public API. `docs/conformance.md` lists it.

mod agreement;
mod arguments;
mod cancellation;
mod collection;
mod connections;
mod errors;
mod handovers;
mod invocation;
mod membrane;
mod order;
mod pipelining;
mod probe;
mod references;
mod security;
mod shelf;
mod shutdown;
mod threads;
mod transports;

use std::sync::LazyLock;

use rmi_tests::Way;

/// The transport that the behaviours are tried over, where a test does not need one of its own.
static WAY: LazyLock<Way> = LazyLock::new(Way::from_environment);
