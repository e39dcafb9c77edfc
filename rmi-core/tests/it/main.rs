//! What `#[remote]` makes of traits, and what is built on it, through the public API.

mod calls;
mod collection;
mod rings;
mod streaming;
mod sync;
mod ui;
