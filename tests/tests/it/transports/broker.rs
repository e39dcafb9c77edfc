//! Sessions over a broker: groups, a broker that dies, a peer that dies, and somebody at the broker who means harm.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rmi_core::transport::{BrokerOptions, Channel, Listener, Nats, Transport};
use rmi_core::{Endpoint, ErrorKind, Executed, Identity, Node, NodeId, ObjectId, ObjectRef, Proxy, limits};
use rmi_tests::{Answers, Authority, Broker, Namespace, Slate, Tally};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::task::{JoinHandle, block_in_place};
use tokio::time::timeout;

use super::wiretap::{Wiretap, message};
use super::{SOON, Subject};

/// What a machine under load may need beyond the limit.
const MARGIN: Duration = Duration::from_secs(5);

pub(super) fn subject() -> Subject {
    let broker = Broker::start("127.0.0.1").unwrap();
    let (place, nowhere) = (broker.endpoint("place"), broker.endpoint("nowhere"));
    let unproven = |identity: &Identity| *identity == Identity::Unproven;
    let subject = Subject::at(Arc::new(Nats::new()), &place, &nowhere, unproven);
    Subject { shared: true, _needs: Some(Box::new(broker)), ..subject }
}

/// The same with proof of who is at either end.
pub(super) fn proven() -> Subject {
    let nats = Nats::new().credentials(Authority::new().credentials(&["bank"]).expect_name("bank"));
    let plain = subject();
    let (place, nowhere) = (plain.place.to_string(), format!("{}?tls", plain.nowhere));
    let is_bank = |identity: &Identity| matches!(identity, Identity::Certificate { names, .. } if *names == ["bank"]);
    let subject = Subject::at(Arc::new(nats), &place, &nowhere, is_bank);
    Subject { shared: true, _needs: plain._needs, ..subject }
}

async fn pair(listener: &mut dyn Listener) -> (Channel, Channel) {
    let near = Nats::new().dial(&listener.endpoint().clone()).await.unwrap();
    (near, listener.accept().await.unwrap())
}

async fn refused(transport: &Nats, endpoint: &str) -> String {
    transport.dial(&endpoint.parse().unwrap()).await.err().expect("nobody is there").to_string()
}

#[tokio::test]
async fn a_place_where_nobody_listens_and_a_broker_that_is_not_there_are_told_apart() {
    let mut broker = Broker::start("127.0.0.1").unwrap();
    let (nats, place) = (Nats::new(), broker.endpoint("place"));
    assert_eq!(refused(&nats, &place).await, format!("{place}: nobody listens on the subject"));
    broker.kill();
    let text = refused(&Nats::new(), &place).await;
    assert!(text.starts_with(&place) && text.contains("refused"), "{text}");
}

/// A broker that has `lines` in its configuration.
fn configured(lines: &str) -> (tempfile::TempDir, Broker) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("configuration");
    std::fs::write(&path, lines).unwrap();
    let broker = Broker::configured("127.0.0.1", Some(&path)).unwrap();
    (directory, broker)
}

#[tokio::test]
async fn a_broker_that_takes_only_small_messages_gets_small_ones() {
    let (_directory, broker) = configured("max_payload: 100");
    let mut listener = Nats::new().listen(&broker.endpoint("place").parse().unwrap()).await.unwrap();
    let (mut near, mut far) = pair(&mut *listener).await;
    near.stream.write_all(&[7; 10_000]).await.unwrap();
    near.stream.shutdown().await.unwrap();
    let mut read = Vec::new();
    far.stream.read_to_end(&mut read).await.unwrap();
    assert_eq!(read, [7; 10_000]);
}

#[tokio::test]
async fn a_broker_that_asks_who_we_are_is_told_and_no_other() {
    let (_directory, broker) = configured("authorization { user: bank, password: secret }");
    let place: Endpoint = broker.endpoint("place").parse().unwrap();
    let text = refused(&Nats::new(), place.as_str()).await;
    assert!(text.contains("authorization violation"), "{text}");
    let options = BrokerOptions::with_user_and_password("bank".into(), "secret".into());
    let address = format!("127.0.0.1:{}", broker.port());
    let nats = Nats::new().broker(address, options);
    let mut listener = nats.listen(&place).await.unwrap();
    let (dialled, _) = tokio::join!(nats.dial(&place), listener.accept());
    dialled.unwrap();
    // The same place under another name is another broker: what it hears of us is nothing.
    let text = refused(&nats, &format!("nats://localhost:{}/place", broker.port())).await;
    assert!(text.contains("authorization violation"), "{text}");
}

