//! Group INV.

use std::sync::atomic::Ordering;
use std::time::Duration;

use rmi_core::{
    AnyProxy, Bytes, Call, CallOptions, Descriptor, Dispatch, Dispatched, ErrorKind, Executed, Incoming, Interface,
    MethodId, Node, ObjectId, ObjectRef, Proxy, RemoteError, remote,
};
use rmi_tests::renamed;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::probe::{Probe, own_probe, setting};

#[tokio::test]
async fn a_call_without_arguments_and_result_completes() {
    setting().await.probe.nothing().await.unwrap();
}

#[tokio::test]
async fn a_large_request_with_a_larger_answer_arrives_whole() {
    let setting = setting().await;
    let answer = setting.probe.grow(&vec![7; 270_000], 40_000).await.unwrap();
    assert_eq!((answer.len(), answer[269_999], answer[270_000]), (310_000, 7, 1));
}

#[tokio::test]
async fn a_message_beyond_every_buffer_is_whole_or_refused() {
    let setting = setting().await;
    let large = Bytes::from(vec![3; 15 << 20]);
    assert_eq!(setting.probe.echo(large.clone()).await.unwrap(), large);
    let error = setting.probe.echo(Bytes::from(vec![3; 17 << 20])).await.unwrap_err().remote();
    assert_eq!((error.kind(), error.executed()), (ErrorKind::TooLarge, Executed::No));
    let text = "argument `bytes` of conformance.Probe/echo takes 17825797 bytes: arguments of 17825798 bytes exceed the \
                limit of 16777216; send them in parts or as a stream, or raise Limits::body_bytes_max at both ends";
    assert_eq!(error.message(), text);
}

#[remote(name = "conformance.Newer")]
trait Newer {
    async fn absent(&self) -> Result<(), RemoteError>;
}

#[tokio::test]
async fn a_method_that_the_servant_lacks_did_not_run() {
    let setting = setting().await;
    let newer = renamed(setting.caller.any_proxy(&setting.reference), "conformance.Probe", "conformance.Newer");
    let newer: Proxy<dyn Newer> = newer.cast().unwrap();
    let error = newer.absent().await.unwrap_err();
    assert_eq!((error.kind(), error.executed()), (ErrorKind::NoSuchMethod, Executed::No));
}

#[tokio::test]
async fn an_interface_that_the_object_lacks_has_an_error_of_its_own() {
    let setting = setting().await;
    let call = Call::new(MethodId::of("conformance.Other", "nothing"), Bytes::from_static(&[0x90]));
    let error = setting.caller.any_proxy(&setting.reference).invoke(call).await.err().unwrap();
    assert_eq!((error.kind(), error.executed()), (ErrorKind::NoSuchInterface, Executed::No));
}

#[tokio::test]
async fn an_object_that_is_not_exported_did_not_run() {
    let setting = setting().await;
    let mut reference = setting.reference.clone();
    reference.object = ObjectId::random();
    let error = setting.caller.proxy::<dyn Probe>(&reference).unwrap().nothing().await.unwrap_err().remote();
    assert_eq!((error.kind(), error.executed()), (ErrorKind::NoSuchObject, Executed::No));
}

/// Serves bytes without knowing what they are.
struct Mirror;

static MIRROR: Descriptor = Descriptor::new("conformance.Any");

impl Dispatch for Mirror {
    fn descriptor(&self) -> &'static Descriptor {
        &MIRROR
    }

    fn dispatch(&self, call: Incoming) -> Dispatched {
        let reply = rmi_core::Reply::new(rmi_core::Status::Ok, call.body);
        Dispatched::Serve { future: Box::pin(std::future::ready(Ok(reply))), spawn: false }
    }
}

#[tokio::test]
async fn bytes_can_be_called_and_served_without_their_types() {
    let setting = setting().await;
    let body = Bytes::from_static(&[0x91, 0x2a]);
    let answer = setting.probe.ask(AnyProxy::from_dispatch(Mirror), body.clone()).await.unwrap();
    assert_eq!(answer, body);
}

#[remote]
trait Base {
    async fn name(&self) -> Result<String, RemoteError>;
}

#[remote]
trait Derived: Base {
    async fn more(&self) -> Result<u8, RemoteError>;
}

struct Both;

#[remote]
impl Base for Both {
    async fn name(&self) -> Result<String, RemoteError> {
        Ok("both".into())
    }
}

#[remote]
impl Derived for Both {
    async fn more(&self) -> Result<u8, RemoteError> {
        Ok(9)
    }
}

async fn exported<T: ?Sized + Interface>(proxy: Proxy<T>) -> (Node, Node, ObjectRef) {
    let host = super::WAY.host().start().await.unwrap();
    let reference = host.export(&proxy).unwrap();
    (host, super::WAY.caller().start().await.unwrap(), reference)
}

#[tokio::test]
async fn inherited_methods_are_called_through_both_proxies() {
    let (_host, caller, reference) = exported(Proxy::<dyn Derived>::new(Both)).await;
    let derived: Proxy<dyn Derived> = caller.proxy(&reference).unwrap();
    let base: Proxy<dyn Base> = derived.cast().unwrap();
    assert_eq!((derived.name().await.unwrap(), derived.more().await.unwrap()), ("both".into(), 9));
    assert_eq!(base.name().await.unwrap(), "both");
    assert_eq!(base.cast::<dyn Derived>().unwrap().more().await.unwrap(), 9);
}

