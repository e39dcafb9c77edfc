//! What `#[remote]` makes of traits, and what is built on it, through the public API.

mod calls;
mod collection;
#[path = "../../../tests/src/renamed.rs"]
#[expect(unreachable_pub, reason = "it is public where other packages use it")]
mod renamed;
mod rings;
mod streaming;
mod sync;
mod ui;
