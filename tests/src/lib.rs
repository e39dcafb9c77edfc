//! What the tests of several packages need: a source of randomness that can be replayed, and channels that fail.

mod echo;
mod faults;
mod random;
mod shapes;

pub use echo::{Echo, Repeater};
pub use faults::{Faulty, Plan};
pub use random::Random;
pub use shapes::{Coloured, Shape};
