//! The examples of frames, references and faults: each is read as what its remarks say, and written as it stands there.

use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::example;
use crate::error::{ErrorKind, Executed, RemoteError};
use crate::id::{LeaseId, MethodId, NodeId, ObjectId};
use crate::metadata::Metadata;
use crate::reference::ObjectRef;
use crate::wire::fault;
use crate::wire::frame::{self, Body, CallFrame, CallId, Frame, Lane, ReplyFrame, ReplyStatus};
use crate::wire::hello::{Accepts, Hello, LeaseOffer};
use crate::wire::holding::{Claim, Claimed, Released};
use crate::wire::reference::{self, WireReference};

/// The id whose bytes count up from `first`.
pub(super) fn id(first: u8) -> [u8; 16] {
    std::array::from_fn(|at| first + u8::try_from(at).unwrap())
}

const FIRST: CallId = CallId { slot: 0, generation: 1 };
const SECOND: CallId = CallId { slot: 1, generation: 1 };

pub(super) fn account() -> ObjectId {
    ObjectId::from_bytes(id(0xc0))
}

fn object() -> ObjectId {
    ObjectId::from_bytes(id(0xe0))
}

fn promise() -> ObjectId {
    ObjectId::from_bytes(id(0xf0))
}

fn lease() -> LeaseId {
    LeaseId::from_bytes(id(0xb0))
}

fn sender() -> WireReference {
    WireReference::Sender { object: account(), interfaces: ["Savings".into(), "Account".into()].into() }
}

pub(super) fn observer() -> ObjectRef {
    let endpoints = ["unix:/run/bank.sock".parse().unwrap()];
    ObjectRef::new(NodeId::from_bytes(id(0xd0)), object(), ["Observer".to_owned()], endpoints)
}

fn call(object: ObjectId, (interface, method): (&str, &str), body: &'static [u8]) -> CallFrame {
    CallFrame {
        id: FIRST,
        oneway: false,
        hops: 0,
        object,
        method: MethodId::of(interface, method),
        timeout_ms: 1000,
        promise: None,
        metadata: Metadata::default(),
        references: Vec::new(),
        embedded: false,
        body: Body::Whole(Bytes::from_static(body)),
    }
}

fn touch() -> CallFrame {
    CallFrame { oneway: true, ..call(account(), ("Account", "touch"), b"\x90") }
}

/// Reads the bytes as this frame, and writes it as these bytes.
fn is_frame(mut bytes: Bytes, frame: &Frame) {
    let mut written = BytesMut::new();
    frame.encode(&mut written);
    assert_eq!(bytes, written);
    let length = u32::from_le_bytes(bytes[..4].try_into().unwrap()) as usize;
    assert_eq!(bytes.len(), 4 + length);
    assert_eq!(Frame::decode(bytes.split_off(4)).unwrap(), *frame);
}

#[test]
fn the_hello_is_what_it_says() {
    let hello = Hello {
        versions: (2, 2),
        features: frame::DATAGRAMS | frame::ASIDES,
        node: NodeId::from_bytes(id(0xa0)),
        endpoints: vec!["tcp://127.0.0.1:7000".parse().unwrap()],
        accepts: Accepts {
            frame_bytes: 1 << 20,
            body_bytes: 16 << 20,
            window_bytes: 32 << 20,
            calls: 1024,
            references: 65_536,
        },
        lease: LeaseOffer { id: lease(), millis: 60_000 },
    };
    is_frame(example("hello"), &Frame::Hello(hello));
}

#[test]
fn calls_are_what_they_say() {
    let deposit = ("Account", "deposit");
    let plain = call(account(), deposit, b"\x92\xcd\x01\xf4\xa3tip");
    is_frame(example("call"), &Frame::Call(plain));
    let metadata = [("user".to_owned(), "alice".to_owned())].into_iter().collect();
    let beside = CallFrame { id: SECOND, hops: 2, metadata, ..touch() };
    is_frame(example("call with metadata"), &Frame::Call(beside));
    let promising = CallFrame { promise: Some(promise()), ..call(object(), ("Bank", "open"), b"\x91\xa5alice") };
    is_frame(example("call that promises"), &Frame::Call(promising));
    let on_it = CallFrame { id: SECOND, ..call(promise(), deposit, b"\x92\x05\xa0") };
    is_frame(example("call on a promise"), &Frame::Call(on_it));
}

