//! What the tests of several packages need: a source of randomness that can be replayed, channels that
//! fail, a network that is simulated, and random runs of objects that live across nodes.

mod echo;
mod faults;
pub mod model;
mod network;
mod random;
mod shapes;

pub use echo::{Echo, Repeater};
pub use faults::{Faulty, Plan};
pub use network::{Cut, Network};
pub use random::Random;
pub use shapes::{Coloured, Shape};
