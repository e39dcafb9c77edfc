//! Names: bound, looked up, listed, watched, lost.

use std::time::{Duration, Instant};

use rmi_core::naming::{Change, NamingError, Tags};
use rmi_core::{Endpoint, Node, Proxy, Registry, RemoteError, remote};
use rmi_registry::Running;
use rmi_registry::store::{Durable, Memory, Store, StoreError};

use crate::{LEASE, WAY};

#[remote]
pub(crate) trait Echo {
    async fn echo(&self, text: &str) -> Result<String, RemoteError>;
}

#[remote]
pub(crate) trait Other {
    async fn other(&self) -> Result<(), RemoteError>;
}

pub(crate) struct Repeater;

#[remote]
impl Echo for Repeater {
    async fn echo(&self, text: &str) -> Result<String, RemoteError> {
        Ok(text.to_owned())
    }
}

pub(crate) fn echo() -> Proxy<dyn Echo> {
    Proxy::new(Repeater)
}

pub(crate) struct Setting {
    running: Running,
    host: Node,
    pub(crate) registry: Registry,
}

/// Starts a registry where another was, at once. Over QUIC the place is free only when the last connection of the other is
/// over: they share the listener's port.
pub(crate) async fn start_again<S: Store>(
    endpoint: &Endpoint,
    store: impl Fn() -> Result<S, StoreError>,
    lease: Duration,
) -> Running {
    let begun = Instant::now();
    loop {
        // The store, too, is free a moment after a registry that did not start.
        let problem = match store() {
            Ok(store) => match Running::start_on(WAY.caller().listen(endpoint), store, lease).await {
                Ok(running) => return running,
                Err(error) => error.to_string(),
            },
            Err(error) => error.to_string(),
        };
        assert!(WAY.scheme() == "quic" && begun.elapsed() < Duration::from_secs(10), "{problem}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub(crate) async fn setting() -> Setting {
    let running = Running::start_on(WAY.host(), Memory, LEASE).await.unwrap();
    let host = WAY.host().start().await.unwrap();
    let registry = Registry::connect(&host, &running.endpoints()[0]).await.unwrap();
    Setting { running, host, registry }
}

impl Setting {
    pub(crate) async fn caller(&self) -> Registry {
        let node = WAY.caller().start().await.unwrap();
        Registry::connect(&node, &self.running.endpoints()[0]).await.unwrap()
    }
}

#[tokio::test]
async fn a_bound_object_is_found_and_called() {
    let setting = setting().await;
    let revision = setting.registry.bind("demo/echo", &echo()).await.unwrap();
    let caller = setting.caller().await;
    let found = caller.lookup::<dyn Echo>("demo/echo").await.unwrap();
    assert_eq!(found.echo("hello").await.unwrap(), "hello");
    let binding = caller.resolve("demo/echo").await.unwrap();
    assert_eq!((binding.revision, binding.verified), (revision, true));
    assert_eq!(*binding.object.interfaces, ["Echo"]);
}

#[tokio::test]
async fn the_interface_is_checked_at_lookup() {
    let setting = setting().await;
    setting.registry.bind("demo/echo", &echo()).await.unwrap();
    let error = setting.caller().await.lookup::<dyn Other>("demo/echo").await.unwrap_err();
    assert_eq!(error.to_string(), "demo/echo is not a Other; it implements Echo");
}

#[tokio::test]
async fn bind_takes_only_a_free_name() {
    let setting = setting().await;
    let revision = setting.registry.bind("a", &echo()).await.unwrap();
    let error = setting.registry.bind("a", &echo()).await.unwrap_err();
    assert_eq!(error, NamingError::AlreadyBound { name: "a".parse().unwrap(), revision });
    assert_eq!(setting.host.exported(), 1);
}

#[tokio::test]
async fn rebind_compares_the_revision() {
    let setting = setting().await;
    let first = setting.registry.bind("a", &echo()).await.unwrap();
    let second = setting.registry.rebind("a", &echo(), Some(first)).await.unwrap();
    assert!(second > first);
    let error = setting.registry.rebind("a", &echo(), Some(first)).await.unwrap_err();
    assert_eq!(error, NamingError::Conflict { name: "a".parse().unwrap(), expected: first, found: second });
    assert!(setting.registry.rebind("a", &echo(), None).await.unwrap() > second);
    assert_eq!(setting.registry.rebind("b", &echo(), Some(1)).await, Err(NamingError::NotBound("b".parse().unwrap())));
}

#[tokio::test]
async fn a_free_name_is_not_found_and_can_be_bound_again_with_a_higher_revision() {
    let setting = setting().await;
    let first = setting.registry.bind("a", &echo()).await.unwrap();
    let freed = setting.registry.unbind("a", Some(first)).await.unwrap();
    assert_eq!(setting.host.exported(), 0);
    let free = NamingError::NotBound("a".parse().unwrap());
    assert_eq!(setting.registry.lookup::<dyn Echo>("a").await.unwrap_err(), free);
    assert_eq!(setting.registry.unbind("a", None).await.unwrap_err(), free);
    let again = setting.registry.bind("a", &echo()).await.unwrap();
    assert!(first < freed && freed < again);
}

#[tokio::test]
async fn a_list_is_in_order_and_under_its_prefix() {
    let setting = setting().await;
    for name in ["b/2", "a", "b/1", "bb", "b-x"] {
        setting.registry.bind(name, &echo()).await.unwrap();
    }
    let names = |bindings: Vec<rmi_core::naming::Binding>| {
        bindings.into_iter().map(|binding| binding.name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(names(setting.registry.list("").await.unwrap()), ["a", "b-x", "b/1", "b/2", "bb"]);
    assert_eq!(names(setting.registry.list("b").await.unwrap()), ["b/1", "b/2"]);
    assert_eq!(names(setting.registry.list("c").await.unwrap()), Vec::<String>::new());
}

#[tokio::test]
async fn a_long_list_comes_in_pages() {
    let setting = setting().await;
    let proxy = echo();
    for number in 0..1203 {
        setting.registry.bind(format!("n/{number:05}"), &proxy).await.unwrap();
    }
    let list = setting.registry.list("n").await.unwrap();
    assert_eq!(list.len(), 1203);
    assert!(list.is_sorted_by(|a, b| a.name < b.name));
}

#[tokio::test]
async fn tags_travel_and_are_bounded() {
    let setting = setting().await;
    let tags = Tags::from([("version".into(), "3".into())]);
    setting.registry.bind_with("a", &echo(), tags.clone()).await.unwrap();
    assert_eq!(setting.caller().await.resolve("a").await.unwrap().tags, tags);
    let many: Tags = (0..17).map(|number| (number.to_string(), String::new())).collect();
    let error = setting.registry.bind_with("b", &echo(), many).await.unwrap_err();
    assert_eq!(error.to_string(), "17 tags exceed the limit of 16");
    let long = Tags::from([("x".into(), "y".repeat(4096))]);
    let error = setting.registry.bind_with("b", &echo(), long).await.unwrap_err();
    assert_eq!(error.to_string(), "tags of 4097 bytes exceed the limit of 4096");
}

#[tokio::test]
async fn a_bad_name_is_refused_before_anything_is_sent() {
    let setting = setting().await;
    let error = setting.registry.bind("a//b", &echo()).await.unwrap_err();
    assert!(matches!(error, NamingError::Name(_)), "{error}");
    assert_eq!(setting.host.exported(), 0);
}

#[tokio::test]
async fn an_object_that_nobody_could_reach_is_not_bound() {
    let setting = setting().await;
    let error = setting.caller().await.bind("a", &echo()).await.unwrap_err();
    assert_eq!(error, NamingError::NoEndpoint);
}

#[tokio::test]
async fn a_watch_tells_every_change_in_order() {
    let setting = setting().await;
    let before = setting.registry.bind("x/0", &echo()).await.unwrap();
    let watcher = setting.caller().await;
    let mut watch = watcher.watch("x", None).await.unwrap();
    assert_eq!(watch.position.revision, before);
    let first = setting.registry.bind("x/1", &echo()).await.unwrap();
    setting.registry.bind("y/1", &echo()).await.unwrap();
    let second = setting.registry.unbind("x/1", None).await.unwrap();
    let event = watch.next().await.unwrap().unwrap();
    assert_eq!((event.revision, event.name.as_str()), (first, "x/1"));
    assert!(matches!(event.change, Change::Bound(binding) if binding.revision == first));
    let event = watch.next().await.unwrap().unwrap();
    assert_eq!((event.revision, event.change), (second, Change::Unbound));
}

#[tokio::test]
async fn the_names_of_a_host_that_says_goodbye_are_free_at_once() {
    let setting = setting().await;
    setting.registry.bind("a", &echo()).await.unwrap();
    let caller = setting.caller().await;
    let mut watch = caller.watch("", None).await.unwrap();
    setting.host.shutdown().await;
    let event = tokio::time::timeout(Duration::from_secs(5), watch.next()).await.unwrap().unwrap().unwrap();
    assert_eq!((event.name.as_str(), event.change), ("a", Change::Unbound));
}

#[tokio::test]
async fn leave_frees_every_name_of_the_host() {
    let setting = setting().await;
    setting.registry.bind("a", &echo()).await.unwrap();
    setting.registry.leave().await.unwrap();
    assert_eq!(setting.caller().await.list("").await.unwrap(), []);
    assert_eq!(setting.host.exported(), 0);
    // A name bound later begins a lease of its own.
    setting.registry.bind("b", &echo()).await.unwrap();
    assert_eq!(setting.caller().await.list("").await.unwrap().len(), 1);
}

#[tokio::test]
async fn names_whose_lease_is_not_renewed_are_freed() {
    let running = Running::start_on(WAY.host(), Memory, Duration::from_millis(300)).await.unwrap();
    let node = WAY.host().start().await.unwrap();
    let kept = Registry::connect(&node, &running.endpoints()[0]).await.unwrap();
    let dropped = Registry::connect(&node, &running.endpoints()[0]).await.unwrap();
    kept.bind("kept", &echo()).await.unwrap();
    dropped.bind("dropped", &echo()).await.unwrap();
    let mut watch = kept.watch("", None).await.unwrap();
    drop(dropped);
    let event = tokio::time::timeout(Duration::from_secs(10), watch.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(event.name.as_str(), "dropped");
    assert!(kept.lookup::<dyn Echo>("kept").await.is_ok());
}

#[tokio::test]
async fn after_a_restart_bindings_are_unverified_until_their_host_renews() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("names.redb");
    let lease = Duration::from_secs(6);
    let running = Running::start_on(WAY.host(), Durable::open(&data).unwrap(), lease).await.unwrap();
    let endpoint = running.endpoints()[0].clone();
    let host = WAY.host().start().await.unwrap();
    let registry = Registry::connect(&host, &endpoint).await.unwrap();
    let revision = registry.bind("a", &echo()).await.unwrap();
    running.shutdown().await;
    let running = start_again(&endpoint, || Durable::open(&data), lease).await;
    let binding = registry.resolve("a").await.unwrap();
    assert_eq!((binding.revision, binding.verified), (revision, false));
    let renewed = async {
        while !registry.resolve("a").await.unwrap().verified {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(lease, renewed).await.expect("the host renews by itself");
    assert_eq!(registry.resolve("a").await.unwrap().revision, revision);
    running.shutdown().await;
}

#[tokio::test]
async fn a_place_without_a_registry_is_named() {
    let node = Node::builder().start().await.unwrap();
    let error = Registry::connect(&node, "unix:/nonexistent/registry.sock").await.unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("no registry answers at unix:/nonexistent/registry.sock: "), "{text}");
}

#[tokio::test]
async fn several_registries_of_one_process_have_names_of_their_own() {
    let (first, second) = (setting().await, setting().await);
    first.registry.bind("a", &echo()).await.unwrap();
    second.registry.bind("a", &echo()).await.unwrap();
    first.registry.unbind("a", None).await.unwrap();
    assert!(second.caller().await.lookup::<dyn Echo>("a").await.is_ok());
}
