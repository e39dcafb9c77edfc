//! Groups: several objects under one name.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rmi_core::naming::{Balance, Name, NamingError};
use rmi_core::{ErrorKind, Executed, Node, Proxy, Registry, RemoteError, remote};
use rmi_registry::Running;
use rmi_registry::store::{Durable, Memory};
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;

use crate::naming::{Echo, Other, echo, start_again};

use crate::{LEASE, WAY};

#[remote]
pub(crate) trait Worker {
    /// Runs once and answers.
    async fn work(&self) -> Result<(), RemoteError>;
    /// Says that it has begun, and never ends.
    async fn hang(&self) -> Result<(), RemoteError>;
    /// The same, and may run twice.
    #[remote(idempotent)]
    async fn hang_or_work(&self) -> Result<(), RemoteError>;
}

#[remote]
pub(crate) trait Team {
    async fn take(&self, worker: Proxy<dyn Worker>) -> Result<(), RemoteError>;
}

/// Counts what it does.
#[derive(Default)]
struct Counter {
    done: AtomicUsize,
    begun: Notify,
    hangs: bool,
    /// Ends a channel when the counter is dropped.
    _alive: Option<mpsc::UnboundedSender<()>>,
}

impl Counter {
    fn slow() -> Self {
        Self { hangs: true, ..Self::default() }
    }

    fn done(&self) -> usize {
        self.done.load(Ordering::Relaxed)
    }
}

#[remote]
impl Worker for Counter {
    async fn work(&self) -> Result<(), RemoteError> {
        self.done.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    async fn hang(&self) -> Result<(), RemoteError> {
        self.begun.notify_one();
        std::future::pending().await
    }

    async fn hang_or_work(&self) -> Result<(), RemoteError> {
        if self.hangs {
            return self.hang().await;
        }
        self.work().await
    }
}

/// A worker in a node of its own.
struct Member {
    node: Node,
    counter: Arc<Counter>,
    name: Name,
}

struct Setting {
    running: Running,
    /// The registry as a node sees it that outlives the members: it holds the lease, so a member that is gone stays bound.
    registry: Registry,
}

async fn listening() -> Node {
    WAY.host().start().await.unwrap()
}

async fn setting() -> Setting {
    setting_on(Running::start_on(WAY.host(), Memory, LEASE).await.unwrap()).await
}

async fn setting_on(running: Running) -> Setting {
    let registry = Registry::connect(&listening().await, &running.endpoints()[0]).await.unwrap();
    Setting { running, registry }
}

impl Setting {
    async fn member(&self, counter: Counter) -> Member {
        let (node, counter) = (listening().await, Arc::new(counter));
        let reference = node.export(&Proxy::<dyn Worker>::from_arc(counter.clone())).unwrap();
        let name = self.registry.enlist("workers", &far(&reference).await).await.unwrap();
        Member { node, counter, name }
    }

    async fn members(&self, count: usize) -> Vec<Member> {
        let mut members = Vec::new();
        for _ in 0..count {
            members.push(self.member(Counter::default()).await);
        }
        members
    }

    async fn group(&self, balance: Balance) -> Proxy<dyn Worker> {
        self.registry.group("workers", balance).await.unwrap()
    }
}

/// A proxy for an object of another node; the node that makes it is not needed for handing the reference on.
async fn far(reference: &rmi_core::ObjectRef) -> Proxy<dyn Worker> {
    WAY.caller().start().await.unwrap().proxy(reference).unwrap()
}

async fn work(group: &Proxy<dyn Worker>, times: usize) {
    for _ in 0..times {
        group.work().await.unwrap();
    }
}

async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), what).await.expect("it happens within 20 s")
}

#[tokio::test]
async fn calls_are_spread_evenly_over_the_members() {
    let setting = setting().await;
    let members = setting.members(3).await;
    work(&setting.group(Balance::RoundRobin).await, 30).await;
    assert_eq!(members.iter().map(|member| member.counter.done()).collect::<Vec<_>>(), [10, 10, 10]);
}

#[tokio::test]
async fn least_in_flight_leaves_a_slow_member_alone() {
    let setting = setting().await;
    let (slow, _fast) = (setting.member(Counter::slow()).await, setting.members(1).await);
    let group = setting.group(Balance::LeastInFlight).await;
    let stuck = soon(stuck(&group, &slow)).await;
    work(&group, 20).await;
    assert_eq!(slow.counter.done(), 0);
    stuck.abort();
}

/// A call that hangs in this member.
async fn stuck(group: &Proxy<dyn Worker>, slow: &Member) -> JoinHandle<Result<(), RemoteError>> {
    loop {
        let group = group.clone();
        let mut call = tokio::spawn(async move { group.hang_or_work().await });
        tokio::select! {
            () = slow.counter.begun.notified() => return call,
            // It met another one.
            ended = &mut call => ended.unwrap().unwrap(),
        }
    }
}

