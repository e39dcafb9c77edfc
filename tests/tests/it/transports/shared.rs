//! Shared memory: peers that do what no honest side does.

use std::io::ErrorKind;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rmi_core::transport::{Channel, Shm, Transport};
use rmi_core::{Endpoint, Identity, limits};
use rmi_tests::shm::raw::{self, MEMORY_BYTES, RawSide, Ring, SEALS, Word};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tokio::time::{Instant, timeout};

use super::{SOON, Subject};

pub(super) fn subject() -> Subject {
    Subject::in_directory(Arc::new(Shm::new()), |identity| {
        let own = i32::try_from(std::process::id()).unwrap();
        matches!(identity, Identity::Process { pid: Some(pid), .. } if *pid == own)
    })
}

struct Place {
    endpoint: Endpoint,
    path: PathBuf,
    _directory: tempfile::TempDir,
}

fn place() -> Place {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("place");
    Place { endpoint: format!("shm:{}", path.display()).parse().unwrap(), path, _directory: directory }
}

/// A channel whose other side has nothing of the transport.
async fn raw_pair() -> (RawSide, Channel) {
    let place = place();
    let mut listener = Shm::new().listen(&place.endpoint).await.unwrap();
    let dialling = tokio::task::spawn_blocking(move || RawSide::dial(&place.path).unwrap());
    let channel = listener.accept().await.unwrap();
    (dialling.await.unwrap(), channel)
}

