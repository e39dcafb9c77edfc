//! Which of a node's endpoints is taken.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rmi_core::transport::{Channel, Listener, Memory, Tcp, Transport, TransportError};
use rmi_core::{Endpoint, ErrorKind, Executed, Identity, Limits, Node, NodeBuilder, ObjectRef, Proxy};
use rmi_tests::{Echo, Faulty, Plan, Repeater, Way};

/// A node with an object at a TCP and a Unix socket, the dearer one first.
struct Host {
    node: Node,
    reference: ObjectRef,
    directory: tempfile::TempDir,
}

async fn host() -> Host {
    let directory = tempfile::tempdir().unwrap();
    let unix = format!("unix:{}/s", directory.path().display());
    let node = Node::builder().listen("tcp://127.0.0.1:0").listen(&unix).start().await.unwrap();
    let reference = node.export(&Proxy::<dyn Echo>::new(Repeater)).unwrap();
    Host { node, reference, directory }
}

async fn caller(build: impl FnOnce(NodeBuilder) -> NodeBuilder) -> Node {
    build(Node::builder()).start().await.unwrap()
}

/// Calls the object and says which way the call took.
async fn way(caller: &Node, reference: &ObjectRef) -> String {
    let echo: Proxy<dyn Echo> = caller.proxy(reference).unwrap();
    assert_eq!(echo.echo("x").await.unwrap(), "x");
    let peers = caller.peers();
    assert_eq!(peers.len(), 1, "{peers:?}");
    peers[0].address.clone()
}

#[tokio::test]
async fn the_cheapest_endpoint_is_taken_whatever_the_order_in_the_reference() {
    let host = host().await;
    let caller = caller(|builder| builder).await;
    assert_eq!(way(&caller, &host.reference).await, host.reference.endpoints[1].as_str());
    assert!(matches!(caller.peers()[0].identity, Identity::Process { .. }));
}

#[tokio::test]
async fn the_next_cheapest_is_taken_when_nobody_answers_at_the_cheapest() {
    let host = host().await;
    std::fs::remove_file(host.directory.path().join("s")).unwrap();
    let caller = caller(|builder| builder).await;
    assert_eq!(way(&caller, &host.reference).await, host.reference.endpoints[0].as_str());
}

#[tokio::test]
async fn another_node_at_the_cheapest_endpoint_does_not_hide_the_right_one_at_the_next() {
    let (host, other) = (host().await, host().await);
    let mut reference = host.reference.clone();
    reference.endpoints = vec![host.reference.endpoints[0].clone(), other.reference.endpoints[1].clone()].into();
    let caller = caller(|builder| builder).await;
    assert_eq!(way(&caller, &reference).await, reference.endpoints[0].as_str());
    assert_eq!(other.node.connections(), 0);
}

#[tokio::test]
async fn somebody_who_does_not_speak_the_protocol_at_the_cheapest_endpoint_does_not_hide_the_next() {
    let host = host().await;
    let place = host.directory.path().join("noise");
    let listener = tokio::net::UnixListener::bind(&place).unwrap();
    let noise = tokio::spawn(async move {
        let (mut peer, _) = listener.accept().await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut peer, b"220 mail.example ESMTP\r\n").await.unwrap();
    });
    let mut reference = host.reference.clone();
    let noisy: Endpoint = format!("unix:{}", place.display()).parse().unwrap();
    reference.endpoints = vec![noisy, host.reference.endpoints[0].clone()].into();
    let caller = caller(|builder| builder).await;
    assert_eq!(way(&caller, &reference).await, reference.endpoints[1].as_str());
    noise.await.unwrap();
}

#[tokio::test]
async fn somebody_who_accepts_and_stays_silent_leaves_time_for_the_next() {
    let host = host().await;
    let place = host.directory.path().join("silent");
    let _silent = tokio::net::UnixListener::bind(&place).unwrap();
    let mut reference = host.reference.clone();
    let silent: Endpoint = format!("unix:{}", place.display()).parse().unwrap();
    reference.endpoints = vec![silent, host.reference.endpoints[0].clone()].into();
    let mut limits = Limits::default();
    limits.handshake_timeout = Duration::from_secs(4);
    let caller = caller(|builder| builder.limits(limits).call_timeout(Duration::from_millis(3900))).await;
    assert_eq!(way(&caller, &reference).await, reference.endpoints[1].as_str());
}

