//! The process at the other end of a pair, which a queue says nothing about.

use std::io;
use std::os::fd::OwnedFd;
use std::process;

use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::transport::is_shortage;

/// What announcements and answers fit into.
pub(super) const ANNOUNCEMENT_BYTES: usize = 64;
/// The digits of the name of a pair.
const ID_BYTES: usize = 32;

/// What a caller says of itself: the name of its pair, and the number of its process.
pub(super) fn announcement(id: &str) -> String {
    format!("{id} {}", process::id())
}

/// The name and the number in an announcement. The name comes from whoever can write to the queue, and must lead nowhere else.
pub(super) fn announced(message: &[u8]) -> Option<(&str, &[u8])> {
    let (id, number) = message.split_at_checked(ID_BYTES)?;
    let digits = id.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let id = std::str::from_utf8(id).ok().filter(|_| digits)?;
    Some((id, number.strip_prefix(b" ")?))
}

/// The process with this number: it can be read when the process has ended.
///
/// # Errors
/// There is none, or this is no number.
pub(super) fn process(number: &[u8]) -> io::Result<OwnedFd> {
    let number = std::str::from_utf8(number).ok().and_then(|text| text.parse().ok());
    let pid = number.filter(|number| *number > 0).and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the peer gave no number of a process"))?;
    let opened = pidfd_open(pid, PidfdFlags::empty());
    opened.map_err(|error| {
        if is_shortage(&error.into()) {
            return error.into();
        }
        let text = format!("the peer's process {} cannot be watched: {error}", pid.as_raw_pid());
        io::Error::new(io::Error::from(error).kind(), text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_announcement_is_a_name_and_a_number() {
        let id = "0123456789abcdef0123456789abcdef";
        let text = announcement(id);
        assert!(text.len() <= ANNOUNCEMENT_BYTES);
        let (found, number) = announced(text.as_bytes()).unwrap();
        assert_eq!((found, number), (id, process::id().to_string().as_bytes()));
        assert!(process(number).is_ok());
        for wrong in
            ["", "7", "../../../../etc/passwd/0123456789 1", &"é".repeat(20), &format!("{id}1"), &"A".repeat(40)]
        {
            assert!(announced(wrong.as_bytes()).is_none(), "{wrong}");
        }
        for wrong in ["", "0", "-1", "x", "999999999999"] {
            assert!(process(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }
}
