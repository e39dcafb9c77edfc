//! Who is measured. A contender is one file here, a name in [`Peer`], and an arm in [`serve`] and [`measure`].

mod floor;
mod rmi;

use std::fmt;
use std::future::Future;
use std::path::Path;

use bytes::Bytes;

use crate::Result;
use crate::load::{self, Figures, Plan, Workload};

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Peer {
    /// A raw tokio socket.
    Floor,
    /// This framework.
    Rmi,
}

impl Peer {
    pub(crate) const ALL: [Self; 2] = [Self::Floor, Self::Rmi];

    /// Whether the contender can do it. The floor of shared memory is not a socket.
    pub(crate) fn has(self, transport: Transport, workload: Workload) -> bool {
        let sockets = matches!(transport, Transport::Tcp | Transport::Unix);
        self != Self::Floor || (sockets && workload.callers() == 1)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Transport {
    Tcp,
    Unix,
    /// Shared memory, waiting awake for answers.
    Shm,
    /// Shared memory, asleep while it waits.
    ShmAsleep,
}

impl Transport {
    /// A place to serve at that nobody else has.
    pub(crate) fn endpoint(self, folder: &Path) -> String {
        match self {
            Self::Tcp => "tcp://127.0.0.1:0".to_owned(),
            Self::Unix => format!("unix:{}", folder.join("socket").display()),
            Self::Shm => format!("shm:{}", folder.join("socket").display()),
            Self::ShmAsleep => format!("shm:{}?spin=off", folder.join("socket").display()),
        }
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
    match peer {
        Peer::Floor => floor::serve(endpoint).await,
        Peer::Rmi => rmi::serve(endpoint).await,
    }
}

/// Calls the contender that serves at `address`.
pub(crate) async fn measure(peer: Peer, address: &str, plan: Plan) -> Result<Figures> {
    match peer {
        Peer::Floor => load::run(floor::connect(address).await?, plan).await,
        Peer::Rmi => load::run(rmi::connect(address).await?, plan).await,
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
