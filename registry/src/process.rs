//! The registry as a process: its options, its signals, its end.

use std::path::PathBuf;
use std::time::Duration;

use crate::keys::Keys;
use crate::store::{Durable, Memory};
use crate::{Running, config};
use clap::Parser;
#[cfg(feature = "discovery")]
use rmi_core::naming::Announcement;
use rmi_core::{Endpoint, Node, NodeBuilder};
use tokio::signal::unix::{SignalKind, signal};

const EXAMPLES: &str = "Examples:
  rmi-registry                                        the default places and file
  rmi-registry --memory --listen tcp://127.0.0.1:0    nothing kept, a free port
  rmi-registry --listen unix:/run/app/names.sock --data /var/lib/app/names.redb
  rmi-registry --listen tls://0.0.0.0:7000 --tls pki/bank    for who has a certificate; see `rmi cert`
  rmi-registry --listen tls://0.0.0.0:7000 --tls pki/bank --announce    found by `rmi --discover` on the same network

Programs find a registry that is elsewhere through RMI_REGISTRY=ENDPOINT.
It ends on SIGTERM or SIGINT, after the calls it has accepted.";

/// Maps names to remote objects.
#[derive(Parser, Debug)]
#[command(name = "rmi-registry", version, about, after_help = EXAMPLES)]
pub struct Options {
    /// Listen there; may be given several times [default: tcp://127.0.0.1:1099 and a socket under $XDG_RUNTIME_DIR]
    #[arg(long, value_name = "ENDPOINT")]
    listen: Vec<Endpoint>,
    /// Keep the bindings in this file [default: rmi/registry.redb in the user's state directory]
    #[arg(long, value_name = "PATH", conflicts_with = "memory")]
    data: Option<PathBuf>,
    /// Keep nothing: bindings end with the process
    #[arg(long)]
    memory: bool,
    /// Let others on the local network find it by multicast, where it listens for them (tcp, tls, quic; not on loopback)
    #[cfg(feature = "discovery")]
    #[arg(long)]
    announce: bool,
    /// How long what a host had outlives it when it says no goodbye
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = config::seconds)]
    lease: Duration,
    #[command(flatten)]
    keys: Keys,
}

/// Serves until SIGTERM or SIGINT. Prints a line `listening on ENDPOINT` for each place.
///
/// # Errors
/// The file cannot be opened, or a place cannot be listened on.
pub async fn run(options: Options) -> Result<(), Box<dyn std::error::Error>> {
    // Asked for before anything listens, so that no signal finds the default behaviour.
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let endpoints = if options.listen.is_empty() { config::endpoints() } else { options.listen };
    endpoints.iter().try_for_each(|endpoint| options.keys.check(endpoint))?;
    let builder = options.keys.equip(endpoints.iter().fold(Node::builder(), NodeBuilder::listen))?;
    let running = if options.memory {
        Running::start_on(builder, Memory, options.lease).await?
    } else {
        let path = options.data.or_else(config::data);
        let path = path.ok_or("no state directory is known (HOME is not set); use --data or --memory")?;
        let running = Running::start_on(builder, Durable::open(&path)?, options.lease).await?;
        tracing::info!(path = %path.display(), "bindings are kept");
        running
    };
    for endpoint in running.endpoints() {
        println!("listening on {endpoint}");
    }
    #[cfg(feature = "discovery")]
    let announcement = options.announce.then(|| Announcement::begin(running.endpoints())).transpose()?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("shutting down");
    #[cfg(feature = "discovery")]
    if let Some(announcement) = announcement {
        announcement.end().await;
    }
    running.shutdown().await;
    Ok(())
}
