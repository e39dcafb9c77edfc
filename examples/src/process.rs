//! For examples with several processes: the program starts itself again, in another role.

use std::error::Error;
use std::io;
use std::process::{ExitCode, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::oneshot;
use tokio::time::timeout;

/// What an example comes to.
pub type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// How long a child may keep us waiting: an example that has come to a halt fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// A child process; it is killed when this is dropped, and ends by itself when this process does.
pub struct Process {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    /// The first line it printed.
    pub line: String,
}

impl Process {
    /// Starts this program in another role and waits for its first line.
    ///
    /// # Errors
    /// It does not start, or does not print a line.
    pub async fn start(arguments: &[&str]) -> Outcome<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let out = child.stdout.take().ok_or("the child has no output")?;
        let mut process = Self { child, lines: BufReader::new(out).lines(), line: String::new() };
        process.line = process.next_line().await.map_err(|error| format!("{}: {error}", arguments.join(" ")))?;
        Ok(process)
    }

    /// The next line it prints.
    ///
    /// # Errors
    /// It has ended, or printed nothing for a minute.
    pub async fn next_line(&mut self) -> Outcome<String> {
        Ok(timeout(PATIENCE, self.lines.next_line()).await??.ok_or("the process has ended")?)
    }

    /// The process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id().unwrap_or_default()
    }

    /// `kill -9`, and waits until the process is gone.
    ///
    /// # Errors
    /// It cannot be killed.
    pub async fn kill(mut self) -> Outcome {
        Ok(self.child.kill().await?)
    }

    /// Asks the process to end, by closing its input, and waits until it has.
    ///
    /// # Errors
    /// It failed, or has not ended within a minute.
    pub async fn end(mut self) -> Outcome {
        let status = timeout(PATIENCE, self.child.wait()).await??;
        if status.success() { Ok(()) } else { Err(format!("the process ended with {status}").into()) }
    }
}

/// Plays the role of a child process until it ends or the program that started it is gone, however that came about:
/// nothing is left behind.
///
/// # Errors
/// Those of the role.
pub async fn child(role: impl Future<Output = Outcome>) -> Outcome {
    tokio::select! {
        outcome = role => outcome,
        () = parent_is_gone() => Ok(()),
    }
}

/// Resolves when the process that started this one asks it to end or is gone: its end of our input is closed then.
pub async fn parent_is_gone() {
    let (gone, told) = oneshot::channel();
    // Not one of the runtime's threads: it would wait for that one before a child that failed could end.
    std::thread::spawn(move || {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        // Nobody listens once the role has ended.
        let _ = gone.send(());
    });
    let _ = told.await;
}

/// How the program ends; says what went wrong.
pub fn report(outcome: Outcome) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The endpoint of a Unix socket for this run. Over a Unix socket the kernel tells of a process's death at once.
#[must_use]
pub fn unix_endpoint() -> String {
    let file = format!("rmi-example-{}.sock", std::process::id());
    format!("unix:{}", std::env::temp_dir().join(file).display())
}
