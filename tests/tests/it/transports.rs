//! The contract of `rmi_core::transport`, one test a rule, over every transport.

use std::sync::Arc;
use std::time::Duration;

use rmi_core::transport::{Channel, Listener, Memory, Tcp, Transport, TransportError, Unix};
use rmi_core::{Endpoint, Identity};
use rmi_tests::{Cut, Faulty, Network, Plan, Random};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(5);

/// A transport with a place to listen.
struct Subject {
    transport: Arc<dyn Transport>,
    place: Endpoint,
    nowhere: Endpoint,
    _directory: tempfile::TempDir,
}

impl Subject {
    fn new(transport: Arc<dyn Transport>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (place, nowhere) = match transport.scheme() {
            "tcp" => ("tcp://127.0.0.1:0".to_owned(), "tcp://127.0.0.1:1".to_owned()),
            "unix" => {
                (format!("unix:{}/s", directory.path().display()), format!("unix:{}/n", directory.path().display()))
            }
            scheme => (format!("{scheme}:place"), format!("{scheme}:nowhere")),
        };
        Self { transport, place: place.parse().unwrap(), nowhere: nowhere.parse().unwrap(), _directory: directory }
    }

    async fn listen(&self) -> Box<dyn Listener> {
        self.transport.listen(&self.place).await.unwrap()
    }

    async fn pair(&self) -> (Channel, Channel) {
        let mut listener = self.listen().await;
        self.connect(&mut *listener).await
    }

    async fn connect(&self, listener: &mut dyn Listener) -> (Channel, Channel) {
        let place = listener.endpoint().clone();
        let (dialled, accepted) = tokio::join!(self.transport.dial(&place), listener.accept());
        (dialled.unwrap(), accepted.unwrap())
    }
}

async fn c1_bytes_arrive_in_order_and_unchanged(subject: Subject) {
    let (mut near, mut far) = subject.pair().await;
    let sent = Random::new(1).bytes(1_000_000);
    let copy = sent.clone();
    let writing = tokio::spawn(async move {
        near.stream.write_all(&copy).await.unwrap();
        near.stream.shutdown().await.unwrap();
        near
    });
    let mut read = Vec::new();
    far.stream.read_to_end(&mut read).await.unwrap();
    assert!(read == sent);
    writing.await.unwrap();
}

async fn c2_both_sides_can_write_at_once(subject: Subject) {
    let (near, far) = subject.pair().await;
    let both = |channel: Channel| async move {
        let (mut read, mut write) = tokio::io::split(channel.stream);
        let (sent, mut got) = (vec![5; 500_000], vec![0; 500_000]);
        let (wrote, read) = tokio::join!(write.write_all(&sent), read.read_exact(&mut got));
        (wrote.unwrap(), read.unwrap())
    };
    timeout(SOON, async { tokio::join!(both(near), both(far)) }).await.expect("neither waits for the other");
}

async fn c3_dialling_nobody_fails_soon(subject: Subject) {
    let failed = timeout(SOON, subject.transport.dial(&subject.nowhere)).await.expect("soon");
    let text = failed.err().expect("nobody is there").to_string();
    assert!(text.contains(subject.nowhere.as_str()), "{text}");
}

async fn c4_what_was_written_before_a_drop_arrives_then_the_end(subject: Subject) {
    let (mut near, mut far) = subject.pair().await;
    near.stream.write_all(b"last words").await.unwrap();
    near.stream.flush().await.unwrap();
    drop(near);
    let mut read = Vec::new();
    far.stream.read_to_end(&mut read).await.unwrap();
    assert_eq!(read, b"last words");
}

async fn c5_a_side_that_stopped_writing_can_read(subject: Subject) {
    let (mut near, mut far) = subject.pair().await;
    near.stream.shutdown().await.unwrap();
    assert_eq!(far.stream.read(&mut [0; 8]).await.unwrap(), 0);
    far.stream.write_all(b"answer").await.unwrap();
    let mut read = [0; 6];
    near.stream.read_exact(&mut read).await.unwrap();
    assert_eq!(&read, b"answer");
}

async fn c6_a_reader_that_does_not_read_makes_the_writer_wait(subject: Subject) {
    let (mut near, far) = subject.pair().await;
    let chunk = vec![0; 1 << 20];
    let mut written = 0usize;
    let flood = async {
        loop {
            near.stream.write_all(&chunk).await.unwrap();
            written += chunk.len();
        }
    };
    let _: Result<(), _> = timeout(Duration::from_millis(300), flood).await;
    assert!(written < 64 << 20, "{written} bytes were taken");
    drop(far);
}

async fn c7_the_endpoint_of_a_listener_can_be_dialled(subject: Subject) {
    let mut listener = subject.listen().await;
    assert!(!listener.endpoint().as_str().ends_with(":0"));
    subject.connect(&mut *listener).await;
}

async fn c8_dropping_accept_loses_no_channel(subject: Subject) {
    let mut listener = subject.listen().await;
    for _ in 0..20 {
        let _ = timeout(Duration::from_micros(50), listener.accept()).await;
    }
    let place = listener.endpoint().clone();
    let mut near = timeout(SOON, subject.transport.dial(&place)).await.unwrap().unwrap();
    near.stream.write_all(b"x").await.unwrap();
    near.stream.flush().await.unwrap();
    let mut far = timeout(SOON, listener.accept()).await.expect("the channel is there").unwrap();
    assert_eq!(far.stream.read_u8().await.unwrap(), b'x');
}

