//! What `#[remote]` makes of traits, through the public API.

mod calls;
mod collection;
mod streaming;
mod ui;
