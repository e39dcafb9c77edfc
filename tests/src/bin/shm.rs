//! Shared memory under attack, at length: see `rmi_tests::shm`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use rmi_tests::shm;

/// Plays what shared memory must survive, with peers in processes of their own.
#[derive(Parser)]
struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Hostile processes rewrite every shared word while an honest one calls.
    Attack {
        /// For how long.
        #[arg(long, default_value_t = 60)]
        seconds: u64,
    },
    /// Producers are killed at random moments.
    Kills {
        /// How many.
        #[arg(long, default_value_t = 1000)]
        count: u64,
        /// What the moments follow from.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// The hostile peer.
    #[command(hide = true)]
    Hostile { path: PathBuf },
    /// The honest peer.
    #[command(hide = true)]
    Caller { reference: String },
    /// The producer.
    #[command(hide = true)]
    Writer { endpoint: String, seed: u64 },
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Options::parse().command).await {
        Ok(said) => {
            println!("{said}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("shm: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> shm::Result<String> {
    let program = std::env::current_exe()?;
    match command {
        Command::Attack { seconds } => shm::attack(&program, Duration::from_secs(seconds)).await,
        Command::Kills { count, seed } => shm::kills(&program, count, seed).await,
        Command::Hostile { path } => {
            tokio::task::spawn_blocking(move || shm::rewrite_everything(&path)).await?.map(|()| String::new())
        }
        Command::Caller { reference } => shm::call_until_input_ends(&reference).await.map(|()| String::new()),
        Command::Writer { endpoint, seed } => shm::write_without_end(&endpoint, seed).await.map(|()| String::new()),
    }
}
