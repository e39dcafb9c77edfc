//! Many and long names, on nodes that take little at a time.

use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use rmi_core::naming::{Balance, Change, Followed, Tags};
use rmi_core::{Limits, Node, Registry, limits};
use rmi_registry::Running;
use rmi_registry::store::Memory;

use crate::naming::{Echo, echo, start_again};
use crate::{LEASE, WAY};

/// The least that the framework's own calls ask of a node.
fn small() -> Limits {
    let mut limits = Limits::default();
    (limits.body_bytes_max, limits.window_bytes) = (limits::OWN_BODY_BYTES_MAX, 2 * limits::OWN_BODY_BYTES_MAX);
    limits.frame_bytes_max = limits::FRAME_BYTES_LEAST;
    limits
}

async fn small_host() -> Node {
    WAY.host().limits(small()).start().await.unwrap()
}

/// As many bytes beside a name as there may be.
fn long_tags() -> Tags {
    Tags::from([("long".into(), "x".repeat(4092))])
}

async fn bind(registry: &Registry, names: impl Iterator<Item = String>, tags: &Tags) {
    let bound = stream::iter(names).map(async |name| registry.bind_with(name, &echo(), tags.clone()).await);
    bound.buffer_unordered(64).try_for_each(async |_| Ok(())).await.unwrap();
}

/// Waits until a name is bound, as something that follows the registry learns of it.
async fn until_bound(registry: &Registry, name: &str) {
    let mut follow = registry.follow(name).await.unwrap();
    let bound = async {
        loop {
            match follow.next().await.unwrap() {
                Followed::Listed(listed) if !listed.is_empty() => return,
                Followed::Changed(event) if matches!(event.change, Change::Bound(_)) => return,
                _ => {}
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), bound).await.expect("it is bound within a minute");
}

#[tokio::test]
async fn a_host_of_very_many_names_binds_all_again_that_a_registry_lost() {
    // Renewed every second; binding all again takes longer than the lease on a slow machine.
    let lease = Duration::from_secs(3);
    let running = Running::start_on(WAY.host().limits(small()), Memory, lease).await.unwrap();
    let endpoint = running.endpoints()[0].clone();
    let host = small_host().await;
    let registry = Registry::connect(&host, &endpoint).await.unwrap();
    bind(&registry, (0..90_000).map(|number| format!("many/{number:05}")), &Tags::new()).await;
    running.shutdown().await;
    let _running = start_again(&endpoint, || Ok(Memory), lease).await;
    until_bound(&registry, "many/89999").await;
    assert_eq!(registry.list("many").await.unwrap().len(), 90_000);
}

#[tokio::test]
async fn a_host_and_a_registry_with_small_limits_have_all_names() {
    let running = Running::start_on(WAY.host().limits(small()), Memory, LEASE).await.unwrap();
    let host = small_host().await;
    let registry = Registry::connect(&host, &running.endpoints()[0]).await.unwrap();
    let mut watch = registry.watch("", None).await.unwrap();
    let names = || (0..100).map(|number| format!("{number:0>200}/@{number}"));
    bind(&registry, names(), &long_tags()).await;
    for _ in names() {
        assert!(matches!(watch.next().await.unwrap().unwrap().change, Change::Bound(_)));
    }
    let listed = registry.list("").await.unwrap();
    assert_eq!(listed.iter().map(|binding| binding.name.to_string()).collect::<Vec<_>>(), names().collect::<Vec<_>>());
    assert!(listed.iter().all(|binding| binding.tags == long_tags()));
}

#[tokio::test]
async fn a_group_of_members_with_long_tags_is_known_to_a_node_with_small_limits() {
    let running = Running::start_on(WAY.host(), Memory, LEASE).await.unwrap();
    let host = small_host().await;
    let registry = Registry::connect(&host, &running.endpoints()[0]).await.unwrap();
    bind(&registry, (0..50).map(|number| format!("group/@{number}")), &long_tags()).await;
    let caller = Registry::connect(&small_host().await, registry.endpoint()).await.unwrap();
    let group = caller.group::<dyn Echo>("group", Balance::RoundRobin).await.unwrap();
    assert_eq!(group.echo("here").await.unwrap(), "here");
}
