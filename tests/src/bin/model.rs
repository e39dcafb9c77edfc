//! Plays random runs of objects that live across nodes, each compared with a model: see `rmi_tests::model`.

use std::process::ExitCode;

use clap::Parser;
use rmi_tests::model;

/// Plays random runs of three nodes over a simulated network that fails, and checks that no object is dropped while it is held,
/// and every one when it is not. The first run that breaks this is printed, with the line that replays it.
#[derive(Parser)]
struct Options {
    /// How many runs.
    #[arg(long, default_value_t = 3000)]
    runs: u64,
    /// The seed of the first run; each one after it has the next number.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() -> ExitCode {
    let options = Options::parse();
    for seed in (0..options.runs).map(|run| options.seed.wrapping_add(run)) {
        if let Err(failure) = model::run(seed) {
            println!("{failure}\nreplay: cargo run --release -p rmi-tests --bin model -- --runs 1 --seed {seed}");
            return ExitCode::FAILURE;
        }
    }
    println!("{} runs held", options.runs);
    ExitCode::SUCCESS
}
