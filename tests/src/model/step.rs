//! What a run does: steps that are drawn from the seed before the run begins, so that it can be printed and replayed.

use std::fmt;

use crate::model::{HOSTS, LEASE};
use crate::{Cut, Random};

/// One thing that happens. A step that makes no sense when its turn comes (a host that is down, a hold that is not there)
/// does nothing; `pick` chooses among what there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// A new object, held by its own host.
    Create { host: usize },
    /// Copies of what `from` holds go to `to`: as an argument, or as the result of `to`'s call.
    Pass { from: usize, to: usize, pick: usize, copies: usize, as_result: bool },
    /// One more proxy of the same object.
    Clone { host: usize, pick: usize },
    /// One proxy less.
    Drop { host: usize, pick: usize },
    /// All proxies of a host are dropped.
    DropAll { host: usize },
    /// A call through what `host` holds.
    Call { host: usize, pick: usize },
    /// No more channels between two hosts.
    Cut { a: usize, b: usize, how: Cut },
    /// Channels again.
    Heal { a: usize, b: usize },
    /// A host ends without a goodbye.
    Crash { host: usize, how: Cut },
    /// A host shuts down in order.
    Leave { host: usize },
    /// A host that is down comes back as another node.
    Start { host: usize },
    /// Time passes.
    Wait { ms: u64 },
}

/// A step, and whether the next one begins while it is still under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Drawn {
    pub(super) step: Step,
    /// The milliseconds after which the next step begins.
    pub(super) overlap: Option<u64>,
}

impl fmt::Display for Drawn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.step)?;
        self.overlap.map_or(Ok(()), |ms| write!(f, ", and {ms} ms later"))
    }
}

const STEPS_LEAST: usize = 20;
const STEPS_MOST: usize = 60;

/// The steps of a run, which begins with an object on each host. In every third nothing fails, so that the strict rules for quiet times are tried as well.
pub(super) fn draw(random: &Random) -> Vec<Drawn> {
    let quiet = random.between(0, 2) == 0;
    let created = (0..HOSTS).map(|host| Drawn { step: Step::Create { host }, overlap: None });
    created.chain((0..random.index(STEPS_LEAST, STEPS_MOST)).map(|_| one(random, quiet))).collect()
}

fn one(random: &Random, quiet: bool) -> Drawn {
    let step = if quiet || random.between(0, 99) < 72 { usual(random) } else { failure(random) };
    let can_overlap = matches!(step, Step::Pass { .. } | Step::Call { .. });
    let overlap = (can_overlap && random.between(0, 1) == 0).then(|| random.between(0, 60));
    Drawn { step, overlap }
}

fn usual(random: &Random) -> Step {
    let (host, pick) = (random.index(0, HOSTS - 1), random.index(0, 99));
    match random.between(0, 99) {
        0..=13 => Step::Create { host },
        14..=46 => {
            let (copies, as_result) = (random.index(1, 4), random.between(0, 1) == 0);
            Step::Pass { from: host, to: other(random, host), pick, copies, as_result }
        }
        47..=52 => Step::Clone { host, pick },
        53..=68 => Step::Drop { host, pick },
        69..=72 => Step::DropAll { host },
        73..=84 => Step::Call { host, pick },
        _ => Step::Wait { ms: time(random) },
    }
}

fn failure(random: &Random) -> Step {
    let host = random.index(0, HOSTS - 1);
    let (b, how) = (other(random, host), if random.between(0, 1) == 0 { Cut::Reset } else { Cut::Silent });
    match random.between(0, 99) {
        0..=39 => Step::Cut { a: host, b, how },
        40..=69 => Step::Heal { a: host, b },
        70..=79 => Step::Crash { host, how },
        80..=84 => Step::Leave { host },
        _ => Step::Start { host },
    }
}

fn other(random: &Random, host: usize) -> usize {
    (host + random.index(1, HOSTS - 1)) % HOSTS
}

/// A moment, a part of a lease, or more than a lease takes to end.
fn time(random: &Random) -> u64 {
    let lease = u64::try_from(LEASE.as_millis()).unwrap_or(u64::MAX);
    match random.between(0, 9) {
        0..=4 => random.between(1, 400),
        5..=7 => random.between(400, lease / 3),
        _ => lease + random.between(2_600, 5_000),
    }
}
