//! Who we are and whom we believe, from files.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::TLS13;
use rustls::{ClientConfig, Error, InconsistentKeys, RootCertStore, ServerConfig};

use super::verify::{self, Expected, Trust, Verifier};
use crate::endpoint::Endpoint;
use crate::peer::Fingerprint;
use crate::transport::TransportError;

/// The protocol's name in the handshake: a connection that was meant for another protocol comes to nothing.
const PROTOCOL: &[u8] = b"rmi/1";

/// What `tls` and `quic` prove with and believe: an authority whose signature we trust, our certificate, and the private key
/// to it. `rmi cert` makes them for development.
///
/// The same certificate is shown when listening and when dialling. Cheap to clone; never printed.
#[derive(Clone)]
pub struct Credentials {
    own: Arc<CertifiedKey>,
    key: Fingerprint,
    trust: Arc<Trust>,
    provider: Arc<CryptoProvider>,
    listening: Arc<ServerConfig>,
    expected_name: Option<Arc<str>>,
}

/// Credentials that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{subject}: {reason}")]
pub struct CredentialsError {
    subject: String,
    reason: String,
}

impl CredentialsError {
    fn new(subject: impl fmt::Display, reason: impl fmt::Display) -> Self {
        Self { subject: subject.to_string(), reason: reason.to_string() }
    }
}

impl Credentials {
    /// Reads PEM files: the certificates of the authorities to trust, our certificate with those that lead to its authority
    /// after it, and our private key. Blocks while it reads.
    ///
    /// # Errors
    /// A file cannot be read or holds something else, or the key is not that of the certificate; the error names the file.
    pub fn from_files(
        authority: impl AsRef<Path>,
        certificate: impl AsRef<Path>,
        key: impl AsRef<Path>,
    ) -> Result<Self, CredentialsError> {
        let [authority, certificate, key] = [authority.as_ref(), certificate.as_ref(), key.as_ref()];
        Self::new([
            (&authority.display(), &read(authority)?),
            (&certificate.display(), &read(certificate)?),
            (&key.display(), &read(key)?),
        ])
    }

    /// Reads `authority.pem`, `certificate.pem` and `key.pem` in a directory, as `rmi cert` makes them.
    ///
    /// # Errors
    /// As [`from_files`](Self::from_files).
    pub fn from_directory(directory: impl AsRef<Path>) -> Result<Self, CredentialsError> {
        let file = |name| directory.as_ref().join(name);
        Self::from_files(file("authority.pem"), file("certificate.pem"), file("key.pem"))
    }

    /// Like [`from_files`](Self::from_files), from memory.
    ///
    /// # Errors
    /// A text holds something else, or the key is not that of the certificate.
    pub fn from_pem(authority: &[u8], certificate: &[u8], key: &[u8]) -> Result<Self, CredentialsError> {
        Self::new([(&"the authority", authority), (&"the certificate", certificate), (&"the key", key)])
    }

    /// Expects whoever is dialled to have this name, instead of the host in the endpoint that is dialled. A key in the
    /// endpoint still goes first.
    #[must_use]
    pub fn expect_name(mut self, name: &str) -> Self {
        self.expected_name = Some(name.into());
        self
    }

    /// The digest of our public key: what endpoints carry as `?key=`.
    #[must_use]
    pub fn key(&self) -> Fingerprint {
        self.key
    }

