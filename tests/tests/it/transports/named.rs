//! Named pipes: who may use them, and what is left of them.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rmi_core::transport::{Fifo, Transport, TransportError};
use rmi_core::{Endpoint, Executed, Identity, Node, Proxy};
use rmi_tests::{Echo, Repeater};
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

use super::process::Process;
use super::spawned::own_user;
use super::{SOON, Subject, private_directory};

const SECOND: Duration = Duration::from_secs(1);

pub(super) fn subject() -> Subject {
    Subject::in_directory(
        Arc::new(Fifo),
        |identity| matches!(identity, Identity::Process { uid, pid: None, .. } if *uid == own_user()),
    )
}

/// A directory, and an endpoint in it.
fn place() -> (tempfile::TempDir, Endpoint) {
    let directory = private_directory();
    let endpoint = format!("fifo:{}/place", directory.path().display()).parse().unwrap();
    (directory, endpoint)
}

fn names(directory: &Path) -> Vec<String> {
    fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

async fn refused(endpoint: &Endpoint) -> String {
    timeout(SOON, Fifo.listen(endpoint)).await.expect("soon").err().expect("it is no place").to_string()
}

#[tokio::test]
async fn pipes_and_their_directory_are_for_their_owner_alone() {
    let directory = private_directory();
    let made = directory.path().join("made");
    let endpoint: Endpoint = format!("fifo:{}/place", made.display()).parse().unwrap();
    let _listener = Fifo.listen(&endpoint).await.unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&made), mode(&made.join("place"))), (0o700, 0o600));
    assert!(fs::metadata(made.join("place")).unwrap().file_type().is_fifo());
}

#[tokio::test]
async fn a_place_that_others_can_reach_is_refused() {
    let (directory, endpoint) = place();
    let open = directory.path().join("open");
    fs::DirBuilder::new().mode(0o755).create(&open).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o755)).unwrap();
    let text = refused(&format!("fifo:{}/place", open.display()).parse().unwrap()).await;
    assert!(text.ends_with("the directory is open to other users: its mode is 755"), "{text}");
    let link = directory.path().join("link");
    std::os::unix::fs::symlink("/", &link).unwrap();
    refused(&format!("fifo:{}/place", link.display()).parse().unwrap()).await;
    fs::write(directory.path().join("place"), "precious").unwrap();
    let text = refused(&endpoint).await;
    assert!(text.ends_with("place is not a pipe"), "{text}");
    assert_eq!(fs::read_to_string(directory.path().join("place")).unwrap(), "precious");
    let text = refused(&"fifo:place".parse().unwrap()).await;
    assert!(text.contains("the path is not absolute"), "{text}");
}

#[tokio::test]
async fn the_names_of_a_pair_are_gone_when_both_have_it() {
    let (directory, endpoint) = place();
    let mut listener = Fifo.listen(&endpoint).await.unwrap();
    let (dialled, accepted) = tokio::join!(Fifo.dial(&endpoint), listener.accept());
    let _both = (dialled.unwrap(), accepted.unwrap());
    assert_eq!(names(directory.path()), ["place"]);
    drop(listener);
    assert_eq!(names(directory.path()), [""; 0]);
}

#[tokio::test]
async fn a_caller_that_waits_learns_that_the_listener_is_gone() {
    let (directory, endpoint) = place();
    let listener = Fifo.listen(&endpoint).await.unwrap();
    let place = endpoint.clone();
    let dialling = tokio::spawn(async move { Fifo.dial(&place).await });
    while names(directory.path()).len() < 3 {
        tokio::task::yield_now().await;
    }
    drop(listener);
    let failed = timeout(SECOND, dialling).await.expect("at once").unwrap();
    assert!(matches!(failed, Err(TransportError::Io { .. })));
    assert_eq!(names(directory.path()), [""; 0]);
}

#[tokio::test]
async fn a_caller_that_gives_up_leaves_nothing() {
    let (directory, endpoint) = place();
    let mut listener = Fifo.listen(&endpoint).await.unwrap();
    assert!(timeout(Duration::from_millis(50), Fifo.dial(&endpoint)).await.is_err());
    assert_eq!(names(directory.path()), ["place"]);
    // Its announcement leads nowhere, and the next one is answered.
    let (dialled, accepted) = tokio::join!(Fifo.dial(&endpoint), listener.accept());
    assert!(dialled.is_ok() && accepted.is_ok());
}

#[tokio::test]
async fn what_a_killed_host_left_behind_is_taken_over() {
    let (directory, endpoint) = place();
    let host = Process::listening(&endpoint).await;
    let caller = Node::builder().start().await.unwrap();
    let echo: Proxy<dyn Echo> = caller.at(&endpoint, Repeater::KNOWN);
    assert_eq!(echo.echo("there").await.unwrap(), "there");
    assert!(matches!(Fifo.listen(&endpoint).await, Err(TransportError::InUse(_))));
    host.kill().await;
    timeout(SECOND, echo.closed()).await.expect("its death is noticed");
    let failed = timeout(SOON, echo.echo("there")).await.expect("soon").unwrap_err();
    assert_eq!(failed.executed(), Executed::No);
    // A pair whose maker is gone as well.
    let pair = format!("place.{}.up", "0".repeat(32));
    let stale = directory.path().join(&pair);
    assert!(std::process::Command::new("mkfifo").args(["-m", "600"]).arg(&stale).status().unwrap().success());
    fs::write(directory.path().join("place.other.up"), "").unwrap();
    let host = Process::listening(&endpoint).await;
    let mut left = names(directory.path());
    left.sort();
    assert_eq!(left, ["place", "place.other.up"]);
    assert_eq!(echo.echo("again").await.unwrap(), "again");
    host.kill().await;
}

#[tokio::test]
async fn a_killed_caller_is_read_to_its_end_and_leaves_nothing() {
    let (directory, endpoint) = place();
    let mut listener = Fifo.listen(&endpoint).await.unwrap();
    let (caller, accepted) = tokio::join!(Process::wrote(&endpoint, 20_000), listener.accept());
    caller.kill().await;
    let mut read = Vec::new();
    let ended = timeout(SECOND, accepted.unwrap().stream.read_to_end(&mut read)).await;
    ended.expect("its death is noticed").unwrap();
    assert_eq!(read, [7; 20_000]);
    assert_eq!(names(directory.path()), ["place"]);
}

#[tokio::test]
async fn announcements_that_are_none_change_nothing() {
    let (directory, endpoint) = place();
    let mut listener = Fifo.listen(&endpoint).await.unwrap();
    fs::write(directory.path().join("precious"), "").unwrap();
    let mut pipe = fs::OpenOptions::new().write(true).open(directory.path().join("place")).unwrap();
    for wrong in ["../precious\n", "precious\n\n\u{1b}\n", &"0".repeat(10_000), "\n", &format!("{}\n", "0".repeat(32))]
    {
        pipe.write_all(wrong.as_bytes()).unwrap();
    }
    pipe.write_all(b"\xff\xfe\n").unwrap();
    let both = timeout(SOON, async { tokio::join!(Fifo.dial(&endpoint), listener.accept()) });
    let (dialled, accepted) = both.await.expect("the listener lives");
    assert!(dialled.is_ok() && accepted.is_ok());
    assert!(directory.path().join("precious").exists());
}
