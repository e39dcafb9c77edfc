//! Callers of a tally that call without pause.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rmi_core::{Node, Proxy};
use rmi_tests::{Answers, Broker, Slate, Tally};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// How many call at once.
pub(super) const CALLERS: u64 = 16;

/// Callers that call without pause.
pub(super) struct Load {
    done: Arc<AtomicU64>,
    stop: Arc<AtomicU64>,
    callers: Vec<JoinHandle<Answers>>,
}

impl Load {
    pub(super) fn start(tally: &Proxy<dyn Tally>) -> Self {
        let (done, stop, next) =
            (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let call = |_| {
            let (tally, done, stop, next) = (tally.clone(), done.clone(), stop.clone(), next.clone());
            tokio::spawn(async move {
                let mut answers = Answers::default();
                while stop.load(Ordering::Relaxed) == 0 {
                    answers.ask(&tally, next.fetch_add(1, Ordering::Relaxed)).await;
                    done.fetch_add(1, Ordering::Relaxed);
                }
                answers
            })
        };
        Self { callers: (0..CALLERS).map(call).collect(), done, stop }
    }

    /// Waits for so many further answers.
    pub(super) async fn goes_on(&self, count: u64) {
        let until = self.done.load(Ordering::Relaxed) + count;
        let wait = async {
            while self.done.load(Ordering::Relaxed) < until {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        timeout(Duration::from_secs(30), wait).await.expect("calls go on");
    }

    pub(super) async fn end(self) -> Answers {
        self.stop.store(1, Ordering::Relaxed);
        let mut answers = Answers::default();
        for caller in self.callers {
            answers += caller.await.unwrap();
        }
        answers
    }
}

/// A host and a caller that has its object.
pub(super) async fn host_and_caller(broker: &Broker) -> (Node, Node, Proxy<dyn Tally>) {
    let host = Broker::node().listen(broker.endpoint("place")).start().await.unwrap();
    let reference = host.export(&Proxy::<dyn Tally>::new(Slate::default())).unwrap();
    let caller = Broker::node().start().await.unwrap();
    let tally = caller.proxy(&reference).unwrap();
    (host, caller, tally)
}

pub(super) async fn assert_fit(answers: Answers, tally: &Proxy<dyn Tally>) {
    let (counted, twice) = tally.counted().await.unwrap();
    println!("{answers:?}, counted {counted}, {twice} of them twice");
    assert!(answers.fit(counted, twice), "{answers:?}, counted {counted}, {twice} of them twice");
}
