//! Message queues: what is left of them, and the death of a process that a queue does not tell of.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rmi_core::transport::{Mq, Transport, TransportError};
use rmi_core::{Endpoint, Executed, Identity, Node, Proxy};
use rmi_tests::{Alone, Echo, Repeater};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::process::Process;
use super::spawned::own_user;
use super::{SOON, Subject};

const SECOND: Duration = Duration::from_secs(1);

struct Place {
    endpoint: Endpoint,
    _alone: Alone,
}

fn place() -> Place {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let endpoint = format!("mq:/rmi-c{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    Place { endpoint: endpoint.parse().unwrap(), _alone: Alone::among_queues() }
}

pub(super) fn subject() -> Subject {
    let place = place();
    let (at, nowhere) = (place.endpoint.to_string(), format!("{}-nowhere", place.endpoint));
    let proven = |identity: &Identity| {
        // Whose the queue is, and no word about the process.
        matches!(identity, Identity::Process { uid, pid: None, .. } if *uid == own_user())
    };
    Subject { _needs: Some(Box::new(place)), ..Subject::at(Arc::new(Mq), &at, &nowhere, proven) }
}

/// The queues of this place that have a name, seen through a mount that nobody else has. `None` without root.
fn names(place: &Place) -> Option<Vec<String>> {
    let mut look = Command::new("unshare");
    let seen = look.args(["-m", "sh", "-c", "mount -t mqueue none /mnt && ls -1 /mnt"]).output().unwrap();
    if !seen.status.success() && own_user() != 0 {
        eprintln!("not root: names of queues are not looked at");
        return None;
    }
    assert!(seen.status.success(), "{}", String::from_utf8_lossy(&seen.stderr));
    let text = String::from_utf8(seen.stdout).unwrap();
    let own = place.endpoint.address().trim_start_matches('/');
    Some(
        text.lines()
            .filter(|name| name.strip_prefix(own).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
            .map(str::to_owned)
            .collect(),
    )
}

/// What is there when somebody listens and nobody is being answered.
fn only_rendezvous(place: &Place) {
    if let Some(names) = names(place) {
        assert_eq!(names, [place.endpoint.address().trim_start_matches('/')]);
    }
}

fn nothing(place: &Place) {
    if let Some(names) = names(place) {
        assert_eq!(names, [""; 0]);
    }
}

#[tokio::test]
async fn the_names_of_a_pair_are_gone_when_both_have_it() {
    let place = place();
    let mut listener = Mq.listen(&place.endpoint).await.unwrap();
    let (dialled, accepted) = tokio::join!(Mq.dial(&place.endpoint), listener.accept());
    let _both = (dialled.unwrap(), accepted.unwrap());
    only_rendezvous(&place);
    drop(listener);
    nothing(&place);
}

#[tokio::test]
async fn the_end_finds_a_place_in_a_full_queue() {
    let place = place();
    let mut listener = Mq.listen(&place.endpoint).await.unwrap();
    let (dialled, accepted) = tokio::join!(Mq.dial(&place.endpoint), listener.accept());
    let (mut near, mut far) = (dialled.unwrap(), accepted.unwrap());
    let mut written = 0;
    while let Ok(wrote) = timeout(Duration::from_millis(50), near.stream.write(&[7; 3000])).await {
        written += wrote.unwrap();
    }
    drop(near);
    let mut read = Vec::new();
    timeout(SECOND, far.stream.read_to_end(&mut read)).await.expect("the end is there").unwrap();
    assert!(written > 3000 && read == vec![7; written]);
}

#[tokio::test]
async fn a_caller_that_waits_learns_that_the_listener_is_gone_and_leaves_nothing() {
    let place = place();
    let listener = Mq.listen(&place.endpoint).await.unwrap();
    assert!(timeout(Duration::from_millis(50), Mq.dial(&place.endpoint)).await.is_err());
    only_rendezvous(&place);
    let endpoint = place.endpoint.clone();
    let dialling = tokio::spawn(async move { Mq.dial(&endpoint).await });
    tokio::task::yield_now().await;
    drop(listener);
    let failed = timeout(SECOND, dialling).await.expect("soon").unwrap();
    assert!(matches!(failed, Err(TransportError::Io { .. })));
    nothing(&place);
}

#[tokio::test]
async fn what_a_killed_host_left_behind_is_taken_over() {
    let place = place();
    let host = Process::listening(&place.endpoint).await;
    let caller = Node::builder().start().await.unwrap();
    let echo: Proxy<dyn Echo> = caller.at(&place.endpoint, Repeater::KNOWN);
    assert_eq!(echo.echo("there").await.unwrap(), "there");
    assert!(matches!(Mq.listen(&place.endpoint).await, Err(TransportError::InUse(_))));
    host.kill().await;
    timeout(SECOND, echo.closed()).await.expect("its death is noticed");
    let failed = timeout(SOON, echo.echo("there")).await.expect("soon").unwrap_err();
    assert_eq!(failed.executed(), Executed::No);
    let mut listener = Mq.listen(&place.endpoint).await.unwrap();
    let (dialled, accepted) = tokio::join!(Mq.dial(&place.endpoint), listener.accept());
    assert!(dialled.is_ok() && accepted.is_ok());
    drop(listener);
    nothing(&place);
}

#[tokio::test]
async fn a_killed_caller_is_read_to_its_end_and_leaves_nothing() {
    let place = place();
    let mut listener = Mq.listen(&place.endpoint).await.unwrap();
    let (caller, accepted) = tokio::join!(Process::wrote(&place.endpoint, 20_000), listener.accept());
    caller.kill().await;
    let mut accepted = accepted.unwrap();
    let mut read = Vec::new();
    let ended = timeout(SECOND, accepted.stream.read_to_end(&mut read)).await;
    ended.expect("its death is noticed").unwrap();
    assert_eq!(read, [7; 20_000]);
    let written = timeout(SECOND, accepted.stream.write_all(&[0; 1 << 20])).await.expect("nobody is waited for");
    assert!(written.is_err());
    only_rendezvous(&place);
}

#[tokio::test]
async fn a_limit_of_the_kernel_is_named_when_it_is_too_low() {
    let place = place();
    let mut limited = Command::new("prlimit");
    let worker = env!("CARGO_BIN_EXE_worker");
    let failed = limited.args(["--msgqueue=1000", worker, "listen", place.endpoint.as_str()]).output().unwrap();
    let text = String::from_utf8_lossy(&failed.stderr);
    assert!(!failed.status.success() && text.contains("RLIMIT_MSGQUEUE is 1000"), "{text}");
    nothing(&place);
}

#[tokio::test]
async fn a_name_that_is_none_is_refused() {
    let place = place();
    for wrong in ["mq:name", "mq:/a/b", &format!("mq:/{}", "x".repeat(200))] {
        let refused = Mq.listen(&wrong.parse().unwrap()).await;
        assert!(matches!(refused, Err(TransportError::Address { .. })), "{wrong}");
    }
    nothing(&place);
}
