//! A broker that dies, and a peer that dies.

use std::process::Stdio;
use std::time::{Duration, Instant};

use rmi_core::transport::{Nats, Transport};
use rmi_core::{ErrorKind, Executed, ObjectRef, Proxy, limits};
use rmi_tests::{Broker, Namespace, Tally};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::task::block_in_place;
use tokio::time::timeout;

use super::load::{CALLERS, Load, assert_fit, host_and_caller};
use super::{MARGIN, SOON};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_restarts_under_load_ends_no_session_and_no_call_runs_twice() {
    let mut broker = Broker::start("127.0.0.1").unwrap();
    let (host, _caller, tally) = host_and_caller(&broker).await;
    let load = Load::start(&tally);
    for _ in 0..3 {
        load.goes_on(200).await;
        block_in_place(|| broker.restart()).unwrap();
    }
    load.goes_on(200).await;
    let answers = load.end().await;
    assert_fit(answers, &tally).await;
    assert_eq!((answers.maybe, answers.no, host.connections()), (0, 0, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_stays_away_leaves_maybe_and_calls_succeed_when_it_is_back() {
    let mut broker = Broker::start("127.0.0.1").unwrap();
    let (host, caller, tally) = host_and_caller(&broker).await;
    let load = Load::start(&tally);
    load.goes_on(200).await;
    let begun = Instant::now();
    block_in_place(|| broker.kill());
    // Each caller may have had one answer on its way; what comes after those says that nothing is known.
    load.goes_on(CALLERS + 1).await;
    assert!(begun.elapsed() < limits::BROKER_SILENCE + MARGIN, "{:?}", begun.elapsed());
    block_in_place(|| broker.restart()).unwrap();
    let back = async { while tally.counted().await.is_err() {} };
    timeout(SOON * 2, back).await.expect("a call succeeds");
    load.goes_on(200).await;
    let answers = load.end().await;
    assert_fit(answers, &tally).await;
    assert!(answers.maybe > 0, "{answers:?}");
    caller.shutdown().await;
    drop(host);
}

/// A process that says lines and ends with its input; it is killed with the value.
struct Process {
    child: Child,
    input: ChildStdin,
    said: Lines<BufReader<ChildStdout>>,
}

impl Process {
    fn start(command: impl Into<Command>, arguments: &[&str]) -> Self {
        let mut command = command.into();
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let said = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { input: child.stdin.take().unwrap(), said, child }
    }

    async fn line(&mut self) -> String {
        let line = timeout(Duration::from_secs(30), self.said.next_line()).await.expect("a line within 30 s");
        line.unwrap().expect("the process has ended")
    }

    /// Lets it end, and returns what it said last.
    async fn end(self) -> String {
        let Self { mut child, input, mut said } = self;
        drop(input);
        let mut last = String::new();
        while let Some(line) = timeout(Duration::from_secs(30), said.next_line()).await.expect("an end").unwrap() {
            last = line;
        }
        let status = child.wait().await.unwrap();
        assert!(status.success(), "{status}: {last}");
        last
    }
}

const SLATE: &str = env!("CARGO_BIN_EXE_slate");
const HAMMER: &str = env!("CARGO_BIN_EXE_hammer");

#[tokio::test]
async fn a_killed_peer_is_noticed_though_the_broker_does_not_say_so() {
    let broker = Broker::start("127.0.0.1").unwrap();
    let mut host = Process::start(Command::new(SLATE), &[&broker.endpoint("place")]);
    let reference: ObjectRef = host.line().await.parse().unwrap();
    let mut idle = Nats::new().dial(&reference.endpoints[0]).await.unwrap();
    let caller = Broker::node().start().await.unwrap();
    let tally: Proxy<dyn Tally> = caller.proxy(&reference).unwrap();
    tally.add(1).await.unwrap();
    host.child.kill().await.unwrap();
    let begun = Instant::now();
    let error = tally.add(2).await.unwrap_err();
    assert_eq!((error.kind(), error.executed()), (ErrorKind::Disconnected, Executed::Maybe), "{error}");
    assert!(error.message().contains("nothing was heard of the peer for 10s"), "{error}");
    let ended = idle.stream.read_to_end(&mut Vec::new()).await.unwrap_err();
    assert_eq!(ended.to_string(), "nothing was heard of the peer for 10s");
    assert!(begun.elapsed() < limits::BROKER_SILENCE + MARGIN, "{:?}", begun.elapsed());
    // Now that the host is known to be gone the broker says that nobody listens.
    assert_eq!(tally.add(3).await.unwrap_err().executed(), Executed::No);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn machines_with_no_route_to_each_other_call_over_a_broker_that_restarts() {
    if !Namespace::is_permitted() {
        println!("not run: only root may make a network namespace");
        return;
    }
    let (here, there) = (Namespace::new().unwrap(), Namespace::new().unwrap());
    let mut broker = Broker::start("0.0.0.0").unwrap();
    let seen_from = |namespace: &Namespace| format!("nats://{}:{}/bank", namespace.near(), broker.port());
    let (listened, dialled) = (format!("{}?plaintext", seen_from(&here)), seen_from(&there));
    let mut host = Process::start(here.command(SLATE), &[&listened, &dialled]);
    let reference = host.line().await;
    // Nothing but the broker is in reach: not even its address on the other link.
    let ping = there.command("ip").args(["route", "get", here.near()]).output().unwrap();
    assert!(!ping.status.success(), "{}", String::from_utf8_lossy(&ping.stdout));
    let mut caller = Process::start(there.command(HAMMER), &[&reference]);
    for _ in 0..2 {
        assert_eq!(caller.line().await, "called");
        block_in_place(|| broker.restart()).unwrap();
        assert_eq!(caller.line().await, "called");
    }
    println!("{}", caller.end().await);
    host.end().await;
}
