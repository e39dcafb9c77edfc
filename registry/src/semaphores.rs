//! The semaphores that have a name.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rmi_core::naming::Name;
use rmi_core::sync::{LocalSemaphore, Semaphore, Semaphores, SyncError, WeakSemaphore};
use rmi_core::{Proxy, remote};

use crate::tokens::Reserved;
use crate::writer::Writer;

/// The most semaphores at once: what a stranger can make the registry remember by opening them.
const SEMAPHORES_MAX: usize = 10_000;

/// The semaphores of a registry. It keeps none alive: their callers do, and the permits that are out.
pub(crate) struct Named {
    tokens: Reserved,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    closed: bool,
    semaphores: HashMap<Name, WeakSemaphore>,
}

impl Named {
    pub(crate) fn new(writer: Writer) -> Self {
        Self { tokens: Reserved::new(writer), known: Mutex::default() }
    }

    /// Fails who waits for a permit and who comes to do so.
    pub(crate) fn close(&self) {
        let closing: Vec<LocalSemaphore> = {
            let mut known = self.known();
            known.closed = true;
            known.semaphores.values().filter_map(WeakSemaphore::upgrade).collect()
        };
        closing.iter().for_each(LocalSemaphore::close);
    }

    fn find(&self, name: &Name, permits: u32) -> Result<LocalSemaphore, SyncError> {
        let mut known = self.known();
        if known.closed {
            return Err(SyncError::Closed);
        }
        if let Some(found) = known.semaphores.get(name).and_then(WeakSemaphore::upgrade) {
            let (name, has) = (name.clone(), found.permits());
            return if has == permits {
                Ok(found)
            } else {
                Err(SyncError::Permits { name, permits: has, asked: permits })
            };
        }
        known.make_room()?;
        let semaphore = LocalSemaphore::with_tokens(permits, Arc::new(self.tokens.clone()));
        known.semaphores.insert(name.clone(), semaphore.downgrade());
        Ok(semaphore)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// Forgets those that have ended, if there are too many otherwise.
    fn make_room(&mut self) -> Result<(), SyncError> {
        if self.semaphores.len() >= SEMAPHORES_MAX {
            self.semaphores.retain(|_, semaphore| semaphore.upgrade().is_some());
        }
        if self.semaphores.len() < SEMAPHORES_MAX {
            return Ok(());
        }
        Err(SyncError::Full { what: "semaphores are in use".into(), limit: SEMAPHORES_MAX as u64 })
    }
}

#[remote]
impl Semaphores for Named {
    async fn open(&self, name: &Name, permits: u32) -> Result<Proxy<dyn Semaphore>, SyncError> {
        if permits == 0 {
            return Err(SyncError::NoPermits);
        }
        self.tokens.ready().await?;
        Ok(Proxy::new(self.find(name, permits)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Memory;

    fn name(number: usize) -> Name {
        format!("s/{number}").parse().unwrap()
    }

    #[tokio::test]
    async fn the_number_of_semaphores_is_bounded() {
        let named = Named::new(Writer::start(Memory, Arc::default()).unwrap());
        let mut kept: Vec<_> = (0..SEMAPHORES_MAX).map(|number| named.find(&name(number), 1).unwrap()).collect();
        let error = named.find(&name(SEMAPHORES_MAX), 1).unwrap_err();
        assert_eq!(error.to_string(), "10000 semaphores are in use, which is the limit");
        assert!(named.find(&name(0), 1).is_ok());
        kept.pop();
        assert!(named.find(&name(SEMAPHORES_MAX), 1).is_ok());
    }

    #[tokio::test]
    async fn a_closed_registry_opens_none() {
        let named = Named::new(Writer::start(Memory, Arc::default()).unwrap());
        let semaphore = named.find(&name(0), 1).unwrap();
        named.close();
        assert_eq!(named.find(&name(0), 1).map(drop), Err(SyncError::Closed));
        assert_eq!(semaphore.acquire(1).await, Err(SyncError::Closed));
    }
}
