//! Every limit of `rmi_core::limits`, exceeded once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rmi_core::transport::{Channel, Listener, Transport, TransportError};
use rmi_core::{
    AnyProxy, Bytes, CallOptions, Endpoint, ErrorKind, Executed, Limits, Node, NodeError, NodeId, ObjectId, ObjectRef,
    Proxy, RemoteError, limits, remote,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::hostile::{call, framed, hello};

/// Where each limit is exceeded. Sizes that are no bound on a peer say so.
const EXCEEDED: &[(&str, &str)] = &[
    ("ENDPOINT_BYTES_MAX", "endpoint.rs: bad_text_is_refused_with_its_reason"),
    ("ENDPOINTS_MAX", "what_a_reference_carries_is_bounded"),
    ("INTERFACES_MAX", "what_a_reference_carries_is_bounded"),
    ("INTERFACE_NAME_BYTES_MAX", "what_a_reference_carries_is_bounded"),
    ("NAME_BYTES_MAX", "name.rs: bad_names_are_refused_with_their_place"),
    ("BINDINGS_MAX", "naming/listing_tests: a_registry_that_lists_without_end_is_not_listened_to"),
    ("OWN_BODY_BYTES_MAX", "registry: sizes: a_host_and_a_registry_with_small_limits_have_all_names"),
    ("GROUP_MEMBERS_MAX", "members_tests.rs: members_beyond_the_limit_are_not_held"),
    ("DISCOVERED_MAX", "discovery: no_more_announcements_are_looked_at_than_the_limit"),
    ("DISCOVERY_TIME_MAX", "discovery: a_search_is_over_after_its_time"),
    ("ERROR_TEXT_BYTES_MAX", "fault.rs: a_long_text_is_cut_between_characters"),
    ("METADATA_ENTRIES_MAX", "metadata_is_bounded"),
    ("METADATA_BYTES_MAX", "metadata_is_bounded"),
    ("DEPTH_MAX", "wire/tests: the_writer_refuses_what_the_reader_would"),
    ("STACK_BYTES_MAX", "wire/tests: a_type_whose_levels_take_much_of_the_stack_has_a_bound"),
    ("REFERENCES_PER_FRAME_MAX", "the_references_of_a_frame_are_bounded"),
    ("REFERENCES_BYTES_MAX", "the_references_of_a_frame_are_bounded"),
    ("FRAME_BYTES_LEAST", "limits_that_contradict_each_other_are_refused"),
    ("OBJECTS_PER_FRAME_MAX", "the_objects_of_a_release_are_bounded"),
    ("RELEASES_TOGETHER", "a size, not a bound: when releases are told"),
    ("RELEASE_DELAY", "a time, not a bound: when releases are told"),
    ("CLAIMS_AT_ONCE_MAX", "the_claims_that_one_goodbye_causes_are_bounded"),
    ("LEASE_LEAST", "a_lease_is_not_shorter_than_the_least"),
    ("LOCAL_LEASE", "collection: what_a_killed_process_held_is_dropped_within_two_seconds_over_a_unix_socket"),
    ("HOPS_MAX", "calls_inside_calls_are_bounded"),
    ("HELLO_BYTES_MAX", "the_first_frame_is_short"),
    ("CHUNK_BYTES", "a size, not a bound: what is cut, protocol §4"),
    ("OUTGOING_BYTES_HIGH", "a size, not a bound: when chunks wait"),
    ("ATTEMPTS_MAX", "conformance: idempotent_calls_are_made_again_and_others_never_after_they_were_sent"),
    ("CONTROL_FRAMES_PER_SECOND_MAX", "control_frames_are_bounded"),
    ("UNKNOWN_OBJECTS_MAX", "guessing_objects_is_bounded"),
    ("ASIDES_MAX", "transports: beside: replies_beyond_the_streams_wait_for_one"),
    ("DATAGRAM_BYTES_MAX", "proto/unreliable_tests: a_malformed_datagram_closes_the_connection"),
    ("DATAGRAMS_WAITING_MAX", "proto/unreliable_tests: the_datagrams_that_wait_are_bounded"),
    ("UNRELIABLE_CALLS_MAX", "proto/unreliable_tests: the_unreliable_calls_that_run_are_bounded_and_the_rest_is_lost"),
    ("SEMAPHORE_WAITING_MAX", "rmi-core: sync: those_who_wait_are_bounded"),
    ("CHILD_PREAMBLE_BYTES_MAX", "transports/spawned: a_program_that_prints_without_end_is_given_up"),
    ("CHILD_LINE_BYTES_MAX", "exec/log.rs: long_lines_are_cut_and_floods_are_counted"),
    ("CHILD_LOG_BYTES_PER_SECOND_MAX", "exec/log.rs: long_lines_are_cut_and_floods_are_counted"),
    ("CHILD_GRACE", "transports/spawned: a_child_that_does_not_go_is_killed"),
    ("ANNOUNCED_BYTES_MAX", "transports/named: announcements_that_are_none_change_nothing"),
    ("QUEUE_MESSAGES_MAX", "transports/mq: c6_a_reader_that_does_not_read_makes_the_writer_wait"),
    ("QUEUE_MESSAGE_BYTES_MAX", "mq/stream.rs: a_queue_of_longer_messages_is_refused"),
    ("PROMISES_PER_SESSION_MAX", "proto/promise_tests: the_promises_of_a_peer_are_bounded_and_have_ids_of_their_own"),
    ("STREAM_WINDOW_ITEMS", "streaming: a_batch_beyond_the_credit_ends_the_stream"),
    ("STREAM_WINDOW_BYTES", "streaming: a_producer_cannot_fill_more_than_the_window_of_a_reader_that_does_not_read"),
    ("STREAM_WINDOW_ITEMS_MAX", "streaming: a_reader_cannot_ask_for_a_window_beyond_the_limit"),
    ("STREAM_WINDOW_BYTES_MAX", "streaming: a_reader_cannot_ask_for_a_window_beyond_the_limit"),
    ("STREAM_BATCH_BYTES", "streaming: batches_are_cut_at_their_size"),
    ("STREAM_LARGE_ITEM_BYTES", "a size, not a bound: what goes alone"),
    ("STREAM_BATCH_ITEMS", "streaming: a_reader_that_grants_much_and_takes_nothing_holds_few_batches"),
    ("STREAM_BATCHES_UNDER_WAY", "streaming: a_reader_that_grants_much_and_takes_nothing_holds_few_batches"),
    ("STREAM_REFERENCE_BYTES", "streaming: references_in_items_count_in_the_window"),
    (
        "LISTENER_HANDSHAKES_MAX",
        "transport/handshakes: of_too_many_handshakes_the_oldest_gives_way_and_the_slow_hold_nobody_up",
    ),
    ("LISTENER_HANDSHAKE_TIMEOUT", "transport/handshakes: a_handshake_takes_no_longer_than_its_limit"),
    ("QUIC_UNPROVEN_MAX", "transports: over_quic: beyond_a_number_of_handshakes_addresses_are_proven_first"),
    ("QUIC_INCOMING_BYTES_MAX", "held by quinn: Initial packets of connections that nobody has taken yet"),
    ("QUIC_STREAM_WINDOW", "transports: quic: c6_a_reader_that_does_not_read_makes_the_writer_wait"),
    ("QUIC_WINDOW", "transports: over_quic: what_nobody_reads_is_bounded_by_the_windows"),
    ("QUIC_DATAGRAMS_BYTES_MAX", "transports: beside: of_datagrams_that_nobody_takes_the_oldest_are_lost"),
    ("QUIC_IDLE", "a time, not a bound: sessions notice a silent peer earlier"),
    ("QUIC_KEEP_ALIVE", "a time, not a bound: when a sign of life is sent"),
    ("LINGER", "transport/lingering: what_a_dropped_stream_could_not_write_in_time_is_given_up"),
    ("BROKER_PIECE_BYTES", "nats/flow_tests: a_peer_that_lies_ends_the_channel"),
    ("BROKER_WINDOW", "nats/flow_tests: a_reader_that_does_not_read_stops_the_sender"),
    ("BROKER_WAITING", "transports/broker/harm: a_flood_at_an_inbox_stops_nothing_else"),
    ("BROKER_CHANNELS_MAX", "transports/broker/harm: openings_beyond_the_limit_are_not_answered"),
    ("BROKER_BEAT", "nats/flow_tests: a_peer_that_is_silent_is_taken_for_dead_and_one_that_gives_signs_is_not"),
    ("BROKER_SILENCE", "transports/broker/deaths: a_killed_peer_is_noticed_though_the_broker_does_not_say_so"),
    ("BROKER_ANSWER", "transports/broker: a_listener_that_does_not_answer_is_not_waited_for"),
    ("BROKER_RESEND", "nats/flow_tests: what_nobody_acknowledges_is_sent_again_each_time_later"),
    ("SHM_RING_BYTES", "transports::shared: a_writer_learns_that_its_reader_is_gone"),
    ("SHM_LOOK_AGAIN", "transports::shared: a_peer_that_does_not_ring_delays_only_itself"),
    ("frame_bytes_max", "a_frame_is_bounded"),
    ("body_bytes_max", "announced_bodies_are_bounded"),
    ("window_bytes", "announced_bodies_are_bounded"),
    ("arguments_bytes_max", "the_arguments_of_running_calls_are_bounded"),
    ("calls_in_flight_max", "the_places_of_calls_are_bounded"),
    ("calls_waiting_max", "the_calls_that_wait_are_bounded"),
    ("replies_waiting_bytes_max", "the_replies_that_wait_are_bounded"),
    ("references_per_body_max", "the_references_of_a_body_are_bounded"),
    ("references_per_session_max", "the_references_of_a_connection_are_bounded"),
    ("unread_bytes_max", "proto/tests: answers_that_nobody_reads_are_bounded"),
    ("connections_max", "conformance: the_connection_beyond_the_limit_is_refused_and_the_others_stay"),
    ("handshakes_max", "handshakes_are_bounded"),
    ("handshake_timeout", "hostile: a_peer_that_says_nothing_is_let_go"),
    ("dial_timeout", "a_dial_takes_no_longer_than_its_limit"),
    ("ping_after", "conformance: a_silent_peer_is_noticed_and_its_calls_fail"),
    ("pong_timeout", "conformance: a_silent_peer_is_noticed_and_its_calls_fail"),
    ("write_stall", "a_peer_that_does_not_read_is_let_go"),
    ("call_timeout", "a_call_without_a_deadline_gets_one"),
    ("lease", "a_peer_that_does_not_renew_its_lease_is_let_go"),
    ("drain_timeout", "conformance: connecting_calling_and_closing_have_limits_of_their_own"),
];

#[test]
fn every_limit_is_listed_here() {
    let source = include_str!("../../../rmi-core/src/limits.rs");
    let constants = source.lines().filter_map(|line| line.strip_prefix("pub const ")?.split(':').next());
    let fields = source.lines().filter_map(|line| line.strip_prefix("    pub ")?.split(':').next());
    let listed: Vec<&str> = EXCEEDED.iter().map(|(name, _)| *name).collect();
    assert_eq!(constants.chain(fields).collect::<Vec<_>>(), listed);
    let here = include_str!("limits.rs");
    for (_, test) in EXCEEDED.iter().filter(|(_, test)| !test.contains(':')) {
        assert!(here.contains(&format!("fn {test}()")), "{test}");
    }
}

#[remote]
trait Store {
    async fn keep(&self, bytes: &[u8]) -> Result<(), RemoteError>;
    async fn echo(&self, bytes: Bytes) -> Result<Bytes, RemoteError>;
    async fn refer(&self, objects: Vec<AnyProxy>) -> Result<u32, RemoteError>;
    async fn deepen(&self, own: Proxy<dyn Store>) -> Result<u32, RemoteError>;
}

#[derive(Default)]
struct Shelf {
    kept: AtomicUsize,
}

#[remote]
impl Store for Shelf {
    async fn keep(&self, _: &[u8]) -> Result<(), RemoteError> {
        self.kept.fetch_add(1, Ordering::SeqCst);
        std::future::pending().await
    }
    async fn echo(&self, bytes: Bytes) -> Result<Bytes, RemoteError> {
        Ok(bytes)
    }
    async fn refer(&self, objects: Vec<AnyProxy>) -> Result<u32, RemoteError> {
        Ok(u32::try_from(objects.len()).unwrap())
    }
    async fn deepen(&self, own: Proxy<dyn Store>) -> Result<u32, RemoteError> {
        own.deepen(own.clone()).await
    }
}

struct Setting {
    host: Node,
    caller: Node,
    shelf: Arc<Shelf>,
    store: Proxy<dyn Store>,
    reference: ObjectRef,
}

async fn setting(host: impl FnOnce(&mut Limits), caller: impl FnOnce(&mut Limits)) -> Setting {
    let (mut host_limits, mut caller_limits) = (Limits::default(), Limits::default());
    host(&mut host_limits);
    caller(&mut caller_limits);
    let host = Node::builder().listen("tcp://127.0.0.1:0").limits(host_limits).start().await.unwrap();
    let caller = Node::builder().limits(caller_limits).start().await.unwrap();
    let shelf = Arc::new(Shelf::default());
    let reference = host.export(&Proxy::<dyn Store>::from_arc(shelf.clone())).unwrap();
    Setting { store: caller.proxy(&reference).unwrap(), host, caller, shelf, reference }
}

/// What a node with the default limits says to a peer that sends this after its hello.
async fn answer_to(bytes: Vec<u8>) -> String {
    let setting = setting(|_| {}, |_| {}).await;
    answer_of(&setting, &[hello(), bytes].concat()).await
}

async fn answer_of(setting: &Setting, bytes: &[u8]) -> String {
    let stream = TcpStream::connect(setting.host.endpoints()[0].address()).await.unwrap();
    let (mut read, mut write) = stream.into_split();
    let mut answer = Vec::new();
    // The node may close before everything is written.
    let (_, read) = tokio::join!(
        write.write_all(bytes),
        tokio::time::timeout(Duration::from_secs(10), read.read_to_end(&mut answer))
    );
    assert!(read.is_ok(), "the node closes the connection");
    String::from_utf8_lossy(&answer).into_owned()
}

/// A call whose body of so many bytes is to follow.
fn announced(slot: u32, bytes: u32) -> Vec<u8> {
    let mut frame = call(slot, [0; 16], &bytes.to_le_bytes());
    frame[5] = 8;
    frame
}

/// A call with a list of references as it is on the wire.
fn referring(list: &[u8]) -> Vec<u8> {
    let mut frame = call(0, [0; 16], list);
    frame[5] = 2;
    frame
}

fn texts(count: u8, text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len()).unwrap().to_le_bytes();
    let one = [&length[..], text.as_bytes()].concat();
    [vec![count], one.repeat(count.into())].concat()
}

