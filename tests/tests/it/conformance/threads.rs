//! Group THR.

use std::time::{Duration, Instant};

use super::probe::{Probe, own_probe, setting};

#[tokio::test]
async fn calls_on_one_object_run_at_the_same_time() {
    let setting = setting().await;
    let (first, second) = tokio::join!(setting.probe.meet(), setting.probe.meet());
    first.unwrap();
    second.unwrap();
}

#[tokio::test]
async fn a_call_back_into_the_caller_does_not_wait_for_its_own_call() {
    let setting = setting().await;
    let (_, own) = own_probe();
    let back = setting.probe.relay(own, vec![4; 100_000].into()).await.unwrap();
    assert_eq!(back.len(), 100_000);
}

#[test]
fn proxies_are_used_from_any_thread_and_any_runtime() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let setting = runtime.block_on(setting());
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let probe = setting.probe.clone();
            std::thread::spawn(move || {
                let own = tokio::runtime::Builder::new_current_thread().build().unwrap();
                own.block_on(async {
                    for _ in 0..100 {
                        probe.nothing().await.unwrap();
                    }
                });
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_servant_that_blocks_in_a_task_of_its_own_does_not_stop_the_connection() {
    let setting = setting().await;
    let probe = setting.probe.clone();
    let blocked = tokio::spawn(async move { probe.block(1_000).await });
    setting.servant.until(|servant| servant.running.load(std::sync::atomic::Ordering::SeqCst) == 1).await;
    let begun = Instant::now();
    setting.probe.nothing().await.unwrap();
    assert!(begun.elapsed() < Duration::from_millis(800), "{:?}", begun.elapsed());
    blocked.await.unwrap().unwrap();
}
