//! Peers that send what no peer should.

use std::io;
use std::pin::Pin;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use rmi_core::transport::{Channel, Listener, Transport, TransportError};
use rmi_core::{CallOptions, Endpoint, ErrorKind, Executed, Identity, Node, ObjectId, ObjectRef, Proxy};
use rmi_tests::{Echo, Random, Repeater};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, ReadBuf};
use tokio::net::TcpStream;

/// A hello as protocol §2 has it.
pub(crate) fn hello() -> Vec<u8> {
    let mut body = vec![1];
    body.extend(b"rmio");
    body.extend([2, 0, 2, 0]);
    body.extend([0; 4]);
    body.extend([9; 16]);
    body.extend((1u32 << 20).to_le_bytes());
    body.extend((16u32 << 20).to_le_bytes());
    body.extend((32u64 << 20).to_le_bytes());
    body.extend(1024u32.to_le_bytes());
    body.extend([8; 16]);
    body.extend(60_000u32.to_le_bytes());
    body.push(0);
    body.extend(65_536u32.to_le_bytes());
    framed(&body)
}

pub(crate) fn framed(body: &[u8]) -> Vec<u8> {
    let mut frame = u32::try_from(body.len()).unwrap().to_le_bytes().to_vec();
    frame.extend(body);
    frame
}

/// A call in place `slot`, well-formed but for its body.
pub(crate) fn call(slot: u32, object: [u8; 16], body: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0];
    frame.extend(slot.to_le_bytes());
    frame.extend(1u32.to_le_bytes());
    frame.push(0);
    frame.extend(object);
    frame.extend([0; 8]);
    frame.extend(1000u32.to_le_bytes());
    frame.extend(body);
    framed(&frame)
}

/// Something nobody should send.
fn evil(random: &Random, object: [u8; 16]) -> Vec<u8> {
    let size = random.index(0, 200);
    match random.between(0, 9) {
        // Random bytes, with and without a length, known kinds in front.
        0 => random.bytes(size),
        1 => framed(&random.bytes(size)),
        2 => framed(&[&[random.byte() % 16], &random.bytes(size)[..]].concat()),
        // Lengths far beyond what comes.
        3 => [&u32::MAX.to_le_bytes()[..], &random.bytes(size)].concat(),
        4 => [&(900_000u32).to_le_bytes()[..], &random.bytes(size)].concat(),
        // Nested and long bodies.
        5 => call(0, object, &vec![0x91; 100_000]),
        6 => call(0, object, &[0xdd, 0xff, 0xff, 0xff, 0xff]),
        7 => call(u32::from(random.byte()) * 40, object, &[0x90]),
        // A valid call, cut short or changed in one byte.
        8 => {
            let mut frame = call(0, object, &[0x91, 0xa1, b'x']);
            frame.truncate(random.index(1, frame.len() - 1));
            frame
        }
        _ => {
            let mut frame = call(0, object, &[0x91, 0xa1, b'x']);
            let at = random.index(0, frame.len() - 1);
            frame[at] = random.byte();
            frame
        }
    }
}

/// A channel to a peer that has more to say whenever it is asked, and takes whatever it is told.
struct Drip {
    /// What each read gives, from the first on.
    says: fn(u32) -> Vec<u8>,
    reads: u32,
}

impl AsyncRead for Drip {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        buf.put_slice(&if self.reads == 0 { hello() } else { (self.says)(self.reads) });
        self.reads += 1;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Drip {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

struct Drips(fn(u32) -> Vec<u8>);

#[async_trait]
impl Transport for Drips {
    fn scheme(&self) -> &'static str {
        "drip"
    }
    async fn dial(&self, endpoint: &Endpoint) -> Result<Channel, TransportError> {
        Ok(Channel::new(Drip { says: self.0, reads: 0 }, Identity::Unproven, endpoint.as_str()))
    }
    async fn listen(&self, endpoint: &Endpoint) -> Result<Box<dyn Listener>, TransportError> {
        Err(TransportError::Over(endpoint.clone()))
    }
}

const OBJECT: [u8; 16] = [3; 16];

/// Beside a peer that says this without end the deadlines of our calls pass.
async fn time_passes_beside(says: fn(u32) -> Vec<u8>) {
    let own = Proxy::<dyn Echo>::new(Repeater);
    let builder = Node::builder().transport(Arc::new(Drips(says))).export_at(ObjectId::from_bytes(OBJECT), &own);
    let node = builder.start().await.unwrap();
    let echo: Proxy<dyn Echo> = node.at(&"drip:here".parse().unwrap(), ObjectId::random());
    let hurried = echo.with(CallOptions::new().timeout(Duration::from_millis(30)));
    let begun = Instant::now();
    // With several calls under way what is written waits for others to join it.
    let (first, second) = tokio::join!(hurried.echo("x"), hurried.echo("y"));
    for error in [first.unwrap_err(), second.unwrap_err()] {
        assert_eq!((error.kind(), error.executed()), (ErrorKind::Deadline, Executed::Maybe), "{error}");
    }
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?} instead of 30 ms", begun.elapsed());
}

