//! Measures objects that live across processes: what they take, what keeps them alive, and how fast they come and go.

mod chain;
#[path = "../child.rs"]
mod child;
mod counted;
mod cycles;
mod delayed;
mod figure;
mod holding;
mod memory;
mod stock;
mod stream;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use child::Child;
use figure::Figure;

type Error = Box<dyn std::error::Error + Send + Sync>;
type Result<T, E = Error> = std::result::Result<T, E>;

/// Measures objects that live across processes, over a Unix socket unless said otherwise.
///
/// holding: bytes_per_object, bytes_per_reference: what 1,000,000 objects, each held over one of 100 sessions, take in the process
/// that has them and in the one that holds them; renewal_frames_per_s: renewals in both directions, with a short lease, converted to one
/// of 60 s; idle_frames_per_s: all frames meanwhile, the signs of life that are asked for and given included.
/// cycles: references_per_s: objects made, sent, and let go; cycles_memory_kib, cycles_memory_holder_kib: what both processes have
/// grown after 1,000,000 of them.
/// connects: connects_per_s: connections made, used once, and closed; connects_memory_kib, connects_memory_holder_kib: what both
/// processes have grown after 100,000 of them.
/// chain: pipelined_chain_of_5_ms, sequential_chain_of_5_ms: five calls, each on the result of the one before, where every byte
/// takes 20 ms each way.
/// stream: stream_items_per_s: 10,000,000 integers; stream_memory_kib, stream_memory_reader_kib: the most that both processes have
/// grown meanwhile; stream_slow_ahead_items, stream_slow_memory_kib: how far the producer is ahead of a reader of one item in 1 ms,
/// whose window is 4,096 items, and what the producer has grown.
#[derive(Parser)]
#[command(name = "objects", version, verbatim_doc_comment, args_conflicts_with_subcommands = true)]
struct Options {
    #[command(flatten)]
    measure: Measure,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(clap::Args)]
struct Measure {
    /// What is measured.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = What::ALL)]
    only: Vec<What>,
    /// Print one JSON object a line.
    #[arg(long)]
    json: bool,
    /// A hundredth of everything: shows that it works, not how it measures.
    #[arg(long)]
    quick: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum What {
    Holding,
    Cycles,
    Connects,
    Chain,
    Stream,
}

impl What {
    const ALL: [Self; 5] = [Self::Holding, Self::Cycles, Self::Connects, Self::Chain, Self::Stream];
}

#[derive(clap::Subcommand)]
enum Command {
    /// Serve at an endpoint; used by this program itself.
    #[command(hide = true)]
    Serve {
        at: String,
        #[arg(long)]
        lease_ms: Option<u64>,
    },
}

/// The process that has the objects, and the folder of its socket.
struct Host {
    child: Child,
    _place: tempfile::TempDir,
}

impl Host {
    fn start(lease: Option<Duration>) -> Result<Self> {
        let place = tempfile::tempdir()?;
        let socket: PathBuf = place.path().join("socket");
        let mut arguments = vec!["serve".to_owned(), format!("unix:{}", socket.display())];
        if let Some(lease) = lease {
            arguments.push(format!("--lease-ms={}", lease.as_millis()));
        }
        Ok(Self { child: Child::start("the host", &arguments, &[])?, _place: place })
    }
}

fn main() -> ExitCode {
    let options = Options::parse();
    let result = match options.command {
        Some(Command::Serve { at, lease_ms }) => {
            child::end_with_parent();
            runtime().and_then(|runtime| runtime.block_on(stock::serve(&at, lease_ms.map(Duration::from_millis))))
        }
        None => measure(&options.measure),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("objects: {error}");
            ExitCode::FAILURE
        }
    }
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?)
}

/// Prints the figures as they come.
fn measure(measure: &Measure) -> Result<()> {
    let part = if measure.quick { 100 } else { 1 };
    for &what in &measure.only {
        eprintln!("measuring {what:?}");
        let figures = runtime()?.block_on(one(what, part))?;
        figures.iter().for_each(|figure| println!("{}", if measure.json { figure.json() } else { figure.line() }));
    }
    Ok(())
}

/// Measures one thing with a `part`-th of its full size.
async fn one(what: What, part: u32) -> Result<Vec<Figure>> {
    match what {
        What::Holding => holding::measure(part).await,
        What::Cycles => cycles::measure(part).await,
        What::Connects => cycles::connects(part).await,
        What::Chain => chain::measure().await,
        What::Stream => stream::measure(part).await,
    }
}
