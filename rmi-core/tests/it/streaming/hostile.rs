//! Peers that speak the protocol of streams and break its rules.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rmi_core::{AnyProxy, ErrorKind, Executed, Proxy, RemoteError, Streaming, limits, remote};
use tokio::sync::Notify;

use super::setting::{Flowing, Setting, everywhere, in_memory, watched};
use crate::renamed::renamed;

/// The interface that is `rmi.Source` on the wire.
#[remote(name = "hostile.Source")]
trait Source {
    async fn open(&self, sink: AnyProxy, items: u32, bytes: u32) -> Flowing<()>;
    async fn grant(&self, items: u64, bytes: u64) -> Flowing<()>;
    async fn close(&self) -> Flowing<()>;
}

/// The interface that is `rmi.Sink` on the wire.
#[remote(name = "hostile.Sink")]
trait Sink {
    async fn push(&self, sequence: u64, items: &[u8], references: Vec<AnyProxy>) -> Flowing<()>;
    async fn end(&self, sequence: u64, failure: Option<RemoteError>) -> Flowing<()>;
}

/// The methods of a flow, with the object that a stream is made of in its place.
#[remote(name = "hostile.Bare")]
trait Bare {
    async fn prepared(&self) -> Flowing<AnyProxy>;
    async fn blobs(&self, sizes: Vec<u32>) -> Flowing<AnyProxy>;
    async fn sum(&self, numbers: AnyProxy) -> Flowing<u64>;
    async fn call_each(&self, objects: AnyProxy) -> Flowing<u64>;
}

fn bare(setting: &Setting) -> Proxy<dyn Bare> {
    renamed(&setting.flow, "streaming.Flow", "hostile.Bare").cast().unwrap()
}

async fn prepared(setting: &Setting) -> Proxy<dyn Source> {
    source(bare(setting).prepared().await.unwrap())
}

/// A stream of the framework's, to be read by hand.
fn source(stream: AnyProxy) -> Proxy<dyn Source> {
    renamed(stream, "rmi.Source", "hostile.Source").cast().unwrap()
}

/// A stream that the framework reads.
fn stream(source: Proxy<dyn Source>) -> AnyProxy {
    renamed(source, "hostile.Source", "rmi.Source")
}

/// A reader of the framework's, to be filled by hand.
fn reader(sink: AnyProxy) -> Proxy<dyn Sink> {
    renamed(sink, "rmi.Sink", "hostile.Sink").cast().unwrap()
}

/// A reader that the framework fills.
fn sink(drain: Arc<Drain>) -> AnyProxy {
    renamed(Proxy::<dyn Sink>::from_arc(drain), "hostile.Sink", "rmi.Sink")
}

/// A sink that remembers the lengths of its batches and answers as it was told.
#[derive(Default)]
struct Drain {
    lengths: Mutex<Vec<usize>>,
    end: Mutex<Option<Option<RemoteError>>>,
    changed: Notify,
    answers: Answers,
}

#[derive(Default, PartialEq)]
enum Answers {
    #[default]
    Ok,
    Never,
    Refuses,
}

impl Drain {
    async fn ended(&self) -> Option<RemoteError> {
        loop {
            let changed = self.changed.notified();
            if let Some(end) = self.end.lock().unwrap().clone() {
                return end;
            }
            changed.await;
        }
    }
}

#[remote]
impl Sink for Drain {
    async fn push(&self, _: u64, items: &[u8], _: Vec<AnyProxy>) -> Flowing<()> {
        self.lengths.lock().unwrap().push(items.len());
        match self.answers {
            Answers::Ok => Ok(()),
            Answers::Never => std::future::pending().await,
            Answers::Refuses => Err(RemoteError::new(ErrorKind::Denied, Executed::No, "as told")),
        }
    }
    async fn end(&self, _: u64, failure: Option<RemoteError>) -> Flowing<()> {
        *self.end.lock().unwrap() = Some(failure);
        self.changed.notify_waiters();
        Ok(())
    }
}

