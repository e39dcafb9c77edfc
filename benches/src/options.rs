//! The command line.

use std::time::Duration;

use crate::contender::{Peer, Transport};
use crate::load::Workload;

/// Measures calls to another process on this machine: the framework, and what the machine can do at best.
///
/// Each contender serves in a process of its own, started anew for each measurement; this process calls it. Each measurement is
/// made once in every round, the contenders one right after the other, and the median over the rounds is shown.
///
/// L1: one caller calls add(i64, i64) again and again; p50 and p99 of its time in µs.
/// T64, T1000: so many callers do that at once on one connection; calls per second, and the processor time of both processes
/// per call. The floor has one caller on a connection, so its one-caller rate (L1) is what these are compared with.
/// B64K, B1M: one caller sends that many bytes and gets them back; MB/s, each byte counted once.
///
/// The floor is a raw tokio socket with messages of 64 bytes (L1), or of the size of the echo; for transports that are no
/// sockets it is their bare channel, and for exec two pipes. Everybody uses the same kind of runtime. nats needs nats-server.
///
/// Where the kernel puts two processes that wait for each other decides most of L1: on one processor a round trip takes a fraction
/// of what it takes across two that fall idle in between. "taskset -c 0 compare --workload L1" leaves it no choice, and is what
/// can be repeated.
#[derive(Debug, clap::Parser)]
#[command(name = "compare", version, verbatim_doc_comment, args_conflicts_with_subcommands = true)]
pub(crate) struct Options {
    #[command(flatten)]
    pub(crate) measure: Measure,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Measure {
    /// Who is measured.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Peer::ALL)]
    pub(crate) only: Vec<Peer>,
    /// Over what.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Transport::Tcp, Transport::Unix])]
    transport: Vec<Transport>,
    /// Doing what.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Workload::ALL)]
    workload: Vec<Workload>,
    /// Print one JSON object a line instead of the table.
    #[arg(long)]
    pub(crate) json: bool,
    /// One short round: shows that everything works, not how fast it is.
    #[arg(long)]
    quick: bool,
    /// How often everything is measured.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// How long one measurement takes, in seconds, after a warm-up of a third of that.
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// The worker threads of each process's runtime; 0 runs everything on one thread.
    #[arg(long, default_value_t = 2)]
    pub(crate) workers: usize,
}

impl Measure {
    pub(crate) fn rounds(&self) -> u32 {
        if self.quick { 1 } else { self.rounds }
    }

    pub(crate) fn time(&self) -> Duration {
        let seconds = if self.quick { 0.2 } else { self.seconds.clamp(0.05, 60.0) };
        Duration::from_secs_f64(seconds)
    }

    pub(crate) fn points(&self) -> impl Iterator<Item = (Transport, Workload)> {
        let with_all = |transport: &Transport| {
            let transport = *transport;
            self.workload.iter().map(move |&workload| (transport, workload))
        };
        self.transport.iter().flat_map(with_all)
    }
}

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Serves a contender; what this program starts as its other process.
    #[command(hide = true)]
    Serve(Serve),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Serve {
    pub(crate) peer: Peer,
    pub(crate) at: String,
    #[arg(long)]
    pub(crate) workers: usize,
}