#[tokio::test]
async fn a_frame_is_bounded() {
    let answer = answer_to(1_048_577u32.to_le_bytes().to_vec()).await;
    assert!(answer.contains("frame of 1048577 bytes exceeds the limit of 1048576"), "{answer}");
}

#[tokio::test]
async fn the_first_frame_is_short() {
    let answer = answer_of(&setting(|_| {}, |_| {}).await, &4097u32.to_le_bytes()).await;
    assert!(answer.contains("frame of 4097 bytes exceeds the limit of 4096"), "{answer}");
}

#[tokio::test]
async fn announced_bodies_are_bounded() {
    let answer = answer_to(announced(0, 16_777_217)).await;
    assert!(answer.contains("body of 16777217 bytes exceeds the limit of 16777216"), "{answer}");
    let three: Vec<u8> = (0..3).flat_map(|slot| announced(slot, 16_777_216)).collect();
    let answer = answer_to(three).await;
    assert!(answer.contains("bodies beyond the window of 33554432 bytes"), "{answer}");
}

#[tokio::test]
async fn the_places_of_calls_are_bounded() {
    let answer = answer_to(call(1024, [0; 16], &[0x90])).await;
    assert!(answer.contains("call in place 1024 exceeds the limit of 1024 places"), "{answer}");
}

