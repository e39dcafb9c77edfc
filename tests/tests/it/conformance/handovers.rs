//! References that are passed on while links are cut, nodes end and calls are given up. Time is paused.

use std::time::Duration;

use rmi_core::streaming::Policy;
use rmi_core::{ErrorKind, Executed, Node, NodeId, ObjectId, ObjectRef, Proxy, RemoteError, Streaming, remote};
use rmi_tests::{Cut, Network};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep, timeout};

use super::shelf::{Count, Item, SHELF, Shelf, host, one, shelf};

const PROMPT: Duration = Duration::from_millis(200);
const MOMENT: Duration = Duration::from_secs(1);
const LEASE: Duration = Duration::from_secs(60);
const LEASE_OVER: Duration = Duration::from_secs(62);

/// Hosts of these names.
async fn hosts<const N: usize>(seed: u64, names: [&str; N]) -> (Network, Count, [Node; N]) {
    let (network, count) = (Network::new(seed), Count::new());
    let mut nodes = Vec::new();
    for name in names {
        nodes.push(host(&network, name, &count).await);
    }
    (network, count, nodes.try_into().unwrap())
}

/// What lies on the shelf of host `by`, for `node`.
async fn from(node: &Node, by: &str) -> Proxy<dyn Item> {
    shelf(node, by).stored().await.unwrap().remove(0)
}

async fn closed(proxy: &Proxy<dyn Item>, within: Duration) -> bool {
    timeout(within, proxy.closed()).await.is_ok()
}

