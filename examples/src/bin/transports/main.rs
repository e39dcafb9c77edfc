//! One and the same bank over every transport, in processes of their own: what each proves about the caller, and what a call
//! costs.
//!
//! `cargo run --release --bin transports` prints a table; `-- --only unix,shm --seconds 3` less of it, for longer. The figures
//! compare transports on one machine in one run; they say nothing about another machine.

mod counter;
mod measure;
mod ways;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use rmi_core::Proxy;
use rmi_examples::process::{Outcome, Process, child, report};
use tokio::process::Command;

use counter::{Clerk, Counter};
use measure::{Figures, measure};
use ways::Way;

#[derive(Parser)]
struct Options {
    #[command(subcommand)]
    role: Option<Role>,
    /// These transports
    #[arg(long, value_delimiter = ',', value_enum)]
    only: Vec<Way>,
    /// How long each figure is measured
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
}

#[derive(Subcommand)]
enum Role {
    /// Keeps the bank, for the process that started this one
    #[command(hide = true)]
    Keep { way: Way, directory: PathBuf },
}

fn main() -> ExitCode {
    let options = Options::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    report(runtime.map_err(Into::into).and_then(|runtime| {
        runtime.block_on(async {
            match options.role {
                // Its input is the way to its parent.
                Some(Role::Keep { way: Way::Exec, directory }) => keep(Way::Exec, &directory).await,
                Some(Role::Keep { way, directory }) => child(keep(way, &directory)).await,
                None => compare(&options.only, Duration::from_secs_f64(options.seconds)).await,
            }
        })
    }))
}

async fn keep(way: Way, directory: &Path) -> Outcome {
    let counter = Proxy::<dyn Counter>::new(Clerk::default());
    if way == Way::Exec {
        let node = way.host(directory)?.serve_parent(&counter).start().await?;
        node.parent_gone().await;
        return Ok(());
    }
    let node = way.host(directory)?.start().await?;
    println!("{}", node.export(&counter)?);
    std::future::pending().await
}

async fn compare(only: &[Way], time: Duration) -> Outcome {
    let all: Vec<Way> = clap::ValueEnum::value_variants().to_vec();
    let ways = if only.is_empty() { &all } else { only };
    println!("{:<8} {:>9} {:>12} {:>9}   proven about the caller", "", "L1 p50", "T64", "B1M");
    for &way in ways {
        let directory = tempfile::tempdir()?;
        let (figures, proven) = over(way, directory.path(), time).await.map_err(|error| format!("{way}: {error}"))?;
        let Figures { p50_us, calls_per_s, mb_per_s } = figures;
        let way = way.to_string();
        println!("{way:<8} {p50_us:>6.1} µs {calls_per_s:>10.0}/s {mb_per_s:>5.0} MB/s   {proven}");
    }
    Ok(())
}

async fn over(way: Way, directory: &Path, time: Duration) -> Outcome<(Figures, String)> {
    let _beside = way.prepare(directory).await?;
    let caller = way.caller(directory)?.start().await?;
    let arguments = ["keep", &way.to_string(), &directory.display().to_string()];
    if way == Way::Exec {
        let mut program = Command::new(std::env::current_exe()?);
        program.args(arguments);
        let keeper = caller.spawn::<dyn Counter>(program).await?;
        let result = ask(keeper.proxy(), time).await?;
        keeper.end().await?;
        return Ok(result);
    }
    let keeper = Process::start(&arguments).await?;
    let result = ask(&caller.proxy(&keeper.line.parse()?)?, time).await?;
    caller.shutdown().await;
    keeper.end().await?;
    Ok(result)
}

async fn ask(counter: &Proxy<dyn Counter>, time: Duration) -> Outcome<(Figures, String)> {
    Ok((measure(counter, time).await?, counter.who().await?))
}
