//! A proxy that was made and cannot be used: each call of it says why.

use crate::call::{Call, Invocation, Invoke};
use crate::error::RemoteError;
use crate::reference::ObjectRef;

/// Stands for the object in a proxy whose interface type must not meet the wire.
pub(super) struct Refused {
    pub(super) reference: ObjectRef,
    pub(super) error: RemoteError,
}

impl Invoke for Refused {
    fn invoke(&self, _: Call) -> Invocation {
        Box::pin(std::future::ready(Err(self.error.clone())))
    }

    fn reference(&self) -> &ObjectRef {
        &self.reference
    }

    fn stays(&self) -> Option<&'static str> {
        Some("the proxy's interface has the name of another one of this program")
    }
}
