//! Certificates for the tests.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use rmi_core::transport::Credentials;

/// An authority of nobody but the test.
pub(super) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its private key, as PEM.
pub(super) struct Issued {
    pub(super) certificate: String,
    pub(super) key: String,
}

impl Authority {
    pub(super) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "an authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(super) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for these names, changed a little.
    pub(super) fn issue(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Issued {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap().pem();
        Issued { certificate, key: key.serialize_pem() }
    }

    /// Credentials with a certificate for these names, of somebody who believes this authority.
    pub(super) fn credentials(&self, names: &[&str]) -> Credentials {
        self.issue(names, |_| ()).believing(self)
    }

    /// Credentials whose certificate has expired.
    pub(super) fn expired(&self, names: &[&str]) -> Credentials {
        self.issue(names, |params| params.not_after = rcgen::date_time_ymd(2020, 1, 1)).believing(self)
    }
}

impl Issued {
    /// Credentials of somebody who has this certificate and believes that authority.
    pub(super) fn believing(&self, authority: &Authority) -> Credentials {
        let (authority, certificate, key) = (authority.pem(), self.certificate.as_bytes(), self.key.as_bytes());
        Credentials::from_pem(authority.as_bytes(), certificate, key).unwrap()
    }
}
