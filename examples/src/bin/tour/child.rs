//! The tour's child processes: this program again, in another role.

use std::error::Error;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};

/// A child process; it ends when this is dropped, or when this process does.
pub(crate) struct Process {
    child: Child,
    /// The first line it printed.
    pub(crate) line: String,
}

impl Process {
    /// Starts this program in another role and waits for its first line.
    pub(crate) async fn start(arguments: &[&str]) -> Result<Self, Box<dyn Error>> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let out = child.stdout.take().ok_or("the child has no output")?;
        let line = BufReader::new(out).lines().next_line().await?;
        let line = line.ok_or_else(|| format!("{} ended before it was ready", arguments.join(" ")))?;
        Ok(Self { child, line })
    }

    /// The process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id().unwrap_or_default()
    }

    /// `kill -9`, and waits until the process is gone.
    pub(crate) async fn kill(mut self) -> Result<(), Box<dyn Error>> {
        Ok(self.child.kill().await?)
    }
}

/// Resolves when the process that started this one is gone: its end of our input is closed then.
pub(crate) async fn parent_is_gone() {
    let mut input = tokio::io::stdin();
    let mut buffer = [0; 64];
    while matches!(input.read(&mut buffer).await, Ok(read) if read > 0) {}
}
