//! The transports, and what each needs.

use std::fmt;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use rmi_core::transport::{Credentials, Nats, Quic, Tls};
use rmi_core::{Node, NodeBuilder};
use rmi_examples::process::Outcome;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

/// A transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Way {
    Shm,
    Unix,
    Fifo,
    Mq,
    Exec,
    Quic,
    Tls,
    Tcp,
    Nats,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.to_possible_value().as_ref().map_or("", |value| value.get_name()))
    }
}

impl Way {
    /// Makes what has to be there before either side starts: certificates, a broker. It is there as long as the value.
    ///
    /// # Errors
    /// It cannot be made.
    pub(crate) async fn prepare(self, directory: &Path) -> Outcome<Option<Child>> {
        match self {
            Self::Quic | Self::Tls => certificate(directory).map(|()| None),
            Self::Nats => broker(directory).await.map(Some),
            _ => Ok(None),
        }
    }

    /// A node that listens.
    ///
    /// # Errors
    /// What it needs is not there.
    pub(crate) fn host(self, directory: &Path) -> Outcome<NodeBuilder> {
        let node = self.caller(directory)?;
        Ok(match self {
            Self::Tcp | Self::Tls | Self::Quic => node.listen(format!("{self}://127.0.0.1:0")),
            Self::Shm | Self::Unix => node.listen(format!("{self}:{}", directory.join("place").display())),
            // A directory of its own, which is made for this user alone.
            Self::Fifo => node.listen(format!("{self}:{}", directory.join("pipes/place").display())),
            Self::Mq => node.listen(format!("{self}:/rmi-example-{}", std::process::id())),
            Self::Nats => node.listen(format!("{self}://127.0.0.1:{}/bank", port(directory)?)),
            // It serves its parent.
            Self::Exec => node,
        })
    }

    /// A node that only dials.
    ///
    /// # Errors
    /// What it needs is not there.
    pub(crate) fn caller(self, directory: &Path) -> Outcome<NodeBuilder> {
        Ok(match self {
            Self::Tls => Node::builder().transport(Arc::new(Tls::new(Credentials::from_directory(directory)?))),
            Self::Quic => Node::builder().transport(Arc::new(Quic::new(Credentials::from_directory(directory)?))),
            Self::Nats => Node::builder().transport(Arc::new(Nats::new())),
            _ => Node::builder(),
        })
    }
}

/// A certificate that is its own authority, for both sides. Real ones are made with `rmi cert`.
fn certificate(directory: &Path) -> Outcome {
    let made = rcgen::generate_simple_self_signed(["bank".to_owned(), "127.0.0.1".to_owned()])?;
    fs::write(directory.join("authority.pem"), made.cert.pem())?;
    fs::write(directory.join("certificate.pem"), made.cert.pem())?;
    Ok(fs::write(directory.join("key.pem"), made.signing_key.serialize_pem())?)
}

/// A broker on a free port, which is noted in the directory. It is killed with the value.
async fn broker(directory: &Path) -> Outcome<Child> {
    let ports = directory.join("ports");
    fs::create_dir(&ports)?;
    let mut command = Command::new("nats-server");
    // Debian has it where only root looks.
    command.env("PATH", format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default()));
    command.args(["--addr", "127.0.0.1", "--port", "-1", "--ports_file_dir"]).arg(&ports);
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true).spawn();
    let child =
        child.map_err(|error| format!("cannot start nats-server (the Debian package of that name): {error}"))?;
    let begun = Instant::now();
    loop {
        if let Ok(port) = port(directory)
            && TcpStream::connect(format!("127.0.0.1:{port}")).await.is_ok()
        {
            return Ok(child);
        }
        if begun.elapsed() > Duration::from_secs(10) {
            return Err("the broker does not start".into());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The port that the broker has noted: `{"nats": ["nats://127.0.0.1:4222"], ...}`.
fn port(directory: &Path) -> Outcome<u16> {
    let noted = fs::read_dir(directory.join("ports"))?.next().ok_or("the broker has noted no port")??;
    let text = fs::read_to_string(noted.path())?;
    let (_, rest) = text.split_once("nats://127.0.0.1:").ok_or("the broker has noted no port")?;
    Ok(rest.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default().parse()?)
}
