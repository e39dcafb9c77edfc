//! An object under another name: how one program has two versions of an interface on the wire. Two traits of one name it may not
//! have.

use rmi_core::{AnyProxy, Call, Descriptor, Dispatch, Dispatched, Incoming, InterfaceId, MethodId};

struct Renamed {
    behind: AnyProxy,
    interface: InterfaceId,
    descriptor: &'static Descriptor,
}

/// An object whose interface `to` is the interface `from` of `object`: the methods and their bytes are the same.
pub fn renamed(object: impl Into<AnyProxy>, from: &str, to: &'static str) -> AnyProxy {
    let descriptor = Box::leak(Box::new(Descriptor::new(to)));
    AnyProxy::from_dispatch(Renamed { behind: object.into(), interface: InterfaceId::of(from), descriptor })
}

impl Dispatch for Renamed {
    fn descriptor(&self) -> &'static Descriptor {
        self.descriptor
    }

    fn dispatch(&self, incoming: Incoming) -> Dispatched {
        if incoming.method.interface != self.descriptor.id {
            return Dispatched::Unknown(incoming);
        }
        let mut call = Call::new(MethodId { interface: self.interface, ..incoming.method }, incoming.body);
        call.references = incoming.references;
        Dispatched::Serve { future: self.behind.invoke(call), spawn: false }
    }
}
