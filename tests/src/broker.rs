//! A NATS broker of our own: a process that can be killed and started again in its place.

use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;

use rmi_core::transport::Nats;
use rmi_core::{Node, NodeBuilder};

/// What it says when it has its port.
const LISTENING: &str = "Listening for client connections on ";
const READY: &str = "Server is ready";

/// A running broker. Dropping it ends the process. Needs `nats-server`, a Debian package.
#[derive(Debug)]
pub struct Broker {
    address: String,
    port: String,
    configuration: Option<PathBuf>,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    child: Child,
    /// Reads what the process says to its end, so that it never waits to say it.
    log: JoinHandle<()>,
}

impl Broker {
    /// A node that can reach brokers, to be built further.
    pub fn node() -> NodeBuilder {
        Node::builder().transport(Arc::new(Nats::new()))
    }

    /// A broker on a port of its own at `address`, such as `127.0.0.1`; ready for use.
    ///
    /// # Errors
    /// `nats-server` is missing or does not start.
    pub fn start(address: &str) -> io::Result<Self> {
        Self::configured(address, None)
    }

    /// The same, with a configuration file.
    ///
    /// # Errors
    /// As for [`Broker::start`].
    pub fn configured(address: &str, configuration: Option<&Path>) -> io::Result<Self> {
        let configuration = configuration.map(Path::to_owned);
        let mut broker = Self { address: address.to_owned(), port: "-1".to_owned(), configuration, running: None };
        broker.restart()?;
        Ok(broker)
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> &str {
        &self.port
    }

    /// The endpoint of `subject` for those on this machine.
    #[must_use]
    pub fn endpoint(&self, subject: &str) -> String {
        format!("nats://{}:{}/{subject}", self.address, self.port)
    }

    /// Kills the process: whatever it had under way is lost.
    pub fn kill(&mut self) {
        if let Some(Running { mut child, log }) = self.running.take() {
            let _ = child.kill();
            let _ = child.wait();
            let _ = log.join();
        }
    }

    /// Starts it again on the same port.
    ///
    /// # Errors
    /// It does not start, as when somebody has taken the port.
    pub fn restart(&mut self) -> io::Result<()> {
        self.kill();
        let mut command = Command::new("nats-server");
        // Debian has it where only root looks.
        command.env("PATH", format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default()));
        command.args(["-a", &self.address, "-p", &self.port]);
        if let Some(path) = &self.configuration {
            command.arg("-c").arg(path);
        }
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        let said = child.stderr.take().ok_or_else(|| io::Error::other("no standard error"))?;
        let mut lines = BufReader::new(said).lines();
        let (mut port, mut log) = (None, String::new());
        let ready = lines.by_ref().map_while(Result::ok).any(|line| {
            port = port.take().or_else(|| line.split_once(LISTENING)?.1.rsplit(':').next().map(str::to_owned));
            let ready = line.contains(READY);
            log.push_str(&line);
            log.push('\n');
            ready
        });
        let log_reader = std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        self.running = Some(Running { child, log: log_reader });
        match port {
            Some(port) if ready => self.port = port,
            _ => return Err(io::Error::other(format!("nats-server did not start:\n{log}"))),
        }
        Ok(())
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.kill();
    }
}
