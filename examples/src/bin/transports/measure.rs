//! What a call costs: one caller after the other, 64 at once, and a megabyte there and back.

use std::time::{Duration, Instant};

use rmi_core::{Bytes, Proxy};
use rmi_examples::Bank;
use rmi_examples::process::Outcome;

use crate::counter::Counter;

/// What one transport came to.
pub(crate) struct Figures {
    /// One caller: half of its calls were faster.
    pub(crate) p50_us: f64,
    /// 64 callers on one connection.
    pub(crate) calls_per_s: f64,
    /// One caller with a megabyte there and back, each direction counted.
    pub(crate) mb_per_s: f64,
}

const CALLERS: usize = 64;
const MEGABYTE: usize = 1 << 20;

/// Measures for `time` each.
///
/// # Errors
/// A call failed.
pub(crate) async fn measure(counter: &Proxy<dyn Counter>, time: Duration) -> Outcome<Figures> {
    counter.deposit("alice", 500).await?;
    // What the first calls pay once is not what a call costs.
    repeat(counter.clone(), time / 4).await?;
    let mut times = repeat(counter.clone(), time).await?;
    times.sort_unstable();
    let p50_us = times.get(times.len() / 2).map_or(0.0, |time| time.as_secs_f64() * 1e6);
    Ok(Figures { p50_us, calls_per_s: together(counter, time).await?, mb_per_s: large(counter, time).await? })
}

async fn repeat(counter: Proxy<dyn Counter>, time: Duration) -> Outcome<Vec<Duration>> {
    // In a task of its own, as callers are: not on the thread that waits for the whole program.
    let calls = tokio::spawn(async move {
        let (begun, mut times) = (Instant::now(), Vec::new());
        while begun.elapsed() < time {
            let called = Instant::now();
            counter.balance("alice").await.map_err(|error| error.to_string())?;
            times.push(called.elapsed());
        }
        Ok::<_, String>(times)
    });
    Ok(calls.await??)
}

async fn together(counter: &Proxy<dyn Counter>, time: Duration) -> Outcome<f64> {
    let begun = Instant::now();
    let callers: Vec<_> = (0..CALLERS)
        .map(|_| {
            let counter = counter.clone();
            tokio::spawn(async move {
                let mut calls = 0u32;
                while begun.elapsed() < time {
                    counter.balance("alice").await.map_err(|error| error.to_string())?;
                    calls += 1;
                }
                Ok::<_, String>(calls)
            })
        })
        .collect();
    let mut calls = 0;
    for caller in callers {
        calls += caller.await??;
    }
    Ok(f64::from(calls) / begun.elapsed().as_secs_f64())
}

async fn large(counter: &Proxy<dyn Counter>, time: Duration) -> Outcome<f64> {
    let document = Bytes::from(vec![7; MEGABYTE]);
    let (begun, mut copies) = (Instant::now(), 0u32);
    while begun.elapsed() < time {
        let copy = counter.copy(document.clone()).await?;
        if copy.len() != document.len() {
            return Err(format!("a copy of {} bytes came back", copy.len()).into());
        }
        copies += 1;
    }
    Ok(f64::from(copies) * 2.0 * MEGABYTE as f64 / 1e6 / begun.elapsed().as_secs_f64())
}
