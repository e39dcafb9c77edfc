//! Watches: every change once and in order, resumed without a gap, or told that this cannot be.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rmi_core::naming::{Binding, Change, Event, Follow, Followed, NamingError, Position, Watch};
use rmi_core::{Node, Registry};
use rmi_registry::Running;
use rmi_registry::store::{Durable, Memory};
use tokio::task::JoinSet;

use crate::naming::{Setting, echo, setting};

async fn next(watch: &mut Watch) -> Event {
    let next = tokio::time::timeout(Duration::from_secs(10), watch.next()).await;
    next.expect("an event comes").expect("the watch lasts").expect("no error")
}

async fn bind_many(setting: &Setting, prefix: &str, count: u64) -> u64 {
    let object = echo();
    let mut last = 0;
    for number in 0..count {
        last = setting.registry.bind(format!("{prefix}/{number}"), &object).await.unwrap();
    }
    last
}

#[tokio::test]
async fn a_watch_resumes_after_a_revision_and_tells_what_was_missed() {
    let setting = setting().await;
    let caller = setting.caller().await;
    let mut watch = caller.watch("x", None).await.unwrap();
    let first = setting.registry.bind("x/1", &echo()).await.unwrap();
    let event = next(&mut watch).await;
    assert_eq!(event.revision, first);
    let position = watch.position.after(&event);
    drop(watch);
    let second = setting.registry.bind("x/2", &echo()).await.unwrap();
    setting.registry.bind("y/2", &echo()).await.unwrap();
    let third = setting.registry.unbind("x/1", None).await.unwrap();
    let mut watch = caller.watch("x", Some(position)).await.unwrap();
    assert_eq!(watch.position, position);
    let event = next(&mut watch).await;
    assert_eq!((event.revision, event.name.as_str()), (second, "x/2"));
    let event = next(&mut watch).await;
    assert_eq!((event.revision, event.change), (third, Change::Unbound));
    let fourth = setting.registry.bind("x/4", &echo()).await.unwrap();
    assert_eq!(next(&mut watch).await.revision, fourth);
}

#[tokio::test]
async fn a_watch_that_begins_among_changes_misses_none() {
    let setting = setting().await;
    let caller = setting.caller().await;
    let binding = async { bind_many(&setting, "x", 300).await };
    let watching = async {
        let mut watch = caller.watch("x", None).await.unwrap();
        let mut seen = watch.position.revision;
        while seen < 300 {
            let event = next(&mut watch).await;
            assert_eq!(event.revision, seen + 1);
            seen = event.revision;
        }
    };
    let (last, ()) = tokio::join!(binding, watching);
    assert_eq!(last, 300);
}

#[tokio::test]
async fn a_gap_is_told() {
    let setting = setting().await;
    let last = bind_many(&setting, "x", 5).await;
    let history = setting.registry.watch("x", None).await.unwrap().position.history;
    let at = |revision| Some(Position::new(history, revision));
    let error = setting.registry.watch("x", at(last + 1)).await.unwrap_err();
    assert_eq!(error, NamingError::Gap { after: last + 1, since: 0, newest: last });
    let object = echo();
    for _ in 0..2048 {
        setting.registry.unbind("x/0", None).await.unwrap();
        setting.registry.bind("x/0", &object).await.unwrap();
    }
    let error = setting.registry.watch("x", at(4)).await.unwrap_err();
    assert_eq!(error, NamingError::Gap { after: 4, since: 5, newest: last + 4096 });
    let mut watch = setting.registry.watch("x", at(5)).await.unwrap();
    assert_eq!(next(&mut watch).await.revision, 6);
}

#[tokio::test]
async fn a_restarted_registry_tells_a_gap_and_a_follower_lists_anew() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("names.redb");
    let start = |endpoint: String| {
        let store = Durable::open(&data).unwrap();
        async move { Running::start(&[endpoint.parse().unwrap()], store).await.unwrap() }
    };
    let running = start("tcp://127.0.0.1:0".into()).await;
    let endpoint = running.endpoints()[0].to_string();
    let host = Node::builder().listen("tcp://127.0.0.1:0").start().await.unwrap();
    let registry = Registry::connect(&host, &*endpoint).await.unwrap();
    registry.bind("x/1", &echo()).await.unwrap();
    let caller = Registry::connect(&Node::builder().start().await.unwrap(), &*endpoint).await.unwrap();
    let mut follow = caller.follow("x").await.unwrap();
    let listed = |followed| match followed {
        Followed::Listed(bindings) => bindings.len(),
        other => panic!("{other:?}"),
    };
    assert_eq!(listed(follow.next().await.unwrap()), 1);
    let position = caller.watch("x", None).await.unwrap().position;
    let last = registry.bind("x/2", &echo()).await.unwrap();
    assert!(matches!(follow.next().await.unwrap(), Followed::Changed(event) if event.revision == last));
    running.shutdown().await;
    let _running = start(endpoint).await;
    registry.bind("x/3", &echo()).await.unwrap();
    let error = caller.watch("x", Some(position)).await.unwrap_err();
    assert!(matches!(error, NamingError::Gap { .. }), "{error}");
    let known = async {
        loop {
            match follow.next().await.unwrap() {
                Followed::Changed(event) if event.name.as_str() == "x/3" => return,
                Followed::Listed(bindings) if bindings.iter().any(|binding| binding.name.as_str() == "x/3") => return,
                _ => {}
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), known).await.expect("the follower comes back");
}