#[remote]
trait Keywords {
    async fn r#type(&self, r#match: u8) -> Result<u8, RemoteError>;
}

#[remote]
impl Keywords for Both {
    async fn r#type(&self, r#match: u8) -> Result<u8, RemoteError> {
        Ok(r#match)
    }
}

#[tokio::test]
async fn a_method_named_like_a_keyword_works() {
    let (_host, caller, reference) = exported(Proxy::<dyn Keywords>::new(Both)).await;
    let keywords: Proxy<dyn Keywords> = caller.proxy(&reference).unwrap();
    assert_eq!(keywords.r#type(5).await.unwrap(), 5);
    assert_eq!(<dyn Keywords as Interface>::descriptor().methods[0].name, "type");
}

#[remote]
trait Cell<V: Serialize + DeserializeOwned + Clone + Send + Sync> {
    async fn swap(&self, value: V) -> Result<V, RemoteError>;
}

struct Slot<V>(std::sync::Mutex<V>);

#[remote]
impl<V: Serialize + DeserializeOwned + Clone + Send + Sync + 'static> Cell<V> for Slot<V> {
    async fn swap(&self, value: V) -> Result<V, RemoteError> {
        Ok(std::mem::replace(&mut self.0.lock().unwrap(), value))
    }
}

#[tokio::test]
async fn generic_interfaces_work() {
    let (_host, caller, reference) =
        exported(Proxy::<dyn Cell<String>>::new(Slot(std::sync::Mutex::new("a".into())))).await;
    let cell: Proxy<dyn Cell<String>> = caller.proxy(&reference).unwrap();
    assert_eq!(cell.swap("b".into()).await.unwrap(), "a");
    assert_eq!(cell.swap("c".into()).await.unwrap(), "b");
}

#[tokio::test]
async fn a_oneway_call_returns_before_the_servant_has_run() {
    // Nobody listens yet there where the call is to go: it is queued, and that is all its caller waits for.
    let setting = setting().await;
    setting.probe.nothing().await.unwrap();
    let told = tokio::time::timeout(Duration::from_millis(500), async {
        for number in 0..100 {
            setting.probe.tell(number).await.unwrap();
        }
    });
    told.await.expect("no call waits for its servant");
    setting.servant.until(|servant| servant.notes.lock().unwrap().len() == 100).await;
}

#[tokio::test]
async fn a_oneway_call_followed_by_the_end_is_delivered() {
    let setting = setting().await;
    setting.probe.tell(1).await.unwrap();
    drop(setting.probe);
    setting.caller.shutdown().await;
    setting.servant.until(|servant| *servant.notes.lock().unwrap() == [1]).await;
}

#[tokio::test]
async fn oneway_calls_made_together_arrive_in_order() {
    let setting = setting().await;
    for number in 0..1000 {
        setting.probe.tell(number).await.unwrap();
    }
    setting.servant.until(|servant| servant.notes.lock().unwrap().len() == 1000).await;
    assert!(setting.servant.notes.lock().unwrap().is_sorted());
}

#[tokio::test]
async fn a_call_in_the_same_process_has_deadlines_and_cancellation_too() {
    let (servant, probe) = own_probe();
    let hurried = probe.with(CallOptions::new().timeout(Duration::from_millis(20)));
    let error = hurried.hang().await.unwrap_err().remote();
    assert_eq!((error.kind(), error.executed()), (ErrorKind::Deadline, Executed::Maybe));
    assert_eq!(servant.dropped.load(Ordering::SeqCst), 1);
    let error = probe.panic().await.unwrap_err().remote();
    assert_eq!((error.kind(), error.executed()), (ErrorKind::Panicked, Executed::Yes));
}

#[tokio::test]
async fn awaiting_now_or_later_gives_the_same() {
    let setting = setting().await;
    let probe = setting.probe.clone();
    let later = tokio::spawn(async move { probe.bad("thing", 3).await.unwrap_err().to_string() });
    let now = setting.probe.bad("thing", 3).await.unwrap_err().to_string();
    assert_eq!(later.await.unwrap(), now);
}

#[tokio::test]
async fn only_methods_of_the_interface_are_reachable() {
    let setting = setting().await;
    let any = setting.caller.any_proxy(&setting.reference);
    for name in ["run", "until", "drop", "default", "dispatch", "cast", "notes"] {
        let call = Call::new(MethodId::of("conformance.Probe", name), Bytes::from_static(&[0x90]));
        assert_eq!(any.invoke(call).await.err().unwrap().kind(), ErrorKind::NoSuchMethod, "{name}");
    }
}

#[tokio::test]
async fn metadata_of_a_call_reaches_the_servant() {
    let setting = setting().await;
    let tagged = setting.probe.with(CallOptions::new().metadata("tenant", "a"));
    assert_eq!(tagged.metadata("tenant").await.unwrap().as_deref(), Some("a"));
    assert_eq!(setting.probe.metadata("tenant").await.unwrap(), None);
}

#[tokio::test]
async fn a_reference_says_what_the_servant_implements() {
    let (_host, caller, reference) = exported(Proxy::<dyn Derived>::new(Both)).await;
    assert_eq!(caller.any_proxy(&reference).interfaces(), <dyn Derived as Interface>::descriptor().names());
    let methods: Vec<_> = <dyn Derived as Interface>::descriptor().methods.iter().map(|method| method.name).collect();
    assert_eq!(methods, ["more"]);
}
