//! The `rmi` command: what is in a registry, for people and for scripts.

#[cfg(feature = "tls")]
mod cert;
mod failure;
mod hold;
mod output;
mod ping;

use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use rmi_core::naming::{NamingError, Prefix};
use rmi_core::{Endpoint, Node, ObjectRef, Registry};

#[cfg(feature = "discovery")]
use crate::config;
use crate::keys::Keys;
pub use failure::Failure;
use output::Output;

/// How long `--discover` waits for a registry that answers.
#[cfg(feature = "discovery")]
const DISCOVERY: Duration = Duration::from_secs(5);

const EXAMPLES: &str = "Examples:
  rmi list                       every name
  rmi list bank --json           the names under bank, one JSON object a line
  rmi lookup bank/main           the reference, to be used with describe or in a program
  rmi watch bank                 changes under bank, until interrupted
  rmi ping bank/main             the latency to the object's node, and which way leads there
  rmi --discover list            every name, in a registry on the local network
  rmi lock backup -- pg_dump     run a command while nobody else has the lock
  rmi sem gpu --permits 4 -- train.sh    at most four at a time
  rmi cert authority pki         a private authority, for tls:// and quic://

Exit status: 0 done, 1 not found or failed, 2 wrong usage, 3 no registry answers. lock and sem return that of their
command (128 and the signal if it was killed by one), or 124 not obtained in time, 125 lost while the command ran,
126 the command cannot be run, 127 it is not found.";

/// Looks into a registry of remote objects.
#[derive(Parser)]
#[command(name = "rmi", version, about, after_help = EXAMPLES)]
pub struct Options {
    /// The registry [default: RMI_REGISTRY, else the places where rmi-registry listens by default]
    #[arg(long, value_name = "ENDPOINT", global = true)]
    registry: Option<Endpoint>,
    /// Ask the local network for a registry, and take the first that answers: anybody can announce one
    #[cfg(feature = "discovery")]
    #[arg(long, global = true, conflicts_with = "registry")]
    discover: bool,
    /// Print one JSON object a line
    #[arg(long, global = true)]
    json: bool,
    #[command(flatten)]
    keys: Keys,
    #[command(subcommand)]
    action: Action,
}

impl Options {
    /// The registry that was named, here or in the environment.
    fn named(&self) -> Option<Endpoint> {
        #[cfg(feature = "discovery")]
        if self.discover {
            return None;
        }
        let from_environment = || std::env::var("RMI_REGISTRY").ok()?.parse().ok();
        self.registry.clone().or_else(from_environment)
    }

    async fn registry(&self, node: &Node) -> Result<Registry, NamingError> {
        #[cfg(feature = "discovery")]
        if self.discover {
            return Registry::discover_first(node, DISCOVERY).await;
        }
        match &self.registry {
            Some(endpoint) => Registry::connect(node, endpoint).await,
            None => Registry::find(node).await,
        }
    }
}

