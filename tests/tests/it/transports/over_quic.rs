//! QUIC over networks that lose datagrams, change addresses and forge them.

use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use quinn::crypto::rustls::QuicClientConfig;
use rmi_core::transport::{Quic, Transport};
use rmi_core::{Node, Proxy, RemoteError, limits, remote};
use rmi_tests::{Authority, Echo, Namespace, Random, Repeater, Way};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UdpSocket;
use tokio::process::Command;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use super::SOON;
use super::over_tls::raw;

const HOST: &[&str] = &["bank", "127.0.0.1"];

/// The place of a listener, as others reach it through a relay.
fn through(relay: &Relay, place: &str) -> String {
    let (_, key) = place.split_once('?').unwrap();
    format!("quic://{}?{key}", relay.place)
}

/// What becomes of a datagram on its way.
#[derive(Clone, Copy)]
enum Fate {
    Delivered,
    Lost,
}

/// Carries datagrams between one socket of a caller and a host.
struct Relay {
    place: SocketAddr,
    lost: Arc<AtomicUsize>,
    task: AbortHandle,
}

impl Relay {
    /// A relay to `host`; `fate` decides about datagrams to the host (`true`) and back.
    async fn to(host: &str, fate: impl Fn(bool, &[u8]) -> Fate + Send + 'static) -> Self {
        let (near, far) =
            (UdpSocket::bind("127.0.0.1:0").await.unwrap(), UdpSocket::bind("127.0.0.1:0").await.unwrap());
        far.connect(host).await.unwrap();
        let (place, lost) = (near.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
        let counted = lost.clone();
        let task = tokio::spawn(async move {
            let (mut up, mut down, mut caller) = ([0; 2048], [0; 2048], None);
            loop {
                let (there, datagram) = tokio::select! {
                    Ok((size, from)) = near.recv_from(&mut up) => {
                        // A single byte only asks whether anybody listens, from a socket of its own.
                        if size > 1 {
                            caller = Some(from);
                        }
                        (true, &up[..size])
                    }
                    Ok(size) = far.recv(&mut down) => (false, &down[..size]),
                };
                match (fate(there, datagram), caller) {
                    (Fate::Lost, _) => drop(counted.fetch_add(1, Ordering::SeqCst)),
                    (Fate::Delivered, _) if there => drop(far.send(datagram).await),
                    (Fate::Delivered, Some(caller)) => drop(near.send_to(datagram, caller).await),
                    (Fate::Delivered, None) => {}
                }
            }
        });
        Self { place, lost, task: task.abort_handle() }
    }

    /// A relay that loses so many of a hundred datagrams, both ways.
    async fn losing(percent: u64, host: &str) -> Self {
        let random = Random::new(5);
        Self::to(host, move |_, _| if random.between(1, 100) <= percent { Fate::Lost } else { Fate::Delivered }).await
    }

    fn lost(&self) -> usize {
        self.lost.load(Ordering::SeqCst)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_complete_over_a_network_that_loses_a_twentieth() {
    let authority = Authority::new();
    let builder = Node::builder().transport(Arc::new(Quic::new(authority.credentials(HOST))));
    let host = builder.listen("quic://127.0.0.1:0").start().await.unwrap();
    let mut reference = host.export(&Proxy::<dyn Echo>::new(Repeater)).unwrap();
    let relay = Relay::losing(5, reference.endpoints[0].address()).await;
    reference.endpoints = vec![through(&relay, reference.endpoints[0].as_str()).parse().unwrap()].into();
    let quic = Quic::new(authority.credentials(&["alice"]));
    let caller = Node::builder().transport(Arc::new(quic)).start().await.unwrap();
    let echo: Proxy<dyn Echo> = caller.proxy(&reference).unwrap();
    for round in 0..20 {
        let calls = (0..20).map(|number| {
            let echo = echo.clone();
            tokio::spawn(async move {
                let text = format!("{round} {number} ").repeat(500);
                assert_eq!(echo.echo(&text).await.unwrap(), text);
            })
        });
        for call in calls.collect::<Vec<_>>() {
            call.await.unwrap();
        }
    }
    assert!(relay.lost() > 20, "only {} datagrams were lost", relay.lost());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_written_before_a_drop_arrives_although_datagrams_are_lost() {
    let authority = Authority::new();
    let transport = Quic::new(authority.credentials(HOST));
    let mut listener = transport.listen(&"quic://127.0.0.1:0".parse().unwrap()).await.unwrap();
    let relay = Relay::losing(10, listener.endpoint().address()).await;
    let place = through(&relay, listener.endpoint().as_str()).parse().unwrap();
    let (near, far) = tokio::join!(transport.dial(&place), listener.accept());
    let (mut near, mut far) = (near.unwrap(), far.unwrap());
    let sent = Random::new(2).bytes(500_000);
    near.stream.write_all(&sent).await.unwrap();
    drop(near);
    let mut read = Vec::new();
    far.stream.read_to_end(&mut read).await.unwrap();
    assert!(read == sent && relay.lost() > 0);
}

#[tokio::test]
async fn what_nobody_reads_is_bounded_by_the_windows() {
    let transport = Quic::new(Authority::new().credentials(HOST));
    let mut listener = transport.listen(&"quic://127.0.0.1:0".parse().unwrap()).await.unwrap();
    let place = listener.endpoint().clone();
    let (near, far) = tokio::join!(transport.dial(&place), listener.accept());
    let (mut near, _far) = (near.unwrap(), far.unwrap());
    let mut written = 0;
    while let Ok(taken) = timeout(Duration::from_millis(300), near.stream.write(&[0; 100_000])).await {
        written += taken.unwrap();
    }
    let most = limits::QUIC_STREAM_WINDOW + limits::QUIC_WINDOW;
    assert!((500_000..=most as usize).contains(&written), "{written} bytes were taken");
}

#[tokio::test]
async fn beyond_a_number_of_handshakes_addresses_are_proven_first() {
    let authority = Authority::new();
    let transport = Quic::new(authority.credentials(HOST));
    let mut listener = transport.listen(&"quic://127.0.0.1:0".parse().unwrap()).await.unwrap();
    let place = listener.endpoint().clone();
    // Whoever forges an address gets no answer. What the host says is looked at, and lost.
    let retries = Arc::new(AtomicUsize::new(0));
    let seen = retries.clone();
    let relay = Relay::to(place.address(), move |there, datagram| {
        // A long header of type Retry, RFC 9000 §17.2.5.
        if !there && datagram.first().is_some_and(|first| first & 0xf0 == 0xf0) {
            seen.fetch_add(1, Ordering::SeqCst);
        }
        if there { Fate::Delivered } else { Fate::Lost }
    })
    .await;
    let mut config = raw(&authority, Some(&authority.issue(&["alice"], |_| ())));
    config.alpn_protocols = vec![b"rmi/1".to_vec()];
    let config = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(config).unwrap()));
    let forger = quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    let forge = || forger.connect_with(config.clone(), relay.place, "127.0.0.1").unwrap();
    let accepting = tokio::spawn(async move { listener.accept().await });
    let mut begun = Vec::new();
    let flood = async {
        while retries.load(Ordering::SeqCst) == 0 {
            begun.extend((0..5).map(|_| forge()));
            // Slowly enough that no socket on the way overflows.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(20), flood).await.expect("addresses are proven");
    assert!(begun.len() >= limits::QUIC_UNPROVEN_MAX, "already after {}", begun.len());
    let near = timeout(SOON, transport.dial(&place)).await.unwrap();
    assert!(near.is_ok() && accepting.await.unwrap().is_ok(), "who can be reached is let in");
}

#[tokio::test]
async fn a_caller_without_a_certificate_is_refused() {
    let authority = Authority::new();
    let transport = Quic::new(authority.credentials(HOST));
    let mut listener = transport.listen(&"quic://127.0.0.1:0".parse().unwrap()).await.unwrap();
    let place = listener.endpoint().address().parse().unwrap();
    let mut config = raw(&authority, None);
    config.alpn_protocols = vec![b"rmi/1".to_vec()];
    let config = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(config).unwrap()));
    let anonymous = quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    let refused = async { anonymous.connect_with(config, place, "127.0.0.1").unwrap().await.unwrap().closed().await };
    let refused = tokio::select! {
        refused = refused => refused,
        _ = listener.accept() => panic!("a channel to nobody known"),
    };
    // The alert certificate_required, RFC 9001 §4.8.
    let expected = quinn::TransportErrorCode::crypto(116);
    assert!(
        matches!(&refused, quinn::ConnectionError::ConnectionClosed(said) if said.error_code == expected),
        "{refused}"
    );
}

#[tokio::test]
async fn a_dropped_listener_refuses_at_once_while_its_channels_live() {
    let transport = Quic::new(Authority::new().credentials(HOST));
    let mut listener = transport.listen(&"quic://127.0.0.1:0".parse().unwrap()).await.unwrap();
    let place = listener.endpoint().clone();
    let (near, far) = tokio::join!(transport.dial(&place), listener.accept());
    let (mut near, mut far) = (near.unwrap(), far.unwrap());
    drop(listener);
    let refused = timeout(SOON, transport.dial(&place)).await.expect("at once").err().unwrap().to_string();
    assert!(refused.contains("refused"), "{refused}");
    near.stream.write_all(b"x").await.unwrap();
    assert_eq!(far.stream.read_u8().await.unwrap(), b'x');
    drop((near, far));
    let again = async {
        while transport.listen(&place).await.is_err() {
            tokio::task::yield_now().await
        }
    };
    timeout(SOON, again).await.expect("the port is free when the last channel is gone");
}

#[tokio::test]
async fn a_place_that_no_way_leads_to_is_given_up_at_once() {
    let transport = Quic::new(Authority::new().credentials(HOST));
    // Whoever has not asked for it may not send to everybody: the kernel says so when the socket is connected, as it does
    // where it has no route.
    let place = "quic://255.255.255.255:9".parse().unwrap();
    let refused = timeout(SOON, transport.dial(&place)).await.expect("at once");
    assert!(refused.is_err());
}

/// An echo that counts.
struct Counting(watch::Sender<u32>);

#[remote]
impl Echo for Counting {
    async fn echo(&self, text: &str) -> Result<String, RemoteError> {
        self.0.send_modify(|count| *count += 1);
        Ok(text.to_owned())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_is_lost_when_the_address_of_the_caller_changes() {
    if !Namespace::is_permitted() {
        println!("not run: only root may make a network namespace");
        return;
    }
    let namespace = Namespace::new().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let way = Way::new("quic", directory.path());
    let builder = Node::builder().transport(way.transport()).listen(format!("quic://{}:0", namespace.near()));
    let host = builder.start().await.unwrap();
    let count = watch::Sender::new(0);
    let mut counted = count.subscribe();
    let reference = host.export(&Proxy::<dyn Echo>::new(Counting(count))).unwrap().to_string();
    let mut command = Command::from(namespace.command(env!("CARGO_BIN_EXE_caller")));
    command.args([&reference, "10000"]).envs(way.environment()).stdout(Stdio::piped()).kill_on_drop(true);
    let caller = command.spawn().unwrap();
    let reached = timeout(Duration::from_secs(60), counted.wait_for(|&count| count > 1000)).await.unwrap().map(|_| ());
    reached.unwrap();
    let before: Vec<u64> = host.peers().iter().map(|peer| peer.connection).collect();
    namespace.renumber().unwrap();
    let at_change = *counted.borrow_and_update();
    assert!(at_change < 9000, "{at_change} calls were over before the change");
    timeout(Duration::from_secs(30), counted.wait_for(|&count| count > at_change + 500))
        .await
        .expect("it goes on")
        .unwrap();
    let after: Vec<u64> = host.peers().iter().map(|peer| peer.connection).collect();
    let said = timeout(Duration::from_secs(60), caller.wait_with_output()).await.unwrap().unwrap();
    assert_eq!(String::from_utf8_lossy(&said.stdout), "10000 answered\n");
    assert_eq!(*counted.borrow(), 10_000, "no call ran twice");
    assert!(before.len() == 1 && before == after, "{before:?} {after:?}");
    host.shutdown().await;
}
