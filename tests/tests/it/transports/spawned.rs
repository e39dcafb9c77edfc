//! Programs that a node starts: their pipes, what they print, and the death of either side.

use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rmi_core::transport::Transport;
use rmi_core::{Child, ErrorKind, Executed, Identity, Node, Proxy, RemoteError, remote};
use rmi_tests::{Echo, Pairs, Repeater, Worker};
use tokio::io::AsyncReadExt;
use tokio::net::UnixListener;
use tokio::process::Command;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::{SOON, Subject};

const WORKER: &str = env!("CARGO_BIN_EXE_worker");

pub(super) fn pipe_pairs() -> Subject {
    subject(Pairs::pipes())
}

pub(super) fn socket_pairs() -> Subject {
    subject(Pairs::sockets())
}

fn subject(pairs: Pairs) -> Subject {
    let place = format!("{}:pair", pairs.scheme());
    Subject::at(Arc::new(pairs), &place, &place, |identity| {
        // Who made the pipes, and no word about the process.
        matches!(identity, Identity::Process { uid, pid: None, .. } if *uid == own_user())
    })
}

/// The user of this process.
pub(super) fn own_user() -> u32 {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").unwrap().uid()
}

/// Says that it was called, and never answers.
struct Silent(Mutex<Option<oneshot::Sender<()>>>);

impl Silent {
    fn new() -> (Self, oneshot::Receiver<()>) {
        let (tell, called) = oneshot::channel();
        (Self(Mutex::new(Some(tell))), called)
    }
}

#[remote]
impl Echo for Silent {
    async fn echo(&self, _: &str) -> Result<String, RemoteError> {
        self.0.lock().unwrap().take().unwrap().send(()).unwrap();
        std::future::pending().await
    }
}

async fn node() -> Node {
    Node::builder().start().await.unwrap()
}

async fn worker(node: &Node, role: &str) -> Child<dyn Worker> {
    node.spawn::<dyn Worker>(format!("exec:{WORKER} {role}")).await.unwrap()
}

/// Why the program cannot be spawned.
async fn refused(program: &str) -> RemoteError {
    let spawned = node().await.spawn::<dyn Worker>(program).await;
    let error = spawned.expect_err("it is no worker");
    assert_eq!((error.kind(), error.executed()), (ErrorKind::Unreachable, Executed::No), "{error}");
    error
}

fn is_there(process: u32) -> bool {
    std::fs::exists(format!("/proc/{process}")).unwrap()
}

#[tokio::test]
async fn a_child_is_called_calls_back_and_ends_with_its_hold() {
    let node = node().await;
    let child = worker(&node, "serve").await;
    let body: Vec<u8> = (0..3_000_000u32).map(|at| at.to_le_bytes()[0]).collect();
    assert!(child.proxy().echo(body.clone().into()).await.unwrap() == body);
    let said = child.proxy().ask(Proxy::<dyn Echo>::new(Repeater), "you").await.unwrap();
    assert_eq!(said, "you");
    let (id, proxy) = (child.id(), child.proxy().clone());
    let status = timeout(SOON, child.end()).await.expect("it goes by itself").unwrap();
    assert!(status.success() && !is_there(id));
    assert_eq!(proxy.echo(vec![1].into()).await.unwrap_err().executed(), Executed::No);
}

#[tokio::test]
async fn a_command_is_started_as_it_is() {
    let node = node().await;
    let mut command = Command::new(WORKER);
    command.arg("serve");
    let child = node.spawn::<dyn Worker>(command).await.unwrap();
    // The frames come over descriptors of their own.
    assert_eq!(child.proxy().input().await.unwrap(), 0);
    drop(child);
}

#[tokio::test]
async fn a_command_line_that_leads_through_another_program_works() {
    // As ssh does, the shell passes on the standard input and output, and prints something of its own first.
    let node = node().await;
    let child = node.spawn::<dyn Worker>(format!("exec:sh -c 'echo welcome; \"$@\"' sh {WORKER} late")).await.unwrap();
    assert_eq!(child.proxy().echo(vec![1, 2].into()).await.unwrap(), vec![1, 2]);
    assert!(child.end().await.unwrap().success());
}

#[tokio::test]
async fn a_killed_child_fails_its_calls_within_a_second_though_what_it_started_lives_on() {
    let node = node().await;
    let child = worker(&node, "serve").await;
    let grandchild = child.proxy().start().await.unwrap();
    let proxy = child.proxy().clone();
    let (silent, called) = Silent::new();
    let call = tokio::spawn(async move { proxy.ask(Proxy::<dyn Echo>::new(silent), "").await });
    called.await.unwrap();
    child.kill();
    let failed = timeout(Duration::from_secs(1), call).await.expect("its death is noticed").unwrap().unwrap_err();
    assert_eq!((failed.kind(), failed.executed()), (ErrorKind::Disconnected, Executed::Maybe));
    let status = timeout(Duration::from_secs(1), child.wait()).await.expect("it is reaped").unwrap();
    assert!(!status.success() && !is_there(child.id()), "{status}");
    assert!(is_there(grandchild));
    assert!(std::process::Command::new("kill").arg(grandchild.to_string()).status().unwrap().success());
}

