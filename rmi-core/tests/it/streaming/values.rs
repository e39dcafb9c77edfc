//! Streams as results, as arguments and inside both, and what can be in them.

use rmi_core::streaming::Policy;
use rmi_core::{ErrorKind, Node, Proxy, Streaming};

use super::setting::{Each, Flow, Texts, Well, all, everywhere, in_memory, over_tcp, watched};

#[tokio::test]
async fn a_returned_stream_gives_its_items_in_order_and_then_its_end() {
    for setting in everywhere().await {
        let numbers = all(setting.flow.numbers(10_000).await.unwrap()).await;
        assert!(numbers.into_iter().eq(0..10_000));
    }
}

#[tokio::test]
async fn the_servant_reads_a_stream_that_is_an_argument() {
    for setting in everywhere().await {
        let sum = setting.flow.sum(Streaming::new(Each(0..10_000))).await.unwrap();
        assert_eq!(sum, 49_995_000);
    }
}

#[tokio::test]
async fn streams_in_both_directions_answer_each_other() {
    for setting in everywhere().await {
        let (sender, numbers) = Streaming::channel(1, Policy::Block);
        let mut doubled = setting.flow.double(numbers).await.unwrap();
        for number in 0..100 {
            sender.send(number).await.unwrap();
            assert_eq!(doubled.next().await.unwrap().unwrap(), number * 2);
        }
        drop(sender);
        assert!(doubled.next().await.is_none());
    }
}

#[tokio::test]
async fn empty_streams_end_at_once_both_ways() {
    for setting in everywhere().await {
        assert_eq!(setting.flow.sum(Streaming::new(Each(0..0))).await.unwrap(), 0);
        assert!(all(setting.flow.numbers(0).await.unwrap()).await.is_empty());
    }
}

#[tokio::test]
async fn streams_inside_values_travel_both_ways() {
    for setting in everywhere().await {
        let parts = ["one two", "three"].map(|part| Streaming::new(Each(part.split(' ').map(str::to_owned))));
        let texts = Texts { title: "t".into(), parts: parts.into() };
        let answer = setting.flow.exchange(texts).await.unwrap();
        let mut parts = Vec::new();
        for part in answer.parts {
            parts.push(all(part).await);
        }
        assert_eq!(parts, [vec!["ONE", "TWO"], vec!["THREE"]]);
    }
}

#[tokio::test]
async fn objects_that_are_items_can_be_called() {
    for setting in everywhere().await {
        let mut objects = setting.flow.objects(2000).await.unwrap();
        let mut count = 0;
        while let Some(object) = objects.next().await {
            count += object.unwrap().ping().await.unwrap();
        }
        assert_eq!(count, 2000);
        let own: Proxy<dyn Flow> = Proxy::new(Well::default());
        let thrice = std::iter::repeat_n(own.clone(), 3);
        assert_eq!(setting.flow.call_each(Streaming::new(Each(thrice))).await.unwrap(), 1 + 2 + 3);
        assert_eq!(own.ping().await.unwrap(), 4);
    }
}

#[tokio::test]
async fn an_item_may_have_more_objects_than_a_frame_has_room_for() {
    for setting in everywhere().await {
        let sizes = [1, 1025, 0, 5000, 3];
        let crowds = all(setting.flow.crowds(sizes.to_vec()).await.unwrap()).await;
        assert_eq!(crowds.iter().map(Vec::len).collect::<Vec<_>>(), sizes.map(|size| size as usize));
        assert_eq!(crowds[3][4999].ping().await.unwrap(), 1);
    }
}

#[tokio::test]
async fn streams_of_streams_are_read_in_any_order() {
    for setting in everywhere().await {
        let mut rows = all(setting.flow.grids(10, 100).await.unwrap()).await;
        rows.reverse();
        for (row, numbers) in (0..10).rev().zip(rows) {
            assert!(all(numbers).await.into_iter().eq(row * 100..(row + 1) * 100));
        }
    }
}

