//! Finds the registries that announce themselves on the local network.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use mdns_sd::{ResolvedService, ServiceEvent};
use tokio::time::{Instant, timeout_at};

use crate::endpoint::Endpoint;
use crate::limits;
use crate::naming::announcement::{Daemon, KIND, address, is_for_others, key, refused};
use crate::naming::interface::NamingError;
use crate::naming::registry::Registry;
use crate::node::Node;

/// How long one that was found may take to answer: a stranger must not use up the time for the others.
const ATTEMPT: Duration = Duration::from_secs(1);

/// A registry that announces itself. Somebody said so: whether it is one, and whose, is not proven.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Found {
    /// Where it says that it listens, in its order: 1 to 8.
    pub endpoints: Vec<Endpoint>,
}

impl Registry {
    /// The registries that announce themselves on the local network, each once, with no address given: asked for by
    /// multicast DNS, and waited for as long as `timeout` says. Four seconds are enough on most networks: it is asked after 0,
    /// 1 and 3 s, and nobody answers more than once a second.
    ///
    /// What is found is a hint and no more: everybody on the network can announce anything. Whoever must not fall for a
    /// stranger names the registry, or dials `tls` and `quic` endpoints and checks who answers. Announcements of loopback
    /// addresses, of names instead of addresses, or of other schemes than `tcp`, `tls` and `quic` are not believed.
    ///
    /// Limits: over IPv4 only; 60 s, 64 registries; when there are more it returns at once.
    ///
    /// # Errors
    /// `NoMulticast`: the operating system refused. A network that carries no multicast is one where nothing is found.
    pub async fn discover(timeout: Duration) -> Result<Vec<Found>, NamingError> {
        let mut discovery = Discovery::begin(timeout)?;
        while discovery.next().await.is_some() {}
        Ok(discovery.seen.into_iter().collect())
    }

    /// The first registry that announces itself on the local network and answers; see [`discover`](Self::discover) for what
    /// that is worth.
    ///
    /// # Errors
    /// `NoRegistry`: none answered within `timeout`; the error names those that were tried. `NoMulticast`.
    pub async fn discover_first(node: &Node, timeout: Duration) -> Result<Self, NamingError> {
        let mut discovery = Discovery::begin(timeout)?;
        let (mut tried, mut reasons) = (Vec::new(), Vec::new());
        while let Some(found) = discovery.next().await {
            for endpoint in found.endpoints {
                let until = discovery.until.min(Instant::now() + ATTEMPT);
                match timeout_at(until, Self::connect(node, &endpoint)).await {
                    Ok(Ok(registry)) => return Ok(registry),
                    Ok(Err(error)) => reasons.push(error.to_string()),
                    Err(_) => reasons.push(format!("{endpoint} did not answer soon")),
                }
                tried.push(endpoint.to_string());
            }
        }
        if tried.is_empty() {
            let (tried, reason) = ("any place on the local network".into(), "none announces itself".into());
            return Err(NamingError::NoRegistry { tried, reason });
        }
        Err(NamingError::NoRegistry { tried: tried.join(" or "), reason: reasons.join("; ") })
    }
}

/// A search that is under way.
struct Discovery {
    _daemon: Daemon,
    events: mdns_sd::Receiver<ServiceEvent>,
    until: Instant,
    left: Left,
    seen: BTreeSet<Found>,
}

impl Discovery {
    fn begin(timeout: Duration) -> Result<Self, NamingError> {
        let until = end(Instant::now(), timeout);
        let daemon = Daemon::start()?;
        let events = daemon.0.browse(KIND).map_err(refused)?;
        Ok(Self { _daemon: daemon, events, until, left: Left(limits::DISCOVERED_MAX), seen: BTreeSet::new() })
    }

    /// The next registry that was not seen yet, or `None` when the time is over or there were too many.
    async fn next(&mut self) -> Option<Found> {
        while self.left.0 > 0 {
            let event = timeout_at(self.until, self.events.recv_async()).await.ok()?.ok()?;
            if let Some(found) = self.left.look_at(&event).filter(|found| self.seen.insert(found.clone())) {
                return Some(found);
            }
        }
        None
    }
}

fn end(begin: Instant, timeout: Duration) -> Instant {
    begin + timeout.min(limits::DISCOVERY_TIME_MAX)
}

/// How many more announcements are looked at.
struct Left(usize);

impl Left {
    fn look_at(&mut self, event: &ServiceEvent) -> Option<Found> {
        let ServiceEvent::ServiceResolved(service) = event else { return None };
        self.0 = self.0.checked_sub(1)?;
        let endpoints = endpoints(service);
        (!endpoints.is_empty()).then_some(Found { endpoints })
    }
}