#[tokio::test(start_paused = true)]
async fn an_owner_that_cannot_be_dialled_is_called_through_the_introducer() {
    for how in [Cut::Reset, Cut::Silent] {
        let (network, count, [a, b, c]) = hosts(1, ["a", "b", "c"]).await;
        shelf(&a, "b").put(vec![count.item()]).await.unwrap();
        network.cut("a", "c", how);
        let item = from(&c, "b").await;
        item.touch().await.unwrap();
        shelf(&a, "b").clear().await.unwrap();
        count.only_ended(0, LEASE * 3).await;
        item.touch().await.unwrap();
        drop(item);
        count.ended(1, PROMPT).await;
        assert_eq!((a.exported(), b.exported()), (1, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn the_holder_of_an_object_behind_an_introducer_is_told_when_that_ends() {
    let (network, count, [a, b, c]) = hosts(2, ["a", "b", "c"]).await;
    shelf(&a, "b").put(vec![count.item()]).await.unwrap();
    network.cut("a", "c", Cut::Reset);
    let item = from(&c, "b").await;
    item.touch().await.unwrap();
    assert!(!closed(&item, LEASE).await);
    b.shutdown().await;
    assert!(closed(&item, MOMENT).await);
    let error = item.touch().await.unwrap_err();
    assert_eq!(error.executed(), Executed::No, "{error}");
}

#[tokio::test(start_paused = true)]
async fn every_reference_to_an_object_is_told_when_it_is_gone() {
    let (_network, count, [a, _b, c, d]) = hosts(3, ["a", "b", "c", "d"]).await;
    let item = count.item();
    for holder in ["b", "c"] {
        shelf(&a, holder).put(vec![item.clone()]).await.unwrap();
    }
    let (first, second) = (from(&d, "b").await, from(&d, "c").await);
    assert_eq!(first, second);
    first.touch().await.unwrap();
    second.touch().await.unwrap();
    let both = async { tokio::join!(first.closed(), second.closed()) };
    let (told, ()) = tokio::join!(timeout(LEASE, both), a.shutdown());
    assert!(told.is_ok());
    for reference in [first, second] {
        assert_eq!(reference.touch().await.unwrap_err().kind(), ErrorKind::Gone);
    }
    drop(c);
}

#[tokio::test(start_paused = true)]
async fn one_of_two_introducers_need_not_wait_when_it_ends() {
    let (_network, count, [a, b, c, d]) = hosts(4, ["a", "b", "c", "d"]).await;
    let item = count.item();
    for holder in ["b", "c"] {
        shelf(&a, holder).put(vec![item.clone()]).await.unwrap();
    }
    drop(item);
    let (first, second) = (from(&d, "b").await, from(&d, "c").await);
    first.touch().await.unwrap();
    second.touch().await.unwrap();
    for introducer in [c, b] {
        let begun = Instant::now();
        introducer.shutdown().await;
        assert!(begun.elapsed() < MOMENT, "{:?}", begun.elapsed());
    }
    drop(first);
    count.only_ended(0, LEASE_OVER).await;
    second.touch().await.unwrap();
    drop(second);
    count.ended(1, PROMPT).await;
}

#[tokio::test(start_paused = true)]
async fn a_reference_that_leads_nowhere_is_closed() {
    let (_network, _count, [a]) = hosts(5, ["a"]).await;
    for node in [a.id(), NodeId::random()] {
        let reference = ObjectRef::new(node, ObjectId::random(), vec![], vec![]);
        let item: Proxy<dyn Item> = a.proxy(&reference).unwrap();
        assert_eq!(item.touch().await.unwrap_err().executed(), Executed::No);
        assert!(closed(&item, MOMENT).await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_passes_on_a_reference_to_nothing_of_its_own_leaves_nothing() {
    let (_network, _count, [b, c]) = hosts(7, ["b", "c"]).await;
    let at = |object| ObjectRef::new(b.id(), object, vec![], b.endpoints().to_vec());
    shelf(&b, "b").put(vec![b.proxy(&at(ObjectId::random())).unwrap()]).await.unwrap();
    let store: Proxy<dyn Shelf> = c.proxy(&at(SHELF)).unwrap();
    let item = store.stored().await.unwrap().remove(0);
    let weak = item.downgrade();
    assert_eq!(item.touch().await.unwrap_err().executed(), Executed::No);
    drop(item);
    assert!(weak.upgrade().is_none());
}

/// The item of a reply that came before its connection was lost and was read after it, when its peer was there again or not.
async fn late(network: &Network, b: &Node, again: bool) -> Proxy<dyn Item> {
    let store = shelf(b, "a");
    let mut call = std::pin::pin!(store.make(1));
    // It is polled once, and not while its reply comes.
    assert!(timeout(Duration::ZERO, &mut call).await.is_err());
    sleep(MOMENT).await;
    network.cut("a", "b", Cut::Reset);
    network.heal("a", "b");
    if again {
        sleep(MOMENT).await;
    }
    call.await.unwrap().remove(0)
}

#[tokio::test(start_paused = true)]
async fn a_reference_that_is_read_after_its_connection_was_lost_is_claimed() {
    for (holds_another, again) in [(false, false), (false, true), (true, false)] {
        let (network, count, [a, b]) = hosts(6, ["a", "b"]).await;
        let another = if holds_another { Some(one(&b, "a").await) } else { None };
        let item = late(&network, &b, again).await;
        count.only_ended(0, LEASE * 3).await;
        item.touch().await.unwrap();
        drop((item, another));
        count.ended(1 + usize::from(holds_another), PROMPT).await;
        assert_eq!(a.exported(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_reference_that_is_read_after_all_others_were_claimed_anew_is_told_to_be_gone() {
    let (network, count, [_a, b]) = hosts(8, ["a", "b"]).await;
    let another = one(&b, "a").await;
    let item = late(&network, &b, true).await;
    assert!(closed(&item, MOMENT).await);
    assert_eq!(item.touch().await.unwrap_err().kind(), ErrorKind::Gone);
    count.only_ended(1, MOMENT).await;
    another.touch().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_object_first_used_on_the_connection_after_a_lost_one_is_kept() {
    let (network, count, [a, b]) = hosts(9, ["a", "b"]).await;
    let item = count.item();
    let reference = a.export(&item).unwrap();
    drop(item);
    let other: Proxy<dyn Item> = b.proxy(&a.export(&count.item()).unwrap()).unwrap();
    other.touch().await.unwrap();
    let kept: Proxy<dyn Item> = b.proxy(&reference).unwrap();
    drop(other);
    sleep(MOMENT).await;
    network.cut("a", "b", Cut::Reset);
    network.heal("a", "b");
    sleep(MOMENT).await;
    kept.touch().await.unwrap();
    assert!(a.unexport(reference.object));
    count.only_ended(0, LEASE * 3).await;
    kept.touch().await.unwrap();
}

/// Waits until each of the nodes exports its shelf alone.
async fn nothing_is_left(nodes: &[&Node]) {
    let all = async {
        while nodes.iter().any(|node| node.exported() > 1) {
            sleep(Duration::from_millis(1)).await;
        }
    };
    let left = || nodes.iter().map(|node| node.objects()).collect::<Vec<_>>();
    assert!(timeout(MOMENT, all).await.is_ok(), "{:?}", left());
}

#[tokio::test(start_paused = true)]
async fn a_reference_that_went_round_is_let_go_in_any_order() {
    let names = ["a", "b", "c", "d"];
    let (_network, count, nodes) = hosts(10, names).await;
    let orders = (0..24).map(|seed| {
        let mut left = vec![0, 1, 2, 3];
        [4, 3, 2, 1].map(|n| left.swap_remove(seed * 7 % n))
    });
    for (round, order) in orders.enumerate() {
        // The object of the first goes from host to host until it is home again.
        let mut item = count.item();
        for (at, node) in nodes.iter().enumerate() {
            let next = names[(at + 1) % names.len()];
            shelf(node, next).put(vec![item]).await.unwrap();
            item = from(&nodes[(at + 1) % names.len()], next).await;
        }
        assert!(item.is_local());
        drop(item);
        for (step, at) in order.iter().enumerate() {
            count.only_ended(round, PROMPT).await;
            for last in &order[step..] {
                from(&nodes[*last], names[*last]).await.touch().await.unwrap();
            }
            shelf(&nodes[*at], names[*at]).clear().await.unwrap();
        }
        count.ended(round + 1, PROMPT).await;
    }
    nothing_is_left(&nodes.each_ref()).await;
}

#[tokio::test(start_paused = true)]
async fn an_object_in_many_frames_at_once_is_let_go_after_the_last() {
    let (_network, count, [a, b]) = hosts(11, ["a", "b"]).await;
    let item = count.item();
    let calls: Vec<_> = (0..200)
        .map(|number| {
            let (store, copies) = (shelf(&a, "b"), vec![item.clone(); number % 3 + 1]);
            tokio::spawn(async move { store.look(copies).await })
        })
        .collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    count.only_ended(0, PROMPT).await;
    drop(item);
    count.ended(1, PROMPT).await;
    nothing_is_left(&[&a, &b]).await;
}

#[tokio::test(start_paused = true)]
async fn calls_that_are_given_up_at_any_moment_leave_no_references() {
    let (_network, count, [a, b]) = hosts(12, ["a", "b"]).await;
    let kept = one(&b, "a").await;
    for millis in 0..150 {
        let (store, own) = (shelf(&b, "a"), count.item());
        let item = kept.clone();
        let call = async move {
            match millis % 3 {
                0 => drop(store.make(2).await),
                1 => drop(store.look(vec![own, item]).await),
                _ => drop(store.hang(vec![own, item]).await),
            }
        };
        let _ = timeout(Duration::from_millis(millis), call).await;
    }
    sleep(PROMPT).await;
    kept.touch().await.unwrap();
    drop(kept);
    nothing_is_left(&[&a, &b]).await;
}

#[tokio::test(start_paused = true)]
async fn a_thousand_objects_come_and_go_at_once() {
    let (_network, count, [a, b]) = hosts(13, ["a", "b"]).await;
    let cycle = |number: u64| {
        let b = b.clone();
        async move {
            sleep(Duration::from_millis(number % 50)).await;
            let item = one(&b, "a").await;
            item.touch().await.unwrap();
        }
    };
    let cycles: Vec<_> = (0..1000).map(|number| tokio::spawn(cycle(number))).collect();
    for cycle in cycles {
        cycle.await.unwrap();
    }
    count.ended(1000, PROMPT).await;
    nothing_is_left(&[&a, &b]).await;
}

#[tokio::test(start_paused = true)]
async fn a_reference_whose_introducer_is_killed_before_the_claim_is_kept() {
    for (seed, how) in [(14, Cut::Reset), (15, Cut::Silent)] {
        let (network, count, [a, b, c]) = hosts(seed, ["a", "b", "c"]).await;
        shelf(&a, "b").put(vec![count.item()]).await.unwrap();
        let item = from(&c, "b").await;
        // Nobody else refers to it: its owner keeps it for the introducer's lease alone.
        network.crash("b", how);
        drop(b);
        count.only_ended(0, LEASE * 3).await;
        item.touch().await.unwrap();
        drop(item);
        count.ended(1, PROMPT).await;
        nothing_is_left(&[&a, &c]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn claims_that_race_with_drops_leave_the_books_even() {
    let (_network, count, [a, b, c]) = hosts(16, ["a", "b", "c"]).await;
    for round in 0..120 {
        let item = count.item();
        shelf(&a, "b").put(vec![item.clone(); 2]).await.unwrap();
        drop(item);
        let items = shelf(&c, "b").stored().await.unwrap();
        let used = timeout(Duration::from_millis(round % 60), items[0].touch());
        let (store, millis) = (shelf(&b, "b"), round * 7 % 60);
        let cleared = async {
            sleep(Duration::from_millis(millis)).await;
            store.clear().await.unwrap();
        };
        let (used, ()) = tokio::join!(used, cleared);
        assert!(!matches!(used, Ok(Err(_))), "{used:?}");
        if round % 2 == 0 {
            items[1].touch().await.unwrap();
        }
    }
    count.ended(120, MOMENT).await;
    nothing_is_left(&[&a, &b, &c]).await;
}

#[tokio::test(start_paused = true)]
async fn what_a_node_introduces_while_it_shuts_down_is_good_or_was_not_said() {
    let mut good = 0;
    for millis in 0..40 {
        let (_network, count, [a, b, c]) = hosts(17 + millis, ["a", "b", "c"]).await;
        shelf(&a, "b").put(vec![count.item()]).await.unwrap();
        let store = shelf(&c, "b");
        store.look(vec![]).await.unwrap();
        let ended = async {
            sleep(Duration::from_millis(millis)).await;
            b.shutdown().await;
        };
        let (stored, ()) = tokio::join!(store.stored(), ended);
        if let Ok(mut items) = stored {
            let item = items.remove(0);
            item.touch().await.unwrap();
            count.only_ended(0, LEASE * 3).await;
            good += 1;
        }
        count.ended(1, LEASE_OVER).await;
        nothing_is_left(&[&a, &c]).await;
    }
    assert!((5..40).contains(&good), "{good}");
}

#[derive(Debug, Serialize, Deserialize, thiserror::Error)]
enum Refusal {
    #[error("take this instead")]
    Instead(Vec<Proxy<dyn Item>>),
    #[error(transparent)]
    Remote(#[from] RemoteError),
}

#[remote(name = "conformance.Supply")]
trait Supply {
    async fn flow(&self, count: usize) -> Result<Streaming<Proxy<dyn Item>>, Refusal>;
    async fn refuse(&self) -> Result<(), Refusal>;
}

struct Stock(Count);

#[remote]
impl Supply for Stock {
    async fn flow(&self, count: usize) -> Result<Streaming<Proxy<dyn Item>>, Refusal> {
        let (sender, items) = Streaming::channel(count, Policy::Block);
        for _ in 0..count {
            sender.send(self.0.item()).await?;
        }
        Ok(items)
    }
    async fn refuse(&self) -> Result<(), Refusal> {
        Err(Refusal::Instead(vec![self.0.item()]))
    }
}

/// The stock of host `a`, for host `b`.
async fn supply(seed: u64) -> (Count, [Node; 2], Proxy<dyn Supply>) {
    let (_network, count, [a, b]) = hosts(seed, ["a", "b"]).await;
    let reference = a.export(&Proxy::<dyn Supply>::new(Stock(count.clone()))).unwrap();
    let supply = b.proxy(&reference).unwrap();
    (count, [a, b], supply)
}

#[tokio::test(start_paused = true)]
async fn the_items_of_a_stream_hold_their_objects_and_so_do_those_that_nobody_has_read() {
    let (count, [a, b], supply) = supply(60).await;
    let mut items = supply.flow(3).await.unwrap();
    let kept = items.next().await.unwrap().unwrap();
    for _ in 0..2 {
        drop(items.next().await.unwrap().unwrap());
    }
    // The end of the stream was not asked for yet.
    count.ended(2, PROMPT).await;
    let mut unread = supply.flow(20).await.unwrap();
    unread.next().await.unwrap().unwrap();
    drop(items);
    count.only_ended(2, LEASE * 3).await;
    kept.touch().await.unwrap();
    drop(unread);
    count.ended(22, PROMPT).await;
    drop(kept);
    count.ended(23, PROMPT).await;
    sleep(PROMPT).await;
    assert_eq!((a.exported(), b.exported()), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn an_error_holds_the_objects_that_it_names() {
    let (count, [a, b], supply) = supply(61).await;
    let error = supply.refuse().await.unwrap_err();
    count.only_ended(0, LEASE * 3).await;
    let Refusal::Instead(items) = &error else { panic!("{error}") };
    items[0].touch().await.unwrap();
    drop(error);
    count.ended(1, PROMPT).await;
    assert_eq!((a.exported(), b.exported()), (2, 1));
    drop(supply);
}
