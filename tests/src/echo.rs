//! The simplest object there is.

use rmi_core::{ObjectId, RemoteError, remote};

/// Says what it hears.
#[remote]
pub trait Echo {
    /// Returns the text.
    async fn echo(&self, text: &str) -> Result<String, RemoteError>;
}

/// An [`Echo`].
pub struct Repeater;

impl Repeater {
    /// Where hosts that have one for tests export it.
    pub const KNOWN: ObjectId = ObjectId::from_bytes([7; 16]);
}

#[remote]
impl Echo for Repeater {
    async fn echo(&self, text: &str) -> Result<String, RemoteError> {
        Ok(text.to_owned())
    }
}