#[tokio::test]
async fn control_frames_are_bounded() {
    let ping = framed(&[&[7][..], &[0; 8]].concat());
    let answer = answer_to(ping.repeat(20_001)).await;
    assert!(answer.contains("more than 20000 control frames in a second"));
}

#[tokio::test]
async fn what_a_reference_carries_is_bounded() {
    let sender = |interfaces: &[u8]| [&[1, 0, 0][..], &[5; 16], interfaces].concat();
    let answer = answer_to(referring(&sender(&texts(33, "x")))).await;
    assert!(answer.contains("interfaces of a reference: 33 exceeds the limit of 32"), "{answer}");
    let answer = answer_to(referring(&sender(&texts(1, &"x".repeat(256))))).await;
    assert!(answer.contains("bytes of an interface name: 256 exceeds the limit of 255"), "{answer}");
    let other = [&[1, 0, 1][..], &[5; 32], &texts(1, "x"), &texts(9, "tcp://a:1")].concat();
    let answer = answer_to(referring(&other)).await;
    assert!(answer.contains("endpoints of a reference: 9 exceeds the limit of 8"), "{answer}");
}

#[tokio::test]
async fn the_references_of_a_frame_are_bounded() {
    let answer = answer_to(referring(&1025u16.to_le_bytes())).await;
    assert!(answer.contains("references in a frame: 1025 exceeds the limit of 1024"), "{answer}");
    let setting = setting(|_| {}, |_| {}).await;
    let many = |count: usize| (0..count).map(|_| AnyProxy::from(Proxy::<dyn Store>::new(Shelf::default()))).collect();
    for count in [1024, 1025, 5000] {
        assert_eq!(setting.store.refer(many(count)).await.unwrap() as usize, count);
    }
    let endpoint: Endpoint = format!("tcp://{}:1", "h".repeat(240)).parse().unwrap();
    let long = ObjectRef::new(NodeId::random(), ObjectId::random(), Vec::new(), vec![endpoint; 8]);
    let long = (0..200).map(|_| {
        let mut reference = long.clone();
        reference.object = ObjectId::random();
        setting.caller.any_proxy(&reference)
    });
    assert_eq!(setting.store.refer(long.collect()).await.unwrap(), 200, "more bytes than a frame has room for");
}

