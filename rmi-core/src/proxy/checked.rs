//! The cast that asks the object.

use std::sync::Arc;

use crate::call::further::INTERFACES;
use crate::call::{Call, CallOptions, Invocation, Invoke, Outgoing, Target, Watching};
use crate::error::{ErrorKind, Executed, RemoteError};
use crate::interface::Interface;
use crate::limits;
use crate::proxy::{Proxy, invoke};
use crate::reference::ObjectRef;

/// Types `target` by what the object itself says.
pub(super) async fn cast<T: ?Sized + Interface>(
    target: &Target,
    options: Option<Arc<CallOptions>>,
) -> Result<Proxy<T>, RemoteError> {
    let Target::Remote(_) = target else { return Proxy::from_target(target, options) };
    let asked = Proxy::<T>::made_of(target.clone(), None, options.clone());
    let answer: Result<Vec<String>, RemoteError> = invoke::call(&asked, &INTERFACES, Outgoing::new(0)).await;
    let interfaces = checked(answer?)?;
    // A promise has come to its object with this answer.
    let Target::Remote(remote) = target.settled() else { return Proxy::from_target(target.settled(), options) };
    let reference = ObjectRef { interfaces: interfaces.into(), ..remote.reference().clone() };
    let known = Known { remote: remote.clone(), reference };
    Proxy::from_target(&Target::Remote(Arc::new(known)), options)
}

/// Names that may stand in a reference, or an error: they come from a peer.
fn checked(names: Vec<String>) -> Result<Vec<String>, RemoteError> {
    let bad = |text| Err(RemoteError::new(ErrorKind::BadReply, Executed::Yes, text));
    let (count, most, longest) = (names.len(), limits::INTERFACES_MAX, limits::INTERFACE_NAME_BYTES_MAX);
    if count == 0 || count > most {
        return bad(format!("object of {count} interfaces is outside of the limits of 1 and {most}"));
    }
    match names.iter().map(String::len).find(|bytes| *bytes == 0 || *bytes > longest) {
        Some(bytes) => bad(format!("interface name of {bytes} bytes is outside of the limits of 1 and {longest}")),
        None => Ok(names),
    }
}

/// An object whose interfaces are known better than its reference had them.
struct Known {
    remote: Arc<dyn Invoke>,
    reference: ObjectRef,
}

impl Invoke for Known {
    fn invoke(&self, call: Call) -> Invocation {
        self.remote.invoke(call)
    }

    fn reference(&self) -> &ObjectRef {
        &self.reference
    }

    fn promise(&self, call: &Call) -> Option<Result<Arc<dyn Invoke>, RemoteError>> {
        self.remote.promise(call)
    }

    fn closed(&self) -> Watching {
        self.remote.closed()
    }

    fn stays(&self) -> Option<&'static str> {
        self.remote.stays()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_a_reference_could_not_hold_are_refused() {
        let text = |names: Vec<String>| checked(names).unwrap_err().message().to_owned();
        assert_eq!(text(vec!["A".into(); 33]), "object of 33 interfaces is outside of the limits of 1 and 32");
        assert_eq!(text(Vec::new()), "object of 0 interfaces is outside of the limits of 1 and 32");
        let long = "interface name of 256 bytes is outside of the limits of 1 and 255";
        assert_eq!(text(vec!["A".into(), "x".repeat(256)]), long);
        assert!(checked(vec!["x".repeat(255); 32]).is_ok());
    }
}
