//! What the kernel grants to message queues, and errors that say which of its limits is too low.

use std::fs::{self, File};
use std::io;

use nix::errno::Errno;
use rustix::process::{Resource, getrlimit};

/// A writer needs a place beside that for its end.
const MESSAGES_LEAST: usize = 2;

/// The value of a limit in `/proc/sys/fs/mqueue`, or its usual value where that cannot be read.
fn limit(file: &str, usual: usize) -> usize {
    let text = fs::read_to_string(path(file)).ok();
    text.and_then(|text| text.trim().parse().ok()).unwrap_or(usual)
}

fn path(file: &str) -> String {
    format!("/proc/sys/fs/mqueue/{file}")
}

/// As many messages and bytes as are wished, or as the kernel allows.
pub(super) fn granted(messages: usize, bytes: usize) -> (usize, usize) {
    (messages.min(limit("msg_max", 10)), bytes.min(limit("msgsize_max", 8192)))
}

/// Whether queues can be used at all.
///
/// # Errors
/// The kernel allows too few messages in one.
pub(super) fn check() -> io::Result<()> {
    match limit("msg_max", 10) {
        messages if messages >= MESSAGES_LEAST => Ok(()),
        messages => Err(io::Error::new(io::ErrorKind::Unsupported, too_few(messages))),
    }
}

fn too_few(messages: usize) -> String {
    format!("a queue of {messages} messages is below the least of {MESSAGES_LEAST}: raise {}", path("msg_max"))
}

/// Why a queue of this size could not be made, with the limit that is too low.
pub(super) fn explain(error: Errno, messages: usize, bytes: usize) -> io::Error {
    let queue = format!("a queue of {messages} messages of {bytes} bytes");
    let text = match error {
        // The same error says that the process has too many files open.
        Errno::EMFILE if File::open("/dev/null").is_ok() => {
            let limit = getrlimit(Resource::Msgqueue).current.map_or("without end".into(), |limit| limit.to_string());
            format!("{queue} exceeds the bytes that the queues of this user may take: RLIMIT_MSGQUEUE is {limit}")
        }
        Errno::ENOSPC => format!("{queue} is one too many: {} is {}", path("queues_max"), limit("queues_max", 256)),
        Errno::EINVAL => {
            let (most, largest) = (limit("msg_max", 10), limit("msgsize_max", 8192));
            format!("{queue} is too large: {} is {most}, {} is {largest}", path("msg_max"), path("msgsize_max"))
        }
        error => return error.into(),
    };
    io::Error::new(io::ErrorKind::QuotaExceeded, text)
}

#[cfg(test)]
mod tests {
    use super::{explain, too_few};
    use nix::errno::Errno;

    #[test]
    fn an_error_names_the_limit_its_value_and_where_it_is_set() {
        let queues = std::fs::read_to_string("/proc/sys/fs/mqueue/queues_max").unwrap();
        let text = explain(Errno::ENOSPC, 8, 64).to_string();
        assert!(text.contains(&format!("/proc/sys/fs/mqueue/queues_max is {}", queues.trim())), "{text}");
        let text = explain(Errno::EINVAL, 8, 64).to_string();
        assert!(text.starts_with("a queue of 8 messages of 64 bytes") && text.contains("msgsize_max is"), "{text}");
        assert!(explain(Errno::EMFILE, 8, 64).to_string().contains("RLIMIT_MSGQUEUE is"));
        assert!(too_few(1).ends_with("below the least of 2: raise /proc/sys/fs/mqueue/msg_max"));
    }
}