#[tokio::test]
async fn a_peer_takes_as_many_references_as_every_node_must() {
    let mut greeting = hello();
    let at = greeting.len() - 4;
    greeting[at..].copy_from_slice(&1023u32.to_le_bytes());
    let answer = answer_of(&setting(|_| {}, |_| {}).await, &greeting).await;
    assert!(answer.contains("the peer accepts 1023 references in a body; every node must accept 1024"), "{answer}");
}

#[tokio::test]
async fn the_references_of_a_body_are_bounded() {
    let setting = setting(|limits| limits.references_per_body_max = 1024, |_| {}).await;
    let many = |count: usize| (0..count).map(|_| AnyProxy::from(Proxy::<dyn Store>::new(Shelf::default()))).collect();
    let error = setting.store.refer(many(1025)).await.unwrap_err();
    assert_eq!((error.kind(), error.executed()), (ErrorKind::TooLarge, Executed::No));
    assert!(error.message().contains("arguments with 1025 references exceed the limit of 1024"), "{error}");
    assert_eq!(setting.store.refer(many(1024)).await.unwrap(), 1024);
    let setting = self::setting(|_| {}, |limits| limits.references_per_body_max = 1024).await;
    let error = setting.store.refer(many(1025)).await.unwrap_err();
    assert_eq!((error.kind(), error.executed()), (ErrorKind::TooLarge, Executed::No));
    assert!(error.message().starts_with("argument `objects` of "), "{error}");
    assert!(error.message().contains("1025 references exceed the limit of 1024; send them in parts"), "{error}");
}

