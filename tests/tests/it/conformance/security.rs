//! Group SEC.

use std::sync::atomic::Ordering;

use rmi_core::{Access, Authorizer, Bytes, ErrorKind, Executed, Limits, ObjectId, Peer, Proxy, Request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::WAY;
use super::probe::{Probe, setting, setting_with};
use crate::hostile::{framed, hello};

#[tokio::test]
async fn a_body_at_the_limit_passes_and_one_beyond_fails_alone() {
    let mut limits = Limits::default();
    limits.body_bytes_max = 100_000;
    let setting = setting_with(|builder| builder.limits(limits)).await;
    setting.probe.nothing().await.unwrap();
    // One byte for the array, five for the length of the byte string.
    let at_limit = Bytes::from(vec![0; 100_000 - 6]);
    assert_eq!(setting.probe.echo(at_limit.clone()).await.unwrap().len(), at_limit.len());
    let error = setting.probe.echo(Bytes::from(vec![0; 100_000 - 5])).await.unwrap_err().remote();
    assert_eq!((error.kind(), error.executed()), (ErrorKind::TooLarge, Executed::No));
    assert!(error.message().contains("arguments of 100001 bytes exceed the limit of 100000"), "{error}");
    let error = setting.probe.grow(&[], 100_000).await.unwrap_err().remote();
    assert_eq!((error.kind(), error.executed()), (ErrorKind::TooLarge, Executed::Yes));
    assert_eq!(setting.host.connections(), 1);
}

#[tokio::test]
async fn the_connection_beyond_the_limit_is_refused_and_the_others_stay() {
    let mut limits = Limits::default();
    limits.connections_max = 1;
    let setting = setting_with(|builder| builder.limits(limits)).await;
    setting.probe.nothing().await.unwrap();
    let second = WAY.caller().start().await.unwrap();
    let error = second.proxy::<dyn Probe>(&setting.reference).unwrap().nothing().await.unwrap_err().remote();
    assert_eq!(error.executed(), Executed::No);
    assert!(error.message().contains("1 connections, which is the limit"), "{error}");
    setting.probe.nothing().await.unwrap();
}

#[tokio::test]
async fn the_calls_of_a_peer_that_run_at_once_are_bounded() {
    let mut limits = Limits::default();
    limits.calls_in_flight_max = 3;
    let setting = setting_with(|builder| builder.limits(limits)).await;
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let probe = setting.probe.clone();
            tokio::spawn(async move { probe.wait(10).await })
        })
        .collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!(setting.servant.most.load(Ordering::SeqCst), 3);
}

struct Gate;

impl Authorizer for Gate {
    fn admit(&self, peer: &Peer) -> Access {
        // Where a transport knows no more than its own place, the text begins like it all the same.
        let place =
            if WAY.has_addresses() { format!("{}://127.0.0.1:", WAY.scheme()) } else { format!("{}:", WAY.scheme()) };
        assert!(peer.address.starts_with(&place), "{}", peer.address);
        Access::Deny("closed on Sundays".into())
    }
}

#[tokio::test]
async fn a_peer_can_be_refused_with_a_reason_before_it_reaches_anything() {
    let setting = setting_with(|builder| builder.authorizer(Gate)).await;
    let error = setting.probe.note(1).await.unwrap_err().remote();
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert!(error.message().contains("closed on Sundays"), "{error}");
    assert!(setting.servant.notes.lock().unwrap().is_empty());
}

struct Rules;

impl Authorizer for Rules {
    fn authorize(&self, _: &Peer, request: &Request<'_>) -> Access {
        assert_eq!(request.interface, "conformance.Probe");
        match request.method {
            "note" => Access::Deny("read only".into()),
            "hang" => Access::Hide,
            _ => Access::Allow,
        }
    }
}

#[tokio::test]
async fn a_call_can_be_denied_or_answered_as_if_there_were_nothing() {
    let setting = setting_with(|builder| builder.authorizer(Rules)).await;
    setting.probe.nothing().await.unwrap();
    let error = setting.probe.note(1).await.unwrap_err().remote();
    assert_eq!((error.kind(), error.executed(), error.message()), (ErrorKind::Denied, Executed::No, "read only"));
    let hidden = setting.probe.hang().await.unwrap_err().remote();
    let mut absent = setting.reference.clone();
    absent.object = ObjectId::random();
    let absent = setting.caller.proxy::<dyn Probe>(&absent).unwrap().hang().await.unwrap_err().remote();
    assert_eq!(hidden, absent);
}

/// Returns a host's answer to a hello that says so about its versions; a frame of an unknown kind comes behind it.
async fn answer_to_versions(oldest: u8, newest: u8) -> Vec<u8> {
    let setting = setting().await;
    let mut stream = WAY.transport().dial(&setting.host.endpoints()[0]).await.unwrap().stream;
    let mut greeting = hello();
    greeting[9..13].copy_from_slice(&[oldest, 0, newest, 0]);
    stream.write_all(&greeting).await.unwrap();
    stream.write_all(&[1, 0, 0, 0, 99]).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    // The host's own hello is in front.
    let length = u32::from_le_bytes(answer[..4].try_into().unwrap());
    answer.split_off(4 + length as usize)
}

/// The goodbye with this code and this text, of a host that accepted nothing.
fn goodbye(code: u8, text: &str) -> Vec<u8> {
    framed(&[&[10, code, 0], &[0; 8][..], text.as_bytes()].concat())
}

#[tokio::test]
async fn a_hello_of_another_version_is_refused_and_nothing_after_it_is_read() {
    for (oldest, newest, theirs) in [(1, 1, "version 1"), (9, 9, "version 9"), (3, 5, "versions 3 to 5")] {
        let text =
            format!("the peer speaks {theirs} of the protocol and this node version 2; they have none in common");
        assert_eq!(answer_to_versions(oldest, newest).await, goodbye(2, &text));
    }
}

#[tokio::test]
async fn a_peer_that_speaks_later_versions_too_is_answered_in_ours() {
    let answer = answer_to_versions(1, 7).await;
    assert_eq!(answer, goodbye(1, "frame kind 99 is not known"), "the hello was taken, and the frame behind it read");
}

#[tokio::test]
async fn a_hello_of_version_1_whose_fields_end_earlier_is_refused_for_its_version() {
    let setting = setting().await;
    let mut stream = WAY.transport().dial(&setting.host.endpoints()[0]).await.unwrap().stream;
    stream.write_all(&framed(b"\x01rmio\x01\0\x01\0")).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let text = "the peer speaks version 1 of the protocol and this node version 2; they have none in common";
    assert!(answer.ends_with(&goodbye(2, text)), "{}", String::from_utf8_lossy(&answer));
}

#[tokio::test]
async fn an_unknown_and_a_withdrawn_object_get_the_same_answer() {
    let setting = setting().await;
    setting.probe.nothing().await.unwrap();
    assert!(setting.host.revoke(setting.reference.object));
    let withdrawn = setting.probe.nothing().await.unwrap_err().remote();
    let mut unknown = setting.reference.clone();
    unknown.object = ObjectId::random();
    let unknown: Proxy<dyn Probe> = setting.caller.proxy(&unknown).unwrap();
    assert_eq!(unknown.nothing().await.unwrap_err().remote(), withdrawn);
}
