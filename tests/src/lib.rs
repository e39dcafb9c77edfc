//! What the tests of several packages need: randomness that can be replayed, channels that fail or are slow, a simulated
//! network, a network namespace and a broker, objects to call and to count, random runs of objects that live across nodes, and
//! attacks on shared memory.

mod again;
mod alone;
mod broker;
mod certificates;
mod delay;
mod echo;
mod exercise;
mod factory;
mod faults;
pub mod model;
mod namespace;
mod network;
mod pairs;
mod random;
mod renamed;
mod shapes;
pub mod shm;
mod tally;
mod way;
mod worker;

pub use again::run_again_over;
pub use alone::Alone;
pub use broker::Broker;
pub use certificates::{Authority, Issued};
pub use delay::Delay;
pub use echo::{Echo, Repeater};
pub use exercise::{Exercise, Gymnast};
pub use factory::{Factory, Product, Workshop};
pub use faults::{Faulty, Plan};
pub use namespace::Namespace;
pub use network::{Cut, Network};
pub use pairs::Pairs;
pub use random::Random;
pub use renamed::renamed;
pub use shapes::{Coloured, Shape};
pub use tally::{Answers, Slate, Tally};
pub use way::Way;
pub use worker::{Desk, Worker};