#[tokio::test]
async fn metadata_is_bounded() {
    let setting = setting(|_| {}, |_| {}).await;
    let many = (0..17).fold(CallOptions::new(), |options, number| options.metadata(number.to_string(), ""));
    let long = CallOptions::new().metadata("k", "v".repeat(4096));
    for options in [many, long] {
        let error = setting.store.with(options).echo(Bytes::new()).await.unwrap_err();
        assert_eq!((error.kind(), error.executed()), (ErrorKind::TooLarge, Executed::No), "{error}");
    }
}

#[tokio::test]
async fn calls_inside_calls_are_bounded() {
    let setting = setting(|_| {}, |_| {}).await;
    let own = Proxy::<dyn Store>::new(Shelf::default());
    let error = setting.store.deepen(own).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Overloaded);
    assert_eq!(error.message(), "call inside 17 calls exceeds the limit of 16");
}

#[tokio::test]
async fn guessing_objects_is_bounded() {
    let setting = setting(|_| {}, |_| {}).await;
    let mut reference = setting.reference.clone();
    reference.object = ObjectId::random();
    let begun = Instant::now();
    let mut guesses = 0u32;
    let error = loop {
        // A proxy that was told that its object is gone asks no more. Its claim and its call are a guess each.
        let guessed: Proxy<dyn Store> = setting.caller.proxy(&reference).unwrap();
        let error = guessed.echo(Bytes::new()).await.unwrap_err();
        if error.kind() != ErrorKind::NoSuchObject {
            break error;
        }
        guesses += 2;
        assert!(guesses < 2 * limits::UNKNOWN_OBJECTS_MAX);
    };
    assert!(error.message().contains("more than 10000 calls on objects that do not exist"), "{error}");
    assert!(u64::from(guesses) <= u64::from(limits::UNKNOWN_OBJECTS_MAX) + begun.elapsed().as_secs() + 2);
}

