//! A work queue: several processes under one name, one of them killed, and every job gets done.
//!
//! The program starts itself three times more as workers. Each enlists under `workers`; the queue looks that name up and
//! has one proxy for all of them.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use rmi_core::naming::Balance;
use rmi_core::{Node, Proxy, Registry, RemoteError, remote};
use rmi_examples::process::{self, Outcome, Process};
use rmi_registry::{Running, store::Memory};
use tokio::task::JoinSet;

const WORKERS: usize = 3;
const JOBS: u64 = 90;
/// How many jobs are out at a time.
const OUT: usize = 9;

#[remote]
trait Worker {
    /// The square of a number, and the process that found it. Idempotent, so that a job whose worker dies in the middle of
    /// it goes to another one. Without the mark such a call would fail with `Maybe`, and only jobs that certainly did not
    /// run would move on.
    #[remote(idempotent)]
    async fn square(&self, number: u64) -> Result<(u64, u32), RemoteError>;
}

struct Slow;

#[remote]
impl Worker for Slow {
    async fn square(&self, number: u64) -> Result<(u64, u32), RemoteError> {
        tokio::time::sleep(Duration::from_millis(10)).await;
        Ok((number * number, std::process::id()))
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    process::report(match std::env::args().nth(1) {
        None => queue().await,
        Some(registry) => process::child(worker(&registry)).await,
    })
}

/// A member of the group: a node that listens, and an object that is enlisted.
async fn worker(registry: &str) -> Outcome {
    let node = Node::builder().listen("tcp://127.0.0.1:0").start().await?;
    let names = Registry::connect(&node, registry).await?;
    println!("{}", names.enlist("workers", &Proxy::<dyn Worker>::new(Slow)).await?);
    std::future::pending().await
}

async fn queue() -> Outcome {
    let registry = Running::start(&["tcp://127.0.0.1:0".parse()?], Memory).await?;
    let endpoint = registry.endpoints().first().ok_or("the registry listens nowhere")?.to_string();
    let mut workers = Vec::new();
    for _ in 0..WORKERS {
        let worker = Process::start(&[&endpoint]).await?;
        println!("process {} is {}", worker.id(), worker.line);
        workers.push(worker);
    }
    let node = Node::builder().start().await?;
    let names = Registry::connect(&node, endpoint).await?;
    let group: Proxy<dyn Worker> = names.group("workers", Balance::LeastInFlight).await?;
    let done = run(&group, workers.pop().ok_or("there are no workers")?).await?;
    for (process, jobs) in &done {
        println!("process {process} did {jobs} jobs");
    }
    registry.shutdown().await;
    println!("{} of {JOBS} jobs are done, and 1 of {WORKERS} workers was killed", done.values().sum::<usize>());
    Ok(())
}

/// Gives out every job, kills a worker after a third of them, and counts what each process did.
async fn run(group: &Proxy<dyn Worker>, doomed: Process) -> Outcome<BTreeMap<u32, usize>> {
    let (mut out, mut done, mut doomed) = (JoinSet::new(), BTreeMap::new(), Some(doomed));
    for number in 0..JOBS {
        let group = group.clone();
        out.spawn(async move { (number, group.square(number).await) });
        if out.len() == OUT {
            take(&mut out, &mut done).await?;
        }
        if number == JOBS / 3
            && let Some(doomed) = doomed.take()
        {
            println!("kill -9 {}", doomed.id());
            doomed.kill().await?;
        }
    }
    while !out.is_empty() {
        take(&mut out, &mut done).await?;
    }
    Ok(done)
}

type Squared = (u64, Result<(u64, u32), RemoteError>);

/// Waits for a job and checks its result.
async fn take(out: &mut JoinSet<Squared>, done: &mut BTreeMap<u32, usize>) -> Outcome {
    let Some(ended) = out.join_next().await else { return Ok(()) };
    let (number, outcome) = ended?;
    let (square, process) = outcome?;
    if square != number * number {
        return Err(format!("the square of {number} is not {square}").into());
    }
    *done.entry(process).or_default() += 1;
    Ok(())
}