#[tokio::test]
async fn a_stream_has_one_reader() {
    for setting in everywhere().await {
        let (watched, producer) = watched(1);
        setting.well.prepare(Streaming::new(producer));
        let source = prepared(&setting).await;
        assert_eq!(source.grant(1, 1).await.unwrap_err().kind(), ErrorKind::Misuse);
        source.open(sink(Arc::default()), 10, 10).await.unwrap();
        let error = source.open(sink(Arc::default()), 10, 10).await.unwrap_err();
        assert_eq!((error.kind(), error.message()), (ErrorKind::Misuse, "the stream has a reader already"));
        source.close().await.unwrap();
        watched.dropped().await;
        assert!(source.open(sink(Arc::default()), 10, 10).await.is_err());
        source.grant(1000, 1000).await.unwrap();
    }
}

#[tokio::test]
async fn a_reader_cannot_ask_for_a_window_beyond_the_limit() {
    for setting in everywhere().await {
        setting.well.prepare(Streaming::new(watched(1).1));
        let source = prepared(&setting).await;
        for (items, bytes) in [(0, 1), (1, 0), (limits::STREAM_WINDOW_ITEMS_MAX + 1, 1), (1, u32::MAX)] {
            let error = source.open(sink(Arc::default()), items, bytes).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::BadArguments);
        }
        source.open(sink(Arc::default()), 1, 1).await.unwrap();
    }
}