#[derive(Subcommand)]
enum Action {
    /// List the names, all or those under a prefix
    List {
        /// Names below this one
        #[arg(default_value = "")]
        prefix: String,
    },
    /// Print the reference that a name leads to
    Lookup {
        /// The name
        name: String,
    },
    /// Print what is known about a name, or what a reference carries
    Describe {
        /// A name, or a reference that begins with rmi:
        subject: String,
    },
    /// Print changes as they happen
    Watch {
        /// Names below this one
        #[arg(default_value = "")]
        prefix: String,
        /// End after this many changes
        #[arg(long)]
        count: Option<u64>,
    },
    /// Free a name
    Unbind {
        /// The name
        name: String,
        /// Only if the binding has this revision
        #[arg(long)]
        revision: Option<u64>,
    },
    /// Measure the latency to the registry, or to the node of a name
    Ping {
        /// The name; the registry itself if not given
        name: Option<String>,
        /// How often
        #[arg(long, default_value_t = 10)]
        count: u32,
        /// Take this way and no other: a scheme of the object's endpoints, as tcp, or an endpoint
        #[arg(long, requires = "name", value_name = "SCHEME|ENDPOINT")]
        via: Option<String>,
    },
    /// Run a command while holding a lock, with its fencing token in RMI_LOCK_TOKEN
    Lock(hold::Lock),
    /// Run a command while holding permits of a semaphore; without a command, print how many are available
    Sem(hold::Sem),
    /// Make certificates for tls:// and quic://, for development
    #[cfg(feature = "tls")]
    Cert(cert::Cert),
    /// Print where the registries listen that announce themselves on the local network
    #[cfg(feature = "discovery")]
    Discover {
        /// How long to wait for them
        #[arg(long, value_name = "SECONDS", default_value = "4", value_parser = config::seconds)]
        time: Duration,
    },
    /// Print a script that completes this command in a shell
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// Does what the options say, and returns the status of the command that was run, if one was.
///
/// # Errors
/// What went wrong, with the exit status that stands for it.
pub async fn run(options: Options) -> Result<ExitCode, Failure> {
    let output = Output { json: options.json };
    match options.action {
        Action::Completions { shell } => {
            clap_complete::generate(shell, &mut Options::command(), "rmi", &mut std::io::stdout());
            return Ok(ExitCode::SUCCESS);
        }
        Action::Describe { subject } if subject.starts_with("rmi:") => {
            let reference: ObjectRef = subject.parse().map_err(|error| Failure::usage(format!("{error}")))?;
            return output.reference(&reference).map(|()| ExitCode::SUCCESS);
        }
        #[cfg(feature = "tls")]
        Action::Cert(cert) => return cert.run(output).map(|()| ExitCode::SUCCESS),
        #[cfg(feature = "discovery")]
        Action::Discover { time } => {
            let found = Registry::discover(time).await?;
            return output.found(&found).map(|()| ExitCode::SUCCESS);
        }
        _ => {}
    }
    if let Some(endpoint) = options.named() {
        options.keys.check(&endpoint).map_err(Failure::usage)?;
    }
    let builder = options.keys.equip(Node::builder()).map_err(Failure::usage)?;
    let node = builder.start().await.map_err(Failure::failed)?;
    let registry = options.registry(&node).await?;
    let result = act(options.action, &node, &registry, output).await;
    drop(registry);
    node.shutdown().await;
    result
}

async fn act(action: Action, node: &Node, registry: &Registry, output: Output) -> Result<ExitCode, Failure> {
    match action {
        Action::Lock(lock) => lock.run(registry).await,
        Action::Sem(sem) => sem.run(registry, output).await,
        other => look(other, node, registry, output).await.map(|()| ExitCode::SUCCESS),
    }
}

/// What looks into the registry, and whose status says only whether it could be done.
async fn look(action: Action, node: &Node, registry: &Registry, output: Output) -> Result<(), Failure> {
    match action {
        Action::List { prefix } => output.bindings(&registry.list(&prefix).await?),
        Action::Lookup { name } => output.lookup(&registry.resolve(&name).await?),
        Action::Describe { subject } => output.binding(&registry.resolve(&subject).await?),
        Action::Unbind { name, revision } => {
            let revision = registry.unbind(&name, revision).await?;
            output.unbound(&name, revision)
        }
        Action::Watch { prefix, count } => watch(registry, &prefix, count, output).await,
        Action::Ping { name: Some(name), count, via } => {
            ping::object(node, registry, &name, via.as_deref(), count, output).await
        }
        Action::Ping { name: None, count, .. } => ping::registry(node, registry, count, output).await,
        #[cfg(feature = "tls")]
        Action::Cert(_) => Ok(()),
        Action::Completions { .. } | Action::Lock(_) | Action::Sem(_) => Ok(()),
        #[cfg(feature = "discovery")]
        Action::Discover { .. } => Ok(()),
    }
}

async fn watch(registry: &Registry, prefix: &str, count: Option<u64>, output: Output) -> Result<(), Failure> {
    prefix.parse::<Prefix>().map_err(|error| Failure::usage(error.to_string()))?;
    let mut watch = registry.watch(prefix, None).await?;
    output.watching(watch.position.revision)?;
    let mut left = count.unwrap_or(u64::MAX);
    let mut pulse = tokio::time::interval(Duration::from_secs(5));
    while left > 0 {
        tokio::select! {
            event = watch.next() => match event {
                Some(event) => {
                    output.event(&event.map_err(Failure::failed)?)?;
                    left -= 1;
                }
                None => return Err(Failure::failed("the registry has ended the watch")),
            },
            // A registry that went away tells no more: notice it.
            _ = pulse.tick() => {
                registry.ping().await?;
            }
            signal = tokio::signal::ctrl_c() => return signal.map_err(Failure::failed),
        }
    }
    Ok(())
}