#[tokio::test]
async fn a_peer_whose_frame_never_ends_does_not_stop_the_time() {
    // After the hello the longest frame that is allowed, a byte a read: it is not whole before the test is over.
    time_passes_beside(|read| if read == 1 { (1u32 << 20).to_le_bytes().to_vec() } else { vec![0] }).await;
}

#[tokio::test]
async fn a_peer_that_never_stops_calling_does_not_stop_the_time() {
    time_passes_beside(|read| {
        let mut frame = call(0, OBJECT, &[0x91, 0xa1, b'x']);
        // Each call takes the place once more.
        frame[10..14].copy_from_slice(&read.to_le_bytes());
        frame
    })
    .await;
}

/// The memory of a process, in KiB.
fn resident(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

async fn attack(place: &str, random: &Random, object: [u8; 16], frames: u64) {
    let mut sent = 0;
    while sent < frames {
        let mut stream = TcpStream::connect(place).await.unwrap();
        if random.between(0, 3) > 0 {
            stream.write_all(&hello()).await.unwrap();
        }
        for _ in 0..random.between(1, 20) {
            sent += 1;
            // The node may have closed it by now, which is its right.
            if stream.write_all(&evil(random, object)).await.is_err() {
                break;
            }
        }
        let mut rest = [0; 1024];
        let _ = tokio::time::timeout(Duration::from_millis(2), stream.read(&mut rest)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_bad_frames_do_no_harm() {
    let mut host = tokio::process::Command::new(env!("CARGO_BIN_EXE_host"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let id = host.id().unwrap();
    let line = BufReader::new(host.stdout.take().unwrap()).lines().next_line().await.unwrap().unwrap();
    let reference: ObjectRef = line.parse().unwrap();
    let place = reference.endpoints[0].address().to_owned();
    let node = Node::builder().start().await.unwrap();
    let echo: Proxy<dyn Echo> = node.proxy(&reference).unwrap();
    let over = Arc::new(AtomicBool::new(false));
    let calls = Arc::new(AtomicU64::new(0));
    let honest = tokio::spawn({
        let (over, calls) = (over.clone(), calls.clone());
        async move {
            while !over.load(Ordering::Relaxed) {
                assert_eq!(echo.echo("still here").await.unwrap(), "still here");
                calls.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    let object = reference.object.to_bytes();
    // A first part warms up what allocators and the runtime keep.
    attack(&place, &Random::new(1), object, 2_000).await;
    let before = resident(id);
    attack(&place, &Random::new(2), object, 10_000).await;
    let after = resident(id);
    over.store(true, Ordering::Relaxed);
    honest.await.expect("the honest client saw no error");
    assert!(calls.load(Ordering::Relaxed) > 100);
    println!("memory: {before} KiB, then {after} KiB");
    assert!(after < before + 4 * 1024, "memory rose from {before} KiB to {after} KiB");
    drop(host.stdin.take());
    assert!(host.wait().await.unwrap().success(), "the host ends in order, with no connection left");
}

#[tokio::test]
async fn a_peer_that_says_nothing_is_let_go() {
    let mut limits = rmi_core::Limits::default();
    limits.handshake_timeout = Duration::from_millis(100);
    let host = Node::builder().listen("tcp://127.0.0.1:0").limits(limits).start().await.unwrap();
    let mut stream = TcpStream::connect(host.endpoints()[0].address()).await.unwrap();
    let mut rest = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut rest)).await;
    assert!(read.is_ok(), "the node closes a connection that does not say hello");
    assert!(String::from_utf8_lossy(&rest).contains("the handshake took too long"));
}
