//! A network that is simulated: hosts with names, delays, and links that are cut and healed.
//!
//! Made for paused time on a runtime of one thread. Delays follow from the seed; each channel keeps its order, and channels
//! overtake each other. What a host does not prove is not proven: identities are `Unproven`, as on any network.

mod wire;

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use rmi_core::transport::{Channel, Listener, Transport, TransportError};
use rmi_core::{Endpoint, Identity};
use tokio::sync::mpsc;

use crate::Random;
use wire::{End, Wire};

/// How many dials may wait for `accept`.
const BACKLOG: usize = 128;
/// The longest delay of anything that is sent, in milliseconds.
const DELAY_MAX_MS: u64 = 20;

/// How a link or a host ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Both ends of every channel see an error at once, and dials are refused.
    Reset,
    /// Nothing arrives any more and nobody is told; dials get no answer.
    Silent,
}

/// A network of hosts. Clones are the same network.
#[derive(Clone)]
pub struct Network(Arc<Shared>);

struct Shared {
    random: Random,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    listening: HashMap<String, Listening>,
    cuts: HashMap<[String; 2], Cut>,
    wires: Vec<Link>,
    /// How often a host has crashed.
    crashes: HashMap<String, u64>,
    listeners: u64,
}

struct Listening {
    id: u64,
    arriving: mpsc::Sender<(End, String)>,
}

/// A channel and the hosts at its ends.
struct Link {
    hosts: [String; 2],
    wire: Weak<Wire>,
}

fn link(a: &str, b: &str) -> [String; 2] {
    let mut hosts = [a.to_owned(), b.to_owned()];
    hosts.sort();
    hosts
}

/// The host of `sim:host` and `sim:host/more`.
fn host_of(endpoint: &Endpoint) -> &str {
    let address = endpoint.address();
    address.split_once('/').map_or(address, |(host, _)| host)
}

impl Network {
    /// A network in which everything is connected; its delays follow from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Shared { random: Random::new(seed), state: Mutex::default() }))
    }

    /// The transport of one host, scheme `sim`: it listens at `sim:NAME` and below, and is over when the host crashes.
    #[must_use]
    pub fn host(&self, name: &str) -> Arc<dyn Transport> {
        let crashes = self.state().crashes.get(name).copied().unwrap_or_default();
        Arc::new(Host { network: self.clone(), name: name.to_owned(), crashes })
    }

    /// Ends every channel between two hosts; until [`heal`](Self::heal) there will be no other.
    pub fn cut(&self, a: &str, b: &str, how: Cut) {
        let hosts = link(a, b);
        let mut state = self.state();
        state.end(how, |ends| *ends == hosts);
        state.cuts.insert(hosts, how);
    }

    /// Lets new channels be made between two hosts; those that were cut stay dead.
    pub fn heal(&self, a: &str, b: &str) {
        self.state().cuts.remove(&link(a, b));
    }

    /// Ends every channel of a host and whatever it listens on, without a last word. What still runs there reaches nobody;
    /// a new [`host`](Self::host) of that name is the machine after its restart.
    pub fn crash(&self, host: &str, how: Cut) {
        let mut state = self.state();
        *state.crashes.entry(host.to_owned()).or_default() += 1;
        state.listening.retain(|address, _| address.split('/').next() != Some(host));
        state.end(how, |ends| ends.iter().any(|end| end == host));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn delay(&self) -> Duration {
        Duration::from_millis(self.0.random.between(1, DELAY_MAX_MS))
    }

    /// Whoever listens there, if `from` can reach it now.
    fn reach(&self, from: &Host, endpoint: &Endpoint) -> Result<Option<mpsc::Sender<(End, String)>>, TransportError> {
        let state = self.state();
        let crashed = state.crashes.get(&from.name).copied().unwrap_or_default() != from.crashes;
        match state.cuts.get(&link(&from.name, host_of(endpoint))) {
            Some(Cut::Silent) if !crashed => return Ok(None),
            None if !crashed => {}
            _ => return Err(refused(endpoint)),
        }
        let listening = state.listening.get(endpoint.address()).ok_or_else(|| refused(endpoint))?;
        Ok(Some(listening.arriving.clone()))
    }

    fn connect(&self, from: &str, to: &str) -> (End, End) {
        let (wire, near, far) = wire::pair(self.0.random.number(), DELAY_MAX_MS);
        let mut state = self.state();
        state.wires.retain(|known| known.wire.strong_count() > 0);
        state.wires.push(Link { hosts: link(from, to), wire });
        (near, far)
    }
}

impl State {
    fn end(&mut self, how: Cut, meant: impl Fn(&[String; 2]) -> bool) {
        self.wires.retain(|known| {
            let ends = meant(&known.hosts);
            if let Some(wire) = known.wire.upgrade().filter(|_| ends) {
                wire.end(how);
            }
            !ends
        });
    }
}

fn refused(endpoint: &Endpoint) -> TransportError {
    TransportError::Io { endpoint: endpoint.clone(), source: io::ErrorKind::ConnectionRefused.into() }
}

struct Host {
    network: Network,
    name: String,
    /// How often the host had crashed when this value was made.
    crashes: u64,
}

#[async_trait]
impl Transport for Host {
    fn scheme(&self) -> &'static str {
        "sim"
    }

    async fn dial(&self, endpoint: &Endpoint) -> Result<Channel, TransportError> {
        // There and back.
        for _ in 0..2 {
            if self.network.reach(self, endpoint)?.is_none() {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(self.network.delay()).await;
        }
        let Some(listener) = self.network.reach(self, endpoint)? else { std::future::pending().await };
        let place = listener.reserve().await.map_err(|_| refused(endpoint))?;
        let (near, far) = self.network.connect(&self.name, host_of(endpoint));
        place.send((far, self.name.clone()));
        Ok(Channel::new(near, Identity::Unproven, endpoint.to_string()))
    }

    async fn listen(&self, endpoint: &Endpoint) -> Result<Box<dyn Listener>, TransportError> {
        if host_of(endpoint) != self.name {
            let reason = format!("this is host {}", self.name);
            return Err(TransportError::Address { endpoint: endpoint.clone(), reason });
        }
        let mut state = self.network.state();
        if state.listening.contains_key(endpoint.address()) {
            return Err(TransportError::InUse(endpoint.clone()));
        }
        state.listeners += 1;
        let (id, (arriving, arrived)) = (state.listeners, mpsc::channel(BACKLOG));
        state.listening.insert(endpoint.address().to_owned(), Listening { id, arriving });
        Ok(Box::new(Accepting { endpoint: endpoint.clone(), id, arrived, network: self.network.clone() }))
    }
}

struct Accepting {
    endpoint: Endpoint,
    id: u64,
    arrived: mpsc::Receiver<(End, String)>,
    network: Network,
}

#[async_trait]
impl Listener for Accepting {
    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    async fn accept(&mut self) -> Result<Channel, TransportError> {
        let arrived = self.arrived.recv().await;
        let (end, from) = arrived.ok_or_else(|| TransportError::Over(self.endpoint.clone()))?;
        Ok(Channel::new(end, Identity::Unproven, format!("sim:{from}")))
    }
}

impl Drop for Accepting {
    fn drop(&mut self) {
        let mut state = self.network.state();
        // After a crash somebody else may listen here.
        if state.listening.get(self.endpoint.address()).is_some_and(|known| known.id == self.id) {
            state.listening.remove(self.endpoint.address());
        }
    }
}
