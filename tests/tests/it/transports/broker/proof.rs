//! With certificates on both sides the broker can do no more than cut.

use rmi_core::Identity;
use rmi_core::transport::{Nats, Transport};
use rmi_tests::{Authority, Broker};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::{SOON, refused};
use crate::transports::wiretap::{Wiretap, message};

#[tokio::test]
async fn with_credentials_each_side_learns_who_the_other_is_and_the_broker_learns_nothing() {
    let broker = Broker::start("127.0.0.1").unwrap();
    let authority = Authority::new();
    let nats = |name| Nats::new().credentials(authority.credentials(&[name]));
    let mut listener = nats("bank").listen(&broker.endpoint("place").parse().unwrap()).await.unwrap();
    let mut tap = Wiretap::at(&broker, "_INBOX.>").await;
    let (place, alice) = (listener.endpoint().clone(), nats("alice"));
    let (near, far) = tokio::join!(alice.dial(&place), listener.accept());
    let (mut near, mut far) = (near.unwrap(), far.unwrap());
    for (channel, name) in [(&near, "bank"), (&far, "alice")] {
        let identity = &channel.identity;
        assert!(matches!(identity, Identity::Certificate { names, .. } if *names == [name]), "{identity}");
    }
    let inbox = tap.inbox().await;
    near.stream.write_all(b"a secret").await.unwrap();
    near.stream.shutdown().await.unwrap();
    let mut read = String::new();
    far.stream.read_to_string(&mut read).await.unwrap();
    assert_eq!(read, "a secret");
    // Up to the end: a piece without bytes.
    loop {
        let heard = tap.hear().await;
        assert!(!heard.payload.windows(6).any(|window| window == b"secret"));
        if heard.subject == inbox && heard.payload.len() == 26 && heard.payload[1] == 3 {
            break;
        }
    }
}

#[tokio::test]
async fn with_credentials_a_forged_piece_ends_the_channel_and_is_not_read() {
    let broker = Broker::start("127.0.0.1").unwrap();
    let nats = Nats::new().credentials(Authority::new().credentials(&["bank"]));
    let mut listener = nats.listen(&broker.endpoint("place").parse().unwrap()).await.unwrap();
    let mut tap = Wiretap::at(&broker, "_INBOX.>").await;
    let place = listener.endpoint().clone();
    let (near, far) = tokio::join!(nats.dial(&place), listener.accept());
    let (_near, mut far) = (near.unwrap(), far.unwrap());
    let inbox = tap.inbox().await;
    // Nobody knows which piece is next: one of these is.
    for number in 0..32 {
        tap.publish(&inbox, "", &message(3, number, b"forged")).await;
    }
    let error = timeout(SOON, far.stream.read_u8()).await.expect("soon").unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidData, "{error}");
}

#[tokio::test]
async fn a_place_that_asks_for_proof_is_not_dialled_without() {
    let broker = Broker::start("127.0.0.1").unwrap();
    let authority = Authority::new();
    let bank = Nats::new().credentials(authority.credentials(&["bank"]));
    let mut listener = bank.listen(&broker.endpoint("place").parse().unwrap()).await.unwrap();
    let place = listener.endpoint().clone();
    assert!(place.has_option("key"), "{place}");
    let text = refused(&Nats::new(), place.as_str()).await;
    assert!(text.ends_with("it is dialled with Nats::credentials"), "{text}");
    let without = place.as_str().split('?').next().unwrap();
    let accepting = tokio::spawn(async move { listener.accept().await });
    for (nats, place, reason) in [
        (&bank, format!("{without}?key={}", "0".repeat(64)), "its key is"),
        (&bank, format!("{without}?tls"), "its certificate is for bank, not for 127.0.0.1"),
        (
            &Nats::new().credentials(Authority::new().credentials(&["bank"])),
            place.to_string(),
            "refused by the other side",
        ),
    ] {
        let text = refused(nats, &place).await;
        assert!(text.contains(reason), "{text}");
    }
    // Who says nothing of TLS reaches a listener that lets nobody in without.
    let mut plain = Nats::new().dial(&without.parse().unwrap()).await.unwrap();
    plain.stream.write_all(b"neither hello nor proof").await.unwrap();
    let _ = timeout(SOON, plain.stream.read_to_end(&mut Vec::new())).await.expect("it is over soon");
    assert!(!accepting.is_finished());
    accepting.abort();
}
