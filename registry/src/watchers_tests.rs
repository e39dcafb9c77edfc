//! The watchers alone: what is remembered for them, and who is woken.

use std::future::Future;

use rmi_core::naming::Change;

use super::*;

fn change(revision: u64, name: &str) -> Event {
    Event::new(revision, name.parse().unwrap(), Change::Unbound)
}

/// Begins a watch after a revision, for a node with this number.
fn watch(watchers: &Arc<Watchers>, node: u8, prefix: &str, after: u64) -> Result<Streaming<Event>, NamingError> {
    watchers.add(NodeId::from_bytes([node; 16]), &prefix.parse().unwrap(), watchers.position(after))
}

/// The revisions that can be told at once.
fn told(watch: &mut Streaming<Event>) -> Vec<u64> {
    let mut told = Vec::new();
    let cx = &mut Context::from_waker(Waker::noop());
    while let Poll::Ready(Some(Ok(event))) = std::pin::pin!(watch.next()).poll(cx) {
        told.push(event.revision);
    }
    told
}

/// Begins after 10 and has these changes.
fn watchers(revisions: std::ops::RangeInclusive<u64>) -> Arc<Watchers> {
    let watchers = Arc::new(Watchers::default());
    watchers.begin(10);
    revisions.for_each(|revision| drop(watchers.tell(change(revision, "a"))));
    watchers
}

#[test]
fn a_watch_begins_after_any_revision_that_is_remembered() {
    let watchers = watchers(11..=13);
    for after in 10..=13 {
        assert_eq!(told(&mut watch(&watchers, 1, "", after).unwrap()), (after + 1..=13).collect::<Vec<_>>());
    }
    for after in [9, 14] {
        let error = watch(&watchers, 1, "", after).unwrap_err();
        assert_eq!(error, NamingError::Gap { after, since: 10, newest: 13 });
    }
}

#[test]
fn no_more_changes_are_held_than_the_limit_however_many_watch() {
    let last = 10 + HISTORY_MAX as u64;
    let watchers = watchers(11..=last);
    let mut watches: Vec<_> = (0..10).map(|_| watch(&watchers, 1, "", 10).unwrap()).collect();
    let held = watchers.locked().history.front().cloned().unwrap();
    watchers.tell(change(last + 1, "a"));
    assert_eq!(watchers.locked().history.len(), HISTORY_MAX);
    assert_eq!(Arc::strong_count(&held), 1, "only this test holds what was forgotten");
    // The next change of each is forgotten now.
    for watch in &mut watches {
        assert_eq!(told(watch), [0; 0]);
        let end = watch.end().cloned();
        assert!(matches!(end, Some(rmi_core::streaming::End::Failed(error)) if error.kind() == ErrorKind::Overloaded));
    }
    assert_eq!(told(&mut watch(&watchers, 1, "", 11).unwrap()).len(), HISTORY_MAX);
}

#[test]
fn a_watch_of_a_quiet_prefix_is_not_behind() {
    let watchers = watchers(11..=11);
    let mut quiet = watch(&watchers, 1, "b", 11).unwrap();
    let after = 12 + 2 * HISTORY_MAX as u64;
    (12..after).for_each(|revision| drop(watchers.tell(change(revision, "a"))));
    for (revision, name) in [(after, "b/1"), (after + 1, "bb"), (after + 2, "b")] {
        watchers.tell(change(revision, name));
    }
    assert_eq!(told(&mut quiet), [after, after + 2]);
}

#[test]
fn only_those_are_woken_whom_a_change_concerns() {
    let watchers = watchers(11..=11);
    let mut watches: Vec<_> = ["a", "a", "b"].map(|prefix| watch(&watchers, 1, prefix, 11).unwrap()).into();
    assert!(watches.iter_mut().all(|watch| told(watch).is_empty()));
    assert_eq!(watchers.tell(change(12, "a/1")).len(), 2);
    // They were woken and have not looked yet.
    assert_eq!(watchers.tell(change(13, "a/2")).len(), 0);
    assert_eq!(watches.iter_mut().map(told).collect::<Vec<_>>(), [vec![12, 13], vec![12, 13], vec![]]);
}

#[test]
fn a_node_has_so_many_watches_until_they_are_dropped() {
    let watchers = watchers(11..=11);
    let mut watches: Vec<_> = (0..WATCHES_MAX).map(|_| watch(&watchers, 1, "", 11).unwrap()).collect();
    let full = NamingError::Full { what: "watches of this node".into(), limit: WATCHES_MAX as u64 };
    for _ in 0..WATCHES_MAX {
        assert_eq!(watch(&watchers, 1, "", 11).unwrap_err(), full);
        assert!(watch(&watchers, 2, "", 11).is_ok());
        drop(watches.remove(0));
        watches.push(watch(&watchers, 1, "", 11).unwrap());
    }
    drop(watches);
    assert!(watchers.locked().watches.is_empty());
}
