//! A semaphore with two permits and three workers, each a process: one that holds a permit is killed, and the next gets it.
//!
//! The program starts itself as the registry, which hosts the semaphore, and as the workers.

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use rmi_core::sync::Semaphore;
use rmi_core::{CallOptions, Node, Proxy, Registry};
use rmi_examples::process::{self, Outcome, Process};

/// Shows what becomes of a permit whose holder is killed.
#[derive(Parser)]
struct Options {
    #[command(subcommand)]
    role: Option<Role>,
}

#[derive(Subcommand)]
enum Role {
    /// The registry; started by the example
    #[command(hide = true)]
    Registry(rmi_registry::process::Options),
    /// A worker; started by the example
    #[command(hide = true)]
    Worker { registry: String },
}

#[tokio::main]
async fn main() -> ExitCode {
    process::report(match Options::parse().role {
        None => show().await,
        Some(role) => process::child(play(role)).await,
    })
}

async fn play(role: Role) -> Outcome {
    match role {
        Role::Registry(options) => rmi_registry::process::run(options).await,
        Role::Worker { registry } => work(&registry).await,
    }
}

async fn semaphore(node: &Node, registry: &str) -> Outcome<Proxy<dyn Semaphore>> {
    Ok(Registry::connect(node, registry).await?.semaphore("machines", 2).await?)
}

/// What a worker is: it works while it has a permit, and shows its token to what it works on.
async fn work(registry: &str) -> Outcome {
    let node = Node::builder().start().await?;
    let patient = semaphore(&node, registry).await?.with(CallOptions::new().timeout(Duration::from_secs(60)));
    let grant = patient.acquire(1).await?;
    println!("{}", grant.token);
    // The permit is held as long as the grant is.
    std::future::pending().await
}

async fn worker(registry: &str) -> Outcome<(Process, u64)> {
    let process = Process::start(&["worker", registry]).await?;
    let token = process.line.parse()?;
    Ok((process, token))
}

async fn show() -> Outcome {
    let place = process::unix_endpoint();
    let registry = Process::start(&["registry", "--memory", "--listen", &place]).await?;
    let shown = show_with(&place).await;
    registry.end().await?;
    shown
}

async fn show_with(place: &str) -> Outcome {
    let node = Node::builder().start().await?;
    let machines = semaphore(&node, place).await?;
    let (first, first_token) = worker(place).await?;
    println!("process {} has a permit, with token {first_token}", first.id());
    let (second, second_token) = worker(place).await?;
    println!("process {} has a permit, with token {second_token}", second.id());
    if machines.try_acquire(1).await?.is_some() {
        return Err("there should be no permit left".into());
    }
    println!("now {} of 2 permits are free; a third process wants one", machines.available().await?);
    let (third, killed) = tokio::join!(worker(place), first.kill());
    killed?;
    let (third, third_token) = third?;
    if third_token <= second_token {
        return Err(format!("token {third_token} after {second_token}").into());
    }
    println!("process {} has a permit, with token {third_token}", third.id());
    third.kill().await?;
    second.kill().await?;
    println!("the permit of the process that was killed went to the next one, with a higher token");
    Ok(())
}
