//! Group ORD.

use rmi_core::Bytes;

use super::probe::{Probe, Probed, setting};

#[tokio::test]
async fn calls_through_one_proxy_are_dispatched_in_the_order_they_were_made() {
    let setting = setting().await;
    let mut calls: Vec<_> = (0..500).map(|number| setting.probe.note(number)).collect();
    // Polled once each, in order: that is when they are made. The first dials.
    std::future::poll_fn(|cx| {
        let ready: Vec<bool> = calls.iter_mut().map(|call| call.as_mut().poll(cx).is_ready()).collect();
        assert!(ready.iter().all(|ready| !ready));
        std::task::Poll::Ready(())
    })
    .await;
    for call in calls {
        call.await.unwrap();
    }
    assert_eq!(*setting.servant.notes.lock().unwrap(), (0..500).collect::<Vec<_>>());
}

#[tokio::test]
async fn oneway_and_other_calls_keep_their_order() {
    let setting = setting().await;
    for number in 0..100 {
        setting.probe.tell(2 * number).await.unwrap();
        setting.probe.note(2 * number + 1).await.unwrap();
    }
    assert_eq!(*setting.servant.notes.lock().unwrap(), (0..200).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_large_call_does_not_hold_back_small_ones() {
    let setting = setting().await;
    setting.probe.nothing().await.unwrap();
    let other = setting.probe.clone();
    let (large, small) = (Bytes::from(vec![0; 15 << 20]), async {
        // Made after the large one.
        tokio::task::yield_now().await;
        other.nothing().await
    });
    tokio::select! {
        biased;
        result = setting.probe.echo(large) => panic!("the large call was first: {} bytes", result.unwrap().len()),
        result = small => { let result: Probed<()> = result; result.unwrap() }
    }
}