    fn new([authority, certificate, key]: [(&dyn fmt::Display, &[u8]); 3]) -> Result<Self, CredentialsError> {
        let provider = Arc::new(ring::default_provider());
        let chain = certificates(certificate)?;
        let roots = roots(authority)?;
        let private = PrivateKeyDer::from_pem_slice(key.1);
        let private = private.map_err(|error| CredentialsError::new(key.0, format!("no private key: {error}")))?;
        let own = CertifiedKey::from_der(chain, private, &provider).map_err(|error| match error {
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                CredentialsError::new(key.0, format!("this is not the key of {}", certificate.0))
            }
            error => CredentialsError::new(key.0, error),
        })?;
        let own = Arc::new(own);
        let wrong = |error: Error| CredentialsError::new(certificate.0, error);
        let fingerprint = own.end_entity_cert().and_then(verify::key).map_err(wrong)?;
        let listening = listening(&provider, own.clone(), roots.clone());
        let listening = Arc::new(listening.map_err(|error| CredentialsError::new(authority.0, error))?);
        let algorithms = provider.signature_verification_algorithms;
        let trust = Arc::new(Trust { authority: roots, algorithms });
        Ok(Self { own, key: fingerprint, trust, provider, listening, expected_name: None })
    }

    /// How connections are taken.
    pub(in crate::transport) fn listening(&self) -> &Arc<ServerConfig> {
        &self.listening
    }

    /// The endpoint of a listener at `address`, which says whose key it has.
    pub(in crate::transport) fn endpoint(
        &self,
        asked: &Endpoint,
        address: std::net::SocketAddr,
    ) -> Result<Endpoint, TransportError> {
        let own = self.key.to_string();
        if let Some(key) = asked.option("key").filter(|key| !key.eq_ignore_ascii_case(&own)) {
            return Err(TransportError::address(asked, format!("our key is {own}, not {key}")));
        }
        let endpoint = format!("{}://{address}?key={own}", asked.scheme()).parse();
        endpoint.map_err(|_| TransportError::address(asked, "its address does not print"))
    }

    /// How to dial `endpoint`: what we show, and who must answer.
    pub(in crate::transport) fn dialling(
        &self,
        endpoint: &Endpoint,
    ) -> Result<(ClientConfig, Arc<Verifier>), TransportError> {
        let verifier = Arc::new(Verifier::new(self.trust.clone(), self.expected(endpoint)?));
        let config = ClientConfig::builder_with_provider(self.provider.clone()).with_protocol_versions(&[&TLS13]);
        let config = config.map_err(|error| TransportError::address(endpoint, error.to_string()))?;
        let config = config.dangerous().with_custom_certificate_verifier(verifier.clone());
        let mut config = config.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(self.own.clone())));
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        // Each connection proves anew who is there.
        config.resumption = Resumption::disabled();
        config.enable_early_data = false;
        Ok((config, verifier))
    }

    fn expected(&self, endpoint: &Endpoint) -> Result<Expected, TransportError> {
        if let Some(key) = endpoint.option("key") {
            let key = key.parse();
            return Ok(Expected::Key(
                key.map_err(|error: crate::FingerprintError| TransportError::address(endpoint, error.to_string()))?,
            ));
        }
        let name = self.expected_name.as_deref().unwrap_or_else(|| host(endpoint));
        let name = ServerName::try_from(name.to_owned());
        name.map(Expected::Name).map_err(|error| TransportError::address(endpoint, error.to_string()))
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({})", self.key)
    }
}

/// The host in an endpoint: a name, or an address without brackets.
pub(in crate::transport) fn host(endpoint: &Endpoint) -> &str {
    let host = endpoint.address().rsplit_once(':').map_or(endpoint.address(), |(host, _)| host);
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

/// How connections are taken: nobody without a certificate, and no earlier session or early data, which skip the proof.
fn listening(
    provider: &Arc<CryptoProvider>,
    own: Arc<CertifiedKey>,
    roots: RootCertStore,
) -> Result<ServerConfig, Error> {
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build();
    let verifier = verifier.map_err(|error| Error::General(error.to_string()))?;
    let config = ServerConfig::builder_with_provider(provider.clone()).with_protocol_versions(&[&TLS13])?;
    let config = config.with_client_cert_verifier(verifier);
    let mut config = config.with_cert_resolver(Arc::new(SingleCertAndKey::from(own)));
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    Ok(config)
}

fn read(path: &Path) -> Result<Vec<u8>, CredentialsError> {
    std::fs::read(path).map_err(|error| CredentialsError::new(path.display(), error))
}

fn certificates((subject, pem): (&dyn fmt::Display, &[u8])) -> Result<Vec<CertificateDer<'static>>, CredentialsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let found = found.map_err(|error| CredentialsError::new(subject, error))?;
    if found.is_empty() { Err(CredentialsError::new(subject, "no certificate in it")) } else { Ok(found) }
}

fn roots(authority: (&dyn fmt::Display, &[u8])) -> Result<RootCertStore, CredentialsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(authority)? {
        roots.add(certificate).map_err(|error| CredentialsError::new(authority.0, error))?;
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_of_an_endpoint_is_found() {
        for (endpoint, expected) in [
            ("tls://bank.example:7000", "bank.example"),
            ("tls://[::1]:7", "::1"),
            ("tls://10.0.0.1:7?key=1", "10.0.0.1"),
        ] {
            assert_eq!(host(&endpoint.parse().unwrap()), expected);
        }
    }
}
