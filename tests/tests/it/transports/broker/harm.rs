//! Somebody at the broker who reads everything, and means harm.

use rmi_core::transport::{Nats, Transport};
use rmi_core::{ErrorKind, Executed, ObjectId, limits};
use rmi_tests::{Broker, Tally};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::timeout;

use super::load::{Load, assert_fit, host_and_caller};
use super::{SOON, pair, refused, well_known};
use crate::transports::wiretap::{Wiretap, message};

#[tokio::test]
async fn everything_repeated_by_somebody_at_the_broker_runs_once() {
    let broker = Broker::start("127.0.0.1").unwrap();
    let mut tap = Wiretap::at(&broker, "_INBOX.>").await;
    let repeat = tokio::spawn(async move {
        let mut early = Vec::new();
        loop {
            let heard = tap.hear().await;
            for _ in 0..2 {
                tap.publish(&heard.subject, heard.reply.as_deref().unwrap_or_default(), &heard.payload).await;
            }
            // The first ones come back from time to time, long after their turn.
            if early.len() < 8 {
                early.push(heard);
            } else if let Some(first) = early.pop() {
                tap.publish(&first.subject, "", &first.payload).await;
            }
        }
    });
    let (_host, _caller, tally) = host_and_caller(&broker).await;
    let load = Load::start(&tally);
    load.goes_on(500).await;
    let answers = load.end().await;
    assert_fit(answers, &tally).await;
    assert_eq!((answers.maybe, answers.no), (0, 0));
    repeat.abort();
}

#[tokio::test]
async fn what_somebody_at_the_broker_makes_up_ends_the_channel_with_its_reason_and_no_other() {
    let broker = Broker::start("127.0.0.1").unwrap();
    let mut listener = Nats::new().listen(&broker.endpoint("place").parse().unwrap()).await.unwrap();
    let (mut other, mut other_far) = pair(&mut *listener).await;
    let large = vec![0; limits::BROKER_PIECE_BYTES + 1];
    let acknowledging = [&[1, 4][..], &[0; 8], &[9, 0, 0, 0, 0, 0, 0, 0], &[0; 8]].concat();
    for (made_up, reason) in [
        (b"x".to_vec(), "a message of 1 bytes is shorter than its head of 26"),
        (vec![9; 40], "a message of version 9 where 1 is known"),
        (message(6, 0, b""), "a message of the unknown kind 6"),
        (message(1, 0, b""), "the peer asks for a channel inside of one"),
        (message(3, 0, &large), "a piece of 32769 bytes exceeds the limit of 32768"),
        (message(3, 64, b"x"), "piece 64 exceeds the window that ends with 64"),
        (acknowledging, "the peer has received 9 and read 0 of 0 pieces"),
        (message(5, 0, b""), "the peer gave the channel up"),
    ] {
        let mut tap = Wiretap::at(&broker, "_INBOX.>").await;
        let (near, mut far) = pair(&mut *listener).await;
        let inbox = tap.inbox().await;
        tap.publish(&inbox, "", &made_up).await;
        let error = timeout(SOON, far.stream.read_u8()).await.expect("soon").unwrap_err();
        assert_eq!(error.to_string(), reason);
        assert_eq!(far.stream.write_all(&vec![0; 1 << 20]).await.unwrap_err().to_string(), reason);
        drop(near);
    }
    other.stream.write_u8(7).await.unwrap();
    assert_eq!(other_far.stream.read_u8().await.unwrap(), 7);
}

#[tokio::test]
async fn a_piece_before_its_turn_waits_for_nothing_and_changes_nothing() {
    let broker = Broker::start("127.0.0.1").unwrap();
    let mut tap = Wiretap::at(&broker, "_INBOX.>").await;
    let mut listener = Nats::new().listen(&broker.endpoint("place").parse().unwrap()).await.unwrap();
    let (mut near, mut far) = pair(&mut *listener).await;
    let inbox = tap.inbox().await;
    for number in [1, 5, 63] {
        tap.publish(&inbox, "", &message(3, number, b"out of turn")).await;
    }
    near.stream.write_all(b"in turn").await.unwrap();
    near.stream.shutdown().await.unwrap();
    let mut read = String::new();
    far.stream.read_to_string(&mut read).await.unwrap();
    assert_eq!(read, "in turn");
}

