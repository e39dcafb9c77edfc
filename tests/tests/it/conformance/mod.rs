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
