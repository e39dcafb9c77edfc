//! The contract of `rmi_core::transport`, one test a rule, over every transport.

mod beside;
mod broker;
mod named;
mod over_quic;
mod over_tls;
mod process;
mod queues;
mod secure;
mod session;
mod shared;
mod simulated;
mod sockets;
mod spawned;
mod table;
mod wiretap;

use std::any::Any;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

use rmi_core::transport::{Channel, Listener, Transport, TransportError};
use rmi_core::{Endpoint, Identity};
use rmi_tests::{Random, Way};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(5);

/// A transport with a place to listen.
struct Subject {
    transport: Arc<dyn Transport>,
    place: Endpoint,
    nowhere: Endpoint,
    /// Whether this is what is proven about this very process.
    proven: fn(&Identity) -> bool,
    /// Whether several listeners may have one endpoint.
    shared: bool,
    /// What the places need: a directory, a broker, or that nobody else does the same.
    _needs: Option<Box<dyn Any>>,
}

/// A directory that no other user can look into.
fn private_directory() -> tempfile::TempDir {
    tempfile::Builder::new().permissions(Permissions::from_mode(0o700)).tempdir().unwrap()
}

impl Subject {
    fn at(transport: Arc<dyn Transport>, place: &str, nowhere: &str, proven: fn(&Identity) -> bool) -> Self {
        let (place, nowhere) = (place.parse().unwrap(), nowhere.parse().unwrap());
        Self { transport, place, nowhere, proven, shared: false, _needs: None }
    }

    /// A transport whose places are paths.
    fn in_directory(transport: Arc<dyn Transport>, proven: fn(&Identity) -> bool) -> Self {
        let directory = private_directory();
        let path = |name: &str| format!("{}:{}/{name}", transport.scheme(), directory.path().display());
        let (place, nowhere) = (path("place"), path("nowhere"));
        Self { _needs: Some(Box::new(directory)), ..Self::at(transport, &place, &nowhere, proven) }
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
        let writing = async {
            write.write_all(&sent).await?;
            write.flush().await
        };
        let (wrote, read) = tokio::join!(writing, read.read_exact(&mut got));
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
    let (transport, place) = (subject.transport.clone(), listener.endpoint().clone());
    let dialling = tokio::spawn(async move {
        let mut near = transport.dial(&place).await.unwrap();
        near.stream.write_all(b"x").await.unwrap();
        near.stream.flush().await.unwrap();
        near
    });
    // Accepting may be what moves a handshake on: it is given up again and again while somebody dials.
    let accepted = async {
        loop {
            if let Ok(accepted) = timeout(Duration::from_micros(50), listener.accept()).await {
                return accepted.unwrap();
            }
        }
    };
    let mut far = timeout(SOON, accepted).await.expect("the channel is there");
    assert_eq!(far.stream.read_u8().await.unwrap(), b'x');
    dialling.await.unwrap();
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
        assert!((subject.proven)(&channel.identity), "{}", channel.identity);
    }
}

async fn c12_two_listeners_cannot_have_one_endpoint(subject: Subject) {
    let listener = subject.listen().await;
    let second = subject.transport.listen(listener.endpoint()).await;
    if subject.shared {
        return assert!(second.is_ok(), "{:?}", second.err());
    }
    assert!(matches!(second, Err(TransportError::InUse(_))), "{:?}", second.err());
}

