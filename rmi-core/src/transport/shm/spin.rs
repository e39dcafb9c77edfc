//! Waiting awake: looking for the peer's answer for a few microseconds before going to sleep, which costs both sides more.

use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How often is looked before the processor is offered to others: longer than an answer of a peer takes that has a processor of
/// its own, and hardly at all when the peer may be waiting for this one.
const LOOKS_APART: u32 = 160;
const LOOKS_TOGETHER: u32 = 8;
/// Of so many waits together one looks as if the two were apart, to find out.
const PROBE_EVERY: u32 = 16;
/// After so many disappointments in a row or more, 2^DOUBLINGS_MAX chances are passed over before the next try.
const DOUBLINGS_MAX: u32 = 7;

/// How many threads may wait awake at once: half of the processors, so that with one, where it could only keep the peer from
/// its answer, nobody does.
#[derive(Debug)]
pub(super) struct Processors {
    free: AtomicUsize,
}

impl Processors {
    pub(super) fn new() -> Self {
        let all = std::thread::available_parallelism().map_or(1, NonZero::get);
        Self { free: AtomicUsize::new(all / 2) }
    }

    fn take(&self) -> bool {
        self.free.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |free| free.checked_sub(1)).is_ok()
    }

    fn give_back(&self) {
        self.free.fetch_add(1, Ordering::Relaxed);
    }
}

/// When one channel waits awake.
pub(super) struct Spin {
    limit: Duration,
    processors: Arc<Processors>,
    /// Whether whoever uses the channel awaits one answer, and has nothing else to do meanwhile.
    one_awaited: Arc<AtomicBool>,
    /// Something was written: there may be an answer soon.
    expecting: bool,
    /// How often in a row no answer came in time.
    misses: u32,
    /// How many further chances are passed over.
    passes: u32,
    /// Whether the peer was found to have a processor of its own.
    apart: bool,
    waits: u32,
}

/// When the answer came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    BeforeYielding,
    AfterYielding,
    Never,
}

impl Spin {
    pub(super) fn new(limit: Duration, processors: Arc<Processors>) -> Self {
        let one_awaited = Arc::new(AtomicBool::new(true));
        Self { limit, processors, one_awaited, expecting: false, misses: 0, passes: 0, apart: true, waits: 0 }
    }

    /// Where the user of the channel says whether one answer is awaited.
    pub(super) fn one_awaited(&self) -> Arc<AtomicBool> {
        self.one_awaited.clone()
    }

    /// Something was written.
    pub(super) fn expect(&mut self) {
        self.expecting = !self.limit.is_zero() && self.one_awaited.load(Ordering::Relaxed);
    }

    /// The answer is there.
    pub(super) fn answered(&mut self) {
        self.expecting = false;
    }

    /// Whether to wait awake now: once after each write, if that was worth it lately.
    pub(super) fn is_due(&mut self) -> bool {
        if !std::mem::take(&mut self.expecting) {
            return false;
        }
        let due = self.passes == 0;
        self.passes = self.passes.saturating_sub(1);
        due
    }

    /// Looks until the answer is there, or for the time that is allowed.
    pub(super) fn wait(&mut self, came: impl FnMut() -> bool) {
        if !self.processors.take() {
            return;
        }
        self.waits = self.waits.wrapping_add(1);
        let patient = self.apart || self.waits.is_multiple_of(PROBE_EVERY);
        let answer = look(if patient { LOOKS_APART } else { LOOKS_TOGETHER }, self.limit, came);
        self.processors.give_back();
        if patient {
            self.apart = answer == Answer::BeforeYielding;
        }
        self.misses = if answer == Answer::Never { (self.misses + 1).min(DOUBLINGS_MAX) } else { 0 };
        self.passes = (1 << self.misses) - 1;
    }
}

fn look(looks: u32, limit: Duration, mut came: impl FnMut() -> bool) -> Answer {
    let begun = Instant::now();
    let mut answer = Answer::BeforeYielding;
    loop {
        for _ in 0..looks {
            if came() {
                return answer;
            }
            std::hint::spin_loop();
        }
        if begun.elapsed() >= limit {
            return Answer::Never;
        }
        std::thread::yield_now();
        answer = Answer::AfterYielding;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spin(processors: usize) -> Spin {
        let processors = Processors { free: AtomicUsize::new(processors) };
        Spin::new(Duration::from_nanos(1), Arc::new(processors))
    }

    #[test]
    fn waiting_that_does_not_pay_becomes_rare_and_one_answer_brings_it_back() {
        let mut spin = spin(1);
        let mut tries = |count: u32, came: bool| {
            (0..count)
                .filter(|_| {
                    spin.expect();
                    let due = spin.is_due();
                    if due {
                        spin.wait(|| came);
                    }
                    due
                })
                .count()
        };
        assert_eq!(tries(100, true), 100);
        let rare = tries(10_000, false);
        assert!((50..100).contains(&rare), "{rare}");
        tries(128, true);
        assert_eq!(tries(100, true), 100);
    }

    #[test]
    fn a_peer_that_answers_only_when_it_gets_the_processor_gets_it_soon() {
        let mut spin = Spin { limit: Duration::from_secs(5), ..spin(1) };
        let mut looks_until = |needed: u32| {
            let mut looks = 0;
            spin.wait(|| {
                looks += 1;
                looks > needed
            });
            spin.apart
        };
        assert!(looks_until(LOOKS_APART - 1));
        assert!(!looks_until(LOOKS_APART + 1));
        let probes = (0..PROBE_EVERY).map(|_| looks_until(LOOKS_TOGETHER + 1)).position(|apart| apart);
        assert!(probes.is_some(), "one of them finds out that it is apart again");
    }

    #[test]
    fn nobody_waits_awake_unasked_or_without_a_processor_to_spare() {
        let mut alone = spin(0);
        assert!(!alone.is_due(), "nothing was written");
        alone.expect();
        assert!(alone.is_due() && !alone.is_due());
        alone.wait(|| panic!("there is no processor for it"));
        let mut busy = spin(1);
        busy.one_awaited().store(false, Ordering::Relaxed);
        busy.expect();
        assert!(!busy.is_due(), "several answers are awaited");
        let mut off = Spin::new(Duration::ZERO, Arc::new(Processors::new()));
        off.expect();
        assert!(!off.is_due());
    }
}
