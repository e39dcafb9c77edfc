//! A registry as a child process.

use std::path::Path;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// A registry process, killed when it is dropped.
pub(crate) struct Process {
    child: Child,
    pub(crate) endpoint: String,
}

impl Process {
    /// Starts a registry that keeps its bindings in `data`, on a free port or where it is told, and waits until it listens.
    pub(crate) async fn start(data: &Path, listen: &str) -> Self {
        Self::start_with(data, listen, "60").await
    }

    /// Like [`start`](Self::start), with leases of so many seconds.
    pub(crate) async fn start_with(data: &Path, listen: &str, lease: &str) -> Self {
        Self::start_using(data, listen, &["--lease", lease]).await
    }

    /// Like [`start`](Self::start), with further arguments.
    pub(crate) async fn start_using(data: &Path, listen: &str, arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_rmi-registry"))
            .args(arguments)
            .args(["--listen", listen, "--data"])
            .arg(data)
            .env("RUST_LOG", "warn")
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = lines.next_line().await.unwrap().expect("the registry says where it listens");
        let endpoint = line.strip_prefix("listening on ").expect(&line).to_owned();
        Self { child, endpoint }
    }

    /// `kill -9`, and waits until the process is gone.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// SIGTERM, and waits for the end, which must be orderly.
    pub(crate) async fn terminate(mut self) {
        let id = self.child.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().await.unwrap().success());
        assert!(self.child.wait().await.unwrap().success());
    }
}
