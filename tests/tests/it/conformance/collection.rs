//! Objects end with their last holder, and not before. Time is paused: a lease takes no time to pass.

use std::sync::atomic::Ordering;
use std::time::Duration;

use rmi_core::{Access, Authorizer, ErrorKind, Executed, Node, Peer, Proxy, Request};
use rmi_tests::{Cut, Network};
use tokio::time::sleep;

use super::shelf::{Count, Item, Shelf, host, host_with, one, shelf};

/// How long it takes at most until an object whose last proxy was dropped is gone.
const PROMPT: Duration = Duration::from_millis(100);
/// The lease of a node that sets none.
const LEASE: Duration = Duration::from_secs(60);
const LEASE_OVER: Duration = Duration::from_secs(62);
const MOMENT: Duration = Duration::from_secs(1);

/// Hosts `a` and `b`; items are made on `a`.
async fn two(seed: u64) -> (Network, Count, Node, Node) {
    let (network, count) = (Network::new(seed), Count::new());
    let (a, b) = (host(&network, "a", &count).await, host(&network, "b", &count).await);
    (network, count, a, b)
}

#[tokio::test(start_paused = true)]
async fn dropping_the_last_proxy_drops_the_servant_promptly() {
    let (_network, count, a, b) = two(69).await;
    let item = one(&b, "a").await;
    count.only_ended(0, MOMENT).await;
    drop(item);
    count.ended(1, PROMPT).await;
    assert_eq!(a.exported(), 1);
}

#[tokio::test(start_paused = true)]
async fn copies_in_one_message_and_in_several_are_counted_exactly() {
    let (_network, count, _a, b) = two(70).await;
    let mut items = shelf(&b, "a").make(5).await.unwrap();
    shelf(&b, "a").put(items.clone()).await.unwrap();
    for _ in 0..3 {
        items.extend(shelf(&b, "a").stored().await.unwrap());
    }
    shelf(&b, "a").clear().await.unwrap();
    assert_eq!(items.len(), 20);
    items.truncate(1);
    count.only_ended(0, MOMENT).await;
    items[0].touch().await.unwrap();
    drop(items);
    count.ended(1, PROMPT).await;
}

#[tokio::test(start_paused = true)]
async fn the_servant_lives_while_any_copy_lives_here_or_there() {
    let (network, count, a, b) = two(72).await;
    let c = host(&network, "c", &count).await;
    let item = count.item();
    shelf(&a, "b").put(vec![item.clone()]).await.unwrap();
    shelf(&a, "c").put(vec![item.clone()]).await.unwrap();
    shelf(&b, "b").clear().await.unwrap();
    shelf(&a, "b").clear().await.unwrap();
    drop(item);
    count.only_ended(0, LEASE * 3).await;
    assert_eq!(b.exported(), 1);
    shelf(&a, "c").clear().await.unwrap();
    count.ended(1, PROMPT).await;
    drop(c);
}

#[tokio::test(start_paused = true)]
async fn a_crashed_holder_counts_as_gone_when_its_lease_ends() {
    let (network, count, _a, b) = two(73).await;
    let _items = (one(&b, "a").await, one(&b, "a").await);
    network.crash("b", Cut::Silent);
    // Whatever was renewed last, two thirds of a lease are left.
    count.only_ended(0, LEASE * 2 / 3 - MOMENT).await;
    count.ended(2, LEASE_OVER - LEASE * 2 / 3 + MOMENT).await;
}

