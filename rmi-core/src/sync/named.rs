//! Semaphores with a name, which the registry hosts.

use rmi_macros::remote;

use crate::id::ObjectId;
use crate::naming::{Name, NameError, Registry};
use crate::proxy::Proxy;
use crate::sync::interface::{Semaphore, SyncError};
use crate::sync::mutex::Mutex;

/// The semaphores of a registry. Programs use [`Registry::semaphore`].
#[remote(name = "rmi.Semaphores")]
pub trait Semaphores {
    /// The semaphore with this name. It is made if there is none, and ends when nobody holds it and all its permits are
    /// back.
    ///
    /// # Errors
    /// `NoPermits`; `Permits`: it exists with another number; `Full`.
    #[remote(idempotent)]
    async fn open(&self, name: &Name, permits: u32) -> Result<Proxy<dyn Semaphore>, SyncError>;
}

impl Registry {
    /// The semaphore with this name, which the registry hosts. It is made at first use, with so many permits; names of
    /// semaphores and names of bindings have nothing to do with each other.
    ///
    /// Its tokens rise also across restarts of the registry. A restart frees what was taken, and the semaphore must be
    /// asked for again: calls to the one before fail.
    ///
    /// # Errors
    /// `Name`, `NoPermits`; `Permits`: it exists with another number of permits; `Full`: the registry has too many.
    pub async fn semaphore(
        &self,
        name: impl TryInto<Name, Error: Into<NameError>>,
        permits: u32,
    ) -> Result<Proxy<dyn Semaphore>, SyncError> {
        let name = name.try_into().map_err(Into::into)?;
        let semaphores: Proxy<dyn Semaphores> = self.node().at(self.endpoint(), ObjectId::SEMAPHORES);
        semaphores.open(&name, permits).await
    }

    /// The mutex with this name: the [`semaphore`](Self::semaphore) with one permit.
    ///
    /// # Errors
    /// As [`semaphore`](Self::semaphore).
    pub async fn mutex(&self, name: impl TryInto<Name, Error: Into<NameError>>) -> Result<Mutex, SyncError> {
        self.semaphore(name, 1).await.map(Mutex::new)
    }
}
