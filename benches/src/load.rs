//! The workloads: callers that call again and again for a while.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::task::JoinHandle;

use crate::contender::{Caller, write_name};
use crate::{Result, cpu};

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Workload {
    #[value(name = "L1")]
    L1,
    #[value(name = "T64")]
    T64,
    #[value(name = "T1000")]
    T1000,
    #[value(name = "B64K")]
    B64K,
    #[value(name = "B1M")]
    B1M,
}

impl Workload {
    pub(crate) const ALL: [Self; 5] = [Self::L1, Self::T64, Self::T1000, Self::B64K, Self::B1M];

    /// How many call at once, on one connection.
    pub(crate) fn callers(self) -> usize {
        match self {
            Self::T64 => 64,
            Self::T1000 => 1000,
            Self::L1 | Self::B64K | Self::B1M => 1,
        }
    }

    /// The bytes that are echoed; 0 where `add` is called.
    pub(crate) fn bytes(self) -> usize {
        match self {
            Self::B64K => 64 << 10,
            Self::B1M => 1 << 20,
            Self::L1 | Self::T64 | Self::T1000 => 0,
        }
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_name(self, f)
    }
}

/// One measurement.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) workload: Workload,
    pub(crate) time: Duration,
    /// The process id of the side that serves.
    pub(crate) child: u32,
}

/// What a measurement came to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Figures {
    pub(crate) p50_us: Option<f64>,
    pub(crate) p99_us: Option<f64>,
    pub(crate) calls_per_s: Option<f64>,
    pub(crate) cpu_us_per_call: Option<f64>,
    pub(crate) mb_per_s: Option<f64>,
}

const WARM_UP: u8 = 0;
const MEASURE: u8 = 1;
const STOP: u8 = 2;

/// What one caller saw while it was measured.
struct Seen {
    calls: u64,
    nanos: Vec<u64>,
}

/// Lets the callers run, and measures after a warm-up.
pub(crate) async fn run<C: Caller>(first: C, plan: Plan) -> Result<Figures> {
    let phase = Arc::new(AtomicU8::new(WARM_UP));
    let tasks = spawn_callers(first, plan.workload, &phase)?;
    tokio::time::sleep(plan.time / 3).await;
    let (started, spent) = (Instant::now(), cpu_of_both(plan.child)?);
    phase.store(MEASURE, Ordering::Relaxed);
    tokio::time::sleep(plan.time).await;
    phase.store(STOP, Ordering::Relaxed);
    let (took, spent) = (started.elapsed(), cpu_of_both(plan.child)?.saturating_sub(spent));
    let mut all = Seen { calls: 0, nanos: Vec::new() };
    for task in tasks {
        let seen = task.await??;
        all.calls += seen.calls;
        all.nanos.extend(seen.nanos);
    }
    figures(plan.workload, all, took, spent)
}

/// Callers are tasks, not the thread that blocks on the runtime: that one would be woken through another thread.
fn spawn_callers<C: Caller>(
    first: C,
    workload: Workload,
    phase: &Arc<AtomicU8>,
) -> Result<Vec<JoinHandle<Result<Seen>>>> {
    let mut callers = Vec::with_capacity(workload.callers());
    for _ in 1..workload.callers() {
        callers.push(first.fork().ok_or("the contender has one caller on a connection")?);
    }
    callers.push(first);
    Ok(callers.into_iter().map(|caller| tokio::spawn(repeat(caller, workload, phase.clone()))).collect())
}

async fn repeat<C: Caller>(mut caller: C, workload: Workload, phase: Arc<AtomicU8>) -> Result<Seen> {
    let payload = Bytes::from(vec![7; workload.bytes()]);
    let alone = workload.callers() == 1;
    let mut seen = Seen { calls: 0, nanos: Vec::with_capacity(if alone { 1 << 20 } else { 0 }) };
    for round in 0_i64.. {
        let start = alone.then(Instant::now);
        if payload.is_empty() {
            let sum = caller.add(round, 1).await?;
            same("sum", sum, round + 1)?;
        } else {
            let length = caller.echo(&payload).await?;
            same("length", length, payload.len())?;
        }
        match phase.load(Ordering::Relaxed) {
            WARM_UP => continue,
            MEASURE => seen.calls += 1,
            _ => break,
        }
        if let Some(start) = start {
            seen.nanos.push(u64::try_from(start.elapsed().as_nanos())?);
        }
    }
    Ok(seen)
}

fn same<T: PartialEq + fmt::Display>(what: &str, got: T, expected: T) -> Result<()> {
    if got == expected { Ok(()) } else { Err(format!("{what} {got} came back instead of {expected}").into()) }
}

fn cpu_of_both(child: u32) -> Result<Duration> {
    Ok(cpu::time_of(std::process::id())? + cpu::time_of(child)?)
}

fn figures(workload: Workload, mut seen: Seen, took: Duration, spent: Duration) -> Result<Figures> {
    if seen.calls == 0 {
        return Err(format!("no call of {workload} ended in {took:.1?}").into());
    }
    seen.nanos.sort_unstable();
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
    let calls = seen.calls as f64;
    let rate = calls / took.as_secs_f64();
    let mut figures = Figures {
        p50_us: percentile(&seen.nanos, 50),
        p99_us: percentile(&seen.nanos, 99),
        calls_per_s: Some(rate),
        cpu_us_per_call: Some(spent.as_secs_f64() * 1e6 / calls),
        mb_per_s: None,
    };
    if workload.bytes() > 0 {
        #[expect(clippy::cast_precision_loss, reason = "a megabyte at most")]
        let bytes = workload.bytes() as f64;
        figures.mb_per_s = Some(rate * bytes / 1e6);
    }
    Ok(figures)
}

/// In µs; the list is sorted.
fn percentile(nanos: &[u64], percent: usize) -> Option<f64> {
    let at = (nanos.len() * percent).div_ceil(100).saturating_sub(1);
    nanos.get(at).map(|&nanos| Duration::from_nanos(nanos).as_secs_f64() * 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_seen() {
        let nanos: Vec<u64> = (1..=200).map(|n| n * 1000).collect();
        let near = |percent, us: f64| percentile(&nanos, percent).is_some_and(|got| (got - us).abs() < 1e-6);
        assert!(near(50, 100.0) && near(99, 198.0) && near(100, 200.0));
        assert_eq!(percentile(&[], 50), None);
    }
}
