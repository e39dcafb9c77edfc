//! Running a command while holding a lock or permits.

use std::ffi::OsString;
use std::process::{ExitCode, ExitStatus};
use std::time::Duration;

use clap::Args;
use rmi_core::sync::{Grant, Permit, Semaphore, SyncError};
use rmi_core::{CallOptions, ErrorKind, Registry};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

use crate::command::Failure;
use crate::command::output::{Output, escaped};
use crate::config::seconds;

/// Where the command finds its fencing token.
const TOKEN_VARIABLE: &str = "RMI_LOCK_TOKEN";
/// The longest wait that a deadline can say on the wire: 49 days.
const FOREVER: Duration = Duration::from_millis(u32::MAX as u64);
/// The time to give the permits back; a registry that takes longer notices our end by itself.
const FAREWELL: Duration = Duration::from_secs(5);

const NOT_IN_TIME: u8 = 124;
const LOST: u8 = 125;
const CANNOT_RUN: u8 = 126;
const NOT_FOUND: u8 = 127;

#[derive(Args)]
pub(super) struct Lock {
    /// The name of the lock
    name: String,
    /// Give up after this time; 0 does not wait [default: wait as long as it takes]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    timeout: Option<Duration>,
    /// The command and its arguments
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

#[derive(Args)]
pub(super) struct Sem {
    /// The name of the semaphore
    name: String,
    /// How many permits it has, the same for all who use it
    #[arg(long)]
    permits: u32,
    /// How many to hold
    #[arg(short = 'n', long, default_value_t = 1)]
    count: u32,
    /// Give up after this time; 0 does not wait [default: wait as long as it takes]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    timeout: Option<Duration>,
    /// The command and its arguments
    #[arg(last = true)]
    command: Vec<OsString>,
}

impl Lock {
    pub(super) async fn run(self, registry: &Registry) -> Result<ExitCode, Failure> {
        let Self { name, timeout, command } = self;
        Sem { name, permits: 1, count: 1, timeout, command }.hold(registry).await
    }
}

impl Sem {
    pub(super) async fn run(self, registry: &Registry, output: Output) -> Result<ExitCode, Failure> {
        if !self.command.is_empty() {
            return self.hold(registry).await;
        }
        let semaphore = registry.semaphore(&*self.name, self.permits).await?;
        output.semaphore(&self.name, self.permits, semaphore.available().await?)?;
        Ok(ExitCode::SUCCESS)
    }

    async fn hold(self, registry: &Registry) -> Result<ExitCode, Failure> {
        let grant = self.acquire(registry).await?;
        let ended = run_holding(&grant, &self.command).await;
        let farewell = grant.permit.with(CallOptions::new().timeout(FAREWELL));
        // What cannot be given back any more comes back by our end.
        let _ = farewell.release().await;
        ended
    }

    async fn acquire(&self, registry: &Registry) -> Result<Grant, Failure> {
        let semaphore = registry.semaphore(&*self.name, self.permits).await?;
        if self.timeout == Some(Duration::ZERO) {
            return semaphore.try_acquire(self.count).await?.ok_or_else(|| self.not_in_time());
        }
        let patient = semaphore.with(CallOptions::new().timeout(self.timeout.unwrap_or(FOREVER).min(FOREVER)));
        patient.acquire(self.count).await.map_err(|error| match error {
            SyncError::Remote(error) if error.kind() == ErrorKind::Deadline => self.not_in_time(),
            other => other.into(),
        })
    }

    fn not_in_time(&self) -> Failure {
        let waited = self.timeout.unwrap_or(FOREVER).as_secs_f64();
        Failure::with_status(NOT_IN_TIME, format!("{} was not free within {waited} s", self.name))
    }
}

/// Runs the command to its end, hands signals on to it, and kills it when the permits are lost.
async fn run_holding(grant: &Grant, command: &[OsString]) -> Result<ExitCode, Failure> {
    // Asked for before the command runs, so that no signal ends us without it.
    let mut terminate = signal(SignalKind::terminate()).map_err(Failure::failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::failed)?;
    let mut child = start(command, grant.token)?;
    let mut lost = std::pin::pin!(grant.permit.closed());
    loop {
        tokio::select! {
            ended = child.wait() => return ended.map(status).map_err(Failure::failed),
            _ = terminate.recv() => hand_on(&child, Signal::TERM),
            _ = interrupt.recv() => hand_on(&child, Signal::INT),
            () = &mut lost => {
                // Somebody else may hold them already: there is no time to be polite.
                child.kill().await.map_err(Failure::failed)?;
                return Err(Failure::with_status(LOST, "the command was killed: its lock is lost with the registry"));
            }
        }
    }
}

fn start(command: &[OsString], token: u64) -> Result<Child, Failure> {
    let [program, arguments @ ..] = command else { return Err(Failure::usage("there is no command to run")) };
    let child = Command::new(program).args(arguments).env(TOKEN_VARIABLE, token.to_string()).kill_on_drop(true).spawn();
    child.map_err(|error| {
        let status = if error.kind() == std::io::ErrorKind::NotFound { NOT_FOUND } else { CANNOT_RUN };
        Failure::with_status(status, format!("{} cannot be run: {error}", escaped(&program.to_string_lossy())))
    })
}

fn hand_on(child: &Child, signal: Signal) {
    let id = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    // A command that has just ended gets no signal any more.
    let _ = id.map(|id| kill_process(id, signal));
}

/// The status of the command as shells say it.
fn status(ended: ExitStatus) -> ExitCode {
    use std::os::unix::process::ExitStatusExt;
    let code = ended.code().or_else(|| ended.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from)
}
