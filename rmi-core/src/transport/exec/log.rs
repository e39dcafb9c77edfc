//! What a child prints, as lines of our log.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::Instant;

use crate::limits;

/// Makes lines of bytes: long ones are cut, control characters escaped, and what is too much in one second only counted.
#[derive(Clone)]
pub(crate) struct Log {
    program: Arc<str>,
    process: u32,
    line: Vec<u8>,
    /// How many bytes the line has beyond its limit.
    cut: usize,
    since: Instant,
    /// The bytes logged, and the lines not logged, since then.
    logged: usize,
    dropped: usize,
}

const SECOND: Duration = Duration::from_secs(1);

impl Log {
    pub(super) fn new(program: Arc<str>, process: u32) -> Self {
        Self { program, process, line: Vec::new(), cut: 0, since: Instant::now(), logged: 0, dropped: 0 }
    }

    /// Takes in all that comes until its end. It is read whatever becomes of it: a child never waits for a log.
    pub(crate) async fn follow(mut self, mut output: impl AsyncRead + Unpin) {
        let mut bytes = Vec::with_capacity(limits::CHILD_LINE_BYTES_MAX);
        while let Ok(1..) = output.read_buf(&mut bytes).await {
            self.take(&bytes);
            bytes.clear();
        }
        self.end();
    }

    /// Takes in the next bytes.
    pub(super) fn take(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, whole) = piece.strip_suffix(b"\n").map_or((piece, false), |text| (text, true));
            let room = limits::CHILD_LINE_BYTES_MAX - self.line.len();
            self.line.extend(text.iter().take(room));
            self.cut += text.len().saturating_sub(room);
            if whole {
                self.say();
            }
        }
    }

    /// There is no more: the last line had no end.
    pub(super) fn end(&mut self) {
        if !self.line.is_empty() {
            self.say();
        }
        self.tell_dropped();
    }

    fn say(&mut self) {
        if self.since.elapsed() >= SECOND {
            self.tell_dropped();
            (self.since, self.logged) = (Instant::now(), 0);
        }
        self.logged += self.line.len();
        if self.logged > limits::CHILD_LOG_BYTES_PER_SECOND_MAX {
            self.dropped += 1;
        } else {
            let (text, cut) = (readable(&self.line), self.cut);
            let more = if cut > 0 { format!(" ... and {cut} bytes more") } else { String::new() };
            tracing::info!(program = &*self.program, process = self.process, "{text}{more}");
        }
        self.line.clear();
        self.cut = 0;
    }

    fn tell_dropped(&mut self) {
        let (lines, limit) = (std::mem::take(&mut self.dropped), limits::CHILD_LOG_BYTES_PER_SECOND_MAX);
        if lines > 0 {
            let program = &*self.program;
            tracing::warn!(program, process = self.process, "{lines} lines beyond {limit} bytes in a second are lost");
        }
    }
}

/// The text with its control characters spelled out: they could write over the lines before.
fn readable(line: &[u8]) -> String {
    let mut text = String::with_capacity(line.len());
    for c in String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line)).chars() {
        if c.is_control() && c != '\t' { text.extend(c.escape_unicode()) } else { text.push(c) }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_spelled_out() {
        assert_eq!(readable(b"a\x1b[2Jb\tc\xff\r"), "a\\u{1b}[2Jb\tc\u{fffd}");
    }

    #[tokio::test(start_paused = true)]
    async fn long_lines_are_cut_and_floods_are_counted() {
        let mut log = Log::new("worker".into(), 1);
        log.take(&vec![b'x'; limits::CHILD_LINE_BYTES_MAX + 10]);
        assert_eq!((log.line.len(), log.cut), (limits::CHILD_LINE_BYTES_MAX, 10));
        log.take(b"\n");
        assert_eq!((log.line.len(), log.cut, log.dropped), (0, 0, 0));
        let line = [vec![b'x'; limits::CHILD_LINE_BYTES_MAX], b"\n".to_vec()].concat();
        let lines = limits::CHILD_LOG_BYTES_PER_SECOND_MAX / limits::CHILD_LINE_BYTES_MAX;
        (0..lines + 4).for_each(|_| log.take(&line));
        assert_eq!(log.dropped, 5);
        tokio::time::advance(SECOND).await;
        log.take(&line);
        assert_eq!((log.dropped, log.logged), (0, limits::CHILD_LINE_BYTES_MAX));
    }
}
