//! What the tests of several packages need: a source of randomness that can be replayed, and channels that fail.

mod echo;
mod faults;
mod random;

pub use echo::{Echo, Repeater};
pub use faults::{Faulty, Plan};
pub use random::Random;
