//! Peers that send what no peer should.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rmi_core::{Node, ObjectRef, Proxy};
use rmi_tests::{Echo, Random};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// A hello as protocol §2 has it.
pub(crate) fn hello() -> Vec<u8> {
    let mut body = vec![1];
    body.extend(b"rmio");
    body.extend([1, 0, 1, 0]);
    body.extend([0; 4]);
    body.extend([9; 16]);
    body.extend((1u32 << 20).to_le_bytes());
    body.extend((16u32 << 20).to_le_bytes());
    body.extend((32u64 << 20).to_le_bytes());
    body.extend(1024u32.to_le_bytes());
    body.extend([8; 16]);
    body.extend(60_000u32.to_le_bytes());
    body.push(0);
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