async fn until(what: &str, done: impl Fn() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(5), "{what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn the_arguments_of_running_calls_are_bounded() {
    let setting = setting(|limits| limits.arguments_bytes_max = 1000, |_| {}).await;
    let store = setting.store.clone();
    let first = tokio::spawn(async move { store.keep(&[0; 600]).await });
    until("the first call runs", || setting.shelf.kept.load(Ordering::SeqCst) == 1).await;
    let error = setting.store.keep(&[0; 600]).await.unwrap_err();
    assert_eq!((error.kind(), error.executed()), (ErrorKind::Overloaded, Executed::No));
    assert!(error.message().ends_with("in running calls exceed the limit of 1000"), "{error}");
    first.abort();
}

#[tokio::test]
async fn the_calls_that_wait_are_bounded() {
    let setting = setting(|limits| limits.calls_in_flight_max = 1, |limits| limits.calls_waiting_max = 2).await;
    let spawn = || {
        let store = setting.store.clone();
        tokio::spawn(async move { store.keep(&[]).await })
    };
    let running = spawn();
    until("the first call runs", || setting.shelf.kept.load(Ordering::SeqCst) == 1).await;
    let waiting = [spawn(), spawn()];
    tokio::task::yield_now().await;
    let once = setting.store.with(CallOptions::new().timeout(Duration::from_secs(1)));
    let error = once.echo(Bytes::new()).await.unwrap_err();
    assert_eq!((error.kind(), error.executed()), (ErrorKind::Overloaded, Executed::No));
    assert_eq!(error.message(), "2 calls to the node are waiting already");
    running.abort();
    waiting.iter().for_each(|call| call.abort());
}

#[tokio::test]
async fn the_replies_that_wait_are_bounded() {
    let setting = setting(|limits| limits.replies_waiting_bytes_max = 1000, |_| {}).await;
    // A peer whose window is small, and that gives no credit.
    let mut greeting = hello();
    greeting[41..49].copy_from_slice(&2000u64.to_le_bytes());
    let echo = rmi_core::MethodId::of("Store", "echo");
    let body = [&[0x91, 0xc5, 0x03, 0x84][..], &[0; 900]].concat();
    let mut bytes = greeting;
    for slot in 0..4 {
        let mut frame = call(slot, setting.reference.object.to_bytes(), &body);
        frame[31..35].copy_from_slice(&echo.interface.0.to_le_bytes());
        frame[35..39].copy_from_slice(&echo.method.to_le_bytes());
        bytes.extend(frame);
    }
    let mut stream = TcpStream::connect(setting.host.endpoints()[0].address()).await.unwrap();
    stream.write_all(&bytes).await.unwrap();
    let mut answer = Vec::new();
    let expected = "bytes of replies wait to be read, the limit is 1000";
    let begun = Instant::now();
    while !String::from_utf8_lossy(&answer).contains(expected) {
        assert!(begun.elapsed() < Duration::from_secs(5), "{}", String::from_utf8_lossy(&answer));
        let _ = tokio::time::timeout(Duration::from_millis(50), stream.read_buf(&mut answer)).await;
    }
}

#[tokio::test]
async fn the_references_of_a_connection_are_bounded() {
    let setting = setting(|_| {}, |limits| limits.references_per_session_max = 2).await;
    let three = (0..3).map(|_| AnyProxy::from(Proxy::<dyn Store>::new(Shelf::default()))).collect();
    let error = setting.store.refer(three).await.unwrap_err();
    assert_eq!((error.kind(), error.executed()), (ErrorKind::Overloaded, Executed::No));
    assert!(error.message().contains("the peer would hold more than the limit of 2 objects; let some go"), "{error}");
}

