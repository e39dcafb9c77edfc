//! Interfaces of another crate than their derived ones.

use rmi_core::{RemoteError, remote};

/// The root of a diamond.
#[remote(name = "tests.Shape")]
pub trait Shape {
    /// What it is called.
    async fn name(&self) -> Result<String, RemoteError>;
}

/// One side of it.
#[remote(name = "tests.Coloured")]
pub trait Coloured: Shape {
    /// Its colour.
    async fn colour(&self) -> Result<String, RemoteError>;
}
