//! The simplest object there is.

use rmi_core::{RemoteError, remote};

/// Says what it hears.
#[remote]
pub trait Echo {
    /// Returns the text.
    async fn echo(&self, text: &str) -> Result<String, RemoteError>;
}

/// An [`Echo`].
pub struct Repeater;

#[remote]
impl Echo for Repeater {
    async fn echo(&self, text: &str) -> Result<String, RemoteError> {
        Ok(text.to_owned())
    }
}