#[tokio::test]
async fn items_of_every_size_pass_every_window() {
    let sizes = vec![0, 1, 65_536, 3_000_000, 0, 100_000, 5_000_000, 10];
    for setting in everywhere().await {
        for (items, bytes) in [(1024, 1 << 20), (1, 1), (3, 70_000)] {
            let blobs = setting.flow.blobs(sizes.clone()).await.unwrap().window(items, bytes);
            let lengths: Vec<_> = all(blobs).await.iter().map(|blob| u32::try_from(blob.len()).unwrap()).collect();
            assert_eq!(lengths, sizes);
        }
        assert_eq!(all(setting.flow.nothings(5000).await.unwrap()).await.len(), 5000);
    }
}

#[tokio::test]
async fn an_item_beyond_the_largest_body_ends_the_stream_with_its_size() {
    let setting = over_tcp().await;
    let mut blobs = setting.flow.blobs(vec![1, 20 << 20, 1]).await.unwrap();
    assert_eq!(blobs.next().await.unwrap().unwrap().len(), 1);
    let error = blobs.next().await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge, "{error}");
    assert!(blobs.next().await.is_none());
}

#[tokio::test]
async fn a_stream_of_this_process_is_read_with_nothing_encoded_or_buffered() {
    let flow: Proxy<dyn Flow> = Proxy::new(Well::default());
    // An item that cannot be encoded comes through.
    assert_eq!(all(flow.broken().await.unwrap()).await.len(), 1);
    let (watched, producer) = watched(100);
    let mut stream = Streaming::new(producer);
    assert_eq!(stream.next().await.unwrap().unwrap(), 0);
    assert_eq!(watched.made(), 1);
}

#[tokio::test]
async fn a_stream_that_comes_home_is_read_there() {
    for setting in everywhere().await {
        // The caller's stream goes to the host and comes back as it went.
        let own = Well::default();
        own.prepare(Streaming::new(Each(0..5000)));
        let numbers = setting.flow.pass_on(Proxy::new(own), 0).await.unwrap();
        assert!(all(numbers).await.into_iter().eq(0..5000));
    }
}

#[tokio::test]
async fn a_stream_keeps_its_order_through_a_chain_of_nodes() {
    let setting = over_tcp().await;
    for read in [0, 100] {
        // The host's own numbers, by way of a third node, which reads some of them first or none.
        let third = Node::builder().listen("tcp://127.0.0.1:0").start().await.unwrap();
        let reference = third.export(&Proxy::<dyn Flow>::new(Well::default())).unwrap();
        let by_third: Proxy<dyn Flow> = setting.caller.proxy(&reference).unwrap();
        setting.well.prepare(Streaming::new(Each(0..20_000)));
        let numbers = by_third.pass_on(setting.flow.clone(), read).await.unwrap();
        assert!(all(numbers).await.into_iter().eq(read..20_000));
    }
}

#[tokio::test]
async fn a_stream_can_be_sent_once_and_only_in_a_call() {
    let setting = in_memory().await;
    let (watched, producer) = watched(10);
    let texts = Texts { title: String::new(), parts: Vec::new() };
    assert_eq!(setting.flow.exchange(texts).await.unwrap().parts.len(), 0);
    let stream = Streaming::new(producer);
    let mut twice = Twice { stream };
    let sink: Proxy<dyn TakesTwo> = setting.caller.proxy(&two(&setting)).unwrap();
    let error = sink.take(&twice, &twice).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadArgument);
    assert_eq!(error.message(), "argument `second` of TakesTwo/take cannot be encoded: a stream can be sent once");
    let error = twice.stream.next().await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Misuse);
    watched.dropped().await;
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Twice {
    stream: Streaming<u64>,
}

#[rmi_core::remote]
trait TakesTwo {
    async fn take(&self, first: &Twice, second: &Twice) -> Result<(), rmi_core::RemoteError>;
}

struct Taker;

#[rmi_core::remote]
impl TakesTwo for Taker {
    async fn take(&self, _: &Twice, _: &Twice) -> Result<(), rmi_core::RemoteError> {
        Ok(())
    }
}

fn two(setting: &super::setting::Setting) -> rmi_core::ObjectRef {
    setting.host.export(&Proxy::<dyn TakesTwo>::new(Taker)).unwrap()
}
