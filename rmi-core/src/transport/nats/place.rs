//! What an endpoint says, and the subjects that come of it.
//!
//! All that is ever published to begins with `rmi.`, or is an inbox of the one shape that is made here: neither a
//! reference nor a message can make this process publish to another subject, such as one that commands the broker.

use tokio::net::lookup_host;
use uuid::Uuid;

use crate::endpoint::{Endpoint, EndpointError};
use crate::peer::Fingerprint;
use crate::transport::TransportError;

/// The longest subject. Leaves room for a listener's own part and a long host in an endpoint.
const SUBJECT_BYTES_MAX: usize = 128;
const INBOX: &str = "_INBOX.";
const INBOX_DIGITS: usize = 64;

/// A subject at a broker.
pub(super) struct Place {
    /// `host:port`.
    pub(super) broker: String,
    subject: String,
}

impl Place {
    pub(super) fn of(endpoint: &Endpoint) -> Result<Self, TransportError> {
        let wrong = |reason: String| Err(TransportError::address(endpoint, reason));
        let Some((broker, subject)) = endpoint.address().split_once('/') else {
            return wrong("it is written as nats://host:port/subject".into());
        };
        if broker.contains('@') {
            return wrong("a reference would carry the password to everybody; sign in with Nats::broker".into());
        }
        if broker.rsplit_once(':').is_none_or(|(host, port)| host.is_empty() || port.parse::<u16>().is_err()) {
            return wrong(format!("{broker:?} is not host:port"));
        }
        if subject.len() > SUBJECT_BYTES_MAX {
            let length = subject.len();
            return wrong(format!("subject of {length} bytes exceeds the limit of {SUBJECT_BYTES_MAX}"));
        }
        if !subject.split('.').all(is_token) {
            return wrong(format!(
                "subject {subject:?} is not made of letters, digits, - and _ with single dots between"
            ));
        }
        Ok(Self { broker: broker.to_owned(), subject: subject.to_owned() })
    }

    /// The subject at the broker.
    pub(super) fn subject(&self) -> String {
        format!("rmi.{}", self.subject)
    }

    /// The same place, for one listener alone.
    pub(super) fn own(&self) -> Self {
        Self { broker: self.broker.clone(), subject: format!("{}.{}", self.subject, Uuid::new_v4().simple()) }
    }

    /// Where that is, for those who know by `key` whom to expect.
    pub(super) fn endpoint(&self, key: Option<Fingerprint>) -> Result<Endpoint, EndpointError> {
        let key = key.map_or_else(String::new, |key| format!("?key={key}"));
        format!("nats://{}/{}{key}", self.broker, self.subject).parse()
    }

    /// Whether the way to the broker does not leave this machine.
    pub(super) async fn is_loopback(&self) -> std::io::Result<bool> {
        Ok(lookup_host(&self.broker).await?.all(|address| address.ip().is_loopback()))
    }
}

fn is_token(token: &str) -> bool {
    !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

/// A subject that nobody can guess: 244 random bits.
pub(super) fn inbox() -> String {
    format!("{INBOX}{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple())
}

/// Whether a peer may have us publish there.
pub(super) fn is_inbox(subject: &str) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    subject.strip_prefix(INBOX).is_some_and(|digits| digits.len() == INBOX_DIGITS && digits.bytes().all(is_digit))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str) -> Result<Place, String> {
        Place::of(&text.parse().unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn an_endpoint_names_a_broker_and_a_subject() {
        let place = place("nats://[::1]:4222/bank.north?plaintext").unwrap();
        assert_eq!((place.broker.as_str(), place.subject().as_str()), ("[::1]:4222", "rmi.bank.north"));
        let own = place.own().endpoint(None).unwrap();
        assert!(own.as_str().starts_with("nats://[::1]:4222/bank.north.") && !own.has_option("plaintext"), "{own}");
    }

    #[test]
    fn an_endpoint_that_names_no_plain_subject_is_refused_with_its_reason() {
        for (text, reason) in [
            ("nats://a:1", "it is written as nats://host:port/subject"),
            ("nats://a/bank", "\"a\" is not host:port"),
            ("nats://me:secret@a:1/bank", "sign in with Nats::broker"),
            ("nats://a:1/", "is not made of"),
            ("nats://a:1/bank.>", "is not made of"),
            ("nats://a:1/*", "is not made of"),
            ("nats://a:1/$SYS", "is not made of"),
            ("nats://a:1/bank..north", "is not made of"),
        ] {
            let error = place(text).err().unwrap();
            assert!(error.starts_with(text) && error.contains(reason), "{error}");
        }
        let long = place(&format!("nats://a:1/{}", "x".repeat(129))).err().unwrap();
        assert!(long.ends_with("subject of 129 bytes exceeds the limit of 128"), "{long}");
    }

    #[test]
    fn only_an_inbox_of_ours_is_one() {
        assert!(is_inbox(&inbox()));
        assert_ne!(inbox(), inbox());
        for other in ["_INBOX.x", "$JS.API.STREAM.DELETE.orders", "rmi.bank", "_INBOX.", &inbox()[1..]] {
            assert!(!is_inbox(other), "{other}");
        }
        assert!(!is_inbox(&inbox().to_uppercase()) && !is_inbox(&format!("{}.x", inbox())));
    }
}
