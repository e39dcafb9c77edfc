//! Measures the framework beside other ways of asking another process, in one run.

mod child;
mod contender;
mod cpu;
mod load;
mod options;
mod report;

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::process::ExitCode;

use clap::Parser;

use child::Child;
use contender::Transport;
use load::{Figures, Workload};
use options::{Command, Measure, Options};
use report::Row;

/// Where a child of `exec` serves.
const PARENT: &str = "parent";

type Error = Box<dyn std::error::Error + Send + Sync>;
type Result<T, E = Error> = std::result::Result<T, E>;

fn main() -> ExitCode {
    let options = Options::parse();
    let result = match &options.command {
        Some(Command::Serve(serve)) if serve.at == PARENT => {
            runtime(serve.workers).and_then(|runtime| runtime.block_on(contender::serve_parent(serve.peer)))
        }
        Some(Command::Serve(serve)) => {
            child::end_with_parent();
            runtime(serve.workers).and_then(|runtime| runtime.block_on(contender::serve(serve.peer, &serve.at)))
        }
        None => compare(&options.measure),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("compare: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The runtime of either process: so many worker threads, or the calling thread alone.
fn runtime(workers: usize) -> Result<tokio::runtime::Runtime> {
    let mut builder = match workers {
        0 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    if workers > 0 {
        builder.worker_threads(workers);
    }
    Ok(builder.enable_all().build()?)
}

fn compare(measure: &Measure) -> Result<()> {
    let rows = measure_all(measure)?;
    if measure.json {
        rows.iter().for_each(|row| println!("{}", report::json(row)));
    } else {
        print!("{}", report::table(&rows));
        report::ratios(&rows).iter().for_each(|line| println!("{line}"));
    }
    Ok(())
}

/// Every round measures everything once, one contender right after the other, so that a slow moment of the machine hits
/// all of them. A row is the median of its rounds.
fn measure_all(measure: &Measure) -> Result<Vec<Row>> {
    let mut rows: Vec<Row> = Vec::new();
    for round in 1..=measure.rounds() {
        for (transport, workload) in measure.points() {
            for &peer in measure.only.iter().filter(|peer| peer.has(workload)) {
                eprintln!("round {round}: {workload} over {transport}, {peer}");
                let figures = measure_one(measure, peer, transport, workload)?;
                let same = |row: &&mut Row| (row.peer, row.transport, row.workload) == (peer, transport, workload);
                match rows.iter_mut().find(same) {
                    Some(row) => row.rounds.push(figures),
                    None => rows.push(Row { peer, transport, workload, rounds: vec![figures] }),
                }
            }
        }
    }
    Ok(rows)
}

fn measure_one(measure: &Measure, peer: contender::Peer, transport: Transport, workload: Workload) -> Result<Figures> {
    let place = tempfile::Builder::new().permissions(Permissions::from_mode(0o700)).tempdir()?;
    // A fresh runtime for each measurement: no connection of an earlier one is left to be polled.
    let (runtime, time) = (runtime(measure.workers)?, measure.time());
    let (name, workers) = (peer.to_string(), measure.workers.to_string());
    if transport == Transport::Exec {
        let mut program = tokio::process::Command::new(std::env::current_exe()?);
        program.args(["serve", &name, PARENT, "--workers", &workers]);
        return runtime.block_on(contender::measure_child(peer, program, workload, time));
    }
    let way = transport.way(place.path());
    let endpoint = transport.endpoint(&way);
    let arguments = ["serve", &name, &endpoint, "--workers", &workers].map(str::to_owned);
    let child = Child::start(&format!("{peer} at {endpoint}"), &arguments, &way.environment())?;
    let plan = load::Plan { workload, time, child: child.id() };
    runtime.block_on(contender::measure(peer, &way, child.address(), plan))
}