/// What an announcement tells, as far as it can be believed.
fn endpoints(service: &ResolvedService) -> Vec<Endpoint> {
    let told = (0..limits::ENDPOINTS_MAX).map_while(|index| service.get_property_val_str(&key(index)));
    let parsed = told.filter_map(|text| text.parse::<Endpoint>().ok());
    let mut addresses: Vec<Ipv4Addr> = service.get_addresses_v4().into_iter().collect();
    addresses.sort_unstable();
    let placed = parsed.flat_map(|endpoint| placed(&endpoint, &addresses));
    placed.filter(is_for_others).take(limits::ENDPOINTS_MAX).collect()
}

/// An endpoint on every address of its machine is one on each that it was found at.
fn placed(endpoint: &Endpoint, addresses: &[Ipv4Addr]) -> Vec<Endpoint> {
    let everywhere = |address: &SocketAddr| address.ip().is_unspecified();
    let Some(address) = address(endpoint).filter(everywhere) else { return vec![endpoint.clone()] };
    let place = |ip: &Ipv4Addr| SocketAddr::new((*ip).into(), address.port()).to_string();
    let text = |ip| endpoint.as_str().replacen(endpoint.address(), &place(ip), 1);
    addresses.iter().filter_map(|ip| text(ip).parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use mdns_sd::ServiceInfo;

    use super::*;

    fn service(told: &[&str], addresses: &[&str]) -> ResolvedService {
        let properties: Vec<_> = told.iter().enumerate().map(|(index, text)| (key(index), *text)).collect();
        let addresses: Vec<std::net::IpAddr> = addresses.iter().map(|text| text.parse().unwrap()).collect();
        let service = ServiceInfo::new(KIND, "x", "x.local.", &*addresses, 1, &*properties).unwrap();
        service.as_resolved_service()
    }

    fn announced(told: &[&str], addresses: &[&str]) -> Vec<String> {
        endpoints(&service(told, addresses)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_leads_to_this_machine_or_nobody_knows_where_is_not_believed() {
        let told = [
            "tcp://127.0.0.1:1",
            "tcp://localhost:1",
            "tls://[::1]:1",
            "tcp://[::ffff:127.0.0.1]:1",
            "unix:/tmp/socket",
            "exec:rm",
            "with a \u{1b}[31mcolour",
            "quic://10.0.0.9:7?key=00",
        ];
        assert_eq!(announced(&told, &["10.0.0.9"]), ["quic://10.0.0.9:7?key=00"]);
        let names = ["tcp://localhost.:1", "tcp://127.1:1", "tcp://0:1", "tcp://name.of.a.stranger:1"];
        assert!(announced(&names, &["10.0.0.9"]).is_empty());
        assert!(announced(&["tcp://0.0.0.0:7"], &["127.0.0.1"]).is_empty());
    }

    #[test]
    fn what_listens_everywhere_is_dialled_where_it_was_found() {
        let told = ["tcp://0.0.0.0:7?plaintext", "tls://[::]:8", "tcp://[::ffff:0.0.0.0]:9"];
        let found = announced(&told[..2], &["10.0.0.9", "10.0.0.8", "fe80::1"]);
        assert_eq!(
            found,
            ["tcp://10.0.0.8:7?plaintext", "tcp://10.0.0.9:7?plaintext", "tls://10.0.0.8:8", "tls://10.0.0.9:8"]
        );
        assert_eq!(announced(&told[2..], &["10.0.0.9"]), ["tcp://10.0.0.9:9"]);
    }

    #[test]
    fn no_more_endpoints_are_taken_than_a_reference_has() {
        let many: Vec<String> = (0..20).map(|port| format!("tcp://10.0.0.9:{port}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(announced(&many, &["10.0.0.9"]).len(), limits::ENDPOINTS_MAX);
    }

    #[test]
    fn no_more_announcements_are_looked_at_than_the_limit() {
        let mut left = Left(limits::DISCOVERED_MAX);
        let event = ServiceEvent::ServiceResolved(Box::new(service(&["tcp://10.0.0.9:7"], &["10.0.0.9"])));
        assert_eq!((0..1000).filter_map(|_| left.look_at(&event)).count(), limits::DISCOVERED_MAX);
        assert_eq!(left.0, 0);
    }

    #[test]
    fn a_search_is_over_after_its_time() {
        let now = Instant::now();
        assert_eq!(end(now, Duration::from_secs(2)), now + Duration::from_secs(2));
        assert_eq!(end(now, Duration::MAX), now + limits::DISCOVERY_TIME_MAX);
    }
}
