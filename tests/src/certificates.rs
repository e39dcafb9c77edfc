//! Certificates for the tests.

use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use rmi_core::transport::Credentials;

/// An authority of nobody but the test.
#[derive(Debug)]
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its private key, as PEM.
#[derive(Debug)]
pub struct Issued {
    /// The certificate.
    pub certificate: String,
    /// The private key.
    pub key: String,
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

#[allow(clippy::missing_panics_doc, reason = "a test that cannot make a certificate has failed")]
impl Authority {
    /// An authority that nobody else has.
    #[must_use]
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "an authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Its certificate.
    #[must_use]
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for these names, changed a little.
    #[must_use]
    pub fn issue(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Issued {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap().pem();
        Issued { certificate, key: key.serialize_pem() }
    }

    /// Credentials with a certificate for these names, of somebody who believes this authority.
    #[must_use]
    pub fn credentials(&self, names: &[&str]) -> Credentials {
        self.issue(names, |_| ()).believing(self)
    }

    /// Credentials whose certificate has expired.
    #[must_use]
    pub fn expired(&self, names: &[&str]) -> Credentials {
        self.issue(names, |params| params.not_after = rcgen::date_time_ymd(2020, 1, 1)).believing(self)
    }
}

#[allow(clippy::missing_panics_doc, reason = "a test that cannot make a certificate has failed")]
impl Issued {
    /// Puts the files where [`Credentials::from_directory`] looks for them.
    pub fn write(&self, authority: &Authority, directory: &Path) {
        for (name, pem) in [("authority", &authority.pem()), ("certificate", &self.certificate), ("key", &self.key)] {
            std::fs::write(directory.join(name).with_extension("pem"), pem).unwrap();
        }
    }

    /// Credentials of somebody who has this certificate and believes that authority.
    #[must_use]
    pub fn believing(&self, authority: &Authority) -> Credentials {
        let (authority, certificate, key) = (authority.pem(), self.certificate.as_bytes(), self.key.as_bytes());
        Credentials::from_pem(authority.as_bytes(), certificate, key).unwrap()
    }
}
