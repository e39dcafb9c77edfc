//! Every frame both ways, and bytes that are none.

use std::sync::Arc;

use super::*;
use crate::id::{LeaseId, NodeId};
use crate::reference::ObjectRef;
use crate::wire::hello::{Accepts, LeaseOffer};
use proptest::prelude::*;

const ID: CallId = CallId { slot: 7, generation: 9 };

/// The interfaces of references that were written and read.
fn read_back(lists: &[&[&str]]) -> Vec<Arc<[String]>> {
    let sender = |names: &&[&str]| WireReference::Sender {
        object: ObjectId::random(),
        interfaces: names.iter().map(|name| (*name).to_owned()).collect(),
    };
    let mut bytes = BytesMut::new();
    reference::encode(&lists.iter().map(sender).collect::<Vec<_>>(), &mut bytes);
    let read = reference::decode(&mut bytes.freeze()).unwrap();
    let interfaces = |read| match read {
        WireReference::Sender { interfaces, .. } => interfaces,
        other => panic!("{other:?}"),
    };
    read.into_iter().map(interfaces).collect()
}

#[test]
fn references_of_one_frame_that_name_the_same_interfaces_share_the_list() {
    let lists: [&[&str]; 7] = [&[], &["a"], &["a"], &["a", "b"], &["ab"], &["a"], &[]];
    let read = read_back(&lists);
    for (read, list) in read.iter().zip(lists) {
        assert_eq!(**read, *list);
    }
    assert!(Arc::ptr_eq(&read[1], &read[2]));
}

fn samples() -> Vec<Frame> {
    let sender = WireReference::Sender { object: ObjectId::random(), interfaces: ["a.B".into()].into() };
    let endpoints = vec!["tcp://127.0.0.1:1".parse().unwrap()];
    let other = WireReference::Other(ObjectRef::new(NodeId::random(), ObjectId::random(), vec![], endpoints.clone()));
    let accepts = Accepts { frame_bytes: 1, body_bytes: 2, window_bytes: 3, calls: 4, references: 5 };
    let call = CallFrame {
        id: ID,
        oneway: true,
        hops: 3,
        object: ObjectId::random(),
        method: MethodId::of("a", "b"),
        timeout_ms: 1000,
        promise: Some(ObjectId::random()),
        metadata: [("k".to_owned(), "v".to_owned())].into_iter().collect(),
        references: vec![sender, other, WireReference::Promised(ObjectId::random())],
        embedded: false,
        body: Body::Whole(Bytes::from_static(b"\x91\x01")),
    };
    let plain = CallFrame {
        promise: None,
        metadata: Metadata::default(),
        references: vec![],
        embedded: true,
        body: Body::Follows(70_000),
        ..call.clone()
    };
    let body = Body::Whole(Bytes::new());
    let reply = ReplyFrame { id: ID, status: ReplyStatus::Error, references: vec![], embedded: true, body };
    vec![
        Frame::Hello(Hello {
            versions: (2, 3),
            features: 0,
            node: NodeId::random(),
            endpoints,
            accepts,
            lease: LeaseOffer { id: LeaseId::random(), millis: 60_000 },
        }),
        Frame::Call(call),
        Frame::Call(plain),
        Frame::Reply(reply),
        Frame::Data { lane: Lane::Replies, id: ID, last: true, bytes: Bytes::from_static(b"abc") },
        Frame::Cancel(ID),
        Frame::Credit { lane: Lane::Calls, bytes: 5 },
        Frame::Ping(1),
        Frame::Pong(2),
        Frame::GoAway { accepted: 3 },
        Frame::Goodbye { code: 1, accepted: 4, text: "bye".into() },
        Frame::Release(vec![Released { object: ObjectId::random(), copies: 3 }]),
        Frame::Renew,
        Frame::Claim(Claim { continues: Some(LeaseId::random()), last: true, objects: vec![ObjectId::random()] }),
        Frame::Claim(Claim { continues: None, last: false, objects: vec![ObjectId::random(), ObjectId::random()] }),
        Frame::Claimed(vec![Claimed { object: ObjectId::random(), held: true }]),
        Frame::Forget(vec![ObjectId::random(), ObjectId::random()]),
    ]
}

#[test]
fn every_frame_is_read_as_it_was_written() {
    for frame in samples() {
        let mut bytes = BytesMut::new();
        frame.encode(&mut bytes);
        let payload = split(&mut bytes, 1 << 20).unwrap().unwrap();
        assert!(bytes.is_empty());
        assert_eq!(Frame::decode(payload).unwrap(), frame);
    }
}

#[test]
fn a_frame_that_is_cut_anywhere_is_waited_for_or_refused() {
    for frame in samples() {
        let mut whole = BytesMut::new();
        frame.encode(&mut whole);
        for end in 0..whole.len() {
            assert_eq!(split(&mut whole.clone().split_to(end), 1 << 20).unwrap(), None);
        }
        // The same bytes with a length that pretends to be complete: an error or another frame, never a panic.
        let payload = whole.freeze().slice(4..);
        for end in 0..payload.len() {
            let _ = Frame::decode(payload.slice(..end));
        }
    }
}

#[test]
fn a_frame_above_the_limit_is_refused_before_it_is_buffered() {
    let mut input = BytesMut::from(&17_825_792_u32.to_le_bytes()[..]);
    let error = split(&mut input, 16_777_216).unwrap_err();
    assert_eq!(error.to_string(), "frame of 17825792 bytes exceeds the limit of 16777216");
}

#[test]
fn counts_above_their_limits_are_refused() {
    let mut input = Bytes::from_static(&[0xff, 0xff]);
    assert!(matches!(reference::decode(&mut input), Err(FrameError::TooMany { value: 65_535, .. })));
    let mut input = Bytes::from_static(&[17]);
    assert!(matches!(decode_metadata(&mut input), Err(FrameError::TooMany { value: 17, limit: 16, .. })));
    let forgotten = Frame::decode(Bytes::from_static(&[17, 0x01, 0x10]));
    assert!(matches!(forgotten, Err(FrameError::TooMany { value: 4097, limit: 4096, .. })));
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), kind in 0_u8..18) {
        let mut payload = vec![kind];
        payload.extend(bytes);
        let _ = Frame::decode(payload.into());
    }
}

#[test]
fn a_hello_that_says_nothing_of_references_takes_what_every_node_must() {
    let Some(Frame::Hello(hello)) = samples().into_iter().next() else { panic!("the first sample is a hello") };
    let mut bytes = BytesMut::new();
    Frame::Hello(hello.clone()).encode(&mut bytes);
    let whole = bytes.freeze().slice(4..);
    let Ok(Frame::Hello(short)) = Frame::decode(whole.slice(..whole.len() - 4)) else { panic!("it is a hello") };
    assert_eq!(short.accepts, Accepts { references: 1024, ..hello.accepts });
}
