//! TCP and Unix sockets, and channels in one process.

use std::sync::Arc;

use rmi_core::transport::{Memory, Tcp, Transport, TransportError, Unix};
use rmi_core::{Endpoint, Identity};
use rmi_tests::{Faulty, Plan};

use super::Subject;

fn unproven(identity: &Identity) -> bool {
    *identity == Identity::Unproven
}

pub(super) fn tcp() -> Subject {
    Subject::at(Arc::new(Tcp), "tcp://127.0.0.1:0", "tcp://127.0.0.1:1", unproven)
}

/// TCP whose reads and writes come in pieces.
pub(super) fn pieces() -> Subject {
    let transport = Faulty::new(Arc::new(Tcp), Arc::new(Plan::new(3).pieces(7_001)));
    Subject::at(Arc::new(transport), "tcp://127.0.0.1:0", "tcp://127.0.0.1:1", unproven)
}

pub(super) fn memory() -> Subject {
    let same = |identity: &Identity| *identity == Identity::SameProcess;
    Subject::at(Arc::new(Memory::new()), "mem:place", "mem:nowhere", same)
}

pub(super) fn unix() -> Subject {
    Subject::in_directory(Arc::new(Unix), |identity| {
        let own = i32::try_from(std::process::id()).unwrap();
        matches!(identity, Identity::Process { pid: Some(pid), .. } if *pid == own)
    })
}

#[tokio::test]
async fn a_listener_that_strangers_could_reach_must_be_asked_for() {
    let error = Tcp.listen(&"tcp://0.0.0.0:0".parse().unwrap()).await.err().unwrap();
    let text = error.to_string();
    assert!(
        text.contains("loopback") && text.contains("tls://0.0.0.0:0") && text.contains("tcp://0.0.0.0:0?plaintext"),
        "{text}"
    );
}

#[tokio::test]
async fn a_socket_left_behind_is_taken_over_and_nothing_else_is_removed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s");
    let endpoint: Endpoint = format!("unix:{}", path.display()).parse().unwrap();
    // A listener of the standard library leaves its file, as a killed process does.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    drop(Unix.listen(&endpoint).await.unwrap());
    assert!(!path.exists());
    std::fs::write(&path, "precious").unwrap();
    assert!(Unix.listen(&endpoint).await.is_err());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
}

#[tokio::test]
async fn a_socket_is_for_its_owner_alone_and_its_path_is_bounded() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s");
    let _listener = Unix.listen(&format!("unix:{}", path.display()).parse().unwrap()).await.unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let long = format!("unix:/{}", "x".repeat(107));
    let error = Unix.listen(&long.parse().unwrap()).await.err().unwrap().to_string();
    assert!(error.ends_with("path of 108 bytes exceeds the limit of 107"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn of_those_who_take_over_a_socket_at_once_one_listens() {
    let directory = tempfile::tempdir().unwrap();
    for round in 0..100 {
        let path = directory.path().join(round.to_string());
        let endpoint: Endpoint = format!("unix:{}", path.display()).parse().unwrap();
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let together = Arc::new(tokio::sync::Barrier::new(8));
        let tries = [(); 8].map(|()| {
            let (endpoint, together) = (endpoint.clone(), together.clone());
            tokio::spawn(async move {
                together.wait().await;
                Unix.listen(&endpoint).await
            })
        });
        let mut listeners = Vec::new();
        for attempt in tries {
            match attempt.await.unwrap() {
                Ok(listener) => listeners.push(listener),
                Err(error) => assert!(matches!(error, TransportError::InUse(_)), "round {round}: {error}"),
            }
        }
        let [listener] = &mut listeners[..] else { panic!("round {round}: {} listen", listeners.len()) };
        let (dialled, accepted) = tokio::join!(Unix.dial(&endpoint), listener.accept());
        assert!(dialled.is_ok() && accepted.is_ok(), "round {round}");
    }
}

#[tokio::test]
async fn a_stranger_who_holds_the_directory_keeps_nobody_from_listening() {
    let directory = tempfile::tempdir().unwrap();
    let held = std::fs::File::open(directory.path()).unwrap();
    held.lock().unwrap();
    let endpoint: Endpoint = format!("unix:{}", directory.path().join("s").display()).parse().unwrap();
    Unix.listen(&endpoint).await.unwrap();
}
