//! What a session does, over every transport: between nodes of this process, and with processes that are killed.

use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rmi_core::{Bytes, ErrorKind, Executed, Limits, Node, NodeBuilder, ObjectRef, Proxy};
use rmi_tests::{Exercise, Factory, Gymnast, Random, Way, Workshop};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::SOON;

/// A host with a gymnast, and a caller.
struct Pair {
    host: Node,
    caller: Node,
    gymnast: Arc<Gymnast>,
    reference: ObjectRef,
    far: Proxy<dyn Exercise>,
}

async fn pair(way: &Way, build: impl Fn(NodeBuilder) -> NodeBuilder) -> Pair {
    let host = build(way.host()).start().await.unwrap();
    let caller = build(way.caller()).start().await.unwrap();
    let gymnast = Arc::new(Gymnast::default());
    let reference = host.export(&Proxy::<dyn Exercise>::from_arc(gymnast.clone())).unwrap();
    let far = caller.proxy(&reference).unwrap();
    Pair { host, caller, gymnast, reference, far }
}

async fn plain(way: &Way) -> Pair {
    pair(way, |builder| builder).await
}

impl Pair {
    /// Waits until so many calls run.
    async fn until_running(&self, count: u64) {
        let mut running = self.gymnast.running();
        timeout(SOON, running.wait_for(|&running| running == count)).await.expect("soon").unwrap();
    }

    async fn end(self) {
        drop(self.far);
        self.caller.shutdown().await;
        self.host.shutdown().await;
    }
}

pub(super) async fn s1_calls_and_callbacks_go_both_ways_over_one_connection(way: Way) {
    let pair = plain(&way).await;
    let near: Proxy<dyn Exercise> = Proxy::new(Gymnast::default());
    // Eight nested calls each way; sixteen are the limit.
    assert_eq!(pair.far.play(near.clone(), pair.far.clone(), 15).await.unwrap(), 15);
    assert_eq!((pair.host.connections(), pair.caller.connections()), (1, 1));
    pair.end().await;
}

pub(super) async fn s2_bodies_of_64_mib_arrive_whole_both_ways(way: Way) {
    let pair = pair(&way, |builder| {
        let mut limits = Limits::default();
        (limits.body_bytes_max, limits.window_bytes) = (65 << 20, 130 << 20);
        limits.arguments_bytes_max = limits.arguments_bytes_max.max(65 << 20);
        builder.limits(limits).call_timeout(Duration::from_secs(120))
    })
    .await;
    let sent = Bytes::from(Random::new(7).bytes(64 << 20));
    let back = pair.far.echo(sent.clone()).await.unwrap();
    assert!(back == sent);
    pair.end().await;
}

pub(super) async fn s3_many_calls_at_once_find_their_own_answers(way: Way) {
    let pair = plain(&way).await;
    let calls = (0..500u32).map(|number| {
        let far = pair.far.clone();
        tokio::spawn(async move {
            let sent = Bytes::from(vec![number.to_le_bytes()[0]; number as usize * 37 % 5000]);
            assert!(far.echo(sent.clone()).await.unwrap() == sent);
        })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap();
    }
    pair.end().await;
}

pub(super) async fn s4_a_stream_arrives_in_order_and_waits_for_its_reader(way: Way) {
    let pair = plain(&way).await;
    let mut numbers = pair.far.count(20_000).await.unwrap();
    let mut expected = 0;
    while let Some(number) = numbers.next().await {
        assert_eq!(number.unwrap(), expected);
        expected += 1;
    }
    assert_eq!(expected, 20_000);
    pair.end().await;
}

pub(super) async fn s5_a_dropped_call_is_cancelled_at_the_servant(way: Way) {
    let pair = plain(&way).await;
    let far = pair.far.clone();
    let call = tokio::spawn(async move { far.hang().await });
    pair.until_running(1).await;
    call.abort();
    pair.until_running(0).await;
    pair.end().await;
}

pub(super) async fn s6_a_host_that_shuts_down_finishes_what_it_accepted(way: Way) {
    let pair = plain(&way).await;
    let far = pair.far.clone();
    let call = tokio::spawn(async move { far.wait(200).await });
    pair.until_running(1).await;
    pair.host.shutdown().await;
    call.await.unwrap().unwrap();
    let error = pair.far.wait(0).await.unwrap_err();
    assert_eq!(error.executed(), Executed::No, "{error}");
    pair.caller.shutdown().await;
}

pub(super) async fn s7_a_peer_that_breaks_off_in_the_middle_of_a_frame_harms_nobody(way: Way) {
    let pair = plain(&way).await;
    pair.far.echo(Bytes::new()).await.unwrap();
    let transport = way.transport();
    for bytes in [&b"\x50\x00\x00\x00\x01half a hello"[..], b"\x02", b""] {
        let mut channel = transport.dial(&pair.reference.endpoints[0]).await.unwrap();
        channel.stream.write_all(bytes).await.unwrap();
        channel.stream.flush().await.unwrap();
    }
    let begun = Instant::now();
    while pair.host.connections() > 1 {
        assert!(begun.elapsed() < SOON, "{} connections are left", pair.host.connections());
        pair.far.echo(Bytes::new()).await.unwrap();
    }
    pair.end().await;
}

pub(super) async fn s8_a_peer_that_does_not_read_is_given_up_and_the_others_are_served(way: Way) {
    let short = |builder: NodeBuilder| {
        let mut limits = Limits::default();
        limits.write_stall = Duration::from_millis(500);
        builder.limits(limits)
    };
    let pair = pair(&way, short).await;
    // Its task reads nothing while its runtime is not run.
    let lazy = std::thread::spawn({
        let (caller, reference, gymnast) = (way.caller(), pair.reference.clone(), pair.gymnast.clone());
        move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let node = caller.start().await.unwrap();
                let far: Proxy<dyn Exercise> = node.proxy(&reference).unwrap();
                far.echo(Bytes::new()).await.unwrap();
                for _ in 0..4 {
                    let far = far.clone();
                    tokio::spawn(async move { far.give(8 << 20).await });
                }
                let given = async {
                    while gymnast.given() < 4 {
                        tokio::task::yield_now().await;
                    }
                };
                timeout(SOON, given).await.expect("the calls arrive");
                // Nothing is read from here on.
                std::thread::sleep(Duration::from_secs(3));
            });
        }
    });
    let mut given_up = false;
    while !lazy.is_finished() {
        let begun = Instant::now();
        pair.far.echo(Bytes::from_static(b"still here")).await.unwrap();
        assert!(begun.elapsed() < Duration::from_secs(1), "an honest caller waited for {:?}", begun.elapsed());
        given_up |= pair.gymnast.given() == 4 && pair.host.connections() == 1;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(given_up);
    lazy.join().unwrap();
    pair.end().await;
}