#[tokio::test]
async fn a_reader_that_grants_more_than_its_window_is_told_and_gets_no_more() {
    for setting in everywhere().await {
        for (items, bytes) in [(1000, 100), (10, 1000), (u64::MAX, u64::MAX)] {
            let (watched, producer) = watched(1);
            setting.well.prepare(Streaming::new(producer));
            let source = prepared(&setting).await;
            let drain = Arc::new(Drain::default());
            source.open(sink(drain.clone()), 1, 10).await.unwrap();
            watched.made_at_least(1).await;
            assert_eq!(source.grant(items, bytes).await.unwrap_err().kind(), ErrorKind::Protocol);
            let end = drain.ended().await.unwrap();
            assert_eq!(end.kind(), ErrorKind::Protocol, "{end}");
            watched.dropped().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_grants_much_and_takes_nothing_holds_few_batches() {
    let setting = in_memory().await;
    let (watched, producer) = watched(u64::MAX);
    setting.well.prepare(Streaming::new(producer));
    let source = prepared(&setting).await;
    let drain = Arc::new(Drain { answers: Answers::Never, ..Drain::default() });
    let (items, bytes) = (limits::STREAM_WINDOW_ITEMS_MAX, limits::STREAM_WINDOW_BYTES_MAX);
    source.open(sink(drain.clone()), items, bytes).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let most = limits::STREAM_BATCHES_UNDER_WAY as u64 * limits::STREAM_BATCH_ITEMS;
    assert_eq!(watched.made(), most);
    assert_eq!(drain.lengths.lock().unwrap().len(), limits::STREAM_BATCHES_UNDER_WAY);
}

#[tokio::test]
async fn batches_are_cut_at_their_size() {
    for setting in everywhere().await {
        let source = source(bare(&setting).blobs(vec![1000; 1000]).await.unwrap());
        let drain = Arc::new(Drain::default());
        source.open(sink(drain.clone()), 10_000, 10_000_000).await.unwrap();
        assert_eq!(drain.ended().await, None);
        let lengths = drain.lengths.lock().unwrap().clone();
        let most = usize::try_from(limits::STREAM_BATCH_BYTES).unwrap() + 1003;
        assert!(lengths.iter().all(|length| *length < most), "{lengths:?}");
        assert_eq!(lengths.iter().sum::<usize>(), 1003 * 1000);
    }
}

#[tokio::test]
async fn a_reader_that_refuses_a_batch_ends_the_stream() {
    for setting in everywhere().await {
        let (watched, producer) = watched(1);
        setting.well.prepare(Streaming::new(producer));
        let source = prepared(&setting).await;
        let drain = Arc::new(Drain { answers: Answers::Refuses, ..Drain::default() });
        source.open(sink(drain), 10, 10).await.unwrap();
        watched.dropped().await;
    }
}

/// A source that does to the sink what a test wants, and tells how the last step failed.
struct Script<F>(F, Arc<Told>);

#[derive(Default)]
struct Told {
    failure: Mutex<Option<RemoteError>>,
    changed: Notify,
}

impl Told {
    async fn failure(&self) -> RemoteError {
        self.changed.notified().await;
        self.failure.lock().unwrap().clone().expect("the last step to fail")
    }
}

#[remote]
impl<F, S> Source for Script<F>
where
    F: Fn(Proxy<dyn Sink>) -> S + Send + Sync + 'static,
    S: Future<Output = Flowing<()>> + Send + 'static,
{
    async fn open(&self, sink: AnyProxy, _: u32, _: u32) -> Flowing<()> {
        // Not as a part of this call, which is cancelled when the reader has had enough.
        let (script, told) = ((self.0)(reader(sink)), self.1.clone());
        tokio::spawn(async move {
            let failure = script.await.err();
            *told.failure.lock().unwrap() = failure;
            told.changed.notify_one();
        });
        Ok(())
    }
    async fn grant(&self, _: u64, _: u64) -> Flowing<()> {
        Ok(())
    }
    async fn close(&self) -> Flowing<()> {
        Ok(())
    }
}

/// What the host's reader says of a source that runs `script`, and what the script's last step was answered.
async fn played<F, S>(setting: &Setting, script: F) -> (RemoteError, RemoteError)
where
    F: Fn(Proxy<dyn Sink>) -> S + Send + Sync + 'static,
    S: Future<Output = Flowing<()>> + Send + 'static,
{
    let told = Arc::new(Told::default());
    let source = Proxy::<dyn Source>::new(Script(script, told.clone()));
    let reader = bare(setting).sum(stream(source)).await.unwrap_err();
    (reader, told.failure().await)
}

#[tokio::test]
async fn a_batch_that_is_missing_or_comes_twice_ends_the_stream() {
    for setting in everywhere().await {
        let (reader, answer) = played(&setting, |sink| async move {
            sink.push(0, &[1], Vec::new()).await?;
            sink.push(2, &[1], Vec::new()).await
        })
        .await;
        assert_eq!((reader.kind(), reader.message()), (ErrorKind::Protocol, "batch 2 came where 1 was due"));
        assert_eq!(answer.kind(), ErrorKind::Protocol);
        let (reader, _) = played(&setting, |sink| async move {
            sink.push(0, &[1], Vec::new()).await?;
            sink.push(0, &[1], Vec::new()).await
        })
        .await;
        assert_eq!(reader.message(), "batch 0 came where 1 was due");
        let (reader, _) = played(&setting, |sink| async move {
            sink.push(0, &[1], Vec::new()).await?;
            sink.end(2, None).await
        })
        .await;
        assert_eq!(reader.message(), "batch 2 came where 1 was due");
    }
}

#[tokio::test]
async fn batches_that_are_no_batches_end_the_stream() {
    for setting in everywhere().await {
        let (reader, _) = played(&setting, |sink| async move { sink.push(0, &[], Vec::new()).await }).await;
        assert_eq!((reader.kind(), reader.message()), (ErrorKind::Protocol, "batch 0 has no items"));
        // The second item announces three bytes and has one.
        let bad = |sink: Proxy<dyn Sink>| async move { sink.push(0, &[1, 0xc4, 3, 0], Vec::new()).await };
        let (reader, answer) = played(&setting, bad).await;
        assert_eq!(reader.kind(), ErrorKind::BadArguments);
        assert!(answer.message().starts_with("item 1 of the batch is not well-formed"), "{answer}");
    }
}

#[tokio::test]
async fn a_batch_beyond_the_credit_ends_the_stream() {
    let most = limits::STREAM_WINDOW_ITEMS as usize;
    for setting in everywhere().await {
        let beyond = move |sink: Proxy<dyn Sink>| async move { sink.push(0, &vec![1; most + 1], Vec::new()).await };
        let (reader, _) = played(&setting, beyond).await;
        let text = "a batch of 4097 items exceeds the credit of 4096 items and 1048576 bytes";
        assert_eq!((reader.kind(), reader.message()), (ErrorKind::Protocol, text));
    }
}

#[tokio::test]
async fn a_producer_cannot_fill_more_than_the_window_of_a_reader_that_does_not_read() {
    for setting in everywhere().await {
        let pushed = Arc::new(AtomicU64::new(0));
        let count = pushed.clone();
        let flood = move |sink: Proxy<dyn Sink>| {
            let count = count.clone();
            async move {
                // One item of 300 KB a batch: the fourth begins inside of the window, the fifth does not.
                let item = [&[0xc6, 0, 4, 0x93, 0xe0][..], &vec![0; 300_000]].concat();
                for sequence in 0.. {
                    sink.push(sequence, &item, Vec::new()).await?;
                    count.fetch_add(1, Ordering::SeqCst);
                }
                Ok(())
            }
        };
        let told = Arc::new(Told::default());
        let source = Proxy::<dyn Source>::new(Script(flood, told.clone()));
        let slow = setting.caller.any_proxy(&slow(&setting));
        let slow: Proxy<dyn Slow> = renamed(slow, "hostile.SlowServant", "hostile.Slow").cast().unwrap();
        slow.poll_once(stream(source)).await.unwrap();
        assert_eq!(told.failure().await.kind(), ErrorKind::Protocol);
        assert_eq!(pushed.load(Ordering::SeqCst), 4);
    }
}

/// A servant that begins to read a stream and stops.
#[remote(name = "hostile.Slow")]
trait Slow {
    async fn poll_once(&self, numbers: AnyProxy) -> Flowing<()>;
}

#[remote(name = "hostile.SlowServant")]
trait SlowServant {
    async fn poll_once(&self, numbers: Streaming<u64>) -> Flowing<()>;
}

#[derive(Default)]
struct Sleeper(Mutex<Vec<Streaming<u64>>>);

#[remote]
impl SlowServant for Sleeper {
    async fn poll_once(&self, mut numbers: Streaming<u64>) -> Flowing<()> {
        std::future::poll_fn(|cx| {
            let polled = futures_core::Stream::poll_next(std::pin::Pin::new(&mut numbers), cx);
            assert!(polled.is_pending());
            std::task::Poll::Ready(())
        })
        .await;
        self.0.lock().unwrap().push(numbers);
        Ok(())
    }
}

fn slow(setting: &Setting) -> rmi_core::ObjectRef {
    setting.host.export(&Proxy::<dyn SlowServant>::new(Sleeper::default())).unwrap()
}

#[tokio::test]
async fn nothing_comes_after_the_end() {
    for setting in everywhere().await {
        let (reader, answer) = played(&setting, |sink| async move {
            let failure = RemoteError::new(ErrorKind::Denied, Executed::No, "as told");
            sink.end(0, Some(failure)).await?;
            sink.push(0, &[1], Vec::new()).await
        })
        .await;
        assert_eq!(reader.message(), "as told");
        assert_eq!((answer.kind(), answer.message()), (ErrorKind::Cancelled, "the stream has ended"));
    }
}

#[tokio::test]
async fn an_item_can_name_no_reference_that_did_not_come() {
    for setting in everywhere().await {
        let script = |sink: Proxy<dyn Sink>| async move { sink.push(0, &[0xd4, 3, 5], Vec::new()).await };
        let objects = stream(Proxy::new(Script(script, Arc::default())));
        let error = bare(&setting).call_each(objects).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadReply);
        assert!(error.message().ends_with("reference 5 of 0"), "{error}");
    }
}
