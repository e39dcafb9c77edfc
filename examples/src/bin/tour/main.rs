//! Processes at work together: a registry, a host, and callers. Start here.
//!
//! The program starts itself three times more, as the registry, as the host and as another caller, and shows what a caller
//! sees, from the first lookup to a host that is killed in the middle of a call and comes back.

mod steps;

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use rmi_core::{Limits, Node, Proxy, Registry};
use rmi_examples::process::{self, Outcome};
use rmi_examples::{Bank, Vault};

/// Shows remote objects at work in several processes.
#[derive(Parser)]
struct Options {
    #[command(subcommand)]
    role: Option<Role>,
}

#[derive(Subcommand)]
enum Role {
    /// The registry; started by the tour
    #[command(hide = true)]
    Registry(rmi_registry::process::Options),
    /// The host of the bank; started by the tour
    #[command(hide = true)]
    Host { registry: String },
    /// Another caller, which watches the bank; started by the tour
    #[command(hide = true)]
    Watcher { registry: String },
}

/// How long the host keeps objects for a caller that is gone without a goodbye; by default it is a minute.
const LEASE: Duration = Duration::from_secs(2);

#[tokio::main]
async fn main() -> ExitCode {
    process::report(match Options::parse().role {
        None => steps::tour().await,
        Some(role) => process::child(play(role)).await,
    })
}

async fn play(role: Role) -> Outcome {
    match role {
        Role::Registry(options) => rmi_registry::process::run(options).await,
        Role::Host { registry } => host(&registry).await,
        Role::Watcher { registry } => steps::watcher(&registry).await,
    }
}

/// What a host is: a node that listens, an object, and a name for it.
async fn host(registry: &str) -> Outcome {
    let mut limits = Limits::default();
    limits.lease = LEASE;
    let node = Node::builder().listen("tcp://127.0.0.1:0").limits(limits).start().await?;
    let names = Registry::connect(&node, registry).await?;
    // A host that comes back takes the name over from the one that was killed.
    let revision = names.rebind("bank/main", &Proxy::<dyn Bank>::new(Vault::default()), None).await?;
    println!("bound with revision {revision}");
    std::future::pending().await
}
