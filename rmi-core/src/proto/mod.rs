//! The protocol between two nodes as a value, without I/O.
//!
//! A [`Session`] is told what happens and says what to do. Its methods come in four groups:
//!
//! - **the application speaks**: [`call`](Session::call), [`cancel`](Session::cancel), [`reply`](Session::reply),
//!   [`release`](Session::release), [`claim`](Session::claim), [`go_away`](Session::go_away),
//!   [`goodbye`](Session::goodbye);
//! - **something came in**: [`handle_bytes`](Session::handle_bytes), [`handle_timeout`](Session::handle_timeout),
//!   [`handle_lost`](Session::handle_lost), [`handle_datagram`](Session::handle_datagram),
//!   [`handle_aside`](Session::handle_aside);
//! - **what is to go out**: [`poll_transmit`](Session::poll_transmit), then [`written`](Session::written);
//!   [`poll_datagrams`](Session::poll_datagrams); [`poll_aside`](Session::poll_aside), then
//!   [`aside_taken`](Session::aside_taken);
//! - **what to wait for**: [`poll_timeout`](Session::poll_timeout), [`poll_outcome`](Session::poll_outcome) and
//!   [`take_after`](Session::take_after), which is asked after every other call.
//!
//! ```text
//!              hello of the peer                    goodbye, violation, loss
//!   Opening ───────────────────────▶ Open ───────────────────────────────────▶ Closed
//!      └──────────────── timeout, bad hello, dial failed ─────────────────────────▲
//! ```
//!
//! Time is an argument. Nothing here waits, and nothing here panics on what a peer sends: a peer that breaks a rule gets
//! a goodbye that says which.

mod after;
mod answering;
mod asides;
mod asked;
mod closing;
mod holding;
mod incoming;
mod liveness;
mod outbox;
mod promises;
mod replies;
mod session;
mod size;
mod unreliable;
mod violation;
mod window;

#[cfg(test)]
mod promise_tests;
#[cfg(test)]
mod tests;

pub(crate) use after::{After, Cargo};
pub(crate) use answering::IncomingCall;
pub(crate) use asides::{Arriving, Aside};
pub(crate) use asked::{CallKey, OutgoingCall, RawOutcome, RawReply};
pub(crate) use session::{Event, Session, Settings};

/// The codes of a goodbye. Protocol §7.
pub(crate) mod code {
    /// The node is done.
    pub(crate) const DONE: u16 = 0;
    /// The peer broke the protocol.
    pub(crate) const PROTOCOL: u16 = 1;
    /// The two sides have no version in common.
    pub(crate) const VERSION: u16 = 2;
    /// The peer may not connect.
    pub(crate) const DENIED: u16 = 3;
    /// The peer was silent, or did not read, for too long.
    pub(crate) const TIMEOUT: u16 = 4;
    /// There is a better connection between the two nodes.
    pub(crate) const DUPLICATE: u16 = 5;
    /// There are too many connections.
    pub(crate) const FULL: u16 = 6;
}
