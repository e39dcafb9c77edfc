//! Producers that are killed while they write.

use std::path::Path;
use std::time::{Duration, Instant};

use rmi_core::Endpoint;
use rmi_core::transport::{Channel, Listener, Shm, Transport};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::{Result, left_behind, nothing_more_than, start};
use crate::Random;

/// What is written is this many random bytes again and again: a number that no ring is a multiple of.
const PERIOD: usize = 65_521;
const SOON: Duration = Duration::from_secs(5);

fn pattern() -> Vec<u8> {
    let random = Random::new(44);
    (0..=PERIOD / 8).flat_map(|_| random.number().to_le_bytes()).take(PERIOD).collect()
}

/// Kills so many producers (`program writer ENDPOINT SEED`) at random moments; what was read is each time a prefix of what was
/// written, and nothing is left. Says what happened.
///
/// # Errors
/// Other bytes, no end, another end, or something was left behind.
pub async fn kills(program: &Path, count: u64, seed: u64) -> Result<String> {
    let folder = tempfile::tempdir()?;
    let place: Endpoint = format!("shm:{}", folder.path().join("place").display()).parse()?;
    let mut listener = Shm::new().listen(&place).await?;
    let (random, pattern) = (Random::new(seed), pattern());
    // The first child makes descriptors that stay, such as the runtime's for children.
    let mut bytes = kill_one(program, &mut *listener, &random, &pattern).await?;
    let before = left_behind()?;
    for run in 1..count {
        let read = kill_one(program, &mut *listener, &random, &pattern).await;
        bytes += read.map_err(|error| format!("run {run} of seed {seed}: {error}"))?;
    }
    nothing_more_than(&before).await?;
    Ok(format!("{count} producers killed, {bytes} bytes read, each time an exact prefix"))
}

async fn kill_one(program: &Path, listener: &mut dyn Listener, random: &Random, pattern: &[u8]) -> Result<u64> {
    let place = listener.endpoint().to_string();
    let mut child = start(program, &["writer", &place, &random.number().to_string()])?;
    let channel = timeout(SOON, listener.accept()).await??;
    let moment = Duration::from_micros(random.between(0, 3000));
    let (read, killed) = tokio::join!(timeout(SOON, read_prefix(channel, pattern)), async {
        let begun = Instant::now();
        while begun.elapsed() < moment {
            tokio::task::yield_now().await;
        }
        child.kill().await
    });
    killed?;
    read?
}

/// Reads to the end. Says how much.
async fn read_prefix(mut channel: Channel, pattern: &[u8]) -> Result<u64> {
    let (mut read, mut bytes) = (0, vec![0; 20_000]);
    loop {
        let count = channel.stream.read(&mut bytes).await?;
        if count == 0 {
            return Ok(read as u64);
        }
        for got in bytes[..count].chunks(1000) {
            if !pattern.iter().cycle().skip(read % PERIOD).take(got.len()).eq(got) {
                return Err(format!("other bytes after {read}").into());
            }
            read += got.len();
        }
    }
}

/// The producer: writes until it is killed, in pieces of random sizes.
///
/// # Errors
/// The channel came to an end.
pub async fn write_without_end(endpoint: &str, seed: u64) -> Result<()> {
    let mut channel = Shm::new().dial(&endpoint.parse()?).await?;
    let (random, pattern) = (Random::new(seed), pattern());
    let twice = pattern.repeat(2);
    let mut written = 0;
    loop {
        let from = written % PERIOD;
        let piece = &twice[from..from + random.index(1, 30_000)];
        channel.stream.write_all(piece).await?;
        written += piece.len();
        if random.between(0, 20) == 0 {
            tokio::task::yield_now().await;
        }
    }
}
