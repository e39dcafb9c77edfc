//! How streams end, and who learns it.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;
use rmi_core::limits::ERROR_TEXT_BYTES_MAX;
use rmi_core::streaming::{End, Policy};
use rmi_core::{ErrorKind, Executed, Limits, Node, Proxy, RemoteError, Streaming, remote};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use super::setting::{Each, Flow, Flowing, Setting, all, everywhere, in_memory, over_tcp, setting, watched};
use crate::renamed::renamed;

fn told() -> RemoteError {
    RemoteError::new(ErrorKind::Overloaded, Executed::Yes, "as told")
}

#[tokio::test]
async fn an_error_in_a_stream_comes_behind_its_items_and_is_the_end() {
    for setting in everywhere().await {
        setting.well.prepare(Streaming::fallible(Each([Ok(1), Ok(2), Err(told()), Ok(3)].into_iter())));
        let mut numbers = setting.flow.prepared().await.unwrap();
        assert_eq!(numbers.next().await.unwrap().unwrap(), 1);
        assert_eq!(numbers.next().await.unwrap().unwrap(), 2);
        assert_eq!(numbers.end(), None);
        let error = numbers.next().await.unwrap().unwrap_err();
        assert_eq!((error.kind(), error.message(), error.is_relayed()), (ErrorKind::Overloaded, "as told", true));
        assert_eq!(numbers.end(), Some(&End::Failed(error)));
        assert!(numbers.next().await.is_none());
    }
}

#[tokio::test]
async fn an_error_of_many_words_is_cut_to_what_every_reader_takes() {
    let setting = over_tcp().await;
    let long = RemoteError::new(ErrorKind::Overloaded, Executed::Yes, "ä".repeat(20 << 20));
    setting.well.prepare(Streaming::fallible(Each([Ok(1), Err(long)].into_iter())));
    let mut numbers = setting.flow.prepared().await.unwrap();
    assert_eq!(numbers.next().await.unwrap().unwrap(), 1);
    let error = numbers.next().await.unwrap().unwrap_err();
    assert_eq!((error.kind(), error.message().len()), (ErrorKind::Overloaded, ERROR_TEXT_BYTES_MAX));
}

#[tokio::test]
async fn a_sender_can_end_its_stream_with_an_error() {
    for setting in everywhere().await {
        let (sender, numbers) = Streaming::channel(10, Policy::Fail);
        sender.send(1).await.unwrap();
        sender.fail(told());
        let error = setting.flow.sum(numbers).await.unwrap_err();
        assert_eq!(error.message(), "as told");
    }
}

#[tokio::test]
async fn items_written_right_before_the_sender_is_dropped_arrive() {
    for setting in everywhere().await {
        let (sender, numbers) = Streaming::channel(1000, Policy::Fail);
        for number in 0..1000 {
            sender.send(number).await.unwrap();
        }
        drop(sender);
        assert_eq!(setting.flow.sum(numbers).await.unwrap(), 499_500);
    }
}

#[tokio::test]
async fn a_sender_dropped_by_a_panic_does_not_finish_its_stream() {
    let (sender, mut numbers) = Streaming::<u64>::channel(1, Policy::Block);
    let task = tokio::spawn(async move {
        let _sender = sender;
        panic!("as told");
    });
    assert_eq!(numbers.next().await.unwrap().unwrap_err().kind(), ErrorKind::Panicked);
    assert!(task.await.is_err());
}

struct Panicking;

impl Stream for Panicking {
    type Item = u64;

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<u64>> {
        panic!("a secret of the producer's");
    }
}

#[tokio::test]
async fn a_producer_that_panics_ends_its_stream_with_an_error() {
    for setting in everywhere().await {
        setting.well.prepare(Streaming::new(Panicking));
        let error = setting.flow.prepared().await.unwrap().next().await.unwrap().unwrap_err();
        assert_eq!((error.kind(), error.message()), (ErrorKind::Panicked, "the stream's producer panicked"));
    }
}

#[tokio::test]
async fn an_item_that_cannot_be_encoded_ends_the_stream() {
    for setting in everywhere().await {
        let error = setting.flow.broken().await.unwrap().next().await.unwrap().unwrap_err();
        assert_eq!((error.kind(), error.message()), (ErrorKind::BadArgument, "an item cannot be encoded: as told"));
    }
}

#[remote(name = "streaming.Misread")]
trait Misread {
    async fn prepared(&self) -> Flowing<Streaming<String>>;
}