#[tokio::test]
async fn a_member_that_is_gone_costs_no_call() {
    let setting = setting().await;
    let mut members = setting.members(3).await;
    let group = setting.group(Balance::RoundRobin).await;
    work(&group, 3).await;
    drop(members.remove(0));
    assert_eq!(setting.registry.list("workers").await.unwrap().len(), 3, "the registry does not know yet");
    work(&group, 20).await;
    assert_eq!(members.iter().map(|member| member.counter.done()).sum::<usize>(), 22);
}

#[tokio::test]
async fn an_idempotent_call_that_may_have_run_goes_to_another_member() {
    let setting = setting().await;
    let (slow, other) = (setting.member(Counter::slow()).await, setting.members(1).await);
    let call = soon(stuck(&setting.group(Balance::RoundRobin).await, &slow)).await;
    let before = other[0].counter.done();
    drop(slow.node);
    soon(call).await.unwrap().unwrap();
    assert_eq!(other[0].counter.done(), before + 1);
}

#[tokio::test]
async fn a_call_that_may_have_run_is_not_made_again() {
    let setting = setting().await;
    let mut members = setting.members(2).await;
    let group = setting.group(Balance::RoundRobin).await;
    let call = tokio::spawn(async move { group.hang().await });
    let met = async {
        tokio::select! {
            () = members[0].counter.begun.notified() => 0,
            () = members[1].counter.begun.notified() => 1,
        }
    };
    let met = soon(met).await;
    drop(members.remove(met));
    let error = soon(call).await.unwrap().unwrap_err();
    assert_eq!(error.executed(), Executed::Maybe);
    let asked = tokio::time::timeout(Duration::ZERO, members[0].counter.begun.notified()).await;
    assert!(asked.is_err(), "the other one was not asked");
}

#[tokio::test]
async fn a_member_that_joins_gets_calls_without_another_lookup() {
    let setting = setting().await;
    let _first = setting.members(1).await;
    let group = setting.group(Balance::RoundRobin).await;
    work(&group, 1).await;
    let second = setting.members(1).await;
    soon(reached(&group, &second[0])).await;
}

/// Calls until the member has been met.
async fn reached(group: &Proxy<dyn Worker>, member: &Member) {
    while member.counter.done() == 0 {
        group.work().await.unwrap();
    }
}

#[tokio::test]
async fn a_member_that_leaves_gets_no_more_calls() {
    let setting = setting().await;
    let members = setting.members(2).await;
    let group = setting.group(Balance::RoundRobin).await;
    setting.registry.unbind(&members[0].name, None).await.unwrap();
    let alone = async {
        loop {
            let before = members[0].counter.done();
            work(&group, 4).await;
            if members[0].counter.done() == before {
                return;
            }
        }
    };
    soon(alone).await;
    assert!(members[1].counter.done() >= 4);
}

#[tokio::test]
async fn a_group_outlives_a_restart_of_the_registry() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("names.redb");
    let setting = setting_on(Running::start_on(WAY.host(), Durable::open(&data).unwrap(), LEASE).await.unwrap()).await;
    let first = setting.members(1).await;
    let group = setting.group(Balance::RoundRobin).await;
    let endpoint = setting.running.endpoints()[0].clone();
    setting.running.shutdown().await;
    work(&group, 5).await;
    let running = start_again(&endpoint, || Durable::open(&data), LEASE).await;
    work(&group, 5).await;
    let setting = Setting { running, registry: setting.registry };
    let second = setting.members(1).await;
    soon(reached(&group, &second[0])).await;
    assert!(first[0].counter.done() >= 10);
    setting.running.shutdown().await;
}

#[tokio::test]
async fn members_that_a_registry_forgot_in_a_restart_are_called_until_it_knows_better() {
    let setting = setting().await;
    let _members = setting.members(1).await;
    let group = setting.group(Balance::RoundRobin).await;
    let endpoint = setting.running.endpoints()[0].clone();
    setting.running.shutdown().await;
    let running = start_again(&endpoint, || Ok(Memory), LEASE).await;
    assert_eq!(setting.registry.list("").await.unwrap(), []);
    let later = Setting { running, registry: setting.registry };
    // The group has listed again when it knows a member of the new registry.
    let node = listening().await;
    let registry = Registry::connect(&node, &later.running.endpoints()[0]).await.unwrap();
    let counter = Arc::new(Counter::default());
    registry.enlist("workers", &Proxy::<dyn Worker>::from_arc(counter.clone())).await.unwrap();
    let met = async {
        while counter.done() == 0 {
            group.work().await.unwrap();
        }
    };
    soon(met).await;
    node.shutdown().await;
    work(&group, 1).await;
}