#[tokio::test]
async fn the_objects_of_a_release_are_bounded() {
    let answer = answer_to(framed(&[&[11][..], &1025u16.to_le_bytes()].concat())).await;
    assert!(answer.contains("objects in a frame: 1025 exceeds the limit of 1024"), "{answer}");
    let answer = answer_to(framed(&[&[11, 1, 0][..], &[5; 16], &3u32.to_le_bytes()].concat())).await;
    assert!(answer.contains("release of 3 copies of an object of which 0 are held"), "{answer}");
}

/// Counts what is dialled, and reaches nobody.
#[derive(Default)]
struct Counting(AtomicUsize);

#[async_trait::async_trait]
impl Transport for Counting {
    fn scheme(&self) -> &'static str {
        "count"
    }

    async fn dial(&self, _: &Endpoint) -> Result<Channel, TransportError> {
        self.0.fetch_add(1, Ordering::SeqCst);
        std::future::pending().await
    }

    async fn listen(&self, endpoint: &Endpoint) -> Result<Box<dyn Listener>, TransportError> {
        Err(TransportError::InUse(endpoint.clone()))
    }
}

#[tokio::test]
async fn the_claims_that_one_goodbye_causes_are_bounded() {
    let counting = Arc::new(Counting::default());
    let host = Node::builder().listen("tcp://127.0.0.1:0").transport(counting.clone()).start().await.unwrap();
    let keeper = Arc::new(Keeper::default());
    let reference = host.export(&Proxy::<dyn Keep>::from_arc(keeper.clone())).unwrap();
    let caller = Node::builder().start().await.unwrap();
    let elsewhere = |number: usize| {
        let endpoint = format!("count:{number}").parse().unwrap();
        let reference = ObjectRef::new(NodeId::random(), ObjectId::random(), Vec::new(), vec![endpoint]);
        caller.any_proxy(&reference)
    };
    let keep: Proxy<dyn Keep> = caller.proxy(&reference).unwrap();
    keep.keep((0..2 * limits::CLAIMS_AT_ONCE_MAX).map(elsewhere).collect()).await.unwrap();
    caller.shutdown().await;
    until("the host dials", || counting.0.load(Ordering::SeqCst) >= limits::CLAIMS_AT_ONCE_MAX).await;
    tokio::task::yield_now().await;
    assert_eq!(counting.0.load(Ordering::SeqCst), limits::CLAIMS_AT_ONCE_MAX);
}

#[remote]
trait Keep {
    async fn keep(&self, objects: Vec<AnyProxy>) -> Result<(), RemoteError>;
}

#[derive(Default)]
struct Keeper(std::sync::Mutex<Vec<AnyProxy>>);

#[remote]
impl Keep for Keeper {
    async fn keep(&self, objects: Vec<AnyProxy>) -> Result<(), RemoteError> {
        self.0.lock().unwrap().extend(objects);
        Ok(())
    }
}

#[tokio::test]
async fn a_lease_is_not_shorter_than_the_least() {
    let setting = setting(|_| {}, |_| {}).await;
    let mut greeting = hello();
    // Behind it are no endpoints, and how many references a body may have.
    let at = greeting.len() - 9;
    greeting[at..at + 4].copy_from_slice(&299u32.to_le_bytes());
    let answer = answer_of(&setting, &greeting).await;
    assert!(answer.contains("the peer grants leases of 299ms; the least is 300ms"), "{answer}");
    let mut short = Limits::default();
    short.lease = Duration::from_millis(299);
    let error = Node::builder().limits(short).start().await.unwrap_err();
    assert_eq!(error.to_string(), "lease of 299ms is below 300ms");
}

#[tokio::test]
async fn a_peer_that_does_not_renew_its_lease_is_let_go() {
    let setting = setting(|limits| limits.lease = Duration::from_millis(300), |_| {}).await;
    let claim = [&[13, 0, 1, 0][..], &setting.reference.object.to_bytes()].concat();
    let begun = Instant::now();
    let answer = answer_of(&setting, &[hello(), framed(&claim)].concat()).await;
    assert!(answer.contains("the peer has not renewed its lease of 300ms"), "{answer}");
    assert!(begun.elapsed() >= Duration::from_millis(300));
}