#[tokio::test]
async fn a_watcher_that_is_too_far_behind_is_told_so_and_others_are_not_touched() {
    let setting = setting().await;
    let caller = setting.caller().await;
    let mut slow = caller.watch("x", None).await.unwrap();
    let mut other = caller.watch("y", None).await.unwrap();
    let object = echo();
    // More than the registry remembers; nobody has asked for the first one yet.
    for _ in 0..2050 {
        setting.registry.bind("x/0", &object).await.unwrap();
        setting.registry.unbind("x/0", None).await.unwrap();
    }
    let last = setting.registry.bind("y/0", &object).await.unwrap();
    assert_eq!(next(&mut other).await.revision, last);
    let error = tokio::time::timeout(Duration::from_secs(10), slow.next()).await.unwrap().unwrap().unwrap_err();
    assert_eq!(error.message(), "the watcher is more than 4096 changes behind");
}

#[tokio::test]
async fn the_watches_of_a_node_are_bounded_and_dropping_one_frees_its_place() {
    let setting = setting().await;
    let caller = setting.caller().await;
    let mut watches = Vec::new();
    for _ in 0..256 {
        watches.push(caller.watch("x", None).await.unwrap());
    }
    let error = caller.watch("x", None).await.unwrap_err();
    assert_eq!(error.to_string(), "the registry has 256 watches of this node, which is the limit");
    // Another node has places of its own.
    let _other = setting.caller().await.watch("x", None).await.unwrap();
    watches.pop();
    let begun = std::time::Instant::now();
    while caller.watch("x", None).await.is_err() {
        assert!(begun.elapsed() < Duration::from_secs(5), "the place is free again");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn a_registry_without_changes_resumes_from_its_first_revision() {
    let running = Running::start(&["tcp://127.0.0.1:0".parse().unwrap()], Memory).await.unwrap();
    let node = Node::builder().start().await.unwrap();
    let registry = Registry::connect(&node, &running.endpoints()[0]).await.unwrap();
    let position = registry.watch("", None).await.unwrap().position;
    assert_eq!(position.revision, 0);
    assert_eq!(registry.watch("", Some(position)).await.unwrap().position, position);
}

/// What a follower makes of what it is told. Checks that nothing is told twice.
#[derive(Default)]
struct Picture {
    names: BTreeMap<String, u64>,
    revision: u64,
    lists: usize,
}

impl Picture {
    fn take(&mut self, followed: Followed) {
        match followed {
            Followed::Listed(bindings) => {
                self.lists += 1;
                self.names = names(bindings);
            }
            Followed::Changed(event) => {
                assert!(event.revision > self.revision, "{} came after {}", event.revision, self.revision);
                self.revision = event.revision;
                self.change(event);
            }
            other => panic!("{other:?}"),
        }
    }

    /// The host frees a name before it binds it again, so each kind of change is due in turn.
    fn change(&mut self, event: Event) {
        let known = self.names.remove(event.name.as_str());
        assert_eq!(known.is_some(), event.change == Change::Unbound, "{event:?}");
        if let Change::Bound(binding) = event.change {
            self.names.insert(event.name.to_string(), binding.revision);
        }
    }
}

fn names(bindings: Vec<Binding>) -> BTreeMap<String, u64> {
    bindings.into_iter().map(|binding| (binding.name.to_string(), binding.revision)).collect()
}

/// Follows until it knows this name, and returns what it knows then.
async fn picture(mut follow: Follow, until: &str) -> Picture {
    let mut picture = Picture::default();
    while !picture.names.contains_key(until) {
        let followed = tokio::time::timeout(Duration::from_secs(20), follow.next()).await;
        picture.take(followed.expect("something happens").unwrap());
    }
    picture
}

/// Binds and frees names, so many times each.
async fn change(setting: Arc<Setting>, prefix: String, times: u64) {
    let object = echo();
    for number in 0..times {
        let name = format!("{prefix}/{}", number % 10);
        setting.registry.bind(&*name, &object).await.unwrap();
        setting.registry.unbind(&*name, None).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_that_begins_among_changes_misses_and_repeats_nothing() {
    let setting = Arc::new(setting().await);
    // More than fit onto one page of a list, so that changes fall between two pages.
    bind_many(&setting, "n", 600).await;
    let changing: JoinSet<()> = (0..4).map(|task| change(setting.clone(), format!("n/{task}"), 200)).collect();
    let mut followers = JoinSet::new();
    for _ in 0..20 {
        let caller = setting.caller().await;
        let follow = caller.follow("n").await.unwrap();
        followers.spawn(async move {
            // Its node lasts as long as the registry is held.
            let _caller = caller;
            picture(follow, "n/last").await
        });
    }
    changing.join_all().await;
    setting.registry.bind("n/last", &echo()).await.unwrap();
    let truth = names(setting.registry.list("n").await.unwrap());
    for picture in followers.join_all().await {
        assert_eq!((picture.names == truth, picture.lists), (true, 1));
    }
}
