//! An object as what all of its servants make of it: which interfaces it has, and who serves a call.

use std::any::{Any, TypeId};
use std::sync::OnceLock;

use crate::call::{Dispatch, Dispatched, Incoming, LocalObject};
use crate::error::{ErrorKind, Executed, RemoteError};
use crate::id::{InterfaceId, MethodId};
use crate::interface::{Descriptor, Method};
use crate::limits;

/// The interface that every exported object has, whatever its servants. Traits cannot have this name.
const OBJECT: &str = "rmi.Object";

/// Its one method: the names of the object's interfaces, as in a reference to it.
pub(crate) static INTERFACES: Method = Method { idempotent: true, ..Method::new(OBJECT, "interfaces", &[]) };

/// The servants of an object beyond its first, in the order they were added. They are never taken away, so a call passes
/// them without a lock.
#[derive(Default)]
pub(crate) struct Further(OnceLock<Box<Link>>);

struct Link {
    servant: Box<dyn Dispatch>,
    next: Further,
}

impl Further {
    fn add(&self, servant: Box<dyn Dispatch>) {
        let mut place = self;
        let mut link = Box::new(Link { servant, next: Self::default() });
        while let Err(taken) = place.0.set(link) {
            link = taken;
            let Some(last) = place.0.get() else { return };
            place = &last.next;
        }
    }

    fn iter(&self) -> impl Iterator<Item = &dyn Dispatch> {
        std::iter::successors(self.0.get(), |link| link.next.0.get()).map(|link| &*link.servant)
    }
}

impl LocalObject {
    fn servants(&self) -> impl Iterator<Item = &dyn Dispatch> {
        std::iter::once(&*self.servant).chain(self.further.iter())
    }

    /// One more servant, for the interfaces that the object does not have yet.
    pub(crate) fn offer(&self, servant: Box<dyn Dispatch>) -> Result<(), RemoteError> {
        let names = distinct(self.servants().chain(std::iter::once(&*servant)));
        if names.len() > limits::INTERFACES_MAX {
            // A peer would take a reference that names more for a violation.
            let text = format!("object of {} interfaces exceeds the limit of {}", names.len(), limits::INTERFACES_MAX);
            return Err(RemoteError::new(ErrorKind::Misuse, Executed::No, text));
        }
        self.further.add(servant);
        Ok(())
    }

    /// The names of its interfaces, each once; those of one servant the most derived first.
    pub(crate) fn interfaces(&self) -> Vec<&'static str> {
        distinct(self.servants())
    }

    /// Whether it has the interface.
    pub(crate) fn is(&self, id: InterfaceId) -> bool {
        id == INTERFACES.id.interface || self.servants().any(|servant| servant.descriptor().is(id))
    }

    /// The method with this id, that of every object included.
    pub(crate) fn method(&self, id: MethodId) -> Option<&'static Method> {
        if id == INTERFACES.id {
            return Some(&INTERFACES);
        }
        self.servants().find_map(|servant| servant.descriptor().method(id))
    }

    /// The most derived interface that declares or inherits what `id` declares; that of the first servant when none does.
    pub(crate) fn descriptor(&self, id: InterfaceId) -> &'static Descriptor {
        let declares = |descriptor: &&'static Descriptor| descriptor.is(id);
        self.servants().map(Dispatch::descriptor).find(declares).unwrap_or_else(|| self.servant.descriptor())
    }

    /// Offers the call to one servant after the other.
    pub(crate) fn dispatch(&self, call: Incoming) -> Dispatched {
        if call.method == INTERFACES.id {
            let names: Vec<_> = self.interfaces().into_iter().map(str::to_owned).collect();
            return call.serve(false, move |_| Ok(async move { Ok::<_, RemoteError>(names) }));
        }
        let mut unknown = call;
        for servant in self.servants() {
            match servant.dispatch(unknown) {
                Dispatched::Unknown(call) => unknown = call,
                served => return served,
            }
        }
        Dispatched::Unknown(unknown)
    }

    /// The servant of the interface type with this id, as an `Arc` of that type, boxed.
    pub(crate) fn cast(&self, target: TypeId) -> Option<Box<dyn Any>> {
        self.servants().find_map(|servant| servant.cast(target))
    }
}

fn distinct<'a>(servants: impl Iterator<Item = &'a dyn Dispatch>) -> Vec<&'static str> {
    let mut names = Vec::new();
    for name in servants.flat_map(|servant| servant.descriptor().names()) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}