#[tokio::test]
async fn a_node_is_gone_only_when_others_answer_at_all_its_endpoints() {
    let (host, other, third) = (host().await, host().await, host().await);
    let caller = caller(|builder| builder).await;
    let failure = async |endpoints: [&Endpoint; 2]| {
        let mut reference = host.reference.clone();
        reference.endpoints = endpoints.map(Clone::clone).into();
        let error = caller.proxy::<dyn Echo>(&reference).unwrap().echo("x").await.unwrap_err();
        assert_eq!(error.executed(), Executed::No);
        (error.kind(), error.message().to_owned())
    };
    let [first, second] = [&other, &third].map(|node| &node.reference.endpoints[0]);
    let (kind, text) = failure([first, second]).await;
    assert_eq!(kind, ErrorKind::Gone);
    assert!(text.contains(&other.node.id().to_string()) && text.contains(&third.node.id().to_string()), "{text}");
    let nobody = "tcp://127.0.0.1:1".parse().unwrap();
    let (kind, text) = failure([first, &nobody]).await;
    assert_eq!(kind, ErrorKind::Unreachable);
    assert!(text.contains("127.0.0.1:1: Connection refused"), "{text}");
}

/// A host with a proven and an unproven endpoint, and the directory with the keys.
async fn proven() -> (Node, ObjectRef, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let way = Way::new("tls", directory.path());
    let host = way.host().listen("tcp://127.0.0.1:0").start().await.unwrap();
    let reference = host.export(&Proxy::<dyn Echo>::new(Repeater)).unwrap();
    (host, reference, directory)
}

#[tokio::test]
async fn who_proves_nothing_is_not_believed_where_a_key_must_answer() {
    let (host, mut reference, directory) = proven().await;
    let caller = Way::new("tls", directory.path()).caller().start().await.unwrap();
    assert!(way(&caller, &reference).await.starts_with("tls://"));
    let unanswered = reference.endpoints[0].as_str().replace(reference.endpoints[0].address(), "127.0.0.1:1");
    reference.endpoints = [unanswered.parse().unwrap(), reference.endpoints[1].clone()].into();
    let error = caller.proxy::<dyn Echo>(&reference).unwrap().echo("x").await.unwrap_err();
    assert_eq!((error.kind(), error.executed()), (ErrorKind::Unreachable, Executed::No));
    assert!(error.message().contains("whoever answers proves nothing"), "{error}");
    host.shutdown().await;
}

#[tokio::test]
async fn a_caller_that_cannot_check_keys_takes_what_there_is() {
    let (host, reference, _directory) = proven().await;
    let caller = caller(|builder| builder).await;
    assert_eq!(way(&caller, &reference).await, reference.endpoints[1].as_str());
    host.shutdown().await;
}

#[tokio::test]
async fn what_worked_last_is_tried_first() {
    let host = host().await;
    let path = host.directory.path().join("s");
    let aside = host.directory.path().join("aside");
    std::fs::rename(&path, &aside).unwrap();
    // The connection over TCP breaks after its first megabyte.
    let plan = Arc::new(Plan::new(1).cut_after_written(1_000_000..=1_000_000));
    let tcp = Arc::new(Faulty::new(Arc::new(Tcp), plan));
    let caller = caller(|builder| builder.transport(tcp)).await;
    let tcp = host.reference.endpoints[0].as_str();
    // The memory lives as long as a proxy.
    let echo: Proxy<dyn Echo> = caller.proxy(&host.reference).unwrap();
    assert_eq!(way(&caller, &host.reference).await, tcp);
    std::fs::rename(&aside, &path).unwrap();
    let connection = caller.peers()[0].connection;
    let large = "x".repeat(300_000);
    while caller.peers().first().is_none_or(|peer| peer.connection == connection) {
        let _: Result<String, _> = echo.echo(&large).await;
    }
    assert_eq!(caller.peers()[0].address, tcp);
}

/// Channels in this process that take their time.
struct Late(Arc<Memory>, Duration);

#[async_trait]
impl Transport for Late {
    fn scheme(&self) -> &'static str {
        "late"
    }

    async fn dial(&self, endpoint: &Endpoint) -> Result<Channel, TransportError> {
        tokio::time::sleep(self.1).await;
        self.0.dial(endpoint).await
    }

    async fn listen(&self, endpoint: &Endpoint) -> Result<Box<dyn Listener>, TransportError> {
        self.0.listen(endpoint).await
    }
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_where_nobody_is_leaves_its_time_to_the_next() {
    let memory = Arc::new(Memory::new());
    let node = Node::builder().transport(memory.clone()).listen("mem:host").start().await.unwrap();
    let mut reference = node.export(&Proxy::<dyn Echo>::new(Repeater)).unwrap();
    reference.endpoints = ["mem:a", "mem:b", "mem:c", "late:host"].map(|place| place.parse().unwrap()).into();
    // More than a quarter of the time that a dial may take.
    let late = Late(memory.clone(), Duration::from_secs(7));
    let caller = caller(|builder| builder.transport(memory).transport(Arc::new(late))).await;
    assert_eq!(way(&caller, &reference).await, "late:host");
}
