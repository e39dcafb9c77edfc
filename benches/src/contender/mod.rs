//! Who is measured. A contender is one file here, a name in [`Peer`], and an arm in [`serve`] and [`measure`].

mod floor;
mod rmi;

use std::fmt;
use std::future::Future;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use rmi_tests::Way;
use tokio::process::Command;

use crate::Result;
use crate::load::{self, Figures, Plan, Workload};

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Peer {
    /// A raw tokio socket, or the bare channel of another transport.
    Floor,
    /// This framework.
    Rmi,
}

impl Peer {
    pub(crate) const ALL: [Self; 2] = [Self::Floor, Self::Rmi];

    /// Whether the contender can do it.
    pub(crate) fn has(self, workload: Workload) -> bool {
        self != Self::Floor || workload.callers() == 1
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Transport {
    /// Shared memory, waiting awake for answers.
    Shm,
    /// Shared memory, asleep while it waits.
    ShmAsleep,
    Unix,
    Fifo,
    Mq,
    /// The pipes of a child.
    Exec,
    Quic,
    Tls,
    Tcp,
    /// A broker on this machine.
    Nats,
}

impl Transport {
    /// What the transport needs, in a folder of its own.
    pub(crate) fn way(self, folder: &Path) -> Way {
        let name = self.to_string();
        Way::new(if self == Self::ShmAsleep { "shm" } else { &name }, folder)
    }

    /// A place to serve at that nobody else has.
    pub(crate) fn endpoint(self, way: &Way) -> String {
        let options = if self == Self::ShmAsleep { "?spin=off" } else { "" };
        way.place() + options
    }
}

/// One caller of the other process.
pub(crate) trait Caller: Send + Sized + 'static {
    /// Asks for the sum.
    fn add(&mut self, a: i64, b: i64) -> impl Future<Output = Result<i64>> + Send;

    /// Sends the bytes and gets them back; says how many came.
    fn echo(&mut self, bytes: &Bytes) -> impl Future<Output = Result<usize>> + Send;

    /// Another caller on the same connection, where one can have several.
    fn fork(&self) -> Option<Self>;
}

/// Serves until the process ends; says where on the first line of the output.
pub(crate) async fn serve(peer: Peer, endpoint: &str) -> Result<()> {
    let way = Way::from_environment();
    match peer {
        Peer::Floor => floor::serve(&way, endpoint).await,
        Peer::Rmi => rmi::serve(&way, endpoint).await,
    }
}

/// Serves the process that started this one, over its pipes.
pub(crate) async fn serve_parent(peer: Peer) -> Result<()> {
    match peer {
        Peer::Floor => floor::serve_parent().await,
        Peer::Rmi => rmi::serve_parent().await,
    }
}

/// Calls the contender that serves at `address`.
pub(crate) async fn measure(peer: Peer, way: &Way, address: &str, plan: Plan) -> Result<Figures> {
    match peer {
        Peer::Floor => load::run(floor::connect(way, address).await?, plan).await,
        Peer::Rmi => load::run(rmi::connect(way, address).await?, plan).await,
    }
}

/// Starts the program, which serves its parent, and calls it.
pub(crate) async fn measure_child(peer: Peer, program: Command, workload: Workload, time: Duration) -> Result<Figures> {
    match peer {
        Peer::Floor => {
            let (floor, child) = floor::start(program)?;
            load::run(floor, Plan { workload, time, child: child.id().unwrap_or_default() }).await
        }
        Peer::Rmi => {
            let (rmi, child) = rmi::start(program).await?;
            load::run(rmi, Plan { workload, time, child: child.id() }).await
        }
    }
}

/// The name that clap gives to the value.
pub(crate) fn write_name<V: clap::ValueEnum>(value: &V, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let name = value.to_possible_value();
    f.pad(name.as_ref().map_or("", |name| name.get_name()))
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_name(self, f)
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_name(self, f)
    }
}
