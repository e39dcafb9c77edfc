//! A process on the other side of a channel, to be killed.

use std::process::Stdio;

use rmi_core::Endpoint;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::SOON;

/// A process that is killed when it is dropped.
pub(super) struct Process(Child);

impl Process {
    /// A host that listens there.
    pub(super) async fn listening(endpoint: &Endpoint) -> Self {
        Self::start(&["listen", endpoint.as_str()], "listening").await
    }

    /// A caller that has written so many bytes and goes on living. Whoever it calls has to accept meanwhile.
    pub(super) async fn wrote(endpoint: &Endpoint, bytes: usize) -> Self {
        Self::start(&["write", endpoint.as_str(), &bytes.to_string()], "written").await
    }

    async fn start(arguments: &[&str], says: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_worker"));
        let mut child = command.args(arguments).stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = timeout(SOON, lines.next_line()).await.expect("it says so").unwrap();
        assert_eq!(line.as_deref(), Some(says));
        Self(child)
    }

    /// `kill -9`, and waits until it is gone.
    pub(super) async fn kill(mut self) {
        self.0.kill().await.unwrap();
    }
}