#[tokio::test]
async fn an_item_of_another_type_ends_the_stream_and_drops_its_producer() {
    for setting in everywhere().await {
        let (watched, producer) = watched(10);
        setting.well.prepare(Streaming::new(producer));
        let misread = renamed(&setting.flow, "streaming.Flow", "streaming.Misread");
        let misread: Proxy<dyn Misread> = misread.cast().unwrap();
        let mut texts = misread.prepared().await.unwrap();
        assert_eq!(texts.next().await.unwrap().unwrap_err().kind(), ErrorKind::BadReply);
        assert!(texts.next().await.is_none());
        watched.dropped().await;
    }
}

#[tokio::test]
async fn dropping_the_reader_drops_a_producer_that_has_nothing_to_say() {
    for setting in everywhere().await {
        let (watched, producer) = watched(3);
        setting.well.prepare(Streaming::new(producer));
        let mut numbers = setting.flow.prepared().await.unwrap();
        for expected in 0..3 {
            assert_eq!(numbers.next().await.unwrap().unwrap(), expected);
        }
        drop(numbers);
        watched.dropped().await;
    }
}

#[tokio::test]
async fn a_result_with_an_unread_stream_that_is_dropped_drops_its_producer() {
    for setting in everywhere().await {
        let (watched, producer) = watched(3);
        setting.well.prepare(Streaming::new(producer));
        drop(setting.flow.prepared().await.unwrap());
        watched.dropped().await;
        assert_eq!(watched.made(), 0);
    }
}

#[tokio::test]
async fn dropping_the_reader_frees_a_sender_that_waits_for_room() {
    for setting in everywhere().await {
        let (sender, numbers) = Streaming::channel(1, Policy::Block);
        setting.well.prepare(numbers);
        let mut numbers = setting.flow.prepared().await.unwrap().window(10, 1000);
        sender.send(0).await.unwrap();
        assert_eq!(numbers.next().await.unwrap().unwrap(), 0);
        // Nobody reads on: in the end a send waits for a reader that never comes.
        let blocked = tokio::spawn(async move {
            loop {
                if let Err(error) = sender.send(1).await {
                    sender.closed().await;
                    return error;
                }
            }
        });
        tokio::task::yield_now().await;
        drop(numbers);
        assert_eq!(blocked.await.unwrap().kind(), ErrorKind::Cancelled);
    }
}

#[tokio::test]
async fn a_node_that_goes_takes_the_producers_of_its_readers_along() {
    for Setting { host: _host, caller, well, flow } in everywhere().await {
        let ((first, one), (second, other)) = (watched(3), watched(3));
        well.prepare(Streaming::new(one));
        well.prepare(Streaming::new(other));
        let mut read = flow.prepared().await.unwrap();
        let _unread = flow.prepared().await.unwrap();
        assert_eq!(read.next().await.unwrap().unwrap(), 0);
        drop(caller);
        first.dropped().await;
        second.dropped().await;
    }
}

/// The way to a host that can be cut.
struct Cable {
    listening: JoinHandle<()>,
    carrying: Arc<Mutex<JoinSet<()>>>,
}

impl Cable {
    /// Cuts what is connected; the nodes can connect anew.
    fn cut(&self) {
        self.carrying.lock().unwrap().abort_all();
    }

    /// Cuts what is connected, for ever.
    fn cut_for_good(self) {
        self.listening.abort();
        self.cut();
    }
}

/// A host that is reached through a cable, and nodes that give each other up after half a second.
async fn behind_a_cable() -> (Setting, Cable) {
    let mut limits = Limits::default();
    limits.lease = Duration::from_millis(500);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let cable = format!("tcp://{}", listener.local_addr().unwrap());
    let host = Node::builder().listen("tcp://127.0.0.1:0").advertise(cable.as_str()).limits(limits.clone());
    let setting = setting(host, Node::builder().limits(limits)).await;
    let address = setting.host.endpoints()[0].address().to_owned();
    let carrying = Arc::new(Mutex::new(JoinSet::new()));
    let carried = carrying.clone();
    let listening = tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            let mut far = TcpStream::connect(&address).await.unwrap();
            near.set_nodelay(true).and(far.set_nodelay(true)).unwrap();
            carried.lock().unwrap().spawn(async move {
                let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
            });
        }
    });
    (setting, Cable { listening, carrying })
}

#[tokio::test]
async fn an_idle_stream_outlives_a_connection_that_comes_back_within_the_lease() {
    let (setting, cable) = behind_a_cable().await;
    let (sender, numbers) = Streaming::channel(1, Policy::Block);
    setting.well.prepare(numbers);
    let mut numbers = setting.flow.prepared().await.unwrap();
    sender.send(0).await.unwrap();
    assert_eq!(numbers.next().await.unwrap().unwrap(), 0);
    let before = setting.flow.connection().await.unwrap();
    cable.cut();
    // A call that meets the cut may have run, and says so.
    while setting.flow.connection().await.unwrap_or(before) == before {}
    sender.send(1).await.unwrap();
    assert_eq!(numbers.next().await.unwrap().unwrap(), 1);
    drop(sender);
    assert!(numbers.next().await.is_none());
}