#[tokio::test]
async fn a_flood_at_an_inbox_stops_nothing_else() {
    let broker = Broker::start("127.0.0.1").unwrap();
    let mut tap = Wiretap::at(&broker, "_INBOX.>").await;
    let mut listener = Nats::new().listen(&broker.endpoint("place").parse().unwrap()).await.unwrap();
    let (mut near, mut far) = pair(&mut *listener).await;
    let inbox = tap.inbox().await;
    near.stream.write_u8(1).await.unwrap();
    assert_eq!(far.stream.read_u8().await.unwrap(), 1);
    // Far more than may wait, in one go: the task of the channel has no turn in between.
    let repeated = message(3, 0, &[0; 1024]);
    let head = format!("PUB {inbox} {}\r\n", repeated.len());
    let flood = [head.as_bytes(), &repeated, b"\r\n"].concat().repeat(40 * limits::BROKER_WAITING);
    let flooding = tokio::spawn(async move {
        tap.publish_raw(&flood).await;
        tap
    });
    let (mut other, mut other_far) = pair(&mut *listener).await;
    for byte in 2..100 {
        for (here, there) in [(&mut near, &mut far), (&mut other, &mut other_far)] {
            here.stream.write_u8(byte).await.unwrap();
            assert_eq!(timeout(SOON, there.stream.read_u8()).await.expect("it arrives").unwrap(), byte);
        }
    }
    flooding.await.unwrap();
}

#[tokio::test]
async fn an_opening_that_names_a_subject_of_the_brokers_own_is_not_answered() {
    let broker = Broker::start("127.0.0.1").unwrap();
    let mut tap = Wiretap::at(&broker, ">").await;
    let listener = Nats::new().listen(&broker.endpoint("place").parse().unwrap()).await.unwrap();
    for reply in ["$JS.API.STREAM.DELETE.orders", "rmi.place", "_INBOX.short", ""] {
        tap.publish("rmi.place", reply, &message(1, 0, b"")).await;
    }
    tap.publish("rmi.place", "_INBOX.short", b"garbage").await;
    // What the listener publishes next is the answer to somebody who asks as one should.
    let near = Nats::new().dial(listener.endpoint()).await.unwrap();
    let opening = tap.hear().await;
    let answer = tap.hear().await;
    assert!(opening.subject.starts_with("rmi.place."), "{opening:?}");
    assert_eq!(Some(answer.subject), opening.reply);
    drop(near);
}

#[tokio::test]
async fn a_channel_that_nobody_waits_for_is_over_at_once() {
    let broker = Broker::start("127.0.0.1").unwrap();
    let mut listener = Nats::new().listen(&broker.endpoint("place").parse().unwrap()).await.unwrap();
    let mut tap = Wiretap::at(&broker, "_INBOX.other").await;
    tap.publish("rmi.place", &format!("_INBOX.{:064x}", 1), &message(1, 0, b"")).await;
    let mut channel = listener.accept().await.unwrap();
    let error = timeout(SOON, channel.stream.read_u8()).await.expect("at once").unwrap_err();
    assert_eq!(error.to_string(), "the broker says that the peer is not there");
}

#[tokio::test]
async fn openings_beyond_the_limit_are_not_answered() {
    let broker = Broker::start("127.0.0.1").unwrap();
    let nats = Nats::new().channels_max(3);
    let mut listener = nats.listen(&broker.endpoint("place").parse().unwrap()).await.unwrap();
    let mut tap = Wiretap::at(&broker, "_INBOX.>").await;
    for number in 0..100 {
        tap.publish("rmi.place", &format!("_INBOX.{number:064x}"), &message(1, 0, b"")).await;
    }
    for _ in 0..3 {
        // That the program lets go of one makes no room before it has closed.
        drop(timeout(SOON, listener.accept()).await.expect("a channel").unwrap());
    }
    let text = refused(&nats, listener.endpoint().as_str()).await;
    assert!(text.ends_with("did not answer within 3s"), "{text}");
}

#[tokio::test]
async fn a_broker_that_means_harm_itself_only_makes_the_call_fail() {
    let info = |rest: &str| format!("INFO {{\"max_payload\":1000,\"proto\":1,\"headers\":true}}\r\n{rest}");
    // The library that speaks to brokers does not survive each of these.
    for said in ["-ERR\r\n".to_owned(), info("-ERR\r\n"), info(&format!("MSG a 1 {}\r\n", usize::MAX)), info("")] {
        let harm = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let place = format!("nats://{}/place", harm.local_addr().unwrap()).parse().unwrap();
        let told = said.clone();
        let broker = tokio::spawn(async move {
            let (mut near, _) = harm.accept().await.unwrap();
            near.write_all(told.as_bytes()).await.unwrap();
            // What is said to it is not understood, until nobody says more.
            while near.read(&mut [0; 1024]).await.is_ok_and(|read| read > 0) {}
        });
        let caller = Broker::node().start().await.unwrap();
        let call = well_known(&caller, &place, ObjectId::random());
        let error = timeout(3 * SOON, call.counted()).await.expect(&said).unwrap_err();
        assert_eq!((error.kind(), error.executed()), (ErrorKind::Unreachable, Executed::No), "{said} {error}");
        timeout(SOON, broker).await.expect("its connection ends").unwrap();
    }
}