/// A process that is killed with the value.
async fn process(program: &str, way: &Way, arguments: &[&str]) -> (Child, String) {
    let mut command = Command::new(program);
    command.args(arguments).envs(way.environment()).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = timeout(Duration::from_secs(20), said.next_line()).await.expect("soon").unwrap().expect("a line");
    (child, line)
}

pub(super) async fn s9_the_calls_to_a_host_that_is_killed_end_and_may_have_run(way: Way) {
    let (mut host, reference) = process(env!("CARGO_BIN_EXE_host"), &way, &["exercise"]).await;
    let caller = way.caller().start().await.unwrap();
    let reference: ObjectRef = reference.parse().unwrap();
    let far: Proxy<dyn Exercise> = caller.proxy(&reference).unwrap();
    far.note().await.unwrap();
    let hanging = tokio::spawn({
        let far = far.clone();
        async move { far.hang().await }
    });
    while far.notes().await.unwrap() == 0 {}
    let begun = Instant::now();
    host.kill().await.unwrap();
    let error = timeout(way.notices_death_within(), hanging).await.expect("death is noticed").unwrap().unwrap_err();
    assert_eq!((error.kind(), error.executed()), (ErrorKind::Disconnected, Executed::Maybe), "{error}");
    println!("over {}: noticed after {:?}", way.scheme(), begun.elapsed());
    caller.shutdown().await;
    // Whoever listens there next takes away what the killed host left.
    way.transport().listen(&reference.endpoints[0]).await.unwrap();
}

pub(super) async fn s10_what_a_caller_held_that_is_killed_is_dropped(way: Way) {
    let mut limits = Limits::default();
    limits.lease = Duration::from_secs(3);
    let host = way.host().limits(limits).start().await.unwrap();
    let workshop = Workshop::default();
    let mut ended = workshop.ended();
    let reference = host.export(&Proxy::<dyn Factory>::new(workshop)).unwrap().to_string();
    let (mut holder, line) = process(env!("CARGO_BIN_EXE_holder"), &way, &[&reference, "100"]).await;
    assert_eq!(line, "holding 100");
    assert_eq!(*ended.borrow(), 0);
    holder.kill().await.unwrap();
    let within = Duration::from_secs(5);
    timeout(within, ended.wait_for(|&ended| ended == 100)).await.expect("dropped within the lease and 2 s").unwrap();
    host.shutdown().await;
}

/// Lets a process open so many descriptors, and says how many it could before.
fn let_open(host: &Child, count: u64) -> u64 {
    let pid = host.id().and_then(|id| Pid::from_raw(i32::try_from(id).unwrap())).expect("it runs");
    let before = getrlimit(Resource::Nofile);
    prlimit(Some(pid), Resource::Nofile, Rlimit { current: Some(count), maximum: before.maximum }).unwrap();
    before.current.expect("a limit")
}

pub(super) async fn s11_who_calls_a_host_that_lacks_descriptors_is_served_when_it_has_some(way: Way) {
    let (host, reference) = process(env!("CARGO_BIN_EXE_host"), &way, &["exercise"]).await;
    let caller = way.caller().start().await.unwrap();
    let far: Proxy<dyn Exercise> = caller.proxy(&reference.parse().unwrap()).unwrap();
    let enough = let_open(&host, 0);
    let call = tokio::spawn(async move { far.note().await });
    // Long enough for a host that gives up at once to do so.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!call.is_finished() || !way.takes_descriptors());
    let_open(&host, enough);
    timeout(SOON, call).await.expect("soon").unwrap().unwrap();
    caller.shutdown().await;
}