#[tokio::test]
async fn a_cut_connection_ends_an_idle_stream_with_an_error_at_both_ends() {
    let (setting, cable) = behind_a_cable().await;
    let (sender, numbers) = Streaming::channel(1, Policy::Block);
    setting.well.prepare(numbers);
    let mut numbers = setting.flow.prepared().await.unwrap();
    sender.send(0).await.unwrap();
    assert_eq!(numbers.next().await.unwrap().unwrap(), 0);
    cable.cut_for_good();
    let error = numbers.next().await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Disconnected);
    assert_eq!(numbers.end(), Some(&End::Lost));
    assert!(numbers.next().await.is_none());
    sender.closed().await;
    assert!(sender.send(1).await.is_err());
}

#[tokio::test]
async fn a_stream_whose_source_cannot_be_reached_says_so() {
    let (setting, cable) = behind_a_cable().await;
    setting.well.prepare(Streaming::new(watched(3).1));
    let mut numbers = setting.flow.prepared().await.unwrap();
    cable.cut_for_good();
    let error = numbers.next().await.unwrap().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Disconnected | ErrorKind::Unreachable | ErrorKind::Gone), "{error}");
    assert!(numbers.next().await.is_none());
}

#[tokio::test]
async fn a_cut_connection_ends_a_busy_stream_with_an_error() {
    let (setting, cable) = behind_a_cable().await;
    let mut cable = Some(cable);
    let (watched, producer) = watched(u64::MAX);
    setting.well.prepare(Streaming::new(producer));
    let mut numbers = setting.flow.prepared().await.unwrap();
    let mut expected = 0;
    let error = loop {
        match numbers.next().await.unwrap() {
            Ok(number) => assert_eq!(number, expected),
            Err(error) => break error,
        }
        expected += 1;
        if expected == 50_000 {
            cable.take().unwrap().cut_for_good();
        }
    };
    assert_eq!((error.kind(), numbers.end()), (ErrorKind::Disconnected, Some(&End::Lost)), "{error}");
    assert!(numbers.next().await.is_none());
    watched.dropped().await;
}

#[tokio::test]
async fn a_host_that_shuts_down_does_not_finish_its_streams() {
    for setting in everywhere().await {
        let (watched, producer) = watched(3);
        setting.well.prepare(Streaming::new(producer));
        let mut numbers = setting.flow.prepared().await.unwrap();
        assert_eq!(numbers.next().await.unwrap().unwrap(), 0);
        // An idle stream has nothing under way for which a shutdown would wait.
        tokio::time::timeout(Duration::from_secs(20), setting.host.shutdown()).await.unwrap();
        assert!(all_of(&mut numbers).await.is_err());
        watched.dropped().await;
    }
}

async fn all_of(numbers: &mut Streaming<u64>) -> Result<(), RemoteError> {
    while let Some(number) = numbers.next().await {
        number?;
    }
    Ok(())
}

#[tokio::test]
async fn a_finished_stream_has_its_end_though_its_host_is_gone() {
    let setting = over_tcp().await;
    let mut numbers = setting.flow.numbers(500).await.unwrap();
    assert_eq!(numbers.next().await.unwrap().unwrap(), 0);
    assert_eq!(all(setting.flow.numbers(1).await.unwrap()).await, [0]);
    drop(setting.host);
    assert_eq!(all(numbers).await.len(), 499);
}

#[tokio::test]
async fn the_policy_says_what_a_full_queue_does() {
    let setting = in_memory().await;
    for (policy, kept) in [(Policy::DropOldest, 7 + 8 + 9), (Policy::DropNewest, 1 + 2), (Policy::Fail, 1 + 2)] {
        // Nobody reads yet.
        let (sender, numbers) = Streaming::channel(3, policy);
        for number in 0..10 {
            let sent = sender.send(number).await;
            let refused = policy == Policy::Fail && number >= 3;
            assert_eq!(sent.err().map(|error| error.kind()), refused.then_some(ErrorKind::Overloaded));
        }
        assert_eq!(sender.dropped(), if policy == Policy::Fail { 0 } else { 7 });
        drop(sender);
        assert_eq!(setting.flow.sum(numbers).await.unwrap(), kept);
    }
}
