//! The transport that a test runs over, the same in every process that takes part.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use std::{fs, io};

use rmi_core::transport::{Credentials, Memory, Nats, Quic, Tls, Transport};
use rmi_core::{Limits, Node, NodeBuilder, limits};

use crate::{Alone, Authority, Broker, Pairs};

/// The scheme of the transport, for processes that are started by a test.
const SCHEME: &str = "RMI_TESTS_OVER";
/// The directory for what the transport needs.
const DIRECTORY: &str = "RMI_TESTS_DIRECTORY";

/// A transport under test, with a directory for its places and keys.
pub struct Way {
    scheme: String,
    directory: PathBuf,
    places: AtomicU32,
    /// Message queues are short.
    _alone: Option<Alone>,
    /// Of channels inside this process there is one world.
    memory: Arc<Memory>,
    pairs: Arc<Pairs>,
    /// Of brokers there is one, which another process may have started.
    broker: Option<Brokered>,
}

/// A broker, and what keeps it running if it is ours.
struct Brokered {
    port: String,
    _ours: Option<Broker>,
}

impl Brokered {
    /// The broker of the directory, started if there is none.
    fn of(directory: &Path) -> io::Result<Self> {
        let noted = directory.join("broker");
        if let Ok(port) = fs::read_to_string(&noted) {
            return Ok(Self { port, _ours: None });
        }
        let broker = Broker::start("127.0.0.1")?;
        fs::write(noted, broker.port())?;
        Ok(Self { port: broker.port().to_owned(), _ours: Some(broker) })
    }
}

impl Way {
    /// The transport of `scheme`. The directory stays the caller's.
    ///
    /// # Panics
    /// What the transport needs cannot be had.
    #[must_use]
    pub fn new(scheme: &str, directory: &Path) -> Self {
        let (memory, places) = (Arc::new(Memory::new()), AtomicU32::new(0));
        let pairs = Arc::new(if scheme == "ssh" { Pairs::sockets() } else { Pairs::pipes() });
        // Whoever makes the directory makes what is in it; the other processes find it.
        if matches!(scheme, "tls" | "quic") && !directory.join("key.pem").exists() {
            let authority = Authority::new();
            authority.issue(&["bank", "127.0.0.1"], |_| ()).write(&authority, directory);
        }
        let broker = (scheme == "nats").then(|| Brokered::of(directory).expect("a broker"));
        let alone = (scheme == "mq").then(Alone::among_queues);
        let (scheme, directory) = (scheme.to_owned(), directory.to_owned());
        Self { scheme, directory, places, _alone: alone, memory, pairs, broker }
    }

    /// The transport that the environment names: TCP if it names none.
    #[must_use]
    pub fn from_environment() -> Self {
        let scheme = std::env::var(SCHEME).unwrap_or_else(|_| "tcp".into());
        let directory = std::env::var_os(DIRECTORY).map_or_else(std::env::temp_dir, PathBuf::from);
        Self::new(&scheme, &directory)
    }

    /// The environment in which another process finds the same transport.
    #[must_use]
    pub fn environment(&self) -> [(&'static str, String); 2] {
        [(SCHEME, self.scheme.clone()), (DIRECTORY, self.directory.display().to_string())]
    }

    /// The scheme.
    #[must_use]
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// Whether several nodes may listen at one place and take turns.
    #[must_use]
    pub fn shares_places(&self) -> bool {
        self.broker.is_some()
    }

    /// Whether each connection takes descriptors of the host.
    #[must_use]
    pub fn takes_descriptors(&self) -> bool {
        !matches!(self.scheme.as_str(), "quic" | "nats" | "mem")
    }

    /// Whether its places are ports of an address.
    #[must_use]
    pub fn has_addresses(&self) -> bool {
        matches!(self.scheme.as_str(), "tcp" | "tls" | "quic")
    }

    /// A place to listen that nothing else in this directory has.
    #[must_use]
    pub fn place(&self) -> String {
        let number = self.places.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}-{number}", std::process::id());
        if let Some(broker) = &self.broker {
            return format!("nats://127.0.0.1:{}/{name}", broker.port);
        }
        match self.scheme.as_str() {
            scheme @ ("tcp" | "tls" | "quic") => format!("{scheme}://127.0.0.1:0"),
            scheme @ ("mem" | "exec" | "ssh") => format!("{scheme}:{name}"),
            "mq" => format!("mq:/rmi-{name}"),
            // A directory of its own, which is made for this user alone.
            "fifo" => format!("fifo:{}", self.directory.join("fifo").join(name).display()),
            scheme => format!("{scheme}:{}", self.directory.join(name).display()),
        }
    }

    /// A node that listens, to be built further.
    pub fn host(&self) -> NodeBuilder {
        self.equip(Node::builder().listen(self.place()))
    }

    /// A node that only dials, to be built further.
    pub fn caller(&self) -> NodeBuilder {
        self.equip(Node::builder())
    }

    fn equip(&self, builder: NodeBuilder) -> NodeBuilder {
        let mut limits = Limits::default();
        if self.scheme == "quic" {
            // Nothing but its silence says that a peer was killed.
            (limits.ping_after, limits.pong_timeout) = (Duration::from_secs(1), Duration::from_secs(1));
        }
        builder.limits(limits).transport(self.transport())
    }

    /// The transport itself.
    ///
    /// # Panics
    /// The scheme is not known.
    #[must_use]
    pub fn transport(&self) -> Arc<dyn Transport> {
        match self.scheme.as_str() {
            "mem" => self.memory.clone(),
            "exec" | "ssh" => self.pairs.clone(),
            "tls" => Arc::new(Tls::new(self.credentials())),
            "quic" => Arc::new(Quic::new(self.credentials())),
            "nats" => Arc::new(Nats::new()),
            scheme => {
                let known = rmi_core::transport::defaults().into_iter().find(|one| one.scheme() == scheme);
                known.unwrap_or_else(|| panic!("no transport {scheme:?}"))
            }
        }
    }

    fn credentials(&self) -> Credentials {
        Credentials::from_directory(&self.directory).expect("certificates in the directory")
    }

    /// How soon a process learns over this transport that another was killed, at the latest.
    #[must_use]
    pub fn notices_death_within(&self) -> Duration {
        match self.scheme.as_str() {
            "quic" => Duration::from_secs(4),
            // Where nobody says that the peer is gone, its silence has to.
            "nats" => limits::BROKER_SILENCE + Duration::from_secs(2),
            _ => Duration::from_secs(2),
        }
    }
}