async fn c9_a_dropped_listener_frees_its_endpoint(subject: Subject) {
    let listener = subject.listen().await;
    let place = listener.endpoint().clone();
    drop(listener);
    assert!(timeout(SOON, subject.transport.dial(&place)).await.unwrap().is_err());
    assert!(subject.transport.listen(&place).await.is_ok());
}

async fn c10_channels_are_independent(subject: Subject) {
    let mut listener = subject.listen().await;
    let (mut first_near, mut first_far) = subject.connect(&mut *listener).await;
    let (second_near, _second_far) = subject.connect(&mut *listener).await;
    drop(second_near);
    first_near.stream.write_all(b"x").await.unwrap();
    first_near.stream.flush().await.unwrap();
    assert_eq!(first_far.stream.read_u8().await.unwrap(), b'x');
}

async fn c11_the_identity_is_what_is_proven(subject: Subject) {
    let (near, far) = subject.pair().await;
    for channel in [near, far] {
        match subject.transport.scheme() {
            "tcp" | "sim" => assert_eq!(channel.identity, Identity::Unproven),
            "mem" => assert_eq!(channel.identity, Identity::SameProcess),
            _ => {
                let own = i32::try_from(std::process::id()).unwrap();
                assert!(matches!(channel.identity, Identity::Process { pid: Some(pid), .. } if pid == own));
            }
        }
    }
}

async fn c12_two_listeners_cannot_have_one_endpoint(subject: Subject) {
    let listener = subject.listen().await;
    let second = subject.transport.listen(listener.endpoint()).await;
    assert!(matches!(second, Err(TransportError::InUse(_))), "{:?}", second.err());
}

macro_rules! suite {
    ($($transport:ident: $make:expr;)*) => {
        $(mod $transport {
            use super::*;

            suite!(@tests $make;
                c1_bytes_arrive_in_order_and_unchanged c2_both_sides_can_write_at_once c3_dialling_nobody_fails_soon
                c4_what_was_written_before_a_drop_arrives_then_the_end c5_a_side_that_stopped_writing_can_read
                c6_a_reader_that_does_not_read_makes_the_writer_wait c7_the_endpoint_of_a_listener_can_be_dialled
                c8_dropping_accept_loses_no_channel c9_a_dropped_listener_frees_its_endpoint
                c10_channels_are_independent c11_the_identity_is_what_is_proven
                c12_two_listeners_cannot_have_one_endpoint);
        })*
    };
    (@tests $make:expr; $($rule:ident)*) => {
        $(#[tokio::test]
        async fn $rule() {
            super::$rule(Subject::new($make)).await;
        })*
    };
}

suite! {
    tcp: Arc::new(Tcp);
    unix: Arc::new(Unix);
    mem: Arc::new(Memory::new());
    sim: Network::new(5).host("place");
    pieces: Arc::new(Faulty::new(Arc::new(Tcp), Arc::new(Plan::new(3).pieces(7_001))));
}

#[tokio::test]
async fn a_listener_that_strangers_could_reach_must_be_asked_for() {
    let error = Tcp.listen(&"tcp://0.0.0.0:0".parse().unwrap()).await.err().unwrap();
    let text = error.to_string();
    assert!(text.contains("loopback") && text.contains("tcp://0.0.0.0:0?plaintext"), "{text}");
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

/// A channel from one host of a simulated network to another.
async fn simulated(network: &Network) -> (Channel, Channel) {
    let place = "sim:b".parse().unwrap();
    let mut listener = network.host("b").listen(&place).await.unwrap();
    let dialler = network.host("a");
    let (dialled, accepted) = tokio::join!(dialler.dial(&place), listener.accept());
    (dialled.unwrap(), accepted.unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_cut_of_the_simulated_network_ends_channels_and_dials_until_it_is_healed() {
    let network = Network::new(1);
    let place: Endpoint = "sim:b".parse().unwrap();
    let (mut near, mut far) = simulated(&network).await;
    network.cut("a", "b", Cut::Reset);
    assert!(near.stream.read_u8().await.is_err() && far.stream.write_u8(1).await.is_err());
    let _listener = network.host("b").listen(&place).await.unwrap();
    assert!(network.host("a").dial(&place).await.is_err());
    assert!(network.host("c").dial(&place).await.is_ok());
    network.heal("b", "a");
    assert!(network.host("a").dial(&place).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_silent_cut_of_the_simulated_network_tells_nobody() {
    let network = Network::new(2);
    let (mut near, mut far) = simulated(&network).await;
    near.stream.write_u8(1).await.unwrap();
    network.cut("a", "b", Cut::Silent);
    near.stream.write_u8(2).await.unwrap();
    assert!(timeout(SOON, far.stream.read_u8()).await.is_err());
    assert!(timeout(SOON, network.host("a").dial(&"sim:b".parse().unwrap())).await.is_err());
    network.heal("a", "b");
    assert!(timeout(SOON, far.stream.read_u8()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_crashed_host_of_the_simulated_network_reaches_nobody_and_can_be_started_again() {
    let network = Network::new(3);
    let place: Endpoint = "sim:b".parse().unwrap();
    let before = network.host("b");
    let listener = before.listen(&place).await.unwrap();
    let _other = network.host("a").listen(&"sim:a".parse().unwrap()).await.unwrap();
    network.crash("b", Cut::Reset);
    assert!(network.host("a").dial(&place).await.is_err());
    assert!(before.dial(&"sim:a".parse().unwrap()).await.is_err());
    let _again = network.host("b").listen(&place).await.unwrap();
    drop(listener);
    assert!(network.host("a").dial(&place).await.is_ok());
}
