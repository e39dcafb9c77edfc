//! What the tests of several packages need: a source of randomness that can be replayed, channels that
//! fail, and a network that is simulated.

mod echo;
mod faults;
mod network;
mod random;
mod shapes;

pub use echo::{Echo, Repeater};
pub use faults::{Faulty, Plan};
pub use network::{Cut, Network};
pub use random::Random;
pub use shapes::{Coloured, Shape};