#[tokio::test]
async fn handshakes_are_bounded() {
    let setting = setting(|limits| limits.handshakes_max = 1, |_| {}).await;
    let place = setting.host.endpoints()[0].address().to_owned();
    let _silent = TcpStream::connect(&place).await.unwrap();
    until("the first connection is there", || setting.host.connections() == 1).await;
    let mut second = TcpStream::connect(&place).await.unwrap();
    let mut answer = Vec::new();
    second.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.contains("the node has 1 handshakes, which is the limit"), "{answer}");
}

/// A transport whose dials never come to an end.
struct Never;

#[async_trait::async_trait]
impl Transport for Never {
    fn scheme(&self) -> &'static str {
        "never"
    }

    async fn dial(&self, _: &Endpoint) -> Result<Channel, TransportError> {
        std::future::pending().await
    }

    async fn listen(&self, endpoint: &Endpoint) -> Result<Box<dyn Listener>, TransportError> {
        Err(TransportError::InUse(endpoint.clone()))
    }
}

#[tokio::test]
async fn a_dial_takes_no_longer_than_its_limit() {
    let mut limits = Limits::default();
    limits.dial_timeout = Duration::from_millis(50);
    let node = Node::builder().transport(Arc::new(Never)).limits(limits).start().await.unwrap();
    let endpoints = vec!["never:there".parse().unwrap()];
    let reference = ObjectRef::new(NodeId::random(), ObjectId::random(), Vec::new(), endpoints);
    let error = node.proxy::<dyn Store>(&reference).unwrap().echo(Bytes::new()).await.unwrap_err();
    assert_eq!((error.kind(), error.executed()), (ErrorKind::Unreachable, Executed::No));
    assert!(error.message().contains("never:there did not answer within 50ms"), "{error}");
}

#[tokio::test]
async fn a_peer_that_does_not_read_is_let_go() {
    let setting = setting(|limits| limits.write_stall = Duration::from_millis(200), |_| {}).await;
    let echo = rmi_core::MethodId::of("Store", "echo");
    let body = [&[0x91, 0xc6, 0, 0, 0xc3, 0x50][..], &vec![0; 50_000]].concat();
    let mut stream = TcpStream::connect(setting.host.endpoints()[0].address()).await.unwrap();
    stream.write_all(&hello()).await.unwrap();
    // Replies are never read: the kernel's buffers fill, then the node's.
    for slot in 0..400 {
        let mut frame = call(slot, setting.reference.object.to_bytes(), &body);
        frame[31..35].copy_from_slice(&echo.interface.0.to_le_bytes());
        frame[35..39].copy_from_slice(&echo.method.to_le_bytes());
        if stream.write_all(&frame).await.is_err() {
            break;
        }
    }
    until("the node gives the peer up", || setting.host.connections() == 0).await;
}

#[tokio::test]
async fn a_call_without_a_deadline_gets_one() {
    let setting = setting(|_| {}, |limits| limits.call_timeout = Duration::from_millis(50)).await;
    let error = setting.store.keep(&[]).await.unwrap_err();
    assert_eq!((error.kind(), error.executed()), (ErrorKind::Deadline, Executed::Maybe));
}

#[tokio::test]
async fn limits_that_contradict_each_other_are_refused() {
    let mut small = Limits::default();
    small.frame_bytes_max = limits::FRAME_BYTES_LEAST - 1;
    let error = Node::builder().limits(small).start().await.unwrap_err();
    assert_eq!(error.to_string(), "limit frame_bytes_max of 524287 is below 524288");
    let mut large = Limits::default();
    large.body_bytes_max = 20 << 20;
    let error = Node::builder().limits(large).start().await.unwrap_err();
    assert_eq!(error.to_string(), "limit window_bytes of 33554432 is below 41943040, twice body_bytes_max");
    let many = (0..9).fold(Node::builder(), |builder, port| builder.advertise(format!("tcp://a:{}", port + 1)));
    assert!(matches!(many.start().await, Err(NodeError::TooManyEndpoints(9))));
}