#[test]
fn replies_and_pieces_are_what_they_say() {
    let body = Body::Whole(Bytes::from_static(b"\xcd\x01\xf4"));
    let reply = ReplyFrame { id: FIRST, status: ReplyStatus::Ok, references: Vec::new(), embedded: false, body };
    is_frame(example("reply"), &Frame::Reply(reply));
    let bytes = Bytes::from_static(b"\x92\xcd\x01\xf4\xa3tip");
    is_frame(example("data"), &Frame::Data { lane: Lane::Calls, id: FIRST, last: true, bytes });
}

#[test]
fn control_frames_are_what_they_say() {
    is_frame(example("cancel"), &Frame::Cancel(FIRST));
    is_frame(example("ping"), &Frame::Ping(7));
    is_frame(example("pong"), &Frame::Pong(7));
    is_frame(example("credit"), &Frame::Credit { lane: Lane::Replies, bytes: 8 << 20 });
    is_frame(example("renew"), &Frame::Renew);
    is_frame(example("forget promises"), &Frame::Forget(vec![promise()]));
}

#[test]
fn goodbyes_are_what_they_say() {
    is_frame(example("goaway"), &Frame::GoAway { accepted: 3 });
    is_frame(example("goodbye"), &Frame::Goodbye { code: 0, accepted: 3, text: "shut down".into() });
    let text = "the peer speaks version 1 of the protocol and this node version 2; they have none in common";
    is_frame(example("goodbye to version 1"), &Frame::Goodbye { code: 2, accepted: 0, text: text.into() });
}

#[test]
fn what_is_said_about_leases_is_what_it_says() {
    is_frame(example("release"), &Frame::Release(vec![Released { object: account(), copies: 2 }]));
    let claim = Claim { continues: Some(lease()), last: true, objects: vec![account()] };
    is_frame(example("claim"), &Frame::Claim(claim));
    let claimed = |object, held| Claimed { object, held };
    is_frame(example("claimed"), &Frame::Claimed(vec![claimed(account(), true), claimed(object(), false)]));
}

/// Reads the bytes as these references where they stand in a reply, and writes them so.
fn are_references(bytes: &[u8], references: &[WireReference]) {
    /// The bytes of a reply in front of them, with its length.
    const HEAD: usize = 15;
    let body = Body::Whole(Bytes::from_static(&[0]));
    let references = references.to_vec();
    let reply = Frame::Reply(ReplyFrame { id: FIRST, status: ReplyStatus::Ok, references, embedded: false, body });
    let mut written = BytesMut::new();
    reply.encode(&mut written);
    assert_eq!(written[HEAD..], [bytes, &[0]].concat());
    assert_eq!(Frame::decode(written.freeze().slice(4..)).unwrap(), reply);
}

#[test]
fn references_are_what_they_say() {
    let promised = WireReference::Promised(promise());
    are_references(&example("references"), &[sender(), promised.clone()]);
    are_references(&example("reference to an object of the sender"), &[sender()]);
    are_references(&example("reference to any other object"), &[WireReference::Other(observer())]);
    are_references(&example("reference to a promise"), &[promised]);
}

#[test]
fn a_body_that_begins_with_references_is_what_it_says() {
    let mut body = example("body with references");
    assert_eq!(body, reference::embed(&[sender()], b"\x91\xd4\x03\x00"));
    assert_eq!(reference::split_off(&mut body, 1).unwrap(), [sender()]);
    assert_eq!(body, &b"\x91\xd4\x03\x00"[..]);
}

#[test]
fn the_fault_is_what_it_says() {
    let error = RemoteError::new(ErrorKind::Overloaded, Executed::No, "too much");
    let error = error.with_retry_after(Duration::from_millis(50));
    assert_eq!(fault::encode(&error), example("fault"));
    let read = fault::decode(example("fault")).unwrap();
    assert_eq!((read.retry_after(), &read), (error.retry_after(), &error));
}

#[test]
fn the_datagram_is_what_it_says() {
    let unreliable = CallFrame { id: CallId::from_number(1), ..touch() };
    assert_eq!(frame::encode_datagram(&unreliable), example("datagram"));
    assert_eq!(Frame::decode(example("datagram")).unwrap(), Frame::Call(unreliable));
}
