//! Who a certificate belongs to, and whether we believe it.

use std::sync::{Arc, OnceLock};

use ring::digest::{SHA256, digest};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    AlertDescription, CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
};
use webpki::EndEntityCert;

use crate::peer::{Fingerprint, Identity};

/// Whom we believe.
#[derive(Debug)]
pub(in crate::transport) struct Trust {
    pub(super) authority: RootCertStore,
    pub(super) algorithms: WebPkiSupportedAlgorithms,
}

/// Who must answer.
#[derive(Debug, Clone)]
pub(in crate::transport) enum Expected {
    /// Somebody to whom our authority has given this name.
    Name(ServerName<'static>),
    /// The owner of this key, whatever the certificate says.
    Key(Fingerprint),
}

/// Checks who answered a dial, and remembers why it did not do.
#[derive(Debug)]
pub(in crate::transport) struct Verifier {
    trust: Arc<Trust>,
    expected: Expected,
    refusal: OnceLock<String>,
}

#[derive(Debug, thiserror::Error)]
#[error("its key is {found}, not {expected}")]
struct WrongKey {
    found: Fingerprint,
    expected: Fingerprint,
}

impl Trust {
    /// Whether our authority has signed the certificate, for a host and for now.
    fn signed(
        &self,
        certificate: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        let parsed = ParsedCertificate::try_from(certificate)?;
        verify_server_cert_signed_by_trust_anchor(&parsed, &self.authority, rest, now, self.algorithms.all)
    }
}

impl Verifier {
    pub(super) fn new(trust: Arc<Trust>, expected: Expected) -> Self {
        Self { trust, expected, refusal: OnceLock::new() }
    }

    /// Why the certificate of who answered did not do, if it did not.
    pub(in crate::transport) fn refusal(&self) -> Option<&str> {
        self.refusal.get().map(String::as_str)
    }

    /// What is proven about who answered: the key always, the names only if our authority vouches for them.
    pub(in crate::transport) fn identity(&self, chain: &[CertificateDer<'_>]) -> Result<Identity, Error> {
        let (certificate, rest) = chain.split_first().ok_or(Error::NoCertificatesPresented)?;
        let vouched = match self.expected {
            Expected::Name(_) => true,
            Expected::Key(_) => self.trust.signed(certificate, rest, UnixTime::now()).is_ok(),
        };
        Ok(Identity::Certificate {
            names: if vouched { names(certificate)? } else { Vec::new() },
            key: key(certificate)?,
        })
    }

    fn check(&self, certificate: &CertificateDer<'_>, rest: &[CertificateDer<'_>], now: UnixTime) -> Result<(), Error> {
        match &self.expected {
            Expected::Name(name) => {
                self.trust.signed(certificate, rest, now)?;
                verify_server_name(&ParsedCertificate::try_from(certificate)?, name)
            }
            Expected::Key(expected) => {
                let (found, expected) = (key(certificate)?, *expected);
                let wrong = || CertificateError::Other(OtherError(Arc::new(WrongKey { found, expected })));
                if found == expected { Ok(()) } else { Err(wrong().into()) }
            }
        }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        // What counts is what we expect, which came from our configuration or from a reference.
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check(certificate, rest, now).inspect_err(|error| {
            // One dial checks one certificate.
            let _ = self.refusal.set(explain(error, certificate));
        })?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.2 is not spoken".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.trust.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.trust.algorithms.supported_schemes()
    }
}

/// What is proven about a peer whose chain our authority has signed.
pub(in crate::transport) fn vouched_identity(chain: &[CertificateDer<'_>]) -> Result<Identity, Error> {
    let certificate = chain.first().ok_or(Error::NoCertificatesPresented)?;
    Ok(Identity::Certificate { names: names(certificate)?, key: key(certificate)? })
}

/// The digest of the certificate's public key.
pub(super) fn key(certificate: &CertificateDer<'_>) -> Result<Fingerprint, Error> {
    let digest = digest(&SHA256, &parse(certificate)?.subject_public_key_info());
    let digest = digest.as_ref().try_into().map_err(|_| Error::General("a digest of another length".into()))?;
    Ok(Fingerprint(digest))
}

/// The names that the certificate is for: those of hosts, then URIs.
fn names(certificate: &CertificateDer<'_>) -> Result<Vec<String>, Error> {
    let certificate = parse(certificate)?;
    Ok(certificate.valid_dns_names().chain(certificate.valid_uri_names()).map(str::to_owned).collect())
}

fn parse<'a>(certificate: &'a CertificateDer<'_>) -> Result<EndEntityCert<'a>, Error> {
    EndEntityCert::try_from(certificate).map_err(|_| CertificateError::BadEncoding.into())
}

/// Why we do not believe the other side's certificate, for people.
fn explain(error: &Error, certificate: &CertificateDer<'_>) -> String {
    use CertificateError as Wrong;
    let Error::InvalidCertificate(wrong) = error else { return error.to_string() };
    match wrong {
        Wrong::UnknownIssuer | Wrong::BadSignature => "its certificate is not signed by our authority".into(),
        Wrong::ExpiredContext { time, not_after } => {
            let ago = time.as_secs().saturating_sub(not_after.as_secs());
            format!("its certificate has expired, {ago} s ago")
        }
        Wrong::NotValidYetContext { time, not_before } => {
            format!("its certificate is valid in {} s only", not_before.as_secs().saturating_sub(time.as_secs()))
        }
        Wrong::NotValidForNameContext { expected, .. } => {
            let names = names(certificate).unwrap_or_default().join(", ");
            format!(
                "its certificate is for {}, not for {}",
                if names.is_empty() { "no name" } else { &names },
                expected.to_str()
            )
        }
        Wrong::InvalidPurpose | Wrong::InvalidPurposeContext { .. } => "its certificate is not that of a host".into(),
        Wrong::Other(other) => other.to_string(),
        other => format!("its certificate cannot be used: {other}"),
    }
}

/// Why the other side does not believe us, as far as it says.
pub(in crate::transport) fn explain_alert(alert: AlertDescription) -> String {
    let known = match alert {
        AlertDescription::CertificateRequired => "it wants to see a certificate, and we have shown none",
        AlertDescription::UnknownCA | AlertDescription::DecryptError => {
            "our certificate is not signed by its authority"
        }
        AlertDescription::CertificateExpired => "our certificate has expired",
        AlertDescription::BadCertificate | AlertDescription::CertificateUnknown => "it cannot use our certificate",
        AlertDescription::UnsupportedCertificate => "our certificate is not for this purpose",
        AlertDescription::AccessDenied => "it does not want us",
        AlertDescription::NoApplicationProtocol => "it does not speak our protocol",
        AlertDescription::ProtocolVersion => "it does not speak TLS 1.3",
        other => return format!("alert {other:?}"),
    };
    known.into()
}