/// A row of the suite is a transport: its tests of the contract, or those in brackets where others make no sense, then those of sessions between nodes of this process
/// (`calls`) and with processes that are killed (`kills`).
macro_rules! suite {
    ($($transport:ident: $make:expr $(, [$($rule:ident)+])? $(, $sessions:ident)*;)*) => {
        $(mod $transport {
            use super::*;

            suite!(@contract $transport $make; $($($rule)+)?);
            $(suite!(@$sessions $transport);)*
            pub(super) const TESTS: usize = CONTRACT $(+ suite!(@count $sessions))*;
        })*

        /// How many tests the suite has.
        const TESTS: usize = 0 $(+ $transport::TESTS)*;
    };
    (@contract $transport:ident $make:expr;) => {
        suite!(@contract $transport $make;
            c1_bytes_arrive_in_order_and_unchanged c2_both_sides_can_write_at_once c3_dialling_nobody_fails_soon
            c4_what_was_written_before_a_drop_arrives_then_the_end c5_a_side_that_stopped_writing_can_read
            c6_a_reader_that_does_not_read_makes_the_writer_wait c7_the_endpoint_of_a_listener_can_be_dialled
            c8_dropping_accept_loses_no_channel c9_a_dropped_listener_frees_its_endpoint
            c10_channels_are_independent c11_the_identity_is_what_is_proven
            c12_two_listeners_cannot_have_one_endpoint);
    };
    (@contract $transport:ident $make:expr; $($rule:ident)+) => {
        $(#[tokio::test]
        async fn $rule() {
            table::fill(stringify!($transport), stringify!($rule), super::$rule($make)).await;
        })+
        const CONTRACT: usize = [$(stringify!($rule)),+].len();
    };
    (@calls $transport:ident) => {
        suite!(@session CALLS $transport;
            s1_calls_and_callbacks_go_both_ways_over_one_connection s2_bodies_of_64_mib_arrive_whole_both_ways
            s3_many_calls_at_once_find_their_own_answers s4_a_stream_arrives_in_order_and_waits_for_its_reader
            s5_a_dropped_call_is_cancelled_at_the_servant s6_a_host_that_shuts_down_finishes_what_it_accepted
            s7_a_peer_that_breaks_off_in_the_middle_of_a_frame_harms_nobody
            s8_a_peer_that_does_not_read_is_given_up_and_the_others_are_served);
    };
    (@kills $transport:ident) => {
        suite!(@session KILLS $transport;
            s9_the_calls_to_a_host_that_is_killed_end_and_may_have_run s10_what_a_caller_held_that_is_killed_is_dropped
            s11_who_calls_a_host_that_lacks_descriptors_is_served_when_it_has_some);
    };
    (@count calls) => { CALLS };
    (@count kills) => { KILLS };
    (@session $count:ident $transport:ident; $($behaviour:ident)*) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $behaviour() {
            let directory = tempfile::tempdir().unwrap();
            let way = Way::new(stringify!($transport), directory.path());
            table::fill(stringify!($transport), stringify!($behaviour), session::$behaviour(way)).await;
        })*
        const $count: usize = [$(stringify!($behaviour)),*].len();
    };
}

suite! {
    tcp: sockets::tcp(), calls, kills;
    unix: sockets::unix(), calls, kills;
    shm: shared::subject(), calls, kills;
    mem: sockets::memory(), calls;
    pieces: sockets::pieces();
    tls: secure::TLS.subject(), calls, kills;
    quic: secure::QUIC.subject(), calls, kills;
    sim: simulated::subject();
    nats: broker::subject(), calls, kills;
    natstls: broker::proven();
    fifo: named::subject(), calls, kills;
    mq: queues::subject(), calls, kills;
    // Nobody listens for a parent. Programs that cannot be started (C3) have tests of their own.
    exec: spawned::pipe_pairs(), [
        c1_bytes_arrive_in_order_and_unchanged c2_both_sides_can_write_at_once
        c4_what_was_written_before_a_drop_arrives_then_the_end c5_a_side_that_stopped_writing_can_read
        c6_a_reader_that_does_not_read_makes_the_writer_wait c10_channels_are_independent
        c11_the_identity_is_what_is_proven
    ], calls;
    // What a child behind ssh has: a socket.
    ssh: spawned::socket_pairs(), [
        c1_bytes_arrive_in_order_and_unchanged c2_both_sides_can_write_at_once
        c4_what_was_written_before_a_drop_arrives_then_the_end c5_a_side_that_stopped_writing_can_read
        c6_a_reader_that_does_not_read_makes_the_writer_wait c10_channels_are_independent
        c11_the_identity_is_what_is_proven
    ], calls;
}
