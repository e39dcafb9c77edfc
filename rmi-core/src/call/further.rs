//! An object as what all of its servants make of it: which interfaces it has, and who serves a call.

use std::any::{Any, TypeId};
use std::sync::OnceLock;

use crate::call::{Dispatch, Dispatched, Incoming, LocalObject};
use crate::error::{ErrorKind, Executed, RemoteError};
use crate::id::{InterfaceId, MethodId};
use crate::interface::names::{self, SameName};
use crate::interface::{Descriptor, Method};
use crate::limits;

/// The interface that every exported object has, whatever its servants. Traits cannot have this name.
static OBJECT: Descriptor = Descriptor { methods: &[&INTERFACES], ..Descriptor::new("rmi.Object") };

/// Its one method: the names of the object's interfaces, as in a reference to it.
pub(crate) static INTERFACES: Method = Method { idempotent: true, ..Method::new("rmi.Object", "interfaces", &[]) };

/// The most bytes of names that an error lists.
const LISTED_MAX: usize = 1024;

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

    fn iter(&self) -> impl Iterator<Item = &dyn Dispatch> + Clone {
        std::iter::successors(self.0.get(), |link| link.next.0.get()).map(|link| &*link.servant)
    }
}

impl LocalObject {
    fn servants(&self) -> impl Iterator<Item = &dyn Dispatch> + Clone {
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
        self.admit(servant.descriptor()).map_err(|same| same.error(ErrorKind::Misuse))?;
        self.further.add(servant);
        Ok(())
    }

    /// Two types of one name cannot be told apart in calls that arrive. Those of an object that peers may know meet the wire now.
    fn admit(&self, descriptor: &'static Descriptor) -> Result<(), SameName> {
        let known = |new: &'static Descriptor| self.find(new.id).and_then(|known| SameName::between(new, known));
        match descriptor.family().into_iter().find_map(known) {
            Some(same) => Err(same),
            None if self.id.get().is_some() => names::take(std::iter::once(descriptor)),
            None => Ok(()),
        }
    }

    /// The object is about to meet the wire, and with it the names of its interfaces.
    pub(crate) fn take_names(&self) -> Result<(), SameName> {
        names::take(self.servants().map(Dispatch::descriptor))
    }

    /// The names of its interfaces, each once; those of one servant the most derived first.
    pub(crate) fn interfaces(&self) -> Vec<&'static str> {
        distinct(self.servants()).into_iter().map(|interface| interface.name).collect()
    }

    /// The interface with this id, if it has it.
    pub(crate) fn find(&self, id: InterfaceId) -> Option<&'static Descriptor> {
        self.servants().find_map(|servant| servant.descriptor().find(id)).or((id == OBJECT.id).then_some(&OBJECT))
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

    /// Tells a caller that there is no such method, and what there is instead.
    pub(crate) fn lacks(&self, method: MethodId) -> RemoteError {
        let (kind, text) = match self.find(method.interface) {
            Some(interface) => (ErrorKind::NoSuchMethod, lacking(interface, method)),
            None => {
                let known = listed(distinct(self.servants()).into_iter().map(Descriptor::to_string));
                let text =
                    format!("the object does not implement interface {:?}; it implements {known}", method.interface);
                (ErrorKind::NoSuchInterface, text)
            }
        };
        RemoteError::new(kind, Executed::No, text)
    }

    /// Offers the call to one servant after the other.
    pub(crate) fn dispatch(&self, call: Incoming) -> Dispatched {
        if call.method == INTERFACES.id {
            let names: Vec<_> = self.interfaces().into_iter().map(str::to_owned).collect();
            return call.serve(&INTERFACES, move |_| Ok(async move { Ok::<_, RemoteError>(names) }));
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

fn lacking(interface: &Descriptor, method: MethodId) -> String {
    let known = listed(interface.methods.iter().map(|method| method.name.to_owned()));
    let (name, path) = (interface.name, interface.path());
    format!("the object's {name} is `{path}`, which has no method {:08x}; its methods are {known}", method.method)
}

/// The names, as many as there is room for.
fn listed(names: impl Iterator<Item = String>) -> String {
    let (mut text, mut left_out) = (String::new(), 0);
    for name in names {
        if text.len() + name.len() > LISTED_MAX {
            left_out += 1;
            continue;
        }
        if !text.is_empty() {
            text.push_str(", ");
        }
        text.push_str(&name);
    }
    if left_out > 0 {
        text.push_str(&format!(" and {left_out} more"));
    }
    text
}

/// Their interfaces, each name once.
fn distinct<'a>(servants: impl Iterator<Item = &'a dyn Dispatch>) -> Vec<&'static Descriptor> {
    let mut interfaces: Vec<&'static Descriptor> = Vec::new();
    for interface in servants.flat_map(|servant| servant.descriptor().family()) {
        if interfaces.iter().all(|known| known.name != interface.name) {
            interfaces.push(interface);
        }
    }
    interfaces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_names_is_bounded() {
        let listed = |names: &[&str]| listed(names.iter().map(|name| (*name).to_owned()));
        assert_eq!(listed(&["open", "shut"]), "open, shut");
        let long = "x".repeat(600);
        assert_eq!(listed(&[&long, &long, "shut", &long]), format!("{long}, shut and 2 more"));
        assert_eq!(listed(&[]), "");
    }
}
