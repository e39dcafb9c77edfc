//! What others can do to a listener.

use nix::mqueue::MQ_OFlag;
use rustix::fs::fstat;
use tokio::time::timeout;

use super::queue::{self, Queue};
use super::*;

/// A name of this process's own.
fn place(name: &str) -> Endpoint {
    format!("mq:/rmi-core-{}-{name}", std::process::id()).parse().unwrap()
}

#[tokio::test]
async fn announcements_that_are_none_change_nothing() {
    let place = place("none");
    let mut listener = Mq.listen(&place).await.unwrap();
    let rendezvous = Queue::open(place.address(), MQ_OFlag::O_WRONLY).unwrap();
    let (id, own) = ("0".repeat(32), std::process::id());
    // A pair without a lock is that of a caller that is gone.
    let [up, down] = pair_names(place.address(), &id);
    let _pair = [&up, &down].map(|name| Queue::make(name, MQ_OFlag::O_RDWR, 2, 64).unwrap());
    for wrong in
        ["", "x", "../x", &id, &format!("{id} 0"), &format!("{} {own}", "1".repeat(32)), &format!("{id} {own}")]
    {
        rendezvous.send(wrong.as_bytes()).unwrap();
    }
    rendezvous.send(&[0xff; peer::ANNOUNCEMENT_BYTES]).unwrap();
    let both = timeout(Duration::from_secs(5), async { tokio::join!(Mq.dial(&place), listener.accept()) });
    let (dialled, accepted) = both.await.expect("the listener lives");
    assert!(dialled.is_ok() && accepted.is_ok());
    assert!(Queue::open(&up, MQ_OFlag::O_RDONLY).is_err() && Queue::open(&down, MQ_OFlag::O_RDONLY).is_err());
}

#[tokio::test]
async fn a_queue_that_is_not_for_announcements_is_replaced_when_nobody_listens_on_it() {
    let place = place("other");
    let other = Queue::make(place.address(), MQ_OFlag::O_RDWR, 2, 128).unwrap();
    assert!(Mq.dial(&place).await.is_err());
    assert!(other.hold().unwrap());
    assert!(matches!(Mq.listen(&place).await, Err(TransportError::InUse(_))));
    drop(other);
    let _listener = Mq.listen(&place).await.unwrap();
    let now = Queue::open(place.address(), MQ_OFlag::O_RDONLY).unwrap();
    assert_eq!(now.message_bytes().unwrap(), peer::ANNOUNCEMENT_BYTES);
    assert_eq!(fstat(&now).unwrap().st_mode & 0o777, 0o600);
}

#[test]
fn a_lock_tells_who_is_there_and_goes_with_its_queue() {
    let place = place("lock");
    let first = Queue::make(place.address(), MQ_OFlag::O_RDWR, 2, 64).unwrap();
    let second = Queue::open(place.address(), MQ_OFlag::O_RDWR).unwrap();
    assert!(!second.is_held().unwrap() && first.hold().unwrap());
    assert!(second.is_held().unwrap() && !second.hold().unwrap());
    drop(first);
    assert!(!second.is_held().unwrap() && second.is_named(place.address()));
    queue::remove(place.address());
    assert!(!second.is_named(place.address()));
}

#[tokio::test]
async fn whoever_comes_too_late_for_a_queue_leaves_its_name_to_the_next() {
    let place = place("late");
    let old = Queue::make(place.address(), MQ_OFlag::O_RDWR, 2, peer::ANNOUNCEMENT_BYTES).unwrap();
    // Its listener takes it away, and another one is faster than whoever has opened it.
    queue::remove(place.address());
    let mut listener = Mq.listen(&place).await.unwrap();
    assert!(old.hold().unwrap() && listen::held(old, place.address()).unwrap().is_none());
    let both = timeout(Duration::from_secs(5), async { tokio::join!(Mq.dial(&place), listener.accept()) });
    let (dialled, accepted) = both.await.expect("it is found");
    assert!(dialled.is_ok() && accepted.is_ok());
}