#[tokio::test]
async fn members_that_come_back_to_a_registry_that_forgot_them_share_the_calls_again() {
    // Renewed every two seconds: later than the group lists anew.
    let lease = Duration::from_secs(6);
    let setting = setting_on(Running::start_on(WAY.host(), Memory, lease).await.unwrap()).await;
    // Many changes, so that the members have higher revisions now than when they are bound again.
    for _ in 0..10 {
        setting.registry.bind("other", &echo()).await.unwrap();
        setting.registry.unbind("other", None).await.unwrap();
    }
    let first = setting.members(1).await;
    let group = setting.group(Balance::RoundRobin).await;
    let endpoint = setting.running.endpoints()[0].clone();
    setting.running.shutdown().await;
    let running = start_again(&endpoint, || Ok(Memory), lease).await;
    // A second member joins elsewhere; the first one is bound again by its own renewal.
    let registry = Registry::connect(&listening().await, &running.endpoints()[0]).await.unwrap();
    let later = Setting { running, registry };
    let second = later.member(Counter::default()).await;
    soon(reached(&group, &second)).await;
    let before = first[0].counter.done();
    let shared = async {
        while first[0].counter.done() == before {
            group.work().await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    soon(shared).await;
}

#[tokio::test]
async fn other_names_below_a_group_take_no_places_of_members() {
    let setting = setting().await;
    let proxy = echo();
    for number in 0..1024 {
        setting.registry.bind(format!("workers/{number}"), &proxy).await.unwrap();
    }
    let members = setting.members(1).await;
    work(&setting.group(Balance::RoundRobin).await, 3).await;
    assert_eq!(members[0].counter.done(), 3);
}

#[tokio::test]
async fn a_group_without_members_says_so_and_works_when_one_has_joined() {
    let setting = setting().await;
    let group = setting.group(Balance::RoundRobin).await;
    let error = group.work().await.unwrap_err();
    assert_eq!((error.kind(), error.executed()), (ErrorKind::Unreachable, Executed::No));
    assert_eq!(error.message(), "the group workers has no members");
    let _member = setting.members(1).await;
    let met = async { while group.work().await.is_err() {} };
    soon(met).await;
}

#[tokio::test]
async fn a_lookup_of_a_name_with_members_finds_the_group() {
    let setting = setting().await;
    let members = setting.members(2).await;
    let found = setting.registry.lookup::<dyn Worker>("workers").await.unwrap();
    work(&found, 4).await;
    assert_eq!(members.iter().map(|member| member.counter.done()).collect::<Vec<_>>(), [2, 2]);
}

#[tokio::test]
async fn a_group_may_be_looked_up_again_and_again() {
    let setting = setting().await;
    let members = setting.members(1).await;
    // More often than one connection may watch.
    for _ in 0..200 {
        setting.registry.lookup::<dyn Worker>("workers").await.unwrap().work().await.unwrap();
    }
    assert_eq!(members[0].counter.done(), 200);
}

#[tokio::test]
async fn names_below_a_name_do_not_make_it_a_group() {
    let setting = setting().await;
    setting.registry.bind("accounts/ann", &echo()).await.unwrap();
    let error = setting.registry.lookup::<dyn Echo>("accounts").await.unwrap_err();
    assert_eq!(error, NamingError::NotBound("accounts".parse().unwrap()));
    let error = setting.registry.group::<dyn Echo>("accounts", Balance::RoundRobin).await.unwrap().echo("").await;
    assert_eq!(error.unwrap_err().message(), "the group accounts has no members");
}

#[tokio::test]
async fn the_interface_of_a_group_is_checked() {
    let setting = setting().await;
    let name = setting.registry.enlist("echoes", &echo()).await.unwrap();
    let error = setting.registry.lookup::<dyn Other>("echoes").await.unwrap_err();
    assert_eq!(error.to_string(), format!("{name} is not a Other; it implements Echo"));
}

#[tokio::test]
async fn the_proxy_of_a_group_cannot_be_sent() {
    struct Taker;
    #[remote]
    impl Team for Taker {
        async fn take(&self, _worker: Proxy<dyn Worker>) -> Result<(), RemoteError> {
            Ok(())
        }
    }
    let setting = setting().await;
    let _members = setting.members(1).await;
    let group = setting.group(Balance::RoundRobin).await;
    let (host, caller) = (listening().await, listening().await);
    let reference = host.export(&Proxy::<dyn Team>::new(Taker)).unwrap();
    let team: Proxy<dyn Team> = caller.proxy(&reference).unwrap();
    let error = team.take(group.clone()).await.unwrap_err();
    assert_eq!((error.kind(), error.executed()), (ErrorKind::BadArgument, Executed::No));
    assert!(error.message().contains("the proxy of a group cannot be sent"), "{error}");
    assert_eq!(caller.export(&group).unwrap_err().kind(), ErrorKind::Misuse);
}

#[tokio::test]
async fn nothing_is_left_when_the_last_proxy_of_a_group_is_dropped() {
    let Setting { running, registry } = setting().await;
    let (alive, mut over) = mpsc::unbounded_channel();
    let counter = Counter { _alive: Some(alive), ..Counter::default() };
    registry.enlist("workers", &Proxy::<dyn Worker>::new(counter)).await.unwrap();
    let group = registry.group::<dyn Worker>("workers", Balance::RoundRobin).await.unwrap();
    work(&group, 1).await;
    // Nobody can tell the group any more that its member left: only its own end lets go of it.
    running.shutdown().await;
    drop(registry);
    drop(group.clone());
    assert_eq!(over.try_recv(), Err(TryRecvError::Empty));
    drop(group);
    assert_eq!(soon(over.recv()).await, None);
}
