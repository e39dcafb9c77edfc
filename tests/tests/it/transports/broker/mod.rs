//! Sessions over a broker: places, groups, and what the broker wants.

mod deaths;
mod harm;
mod load;
mod proof;

use std::sync::Arc;
use std::time::{Duration, Instant};

use rmi_core::transport::{BrokerOptions, Channel, Listener, Nats, Transport};
use rmi_core::{Endpoint, Identity, Node, NodeId, ObjectId, ObjectRef, Proxy, limits};
use rmi_tests::{Authority, Broker, Slate, Tally};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::wiretap::Wiretap;
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
        let host = Broker::node().listen(&place).export_at(id, &Proxy::<dyn Tally>::new(slate.clone()));
        hosts.push((host.start().await.unwrap(), slate));
    }
    for number in 0..24 {
        let caller = Broker::node().start().await.unwrap();
        well_known(&caller, &place, id).add(number).await.unwrap();
    }
    let shares: Vec<usize> =
        hosts.iter().map(|(_, slate)| (0..24).filter(|&at| slate.count(at) == 1).count()).collect();
    assert!(shares.iter().sum::<usize>() == 24 && shares.iter().all(|&share| share > 0), "{shares:?}");
    let (second, slate) = &hosts[1];
    let reference = second.export(&Proxy::<dyn Tally>::new(slate.clone())).unwrap();
    for number in 100..108 {
        let caller = Broker::node().start().await.unwrap();
        caller.proxy::<dyn Tally>(&reference).unwrap().add(number).await.unwrap();
    }
    assert!((100..108).all(|number| slate.count(number) == 1));
}
