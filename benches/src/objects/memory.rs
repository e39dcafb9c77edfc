//! Memory of processes, as the kernel counts it.

use crate::{Host, Result};

/// The memory of a process that is in use, in KiB: pages that belong to it alone.
pub(crate) fn of(process: u32) -> Result<i64> {
    let text = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    anonymous(&text).ok_or_else(|| "/proc/PID/status is not as expected".into())
}

/// The memory of the host and of this process, in KiB.
pub(crate) fn both(host: &Host) -> Result<[i64; 2]> {
    Ok([of(host.child.id())?, of(std::process::id())?])
}

/// What has come on top, as a figure.
pub(crate) fn grown(before: i64, after: i64) -> Result<f64> {
    Ok(i32::try_from(after - before)?.into())
}

/// Pages of files, the program's own code among them, come and go with what runs and are not counted.
fn anonymous(status: &str) -> Option<i64> {
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_from_the_status_of_a_process() {
        assert_eq!(anonymous("VmRSS:\t  20 kB\nRssAnon:\t    12 kB\nRssFile:\t 8 kB\n"), Some(12));
        assert_eq!(anonymous(""), None);
        assert!(of(std::process::id()).is_ok_and(|kib| kib > 0));
    }
}