#[tokio::test]
async fn a_child_ends_within_a_second_after_its_parent_was_killed() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("held");
    let listener = UnixListener::bind(&socket).unwrap();
    let mut parent = Command::new(WORKER);
    let mut parent = parent.arg("parent").arg(&socket).kill_on_drop(true).spawn().unwrap();
    let (mut held, _) = timeout(SOON, listener.accept()).await.expect("the child runs").unwrap();
    parent.kill().await.unwrap();
    let end = timeout(Duration::from_secs(1), held.read(&mut [0])).await.expect("the child ends");
    assert_eq!(end.unwrap(), 0);
}

#[tokio::test]
async fn a_child_that_does_not_go_is_killed() {
    let node = node().await;
    let child = worker(&node, "deaf").await;
    let status = timeout(SOON, child.end()).await.expect("it is killed").unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9));
}

#[tokio::test]
async fn what_a_child_prints_comes_into_the_log_and_not_among_the_frames() {
    // 1 MiB of lines, with what the child printed before it greeted.
    let parent = Command::new(WORKER).args(["noise", "16384"]).output().await.unwrap();
    let log = String::from_utf8(parent.stderr).unwrap();
    assert!(parent.status.success(), "{}", &log[log.len().saturating_sub(500)..]);
    assert_eq!(log.matches(&"n".repeat(63)).count(), 16384);
    assert!(log.contains("program=\"worker\"") && log.contains("welcome") && log.contains("to this host"));
}

#[tokio::test]
async fn a_program_that_is_none_or_no_child_is_refused_with_its_reason() {
    let text = refused("exec:/no/such/program").await.to_string();
    assert!(text.contains("cannot start program: No such file"), "{text}");
    let text = refused("exec:sh -c 'exit 3'").await.to_string();
    assert!(text.contains("sh closed its output before it greeted; it ended: exit status: 3"), "{text}");
    let text = refused("exec:printf '\\0rmi exec 1 zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz\\n'").await.to_string();
    assert!(text.contains("greeted with something that is no id"), "{text}");
}

#[tokio::test]
async fn a_program_that_prints_without_end_is_given_up() {
    let text = timeout(SOON, refused("exec:yes")).await.expect("soon").to_string();
    assert!(text.contains("exceeds the limit of 1048576"), "{text}");
}

#[tokio::test]
async fn a_program_that_says_nothing_is_given_up() {
    let mut limits = rmi_core::Limits::default();
    limits.dial_timeout = Duration::from_millis(100);
    let node = Node::builder().limits(limits).start().await.unwrap();
    let text = node.spawn::<dyn Worker>("exec:sleep 60").await.unwrap_err().to_string();
    assert!(text.contains("sleep did not greet within 100ms"), "{text}");
}

#[tokio::test]
async fn a_root_object_of_another_interface_is_refused() {
    let error = node().await.spawn::<dyn Echo>(format!("exec:{WORKER} serve")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoSuchInterface);
}

#[tokio::test]
async fn nothing_is_left_of_children_that_are_gone() {
    let mut counting = Command::new(WORKER);
    let counted = counting.arg("count").kill_on_drop(true).output();
    let counted = timeout(2 * SOON, counted).await.expect("descriptors are closed").unwrap();
    let text = String::from_utf8_lossy(&counted.stdout);
    assert_eq!(text, "descriptors 0 processes 0\n", "{}", String::from_utf8_lossy(&counted.stderr));
}

#[tokio::test]
async fn a_program_that_was_started_by_hand_says_so() {
    let mut command = Command::new(WORKER);
    let output = command.arg("serve").stdin(Stdio::null()).output().await.unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && text.contains("the standard input is no pipe"), "{text}");
}

#[tokio::test]
async fn a_reference_cannot_make_a_node_run_a_program() {
    let directory = tempfile::tempdir().unwrap();
    let mark = directory.path().join("mark");
    let text = format!("exec:touch%20{}", mark.display());
    let node = node().await;
    let proxy: Proxy<dyn Echo> = node.at(&text.parse().unwrap(), rmi_core::ObjectId::random());
    let error = proxy.echo("run").await.unwrap_err();
    assert!(error.message().contains("there is no transport for \"exec\""), "{error}");
    assert!(!mark.exists());
}