/// What dialling says to a listener that sends this.
async fn answer_to(message: &[u8], descriptors: &[BorrowedFd<'_>]) -> String {
    let place = place();
    let listener = tokio::net::UnixListener::bind(&place.path).unwrap();
    let hand_over = async {
        let (socket, _) = listener.accept().await.unwrap();
        raw::send(&socket, message, descriptors).unwrap();
        socket
    };
    let shm = Shm::new();
    let (dialled, _socket) = tokio::join!(timeout(SOON, shm.dial(&place.endpoint)), hand_over);
    let text = dialled.expect("soon").err().expect("it is refused").to_string();
    let begin = format!("{}: ", place.endpoint);
    text.strip_prefix(&begin).expect("the endpoint is named").to_owned()
}

fn sealed(name: &str, bytes: u64) -> OwnedFd {
    let memory = raw::memory(name, bytes).unwrap();
    rustix::fs::fcntl_add_seals(&memory, SEALS).unwrap();
    memory
}

/// How many descriptors of this process are the memory of this name.
fn descriptors_of(name: &str) -> usize {
    let wanted = PathBuf::from(format!("/memfd:{name} (deleted)"));
    let all = std::fs::read_dir("/proc/self/fd").unwrap();
    all.filter(|entry| std::fs::read_link(entry.as_ref().unwrap().path()).is_ok_and(|link| link == wanted)).count()
}

#[tokio::test]
async fn descriptors_other_than_agreed_are_refused_and_closed() {
    let memory = sealed("three", MEMORY_BYTES);
    for count in [0, 1, 2, 4, 5, 253] {
        let text = answer_to(&raw::message(), &vec![memory.as_fd(); count]).await;
        assert!(text.ends_with("descriptors came where 3 are agreed"), "{count}: {text}");
        assert_eq!(descriptors_of("three"), 1, "after {count}");
    }
}

#[tokio::test]
async fn another_message_is_refused_and_its_descriptors_closed() {
    let (memory, bell) = (sealed("other", MEMORY_BYTES), raw::bell().unwrap());
    let mut version = raw::message();
    version[7] += 1;
    for message in [version, raw::message()[..15].to_vec(), [raw::message(), vec![0]].concat(), vec![0; 16]] {
        let text = answer_to(&message, &[memory.as_fd(), bell.as_fd(), bell.as_fd()]).await;
        assert_eq!(text, "the other side does not speak this version of shm");
        assert_eq!(descriptors_of("other"), 1);
    }
}

#[tokio::test]
async fn memory_that_could_shrink_or_is_none_is_refused() {
    let bell = raw::bell().unwrap();
    let open = raw::memory("open", MEMORY_BYTES).unwrap();
    let short = sealed("short", MEMORY_BYTES - 1);
    let (pipe, _other_end) = rustix::pipe::pipe().unwrap();
    for (memory, reason) in [
        (&open, "the size of the shared memory is not sealed".to_owned()),
        (&short, format!("shared memory of {} bytes where {MEMORY_BYTES} are agreed", MEMORY_BYTES - 1)),
        (&pipe, "what came is not shared memory".to_owned()),
    ] {
        let text = answer_to(&raw::message(), &[memory.as_fd(), bell.as_fd(), bell.as_fd()]).await;
        assert_eq!(text, reason);
    }
}

#[tokio::test]
async fn what_is_no_doorbell_is_refused() {
    let (memory, bell) = (sealed("bells", MEMORY_BYTES), raw::bell().unwrap());
    let (pipe, _other_end) = rustix::pipe::pipe().unwrap();
    for bells in [[pipe.as_fd(), bell.as_fd()], [bell.as_fd(), pipe.as_fd()], [bell.as_fd(), memory.as_fd()]] {
        let text = answer_to(&raw::message(), &[memory.as_fd(), bells[0], bells[1]]).await;
        assert_eq!(text, "what came as a doorbell is not one");
    }
}

#[tokio::test]
async fn a_peer_that_says_nothing_holds_up_nobody() {
    let place = place();
    let mut listener = Shm::new().listen(&place.endpoint).await.unwrap();
    let silent = std::os::unix::net::UnixStream::connect(&place.path).unwrap();
    let gone = std::os::unix::net::UnixStream::connect(&place.path).unwrap();
    drop(gone);
    let honest = Shm::new();
    let accepting = async { while listener.accept().await.is_ok() {} };
    tokio::select! {
        () = accepting => panic!("the listener is over"),
        dialled = timeout(SOON, honest.dial(&place.endpoint)) => drop(dialled.unwrap().unwrap()),
    }
    drop(silent);
}

#[tokio::test]
async fn nobody_can_change_the_size_of_the_memory() {
    let (side, _channel) = raw_pair().await;
    for size in [0, MEMORY_BYTES - 1, MEMORY_BYTES + 1] {
        assert_eq!(side.memory.set_len(size).unwrap_err().kind(), ErrorKind::PermissionDenied, "{size}");
    }
    let seals = rustix::fs::fcntl_get_seals(&side.memory).unwrap();
    assert_eq!(seals & SEALS, SEALS);
}

#[tokio::test]
async fn a_cursor_that_cannot_be_ends_the_channel_with_its_reason() {
    let (side, mut channel) = raw_pair().await;
    side.poke(Ring::Outgoing, Word::Written, limits::SHM_RING_BYTES as u64 + 1).unwrap();
    side.ring().unwrap();
    let error = timeout(SOON, channel.stream.read(&mut [0; 8])).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    assert_eq!(error.to_string(), "the peer's cursor 131073 is more than 131072 bytes from ours, 0");
    side.poke(Ring::Incoming, Word::Read, 1).unwrap();
    let error = timeout(SOON, channel.stream.write(&[0; 8])).await.unwrap().unwrap_err();
    assert_eq!(error.to_string(), "the peer's cursor 1 is more than 131072 bytes from ours, 0");
}

#[tokio::test]
async fn bytes_beside_the_memory_end_the_channel() {
    let (side, mut channel) = raw_pair().await;
    std::io::Write::write_all(&mut &side.socket, b"x").unwrap();
    let error = timeout(SOON, channel.stream.read(&mut [0; 8])).await.unwrap().unwrap_err();
    assert_eq!(error.to_string(), "the peer sent bytes beside the shared memory");
}

/// Waits until that side has said that it sleeps.
async fn until_asleep(side: &RawSide, ring: Ring, word: Word) {
    while side.peek(ring, word).unwrap() == 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_ring_delays_only_itself() {
    let (side, mut channel) = raw_pair().await;
    let begun = Instant::now();
    let reading = tokio::spawn(async move { (channel.stream.read_u8().await.unwrap(), channel) });
    until_asleep(&side, Ring::Outgoing, Word::ConsumerSleeps).await;
    side.poke_bytes(Ring::Outgoing, b"x").unwrap();
    side.poke(Ring::Outgoing, Word::Written, 1).unwrap();
    let (byte, mut channel) = reading.await.unwrap();
    assert_eq!(byte, b'x');
    assert!(begun.elapsed() <= limits::SHM_LOOK_AGAIN * 2, "{:?}", begun.elapsed());
    let begun = Instant::now();
    let bytes = vec![0; limits::SHM_RING_BYTES + 1];
    let writing = tokio::spawn(async move { channel.stream.write_all(&bytes).await });
    until_asleep(&side, Ring::Incoming, Word::ProducerSleeps).await;
    side.poke(Ring::Incoming, Word::Read, 1).unwrap();
    writing.await.unwrap().unwrap();
    assert!(begun.elapsed() <= limits::SHM_LOOK_AGAIN * 2, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_doorbell_that_was_made_to_block_blocks_nobody() {
    let (side, mut channel) = raw_pair().await;
    side.jam().unwrap();
    side.poke(Ring::Incoming, Word::ConsumerSleeps, 1).unwrap();
    channel.stream.write_all(b"x").await.unwrap();
    assert_eq!(side.peek(Ring::Incoming, Word::ConsumerSleeps).unwrap(), 0, "it was rung");
}

#[tokio::test]
async fn a_writer_learns_that_its_reader_is_gone() {
    let (side, mut channel) = raw_pair().await;
    let writing = tokio::spawn(async move { channel.stream.write_all(&vec![0; limits::SHM_RING_BYTES + 1]).await });
    until_asleep(&side, Ring::Incoming, Word::ProducerSleeps).await;
    drop(side);
    let error = timeout(SOON, writing).await.unwrap().unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
}

/// Plays it in a process of its own, whose descriptors nobody else uses.
async fn play(arguments: &[&str]) {
    let played = Command::new(env!("CARGO_BIN_EXE_shm")).args(arguments).kill_on_drop(true).output();
    let played = timeout(SOON * 12, played).await.expect("it ends").unwrap();
    assert!(played.status.success(), "{}", String::from_utf8_lossy(&played.stderr));
}

/// At length: `cargo run --release -p rmi-tests --bin shm -- attack --seconds 60`.
#[tokio::test]
async fn peers_that_rewrite_every_word_hurt_only_themselves() {
    play(&["attack", "--seconds", "2"]).await;
}

/// At length: `cargo run --release -p rmi-tests --bin shm -- kills --count 1000`.
#[tokio::test]
async fn of_a_killed_producer_an_exact_prefix_is_read_and_nothing_is_left() {
    play(&["kills", "--count", "100"]).await;
}

#[tokio::test]
async fn a_place_left_behind_is_taken_over() {
    let place = place();
    drop(std::os::unix::net::UnixListener::bind(&place.path).unwrap());
    let listener = Shm::new().listen(&place.endpoint).await.unwrap();
    assert!(is_private(&place.path));
    drop(listener);
    assert!(!place.path.exists());
}

fn is_private(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777 == 0o600
}
