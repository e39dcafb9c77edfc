//! A peer that rewrites what both sides share, as fast as it can.

use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rmi_core::limits::SHM_RING_BYTES;

use super::Result;
use super::raw::{MEMORY_BYTES, RawSide, Ring, Word};
use crate::Random;

/// How long one channel is attacked before the next.
const TURN: Duration = Duration::from_millis(30);

/// Attacks one channel after the other, as long as anybody listens: with nonsense in every word, with cursors that are nearly
/// right, and with cursors that are right beside bytes that change while they are read.
///
/// # Errors
/// Nobody listens at the path from the start.
pub fn rewrite_everything(path: &Path) -> Result<()> {
    let random = Random::new(std::process::id().into());
    let mut attacked = 0u64;
    loop {
        let side = match RawSide::dial(path) {
            Ok(side) => side,
            Err(error) if attacked == 0 => return Err(error.into()),
            // The listener has no descriptors to spare, or is gone; whoever started this ends it.
            Err(_) => {
                std::thread::yield_now();
                continue;
            }
        };
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    // It cannot fail as long as the memory is there, and what came of it nobody asks.
                    let _ = scribble(&side, &random);
                }
            });
            let begun = Instant::now();
            // A side that refuses an operation is one that is gone.
            while begun.elapsed() < TURN && turn(&side, &random, attacked % 3).is_ok() {}
            over.store(true, Ordering::Relaxed);
        });
        attacked += 1;
    }
}

fn turn(side: &RawSide, random: &Random, kind: u64) -> io::Result<()> {
    match kind {
        0 => nonsense(side, random)?,
        1 => nearly_right(side, random)?,
        _ => right(side, random)?,
    }
    side.ring()
}

/// Bytes that change under the reader's eyes; the words that say something stay.
fn scribble(side: &RawSide, random: &Random) -> io::Result<()> {
    let piece = random.number().to_le_bytes().repeat(512);
    for place in (0..SHM_RING_BYTES).step_by(piece.len()) {
        let length = piece.len().min(SHM_RING_BYTES - place);
        side.memory.write_all_at(&piece[..length], MEMORY_BYTES - (SHM_RING_BYTES - place) as u64)?;
    }
    Ok(())
}

fn nonsense(side: &RawSide, random: &Random) -> io::Result<()> {
    let all = random.number().to_le_bytes().repeat(usize::try_from(MEMORY_BYTES / 8).unwrap_or_default());
    for word in 0..MEMORY_BYTES / 8 {
        side.memory.write_all_at(&random.number().to_le_bytes(), word * 8)?;
        if random.number().is_multiple_of(64) {
            return side.memory.write_all_at(&all, 0);
        }
    }
    Ok(())
}

fn nearly_right(side: &RawSide, random: &Random) -> io::Result<()> {
    for ring in [Ring::Incoming, Ring::Outgoing] {
        for word in [Word::Written, Word::Read] {
            let now = side.peek(ring, word)?;
            side.poke(ring, word, now.wrapping_add(random.between(0, 64)).wrapping_sub(random.between(0, 32)))?;
        }
        for word in [Word::ProducerSleeps, Word::ConsumerSleeps] {
            side.poke(ring, word, random.between(0, 2))?;
        }
    }
    Ok(())
}

/// Reads everything, and writes as much as there is room for.
fn right(side: &RawSide, random: &Random) -> io::Result<()> {
    let (written, read) = (side.peek(Ring::Outgoing, Word::Written)?, side.peek(Ring::Outgoing, Word::Read)?);
    let room = (SHM_RING_BYTES as u64).saturating_sub(written.wrapping_sub(read));
    side.poke(Ring::Outgoing, Word::Written, written.wrapping_add(random.between(0, room)))?;
    side.poke(Ring::Incoming, Word::Read, side.peek(Ring::Incoming, Word::Written)?)
}
