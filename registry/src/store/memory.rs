//! A store that keeps nothing.

use crate::store::{Loaded, Store, StoreError, Write};

/// Keeps nothing: bindings live as long as the registry.
#[derive(Debug, Default)]
pub struct Memory;

impl Store for Memory {
    fn load(&mut self) -> Result<Loaded, StoreError> {
        Ok(Loaded::default())
    }

    fn apply(&mut self, _revision: u64, _writes: &[Write]) -> Result<(), StoreError> {
        Ok(())
    }
}
