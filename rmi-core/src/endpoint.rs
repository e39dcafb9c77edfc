//! A place where a node can be reached.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::limits;

/// A place where a node can be reached, as text: `tcp://host:port`, `unix:/path`, `mem:name`.
///
/// Shape: a scheme of letters, digits, `+` and `-`, then `:`, an address that means something to the transport of that
/// scheme, and options after `?` (`tcp://0.0.0.0:7000?plaintext`). A scheme that this build does not know is kept as it
/// is, so that a reference can be passed on by a node that cannot use it. Limits: 256 bytes, no control characters.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Endpoint {
    text: Arc<str>,
    scheme: usize,
}

impl Endpoint {
    /// The part before the first colon, in lower case.
    #[must_use]
    pub fn scheme(&self) -> &str {
        &self.text[..self.scheme]
    }

    /// What follows the scheme, without `//` and without options: `host:port`, a path or a name.
    #[must_use]
    pub fn address(&self) -> &str {
        let rest = &self.text[self.scheme + 1..];
        let rest = rest.strip_prefix("//").unwrap_or(rest);
        rest.split_once('?').map_or(rest, |(address, _)| address)
    }

    /// Whether the options after `?` contain `name`, alone or with a value.
    #[must_use]
    pub fn has_option(&self, name: &str) -> bool {
        self.option(name).is_some()
    }

    /// The value of the option `name` after `?`; empty for an option without a value.
    #[must_use]
    pub fn option(&self, name: &str) -> Option<&str> {
        let (_, options) = self.text.split_once('?')?;
        let mut options = options.split('&').map(|option| option.split_once('=').unwrap_or((option, "")));
        options.find_map(|(key, value)| (key == name).then_some(value))
    }

    /// The whole text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        if text.len() > limits::ENDPOINT_BYTES_MAX {
            return Err(EndpointError::TooLong(text.len()));
        }
        if let Some(at) = text.find(|c: char| c.is_control() || c == ' ') {
            return Err(EndpointError::Character(text.to_owned(), at));
        }
        let Some((scheme, address)) = text.split_once(':') else {
            return Err(EndpointError::NoScheme(text.to_owned()));
        };
        let scheme_ok = |c: char| c.is_ascii_alphanumeric() || c == '+' || c == '-';
        if scheme.is_empty() || !scheme.chars().all(scheme_ok) {
            return Err(EndpointError::NoScheme(text.to_owned()));
        }
        if address.trim_start_matches('/').is_empty() {
            return Err(EndpointError::NoAddress(text.to_owned()));
        }
        let normal = format!("{}:{address}", scheme.to_ascii_lowercase());
        Ok(Self { scheme: scheme.len(), text: normal.into() })
    }
}

impl TryFrom<String> for Endpoint {
    type Error = EndpointError;

    fn try_from(text: String) -> Result<Self, EndpointError> {
        text.parse()
    }
}

impl TryFrom<&str> for Endpoint {
    type Error = EndpointError;

    fn try_from(text: &str) -> Result<Self, EndpointError> {
        text.parse()
    }
}

impl TryFrom<&String> for Endpoint {
    type Error = EndpointError;

    fn try_from(text: &String) -> Result<Self, EndpointError> {
        text.parse()
    }
}

impl TryFrom<&Self> for Endpoint {
    type Error = EndpointError;

    fn try_from(endpoint: &Self) -> Result<Self, EndpointError> {
        Ok(endpoint.clone())
    }
}

impl From<Endpoint> for String {
    fn from(endpoint: Endpoint) -> Self {
        (*endpoint.text).to_owned()
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Why a text is not an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EndpointError {
    /// Longer than the limit.
    #[error("endpoint of {0} bytes exceeds the limit of {limit}", limit = limits::ENDPOINT_BYTES_MAX)]
    TooLong(usize),
    /// A control character or a space.
    #[error("endpoint {0:?} has a character that is not allowed at byte {1}")]
    Character(String, usize),
    /// No scheme before the first colon.
    #[error("endpoint {0:?} has no scheme; write it as tcp://host:port or unix:/path")]
    NoScheme(String),
    /// Nothing after the scheme.
    #[error("endpoint {0:?} has no address after its scheme")]
    NoAddress(String),
}

impl From<std::convert::Infallible> for EndpointError {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_found() {
        let endpoint: Endpoint = "TCP://127.0.0.1:80?plaintext&x=1".parse().unwrap();
        assert_eq!(endpoint.scheme(), "tcp");
        assert_eq!(endpoint.address(), "127.0.0.1:80");
        assert!(endpoint.has_option("plaintext") && endpoint.has_option("x") && !endpoint.has_option("y"));
        assert_eq!("unix:/run/a".parse::<Endpoint>().unwrap().address(), "/run/a");
    }

    #[test]
    fn an_unknown_scheme_is_kept() {
        let text = "carrier-pigeon:loft/7";
        assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), text);
    }

    #[test]
    fn bad_text_is_refused_with_its_reason() {
        assert!(matches!("127.0.0.1".parse::<Endpoint>(), Err(EndpointError::NoScheme(_))));
        assert!(matches!("tcp://".parse::<Endpoint>(), Err(EndpointError::NoAddress(_))));
        assert!(matches!("tcp://a\n".parse::<Endpoint>(), Err(EndpointError::Character(_, 7))));
        let long = format!("unix:/{}", "a".repeat(300));
        assert_eq!(long.parse::<Endpoint>().unwrap_err().to_string(), "endpoint of 306 bytes exceeds the limit of 256");
    }
}