#[tokio::test(start_paused = true)]
async fn many_short_lived_holders_leave_nothing() {
    let (network, count, a, b) = two(74).await;
    drop(b);
    for round in 0..200 {
        let b = Node::builder().transport(network.host("x")).start().await.unwrap();
        let item = one(&b, "a").await;
        match round % 3 {
            0 => b.shutdown().await,
            1 => network.crash("x", Cut::Reset),
            _ => network.crash("x", Cut::Silent),
        }
        drop((b, item));
    }
    count.ended(200, LEASE_OVER).await;
    assert_eq!((a.exported(), a.connections()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_held_object_lives_through_many_leases_without_a_call() {
    let (_network, count, _a, b) = two(176).await;
    let item = one(&b, "a").await;
    count.only_ended(0, LEASE * 20).await;
    item.touch().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_object_survives_failed_attempts_to_reconnect_within_its_lease() {
    let (network, count, _a, b) = two(76).await;
    let item = one(&b, "a").await;
    for how in [Cut::Reset, Cut::Silent, Cut::Reset] {
        network.cut("a", "b", how);
        sleep(Duration::from_secs(15)).await;
        network.heal("a", "b");
        count.only_ended(0, LEASE * 2).await;
    }
    item.touch().await.unwrap();
    drop(item);
    count.ended(1, PROMPT).await;
}

#[tokio::test(start_paused = true)]
async fn letting_go_does_not_undo_a_copy_that_comes_at_the_same_time() {
    let (_network, count, _a, b) = two(77).await;
    let mut item = one(&b, "a").await;
    let store = shelf(&b, "a");
    store.put(vec![item.clone()]).await.unwrap();
    for round in 0..100 {
        // The drop and its release fall before, into and behind the time of the call.
        let dropped = async {
            sleep(Duration::from_millis(round)).await;
            drop(item);
        };
        let (stored, ()) = tokio::join!(store.stored(), dropped);
        item = stored.unwrap().remove(0);
    }
    store.clear().await.unwrap();
    count.only_ended(0, MOMENT).await;
    item.touch().await.unwrap();
    drop(item);
    count.ended(1, PROMPT).await;
}

#[tokio::test(start_paused = true)]
async fn the_object_of_an_answer_that_was_lost_is_released() {
    for (seed, how) in [(78, Cut::Reset), (178, Cut::Silent)] {
        let (network, count, a, b) = two(seed).await;
        let held = one(&b, "a").await;
        let store = shelf(&b, "a");
        let call = tokio::spawn(async move { store.make(1).await.map(drop) });
        count.made(2).await;
        // The answer is under way.
        network.cut("a", "b", how);
        assert!(call.await.unwrap().is_err());
        network.heal("a", "b");
        count.ended(1, LEASE_OVER).await;
        held.touch().await.unwrap();
        assert_eq!(a.exported(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn the_object_of_an_answer_that_crossed_its_cancel_is_released() {
    let (_network, count, a, b) = two(79).await;
    let store = shelf(&b, "a");
    store.clear().await.unwrap();
    let call = tokio::spawn(async move { store.make(3).await.map(drop) });
    count.made(1).await;
    call.abort();
    count.ended(1, PROMPT).await;
    assert_eq!(a.exported(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_call_lets_go_of_its_arguments() {
    let (_network, count, a, b) = two(80).await;
    let item = count.item();
    let (store, copies) = (shelf(&a, "b"), vec![item.clone(), item]);
    let call = tokio::spawn(async move { store.hang(copies).await });
    count.only_ended(0, MOMENT).await;
    call.abort();
    count.ended(1, PROMPT).await;
    assert_eq!((a.exported(), b.exported()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn the_arguments_of_a_call_that_was_never_sent_are_let_go() {
    let (network, count, a, _b) = two(81).await;
    network.cut("a", "b", Cut::Reset);
    let error = shelf(&a, "b").put(vec![count.item()]).await.unwrap_err();
    assert_eq!(error.executed(), Executed::No);
    count.ended(1, PROMPT).await;
    assert_eq!(a.exported(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_goodbye_lets_go_of_everything_at_once() {
    let (_network, count, a, b) = two(82).await;
    let mut items = Vec::new();
    for _ in 0..100 {
        items.push(one(&b, "a").await);
    }
    b.shutdown().await;
    count.ended(100, PROMPT).await;
    assert_eq!(a.exported(), 1);
    drop(items);
}

#[tokio::test(start_paused = true)]
async fn dropping_the_proxy_during_a_call_does_not_end_the_servant_under_it() {
    let (_network, count, _a, b) = two(83).await;
    let item = one(&b, "a").await;
    item.linger(500).await.unwrap();
    drop(item);
    count.only_ended(0, Duration::from_millis(400)).await;
    count.ended(1, MOMENT).await;
    assert_eq!(count.lingered.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn arguments_are_let_go_at_return_unless_the_servant_keeps_them() {
    let (_network, count, a, _b) = two(84).await;
    shelf(&a, "b").look(vec![count.item(), count.item()]).await.unwrap();
    count.ended(2, PROMPT).await;
    shelf(&a, "b").put(vec![count.item()]).await.unwrap();
    count.only_ended(2, LEASE * 3).await;
    shelf(&a, "b").clear().await.unwrap();
    count.ended(3, PROMPT).await;
}

#[tokio::test(start_paused = true)]
async fn an_old_reference_reaches_no_object_of_a_restarted_host() {
    let (network, count, a, b) = two(87).await;
    let item = one(&b, "a").await;
    network.crash("a", Cut::Reset);
    drop(a);
    let again = host(&network, "a", &count).await;
    sleep(MOMENT).await;
    let error = item.touch().await.unwrap_err();
    assert_eq!((error.kind(), error.executed()), (ErrorKind::Gone, Executed::No));
    one(&b, "a").await.touch().await.unwrap();
    drop(again);
}

struct NoItems;

impl Authorizer for NoItems {
    fn authorize(&self, _: &Peer, request: &Request<'_>) -> Access {
        match request.interface {
            "conformance.Item" => Access::Deny("look, do not touch".into()),
            _ => Access::Allow,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_authorizer_that_denies_calls_does_not_stop_the_collection() {
    let (network, count) = (Network::new(89), Count::new());
    let _a = host_with(&network, "a", &count, |builder| builder.authorizer(NoItems)).await;
    let b = host(&network, "b", &count).await;
    let item = one(&b, "a").await;
    assert_eq!(item.touch().await.unwrap_err().kind(), ErrorKind::Denied);
    count.only_ended(0, LEASE * 3).await;
    drop(item);
    count.ended(1, PROMPT).await;
}

#[tokio::test(start_paused = true)]
async fn an_export_that_was_taken_back_ends_unless_somebody_holds_the_object() {
    let (_network, count, a, b) = two(90).await;
    let (free, held) = (count.item(), count.item());
    let [free_at, held_at] = [&free, &held].map(|item| a.export(item).unwrap());
    drop((free, held));
    let holder: Proxy<dyn Item> = b.proxy(&held_at).unwrap();
    holder.touch().await.unwrap();
    assert!(a.unexport(free_at.object) && a.unexport(held_at.object));
    count.ended(1, PROMPT).await;
    let error = b.proxy::<dyn Item>(&free_at).unwrap().touch().await.unwrap_err();
    assert_eq!((error.kind(), error.executed()), (ErrorKind::NoSuchObject, Executed::No));
    holder.touch().await.unwrap();
    drop(holder);
    count.ended(2, PROMPT).await;
}

#[tokio::test(start_paused = true)]
async fn a_cycle_across_nodes_stays_until_one_of_them_ends() {
    let (_network, count, a, b) = two(92).await;
    let (of_a, of_b) = (count.item(), one(&a, "b").await);
    of_a.tie(of_b.clone()).await.unwrap();
    of_b.tie(of_a.clone()).await.unwrap();
    drop((of_a, of_b));
    count.only_ended(0, LEASE * 3).await;
    b.shutdown().await;
    count.ended(2, LEASE_OVER).await;
    assert_eq!(a.exported(), 1);
}
