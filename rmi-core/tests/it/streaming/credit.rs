//! Credit: what is under way to a reader that does not read.

use std::time::Duration;

use rmi_core::streaming::Policy;
use rmi_core::{Proxy, Streaming, limits};

use super::setting::{Each, Flow, Well, everywhere, in_memory, watched};

/// Lets everything run that can; the clock stands still and jumps when nothing is left to do.
async fn until_nothing_moves() {
    tokio::time::sleep(Duration::from_secs(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_stops_the_producer_at_the_window() {
    let setting = in_memory().await;
    let (watched, producer) = watched(u64::MAX);
    setting.well.prepare(Streaming::new(producer));
    let mut numbers = setting.flow.prepared().await.unwrap().window(10, 1_000_000);
    until_nothing_moves().await;
    assert_eq!(watched.made(), 0, "nobody reads yet");
    for (read, made) in [(1, 10), (4, 10), (5, 15), (9, 15), (10, 20), (11, 20)] {
        let mut at = numbers_read(&mut numbers, read).await;
        assert_eq!(at.next_back(), Some(read - 1));
        until_nothing_moves().await;
        assert_eq!(watched.made(), made, "after {read} items were read");
    }
    numbers_read(&mut numbers, 1000).await;
    until_nothing_moves().await;
    assert!((1001..=1010).contains(&watched.made()), "{}", watched.made());
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_stops_the_producer_through_a_chain_of_nodes() {
    let setting = in_memory().await;
    let (watched, producer) = watched(u64::MAX);
    // The caller's own numbers pass through the host, which reads the first of them.
    let own = Well::default();
    own.prepare(Streaming::new(producer));
    let mut numbers = setting.flow.pass_on(Proxy::new(own), 1).await.unwrap().window(10, 1000);
    until_nothing_moves().await;
    assert_eq!(watched.made(), u64::from(limits::STREAM_WINDOW_ITEMS));
    assert_eq!(numbers.next().await.unwrap().unwrap(), 1);
    until_nothing_moves().await;
    assert_eq!(watched.made(), u64::from(limits::STREAM_WINDOW_ITEMS), "the host holds what the reader does not take");
    for expected in 2..8000 {
        assert_eq!(numbers.next().await.unwrap().unwrap(), expected);
    }
    until_nothing_moves().await;
    assert!((8000..=8010 + u64::from(limits::STREAM_WINDOW_ITEMS)).contains(&watched.made()), "{}", watched.made());
}

/// Reads on up to so many items in all.
async fn numbers_read(numbers: &mut Streaming<u64>, to: u64) -> std::vec::IntoIter<u64> {
    let mut read = Vec::new();
    while read.last().is_none_or(|last| last + 1 < to) {
        read.push(numbers.next().await.unwrap().unwrap());
    }
    read.into_iter()
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_stops_the_producer_at_so_many_bytes() {
    let setting = in_memory().await;
    let (watched, producer) = watched(u64::MAX);
    setting.well.prepare(Streaming::new(producer));
    // Numbers below 128 take a byte each.
    let mut numbers = setting.flow.prepared().await.unwrap().window(1000, 20);
    numbers_read(&mut numbers, 1).await;
    until_nothing_moves().await;
    assert_eq!(watched.made(), 20);
    numbers_read(&mut numbers, 20).await;
    until_nothing_moves().await;
    // The bytes of a batch are free when it was read and the next is asked for.
    assert_eq!(watched.made(), 20);
    numbers_read(&mut numbers, 21).await;
    until_nothing_moves().await;
    assert_eq!(watched.made(), 40);
}

#[tokio::test(start_paused = true)]
async fn references_in_items_count_in_the_window() {
    let setting = in_memory().await;
    let mut objects = setting.flow.objects(1000).await.unwrap().window(1000, 10 * 1024);
    let before = setting.host.exported();
    objects.next().await.unwrap().unwrap();
    until_nothing_moves().await;
    // Each takes a byte and stands for 1,024: the tenth begins inside of the window, the eleventh does not.
    assert_eq!(setting.host.exported() - before, 10);
}

#[tokio::test(start_paused = true)]
async fn a_sender_waits_when_queue_and_window_are_full() {
    let setting = in_memory().await;
    let (sender, numbers) = Streaming::channel(5, Policy::Block);
    setting.well.prepare(numbers);
    let mut numbers = setting.flow.prepared().await.unwrap().window(10, 1000);
    let (sent, counted) =
        (std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0)), std::sync::atomic::Ordering::SeqCst);
    let count = sent.clone();
    let sending = tokio::spawn(async move {
        while sender.send(1).await.is_ok() {
            count.fetch_add(1, counted);
        }
    });
    numbers.next().await.unwrap().unwrap();
    until_nothing_moves().await;
    assert_eq!(sent.load(counted), 15);
    drop(numbers);
    sending.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_late_reader_sees_what_is_new() {
    let setting = in_memory().await;
    let (sender, numbers) = Streaming::channel(5, Policy::DropOldest);
    setting.well.prepare(numbers);
    let mut numbers = setting.flow.prepared().await.unwrap().window(2, 1000);
    sender.send(0).await.unwrap();
    assert_eq!(numbers.next().await.unwrap().unwrap(), 0);
    for number in 1..100 {
        sender.send(number).await.unwrap();
        until_nothing_moves().await;
    }
    drop(sender);
    let rest = super::setting::all(numbers).await;
    assert_eq!(rest, [1, 2, 95, 96, 97, 98, 99]);
}

#[tokio::test(start_paused = true)]
async fn a_stream_leaves_nothing_behind_however_it_ended() {
    let setting = in_memory().await;
    let exported = || (setting.host.exported(), setting.caller.exported());
    for read in [0, 1, 2000] {
        for to in [0, 1, 2000, u64::MAX] {
            let mut numbers = setting.flow.numbers(to).await.unwrap();
            for _ in 0..read.min(to) {
                numbers.next().await.unwrap().unwrap();
            }
            if read > to {
                assert!(numbers.next().await.is_none());
            }
        }
    }
    assert!(setting.flow.broken().await.unwrap().next().await.unwrap().is_err());
    assert_eq!(setting.flow.sum(Streaming::new(Each(0..5000))).await.unwrap(), 12_497_500);
    until_nothing_moves().await;
    // The flow itself stays.
    assert_eq!(exported(), (1, 0));
}

#[tokio::test]
async fn idle_streams_take_none_of_the_places_for_calls() {
    for setting in everywhere().await {
        let places = setting.host.limits().calls_in_flight_max;
        let mut streams = Vec::new();
        for _ in 0..places + 10 {
            setting.well.prepare(Streaming::new(watched(1).1));
            let mut numbers = setting.flow.prepared().await.unwrap();
            assert_eq!(numbers.next().await.unwrap().unwrap(), 0);
            streams.push(numbers);
        }
        assert_eq!(setting.flow.ping().await.unwrap(), 1);
    }
}

#[tokio::test]
async fn a_window_beyond_the_limits_counts_as_the_limit() {
    for setting in everywhere().await {
        let count = u64::from(limits::STREAM_WINDOW_ITEMS) * 2;
        for (items, bytes) in [(0, 0), (u32::MAX, u32::MAX)] {
            let numbers = setting.flow.numbers(count).await.unwrap();
            assert_eq!(super::setting::all(numbers.window(items, bytes)).await.len() as u64, count);
        }
    }
}
