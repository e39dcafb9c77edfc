//! Processor time of processes, as the kernel counts it.

use std::time::Duration;

use crate::Result;

/// The kernel's unit in `/proc`: 100 a second on every Linux (`USER_HZ`).
const TICKS_PER_SECOND: u32 = 100;

/// The time that all threads of the process have spent, in user and kernel mode. Resolution: 10 ms.
pub(crate) fn time_of(process: u32) -> Result<Duration> {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    let ticks = ticks(&text).ok_or("/proc/PID/stat is not as expected")?;
    Ok(Duration::from_secs(ticks) / TICKS_PER_SECOND)
}

/// Fields 14 and 15; the second one, the name, is in parentheses and may contain anything.
fn ticks(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_blanks_and_parentheses_does_not_shift_the_fields() {
        assert_eq!(ticks("7 (a) b) R 1 2 3 4 5 6 7 8 9 10 40 2 0 0"), Some(42));
        assert_eq!(ticks("7 (a"), None);
    }
}
