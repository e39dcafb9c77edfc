//! `rmi lock` and `rmi sem` as a user runs them: real processes around real commands.

use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::process::Process;

/// `rmi` with a command that runs until its input ends.
struct Holder {
    child: Child,
    input: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
}

fn rmi(endpoint: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rmi"));
    command.args(arguments).env("RMI_REGISTRY", endpoint).kill_on_drop(true);
    command
}

async fn run(endpoint: &str, arguments: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = rmi(endpoint, arguments).output().await.unwrap();
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

impl Holder {
    /// Starts it. It need not have the lock yet.
    fn start(endpoint: &str) -> Self {
        let script = "echo $RMI_LOCK_TOKEN; exec cat";
        let mut command = rmi(endpoint, &["lock", "jobs", "--", "sh", "-c", script]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { input: child.stdin.take(), child, lines }
    }

    /// The token: waits until the command runs.
    async fn token(&mut self) -> u64 {
        let line = tokio::time::timeout(Duration::from_secs(20), self.lines.next_line()).await;
        line.expect("the lock is obtained").unwrap().expect("the command runs").parse().unwrap()
    }

    /// Lets the command end, and returns the status.
    async fn finish(mut self) -> i32 {
        drop(self.input.take());
        self.status().await
    }

    async fn status(&mut self) -> i32 {
        let ended = tokio::time::timeout(Duration::from_secs(20), self.child.wait()).await;
        ended.expect("rmi ends").unwrap().code().unwrap()
    }

    async fn signal(&self, name: &str) {
        let id = self.child.id().unwrap().to_string();
        assert!(Command::new("kill").args([name, &id]).status().await.unwrap().success());
    }

    /// Nothing is left of the command: nobody has its output open.
    async fn command_is_gone(&mut self) -> bool {
        self.lines.next_line().await.unwrap().is_none()
    }
}

async fn registry(directory: &Path) -> Process {
    Process::start(&directory.join("names.redb"), "tcp://127.0.0.1:0").await
}

#[tokio::test]
async fn a_command_gets_its_token_and_hands_back_its_status() {
    let directory = tempfile::tempdir().unwrap();
    let process = registry(directory.path()).await;
    let script = ["sh", "-c", "echo $RMI_LOCK_TOKEN; exit 7"];
    let (status, first, error) = run(&process.endpoint, &[&["lock", "a", "--"], &script[..]].concat()).await;
    assert_eq!((status, error.as_str()), (7, ""));
    let (status, second, _) =
        run(&process.endpoint, &[&["sem", "b", "--permits", "3", "-n", "2", "--"], &script[..]].concat()).await;
    assert_eq!(status, 7);
    assert!(first.trim().parse::<u64>().unwrap() < second.trim().parse::<u64>().unwrap());
}

#[tokio::test]
async fn a_second_one_waits_until_the_first_has_ended() {
    let directory = tempfile::tempdir().unwrap();
    let process = registry(directory.path()).await;
    let mut first = Holder::start(&process.endpoint);
    let token = first.token().await;
    let mut second = Holder::start(&process.endpoint);
    for timeout in ["0", "0.2"] {
        let (status, out, error) =
            run(&process.endpoint, &["lock", "jobs", "--timeout", timeout, "--", "echo", "ran"]).await;
        assert_eq!((status, out.as_str()), (124, ""));
        assert_eq!(error, format!("rmi: jobs was not free within {timeout} s\n"));
    }
    let early = tokio::time::timeout(Duration::from_millis(100), second.lines.next_line()).await;
    assert!(early.is_err(), "the second command ran while the first did: {early:?}");
    assert_eq!(first.finish().await, 0);
    assert!(second.token().await > token);
    assert_eq!(second.finish().await, 0);
}

async fn killed_lets_the_next_in(listen: &str) {
    let directory = tempfile::tempdir().unwrap();
    let listen = listen.replace("DIRECTORY", directory.path().to_str().unwrap());
    let process = Process::start_with(&directory.path().join("names.redb"), &listen, "1").await;
    let mut first = Holder::start(&process.endpoint);
    let token = first.token().await;
    let mut second = Holder::start(&process.endpoint);
    first.child.kill().await.unwrap();
    assert!(second.token().await > token);
    assert_eq!(second.finish().await, 0);
}

#[tokio::test]
async fn a_holder_that_is_killed_lets_the_next_in_over_tcp() {
    killed_lets_the_next_in("tcp://127.0.0.1:0").await;
}

#[tokio::test]
async fn a_holder_that_is_killed_lets_the_next_in_over_a_unix_socket() {
    killed_lets_the_next_in("unix:DIRECTORY/names.sock").await;
}

#[tokio::test]
async fn signals_are_handed_on_and_the_lock_is_free_afterwards() {
    let directory = tempfile::tempdir().unwrap();
    let process = registry(directory.path()).await;
    for (signal, status) in [("-TERM", 143), ("-INT", 130)] {
        let mut holder = Holder::start(&process.endpoint);
        holder.token().await;
        holder.signal(signal).await;
        assert_eq!(holder.status().await, status);
        assert!(holder.command_is_gone().await);
        assert_eq!(run(&process.endpoint, &["lock", "jobs", "--timeout", "0", "--", "true"]).await.0, 0);
    }
}

#[tokio::test]
async fn a_command_whose_lock_is_lost_is_killed() {
    let directory = tempfile::tempdir().unwrap();
    let process = registry(directory.path()).await;
    let endpoint = process.endpoint.clone();
    let mut holder = Holder::start(&endpoint);
    let token = holder.token().await;
    process.kill().await;
    let _process = Process::start(&directory.path().join("names.redb"), &endpoint).await;
    assert_eq!(holder.status().await, 125);
    assert!(holder.command_is_gone().await);
    let mut next = Holder::start(&endpoint);
    assert!(next.token().await > token);
    assert_eq!(next.finish().await, 0);
}

#[tokio::test]
async fn what_cannot_be_run_has_the_status_that_shells_give_it() {
    let directory = tempfile::tempdir().unwrap();
    let process = registry(directory.path()).await;
    let (status, _, error) = run(&process.endpoint, &["lock", "a", "--", "/nonexistent/program"]).await;
    assert_eq!(status, 127);
    assert!(error.starts_with("rmi: /nonexistent/program cannot be run: "), "{error}");
    let plain = directory.path().join("plain");
    std::fs::write(&plain, "").unwrap();
    assert_eq!(run(&process.endpoint, &["lock", "a", "--", plain.to_str().unwrap()]).await.0, 126);
    assert_eq!(run(&process.endpoint, &["lock", "a"]).await.0, 2);
}

#[tokio::test]
async fn sem_says_what_is_available() {
    let directory = tempfile::tempdir().unwrap();
    let process = registry(directory.path()).await;
    let mut holder = Holder::start(&process.endpoint);
    holder.token().await;
    let (status, out, _) = run(&process.endpoint, &["sem", "jobs", "--permits", "1"]).await;
    assert_eq!((status, out.as_str()), (0, "jobs: 0 of 1 available\n"));
    let (_, out, _) = run(&process.endpoint, &["sem", "gpu", "--permits", "4", "--json"]).await;
    assert_eq!(out, "{\"available\":4,\"name\":\"gpu\",\"permits\":4}\n");
    let (status, _, error) = run(&process.endpoint, &["sem", "jobs", "--permits", "2"]).await;
    assert_eq!((status, error.as_str()), (1, "rmi: semaphore jobs has 1 permits, not 2\n"));
    let (status, _, error) = run(&process.endpoint, &["sem", "gpu", "--permits", "2", "-n", "3", "--", "true"]).await;
    assert_eq!((status, error.as_str()), (2, "rmi: 3 permits exceed the 2 that the semaphore has\n"));
    assert_eq!(holder.finish().await, 0);
}
