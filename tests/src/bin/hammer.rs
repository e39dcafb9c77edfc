//! A caller in a process of its own: calls a tally without pause until its input ends, then says whether what the host counted
//! fits what it was answered. Says `called` after each hundred calls.
//!
//! `hammer REFERENCE`

use std::sync::atomic::{AtomicU64, Ordering};

use rmi_core::{ObjectRef, Proxy};
use rmi_tests::{Answers, Broker, Tally};
use tokio::io::AsyncReadExt;

/// The calls under way at once.
const TOGETHER: usize = 8;
/// After how many answers it says so.
const OFTEN: u64 = 100;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let reference: ObjectRef = std::env::args().nth(1).ok_or("usage: hammer REFERENCE")?.parse()?;
    let node = Broker::node().start().await?;
    let tally: Proxy<dyn Tally> = node.proxy(&reference)?;
    let next = std::sync::Arc::new(AtomicU64::new(0));
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let callers: Vec<_> = (0..TOGETHER)
        .map(|_| {
            let (tally, next, stopped) = (tally.clone(), next.clone(), stopped.clone());
            tokio::spawn(async move {
                let mut answers = Answers::default();
                while !*stopped.borrow() {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    answers.ask(&tally, number).await;
                    if number % OFTEN == 0 {
                        println!("called");
                    }
                }
                answers
            })
        })
        .collect();
    tokio::io::stdin().read_to_end(&mut Vec::new()).await?;
    stop.send(true)?;
    let mut answers = Answers::default();
    for caller in callers {
        answers += caller.await?;
    }
    let (counted, twice) = tally.counted().await?;
    println!("{answers:?}, counted {counted}, {twice} of them twice");
    if answers.fit(counted, twice) { Ok(()) } else { Err("what was counted does not fit what was answered".into()) }
}
