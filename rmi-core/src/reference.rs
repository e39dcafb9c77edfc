//! The address of an object, and the URI it prints as.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use serde::{Deserialize, Serialize};

use crate::endpoint::{Endpoint, EndpointError};
use crate::id::{NodeId, ObjectId};
use crate::limits;

/// The address of an object: which node owns it, which object it is, what it implements and where the node listens.
///
/// Shape as text: `rmi:NODE/OBJECT?interface=NAME&…&at=ENDPOINT&…`, with node and object as 32 hexadecimal digits and
/// the values percent-encoded. Whoever knows the text may call the object: treat it like a password.
///
/// Cloning copies no list: the references of one node share what they have in common.
///
/// ```
/// use rmi_core::ObjectRef;
/// let text = "rmi:00000000000040008000000000000001/00000000000040008000000000000002?interface=bank.Account&at=tcp://127.0.0.1:7000";
/// let reference: ObjectRef = text.parse()?;
/// assert_eq!(*reference.interfaces, ["bank.Account"]);
/// assert_eq!(reference.to_string(), text);
/// # Ok::<(), rmi_core::ReferenceError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ObjectRef {
    /// The node that owns the object.
    pub node: NodeId,
    /// The object.
    pub object: ObjectId,
    /// The names of the interfaces it implements, the most derived first. Limits: 32 names of 255 bytes.
    pub interfaces: Arc<[String]>,
    /// Where the node listens, in its order of preference. Limits: 8.
    pub endpoints: Arc<[Endpoint]>,
}

impl ObjectRef {
    /// The reference made of these parts.
    #[must_use]
    pub fn new(
        node: NodeId,
        object: ObjectId,
        interfaces: impl Into<Arc<[String]>>,
        endpoints: impl Into<Arc<[Endpoint]>>,
    ) -> Self {
        Self { node, object, interfaces: interfaces.into(), endpoints: endpoints.into() }
    }

    /// Whether the reference says that the object implements the interface called `name`.
    #[must_use]
    pub fn implements(&self, name: &str) -> bool {
        self.interfaces.iter().any(|interface| interface == name)
    }
}

/// What must not stand bare in a value of the URI's query.
const QUERY: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'%').add(b'&').add(b'<').add(b'>').add(b'+');

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rmi:{}/{}", self.node, self.object)?;
        let interfaces = self.interfaces.iter().map(|name| ("interface", name.as_str()));
        let endpoints = self.endpoints.iter().map(|endpoint| ("at", endpoint.as_str()));
        for (at, (key, value)) in interfaces.chain(endpoints).enumerate() {
            let separator = if at == 0 { '?' } else { '&' };
            write!(f, "{separator}{key}={}", utf8_percent_encode(value, QUERY))?;
        }
        Ok(())
    }
}

impl FromStr for ObjectRef {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let rest = text.strip_prefix("rmi:").ok_or(ReferenceError::NoScheme)?;
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (node, object) = path.split_once('/').ok_or(ReferenceError::NoObject)?;
        let node_id = node.parse().map_err(|_| ReferenceError::BadId { at: 4, text: node.to_owned() })?;
        let at = 5 + node.len();
        let object = object.parse().map_err(|_| ReferenceError::BadId { at, text: object.to_owned() })?;
        let (mut interfaces, mut endpoints) = (Vec::new(), Vec::new());
        let mut at = text.len() - query.len();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match read_pair(pair, at)? {
                Pair::Interface(_) if interfaces.len() >= limits::INTERFACES_MAX => {
                    return Err(ReferenceError::TooMany("interfaces"));
                }
                Pair::Interface(name) => interfaces.push(name),
                Pair::At(_) if endpoints.len() >= limits::ENDPOINTS_MAX => {
                    return Err(ReferenceError::TooMany("endpoints"));
                }
                Pair::At(endpoint) => endpoints.push(endpoint),
            }
            at += pair.len() + 1;
        }
        Ok(Self::new(node_id, object, interfaces, endpoints))
    }
}

/// A part of the query.
enum Pair {
    Interface(String),
    At(Endpoint),
}

fn read_pair(pair: &str, at: usize) -> Result<Pair, ReferenceError> {
    let bad = || ReferenceError::BadPair { at, text: pair.to_owned() };
    let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
    let value = percent_decode_str(value).decode_utf8().map_err(|_| bad())?;
    match key {
        "interface" if value.is_empty() || value.len() > limits::INTERFACE_NAME_BYTES_MAX => Err(bad()),
        "interface" => Ok(Pair::Interface(value.into_owned())),
        "at" => {
            let endpoint = value.parse().map_err(|source| ReferenceError::BadEndpoint { at, source })?;
            Ok(Pair::At(endpoint))
        }
        _ => Err(bad()),
    }
}

/// Why a text is not a reference. `at` is the byte where the bad part begins.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReferenceError {
    /// The text does not begin with `rmi:`.
    #[error("a reference begins with \"rmi:\"")]
    NoScheme,
    /// No slash between node and object.
    #[error("the reference names no object; write it as rmi:NODE/OBJECT")]
    NoObject,
    /// A node or object id that is not 32 hexadecimal digits.
    #[error("{text:?} at byte {at} is not an id of 32 hexadecimal digits")]
    BadId {
        /// Where it begins.
        at: usize,
        /// What stands there.
        text: String,
    },
    /// A part of the query that is neither an interface nor an endpoint.
    #[error("{text:?} at byte {at} is neither interface=NAME nor at=ENDPOINT")]
    BadPair {
        /// Where it begins.
        at: usize,
        /// What stands there.
        text: String,
    },
    /// An endpoint that does not parse.
    #[error("the endpoint at byte {at} does not parse")]
    BadEndpoint {
        /// Where it begins.
        at: usize,
        /// Why it does not parse.
        #[source]
        source: EndpointError,
    },
    /// More interfaces or endpoints than allowed.
    #[error("the reference has too many {0}")]
    TooMany(&'static str),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> ObjectRef {
        let endpoints =
            vec!["tcp://127.0.0.1:1".parse().unwrap(), "unix:/a&b=c?d e".replace(' ', "+").parse().unwrap()];
        ObjectRef::new(NodeId::random(), ObjectId::random(), vec!["a.B".into(), "c&d".into()], endpoints)
    }

    #[test]
    fn a_reference_prints_and_parses_back() {
        let reference = sample();
        assert_eq!(reference.to_string().parse::<ObjectRef>().unwrap(), reference);
    }

    #[test]
    fn bad_text_is_refused_with_its_position() {
        assert_eq!("x".parse::<ObjectRef>(), Err(ReferenceError::NoScheme));
        assert_eq!("rmi:12".parse::<ObjectRef>(), Err(ReferenceError::NoObject));
        let text = format!("rmi:{}/xyz", NodeId::random());
        assert!(matches!(text.parse::<ObjectRef>(), Err(ReferenceError::BadId { at: 37, .. })));
        let text = format!("{}&colour=red", sample());
        assert!(matches!(text.parse::<ObjectRef>(), Err(ReferenceError::BadPair { .. })));
        let text = format!("rmi:{}/{}?at=nowhere", NodeId::random(), ObjectId::random());
        assert!(matches!(text.parse::<ObjectRef>(), Err(ReferenceError::BadEndpoint { at: 70, .. })));
    }
}
