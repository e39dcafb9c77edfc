//! Random runs of three real nodes over a simulated network, compared step by step with a model that knows who holds what:
//! an object is never dropped while it is held, and always when it is not.
//!
//! A run is a list of steps drawn from its seed. The model is what the hosts keep on their desks, each hold with the links that
//! its promise depends on; where nothing is promised it says nothing.

mod desk;
mod links;
mod step;
mod world;

use std::fmt;
use std::time::Duration;

use crate::{Network, Random};
use step::Drawn;
use world::World;

/// How many hosts a run has.
const HOSTS: usize = 3;
/// How long nodes keep objects for a peer that is silent.
const LEASE: Duration = Duration::from_secs(20);

/// A run that broke a promise.
#[derive(Debug)]
pub struct Failure {
    /// The seed that replays it.
    pub seed: u64,
    /// What went wrong.
    pub text: String,
    steps: Vec<Drawn>,
    /// How many steps were taken.
    taken: usize,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}: {}", self.seed, self.text)?;
        for (number, drawn) in self.steps.iter().take(self.taken).enumerate() {
            writeln!(f, "  {number:>3}  {drawn}")?;
        }
        let when = if self.taken < self.steps.len() { "" } else { " (the run was over, and everything let go)" };
        write!(f, "       {}{when}", self.text)
    }
}

impl std::error::Error for Failure {}

/// What was compared in a run: a run in which nothing is held shows nothing.
#[derive(Debug, Default, Clone, Copy)]
pub struct Tally {
    /// How often an object had to live because somebody held it, and did.
    pub held: u64,
    /// How many objects had to be dropped because nobody held them any more, and were.
    pub let_go: u64,
}

/// Plays the run of `seed`.
///
/// # Errors
/// A promise was broken; the error prints the steps that led there.
pub fn run(seed: u64) -> Result<Tally, Box<Failure>> {
    let random = Random::new(seed);
    let steps = step::draw(&random);
    let mut taken = 0;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(play(Network::new(random.number()), &steps, &mut taken)),
        Err(error) => Err(error.to_string()),
    };
    result.map_err(|text| Box::new(Failure { seed, text, steps, taken }))
}

async fn play(network: Network, steps: &[Drawn], taken: &mut usize) -> Result<Tally, String> {
    let mut world = World::new(network).await?;
    for drawn in steps {
        *taken += 1;
        world.take(drawn).await?;
    }
    world.end().await
}
