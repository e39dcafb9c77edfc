//! The simulated network: hosts, cuts and crashes.

use std::sync::Arc;

use rmi_core::transport::{Channel, Transport};
use rmi_core::{Endpoint, Identity};
use rmi_tests::{Cut, Network};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::{SOON, Subject};

pub(super) fn subject() -> Subject {
    let transport: Arc<dyn Transport> = Network::new(5).host("place");
    Subject::at(transport, "sim:place", "sim:nowhere", |identity| *identity == Identity::Unproven)
}

/// A channel from one host of a simulated network to another.
async fn simulated(network: &Network) -> (Channel, Channel) {
    let place = "sim:b".parse().unwrap();
    let mut listener = network.host("b").listen(&place).await.unwrap();
    let dialler = network.host("a");
    let (dialled, accepted) = tokio::join!(dialler.dial(&place), listener.accept());
    (dialled.unwrap(), accepted.unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_cut_of_the_simulated_network_ends_channels_and_dials_until_it_is_healed() {
    let network = Network::new(1);
    let place: Endpoint = "sim:b".parse().unwrap();
    let (mut near, mut far) = simulated(&network).await;
    network.cut("a", "b", Cut::Reset);
    assert!(near.stream.read_u8().await.is_err() && far.stream.write_u8(1).await.is_err());
    let _listener = network.host("b").listen(&place).await.unwrap();
    assert!(network.host("a").dial(&place).await.is_err());
    assert!(network.host("c").dial(&place).await.is_ok());
    network.heal("b", "a");
    assert!(network.host("a").dial(&place).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_silent_cut_of_the_simulated_network_tells_nobody() {
    let network = Network::new(2);
    let (mut near, mut far) = simulated(&network).await;
    near.stream.write_u8(1).await.unwrap();
    network.cut("a", "b", Cut::Silent);
    near.stream.write_u8(2).await.unwrap();
    assert!(timeout(SOON, far.stream.read_u8()).await.is_err());
    assert!(timeout(SOON, network.host("a").dial(&"sim:b".parse().unwrap())).await.is_err());
    network.heal("a", "b");
    assert!(timeout(SOON, far.stream.read_u8()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_crashed_host_of_the_simulated_network_reaches_nobody_and_can_be_started_again() {
    let network = Network::new(3);
    let place: Endpoint = "sim:b".parse().unwrap();
    let before = network.host("b");
    let listener = before.listen(&place).await.unwrap();
    let _other = network.host("a").listen(&"sim:a".parse().unwrap()).await.unwrap();
    network.crash("b", Cut::Reset);
    assert!(network.host("a").dial(&place).await.is_err());
    assert!(before.dial(&"sim:a".parse().unwrap()).await.is_err());
    let _again = network.host("b").listen(&place).await.unwrap();
    drop(listener);
    assert!(network.host("a").dial(&place).await.is_ok());
}
