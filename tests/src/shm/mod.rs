//! Shared memory under attack, and with peers that are killed. `cargo run -p rmi-tests --bin shm` plays this at length.

mod attack;
mod hostile;
mod kills;
pub mod raw;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::process::{Child, Command};

pub use attack::{attack, call_until_input_ends};
pub use hostile::rewrite_everything;
pub use kills::{kills, write_without_end};

/// What went wrong, for people.
pub type Result<T, E = Box<dyn std::error::Error + Send + Sync>> = std::result::Result<T, E>;

/// This program again, as a peer; it ends with the value.
fn start(program: &Path, arguments: &[&str]) -> Result<Child> {
    let mut command = Command::new(program);
    Ok(command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn()?)
}

/// What of a process's own could be left behind: how many descriptors, and names in `/dev/shm`.
type Left = (usize, BTreeSet<String>);

fn left_behind() -> Result<Left> {
    let names = std::fs::read_dir("/dev/shm")?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let ours = names.filter(|name| name.contains("rmi")).collect();
    Ok((std::fs::read_dir("/proc/self/fd")?.count(), ours))
}

/// Waits until no more is left than before: tasks that were told to end do so when they get to run.
async fn nothing_more_than(before: &Left) -> Result<()> {
    let begun = Instant::now();
    loop {
        let after = left_behind()?;
        if after == *before {
            return Ok(());
        }
        if begun.elapsed() > Duration::from_secs(5) {
            return Err(format!("left behind: {before:?} became {after:?}").into());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
