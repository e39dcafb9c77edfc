//! Lets a registry be found: says on the local network where it listens.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use mdns_sd::{IfKind, ServiceDaemon, ServiceInfo};

use crate::endpoint::Endpoint;
use crate::limits;
use crate::naming::interface::NamingError;

/// What registries are called among the services of a network.
pub(super) const KIND: &str = "_rmi-registry._tcp.local.";
/// How long the network is given to hear that an announcement is over.
const FAREWELL: Duration = Duration::from_secs(1);

/// Says on the local network, by multicast DNS, where a registry listens, until it is dropped.
///
/// Told are the endpoints that others can use: those of `tcp`, `tls` and `quic` with an address that is not a loopback one;
/// names are not told, as nobody believes them. One that
/// listens on every address (`0.0.0.0`) is told as it is, and whoever finds it takes the address that it was found at. A
/// `?key=` goes along.
///
/// Everybody on the network can read an announcement and make one like it: it helps to find a registry and proves nothing.
pub struct Announcement {
    daemon: Daemon,
    endpoints: Vec<Endpoint>,
}

impl Announcement {
    /// Begins to announce a registry that listens at `endpoints`. That others hear of it may take a second.
    ///
    /// Limits: the first 8 endpoints that others can use, each of at most 250 bytes.
    ///
    /// # Errors
    /// `NotAnnounced`: others can use none of the endpoints. `NoMulticast`: the operating system refused.
    pub fn begin(endpoints: &[Endpoint]) -> Result<Self, NamingError> {
        let told = endpoints.iter().filter(|endpoint| is_for_others(endpoint) && fits(endpoint));
        let endpoints: Vec<Endpoint> = told.take(limits::ENDPOINTS_MAX).cloned().collect();
        let Some(port) = endpoints.iter().find_map(|endpoint| Some(address(endpoint)?.port())) else {
            return Err(NamingError::NotAnnounced);
        };
        let properties: Vec<(String, &str)> =
            endpoints.iter().enumerate().map(|(index, endpoint)| (key(index), endpoint.as_str())).collect();
        // A name that nobody else has: what is found is known by its endpoints.
        let name = uuid::Uuid::new_v4().simple().to_string();
        let service = ServiceInfo::new(KIND, &name, &format!("{name}.local."), "", port, &*properties);
        let daemon = Daemon::start()?;
        daemon.0.register(service.map_err(refused)?.enable_addr_auto()).map_err(refused)?;
        Ok(Self { daemon, endpoints })
    }

    /// The endpoints that are announced.
    #[must_use]
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// Ends the announcement, and waits up to a second until that was said. Dropping it says the same and does not wait.
    pub async fn end(self) {
        if let Ok(ended) = self.daemon.0.shutdown() {
            // Whoever does not hear it finds nobody there.
            let _ = tokio::time::timeout(FAREWELL, ended.recv_async()).await;
        }
    }
}

impl fmt::Debug for Announcement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Announcement").field(&self.endpoints).finish()
    }
}

/// The thread that speaks multicast DNS; it ends with this.
pub(super) struct Daemon(pub(super) ServiceDaemon);

impl Daemon {
    pub(super) fn start() -> Result<Self, NamingError> {
        let daemon = Self(ServiceDaemon::new().map_err(refused)?);
        // An answer has the addresses of the interface and the version that it goes out on. The loopback's are of no use to
        // others, and whoever got that with IPv6 addresses first would never hear of the others.
        daemon.0.disable_interface(vec![IfKind::LoopbackV4, IfKind::IPv6]).map_err(refused)?;
        Ok(daemon)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // One that has ended already does not answer.
        let _ = self.0.shutdown();
    }
}

pub(super) fn refused(error: mdns_sd::Error) -> NamingError {
    NamingError::NoMulticast(error.to_string())
}

/// Under which key the endpoint with this index is told.
pub(super) fn key(index: usize) -> String {
    format!("at{index}")
}

/// A property has 255 bytes, its key and `=` included.
fn fits(endpoint: &Endpoint) -> bool {
    endpoint.as_str().len() <= 250
}

/// Whether the endpoint may be that of another machine: announced, and believed when another one announces it. Whatever a
/// stranger says, no loopback address is dialled and nothing is run for it; so names are not for it to say, which lead
/// wherever the resolver says.
pub(super) fn is_for_others(endpoint: &Endpoint) -> bool {
    let Some(address) = address(endpoint) else { return false };
    !address.ip().is_loopback() && matches!(endpoint.scheme(), "tcp" | "tls" | "quic")
}

/// The endpoint's address, if it is one and no name. An address of version 4 in the clothes of version 6 is what it is.
pub(super) fn address(endpoint: &Endpoint) -> Option<SocketAddr> {
    let address: SocketAddr = endpoint.address().parse().ok()?;
    Some(SocketAddr::new(address.ip().to_canonical(), address.port()))
}