#[tokio::test]
async fn nothing_is_left_of_channels_and_listeners_that_were_dropped() {
    let broker = Broker::start("127.0.0.1").unwrap();
    let alive = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = alive();
    {
        let mut listener = Nats::new().listen(&broker.endpoint("place").parse().unwrap()).await.unwrap();
        let (mut near, _far) = pair(&mut *listener).await;
        near.stream.write_all(&[7; 100_000]).await.unwrap();
        assert!(alive() > before);
    }
    let gone = async {
        while alive() > before {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(SOON, gone).await.expect("no task is left");
}

#[tokio::test]
async fn a_broker_on_the_network_must_be_asked_for() {
    let place = "nats://192.0.2.1:4222/place".parse().unwrap();
    let text = Nats::new().listen(&place).await.err().unwrap().to_string();
    assert!(text.contains("Nats::credentials, or write nats://192.0.2.1:4222/place?plaintext"), "{text}");
}

#[tokio::test]
async fn a_listener_that_does_not_answer_is_not_waited_for() {
    let broker = Broker::start("127.0.0.1").unwrap();
    let _deaf = Wiretap::at(&broker, "rmi.place").await;
    let begun = Instant::now();
    let text = refused(&Nats::new(), &broker.endpoint("place")).await;
    assert!(text.ends_with("did not answer within 3s"), "{text}");
    assert!(begun.elapsed() < limits::BROKER_ANSWER + MARGIN);
}

/// The object at `endpoint` that every host of a group has.
fn well_known(node: &Node, endpoint: &Endpoint, id: ObjectId) -> Proxy<dyn Tally> {
    node.proxy(&ObjectRef::new(NodeId::UNKNOWN, id, ["Tally".to_owned()], [endpoint.clone()])).unwrap()
}

#[tokio::test]
async fn the_hosts_of_a_group_share_the_sessions_and_a_reference_leads_to_the_host_that_made_it() {
    let broker = Broker::start("127.0.0.1").unwrap();
    let (place, id): (Endpoint, _) = (broker.endpoint("place").parse().unwrap(), ObjectId::random());
    let mut hosts = Vec::new();
    for _ in 0..2 {
        let slate = Slate::default();
        let host = Node::builder().listen(&place).export_at(id, &Proxy::<dyn Tally>::new(slate.clone()));
        hosts.push((host.start().await.unwrap(), slate));
    }
    for number in 0..24 {
        let caller = Node::builder().start().await.unwrap();
        well_known(&caller, &place, id).add(number).await.unwrap();
    }
    let shares: Vec<usize> =
        hosts.iter().map(|(_, slate)| (0..24).filter(|&at| slate.count(at) == 1).count()).collect();
    assert!(shares.iter().sum::<usize>() == 24 && shares.iter().all(|&share| share > 0), "{shares:?}");
    let (second, slate) = &hosts[1];
    let reference = second.export(&Proxy::<dyn Tally>::new(slate.clone())).unwrap();
    for number in 100..108 {
        let caller = Node::builder().start().await.unwrap();
        caller.proxy::<dyn Tally>(&reference).unwrap().add(number).await.unwrap();
    }
    assert!((100..108).all(|number| slate.count(number) == 1));
}

/// How many call at once.
const CALLERS: u64 = 16;

/// Callers that call without pause.
struct Load {
    done: Arc<AtomicU64>,
    stop: Arc<AtomicU64>,
    callers: Vec<JoinHandle<Answers>>,
}

impl Load {
    fn start(tally: &Proxy<dyn Tally>) -> Self {
        let (done, stop, next) =
            (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let call = |_| {
            let (tally, done, stop, next) = (tally.clone(), done.clone(), stop.clone(), next.clone());
            tokio::spawn(async move {
                let mut answers = Answers::default();
                while stop.load(Ordering::Relaxed) == 0 {
                    answers.ask(&tally, next.fetch_add(1, Ordering::Relaxed)).await;
                    done.fetch_add(1, Ordering::Relaxed);
                }
                answers
            })
        };
        Self { callers: (0..CALLERS).map(call).collect(), done, stop }
    }

    /// Waits for so many further answers.
    async fn goes_on(&self, count: u64) {
        let until = self.done.load(Ordering::Relaxed) + count;
        let wait = async {
            while self.done.load(Ordering::Relaxed) < until {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        timeout(Duration::from_secs(30), wait).await.expect("calls go on");
    }

    async fn end(self) -> Answers {
        self.stop.store(1, Ordering::Relaxed);
        let mut answers = Answers::default();
        for caller in self.callers {
            answers += caller.await.unwrap();
        }
        answers
    }
}

/// A host and a caller that has its object.
async fn host_and_caller(broker: &Broker) -> (Node, Node, Proxy<dyn Tally>) {
    let host = Node::builder().listen(broker.endpoint("place")).start().await.unwrap();
    let reference = host.export(&Proxy::<dyn Tally>::new(Slate::default())).unwrap();
    let caller = Node::builder().start().await.unwrap();
    let tally = caller.proxy(&reference).unwrap();
    (host, caller, tally)
}

async fn assert_fit(answers: Answers, tally: &Proxy<dyn Tally>) {
    let (counted, twice) = tally.counted().await.unwrap();
    println!("{answers:?}, counted {counted}, {twice} of them twice");
    assert!(answers.fit(counted, twice), "{answers:?}, counted {counted}, {twice} of them twice");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_restarts_under_load_ends_no_session_and_no_call_runs_twice() {
    let mut broker = Broker::start("127.0.0.1").unwrap();
    let (host, _caller, tally) = host_and_caller(&broker).await;
    let load = Load::start(&tally);
    for _ in 0..3 {
        load.goes_on(200).await;
        block_in_place(|| broker.restart()).unwrap();
    }
    load.goes_on(200).await;
    let answers = load.end().await;
    assert_fit(answers, &tally).await;
    assert_eq!((answers.maybe, answers.no, host.connections()), (0, 0, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_stays_away_leaves_maybe_and_calls_succeed_when_it_is_back() {
    let mut broker = Broker::start("127.0.0.1").unwrap();
    let (host, caller, tally) = host_and_caller(&broker).await;
    let load = Load::start(&tally);
    load.goes_on(200).await;
    let begun = Instant::now();
    block_in_place(|| broker.kill());
    // Each caller may have had one answer on its way; what comes after those says that nothing is known.
    load.goes_on(CALLERS + 1).await;
    assert!(begun.elapsed() < limits::BROKER_SILENCE + MARGIN, "{:?}", begun.elapsed());
    block_in_place(|| broker.restart()).unwrap();
    let back = async { while tally.counted().await.is_err() {} };
    timeout(SOON * 2, back).await.expect("a call succeeds");
    load.goes_on(200).await;
    let answers = load.end().await;
    assert_fit(answers, &tally).await;
    assert!(answers.maybe > 0, "{answers:?}");
    caller.shutdown().await;
    drop(host);
}

/// A process that says lines and ends with its input; it is killed with the value.
struct Process {
    child: Child,
    input: ChildStdin,
    said: Lines<BufReader<ChildStdout>>,
}

impl Process {
    fn start(command: impl Into<Command>, arguments: &[&str]) -> Self {
        let mut command = command.into();
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let said = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { input: child.stdin.take().unwrap(), said, child }
    }

    async fn line(&mut self) -> String {
        let line = timeout(Duration::from_secs(30), self.said.next_line()).await.expect("a line within 30 s");
        line.unwrap().expect("the process has ended")
    }

    /// Lets it end, and returns what it said last.
    async fn end(self) -> String {
        let Self { mut child, input, mut said } = self;
        drop(input);
        let mut last = String::new();
        while let Some(line) = timeout(Duration::from_secs(30), said.next_line()).await.expect("an end").unwrap() {
            last = line;
        }
        let status = child.wait().await.unwrap();
        assert!(status.success(), "{status}: {last}");
        last
    }
}

const SLATE: &str = env!("CARGO_BIN_EXE_slate");
const HAMMER: &str = env!("CARGO_BIN_EXE_hammer");

#[tokio::test]
async fn a_killed_peer_is_noticed_though_the_broker_does_not_say_so() {
    let broker = Broker::start("127.0.0.1").unwrap();
    let mut host = Process::start(Command::new(SLATE), &[&broker.endpoint("place")]);
    let reference: ObjectRef = host.line().await.parse().unwrap();
    let mut idle = Nats::new().dial(&reference.endpoints[0]).await.unwrap();
    let caller = Node::builder().start().await.unwrap();
    let tally: Proxy<dyn Tally> = caller.proxy(&reference).unwrap();
    tally.add(1).await.unwrap();
    host.child.kill().await.unwrap();
    let begun = Instant::now();
    let error = tally.add(2).await.unwrap_err();
    assert_eq!((error.kind(), error.executed()), (ErrorKind::Disconnected, Executed::Maybe), "{error}");
    assert!(error.message().contains("nothing was heard of the peer for 10s"), "{error}");
    let ended = idle.stream.read_to_end(&mut Vec::new()).await.unwrap_err();
    assert_eq!(ended.to_string(), "nothing was heard of the peer for 10s");
    assert!(begun.elapsed() < limits::BROKER_SILENCE + MARGIN, "{:?}", begun.elapsed());
    // Now that the host is known to be gone the broker says that nobody listens.
    assert_eq!(tally.add(3).await.unwrap_err().executed(), Executed::No);
}

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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn machines_with_no_route_to_each_other_call_over_a_broker_that_restarts() {
    if !Namespace::is_permitted() {
        println!("not run: only root may make a network namespace");
        return;
    }
    let (here, there) = (Namespace::new().unwrap(), Namespace::new().unwrap());
    let mut broker = Broker::start("0.0.0.0").unwrap();
    let seen_from = |namespace: &Namespace| format!("nats://{}:{}/bank", namespace.near(), broker.port());
    let (listened, dialled) = (format!("{}?plaintext", seen_from(&here)), seen_from(&there));
    let mut host = Process::start(here.command(SLATE), &[&listened, &dialled]);
    let reference = host.line().await;
    // Nothing but the broker is in reach: not even its address on the other link.
    let ping = there.command("ip").args(["route", "get", here.near()]).output().unwrap();
    assert!(!ping.status.success(), "{}", String::from_utf8_lossy(&ping.stdout));
    let mut caller = Process::start(there.command(HAMMER), &[&reference]);
    for _ in 0..2 {
        assert_eq!(caller.line().await, "called");
        block_in_place(|| broker.restart()).unwrap();
        assert_eq!(caller.line().await, "called");
    }
    println!("{}", caller.end().await);
    host.end().await;
}
