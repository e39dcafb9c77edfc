//! The instances of a generic interface: each has a descriptor of its own, whose name covers the type arguments.

use std::any::TypeId;
use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt::Debug;
use std::marker::PhantomData;
use std::sync::{PoisonError, RwLock};

use serde::de::DeserializeOwned;

use crate::id::{InterfaceId, MethodId, hash};
use crate::interface::{Descriptor, Interface, InterfaceType, Method, shape};

/// The longest name that an interface may have, in bytes.
const NAME_MAX: usize = 255;

/// The descriptors made so far. They live as long as the program: there are no more than the program has types.
static INSTANCES: RwLock<Option<HashMap<TypeId, &'static Descriptor>>> = RwLock::new(None);

/// A generic trait, of which `T` is an instance.
pub struct Generic<'g> {
    /// The name on the wire without the arguments.
    pub name: &'static str,
    /// The trait's own methods, as if it had no arguments; and whether, as it has them, they promise.
    pub methods: &'g [(&'static Method, bool)],
    /// The supertraits of the instance that are interfaces.
    pub parents: &'g [Option<fn() -> &'static Descriptor>],
    /// Names the arguments of the instance.
    pub arguments: fn() -> Vec<String>,
}

thread_local! {
    /// The instances whose arguments are being named, from the outermost inward.
    static NAMING: RefCell<Vec<TypeId>> = const { RefCell::new(Vec::new()) };
}

/// Stands for an instance whose arguments are being named.
struct Naming;

impl Naming {
    fn begin(id: TypeId) -> Self {
        NAMING.with_borrow_mut(|naming| naming.push(id));
        Self
    }
}

impl Drop for Naming {
    fn drop(&mut self) {
        NAMING.with_borrow_mut(Vec::pop);
    }
}

impl Generic<'_> {
    /// The descriptor of the instance `T`: made when it is first asked for, the same ever after.
    #[must_use]
    pub fn descriptor<T: ?Sized + Interface>(&self) -> &'static Descriptor {
        let id = TypeId::of::<T>();
        if NAMING.with_borrow(|naming| !naming.is_empty()) {
            // As a part of another name, which must not depend on which of the two is asked for first.
            return self.leak::<T>(self.instance_name(id));
        }
        let known = INSTANCES.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(descriptor) = known.as_ref().and_then(|known| known.get(&id)) {
            return descriptor;
        }
        drop(known);
        // Without the lock: to name the arguments, code of the program runs.
        let name = self.instance_name(id);
        let mut known = INSTANCES.write().unwrap_or_else(PoisonError::into_inner);
        known.get_or_insert_default().entry(id).or_insert_with(|| self.leak::<T>(name))
    }

    fn instance_name(&self, id: TypeId) -> String {
        // A type may hold a proxy of the very interface that it is an argument of.
        if NAMING.with_borrow(|naming| naming.contains(&id)) {
            return format!("{}<{}>", self.name, shape::UNKNOWN);
        }
        let naming = Naming::begin(id);
        let arguments = (self.arguments)().join(",");
        drop(naming);
        let name = format!("{}<{arguments}>", self.name);
        if name.len() <= NAME_MAX { name } else { format!("{}<#{:08x}>", self.name, hash(&arguments)) }
    }

    fn leak<T: ?Sized + Interface>(&self, name: String) -> &'static Descriptor {
        let name: &'static str = name.leak();
        let id = InterfaceId::of(name);
        let own = |(method, promises): &(&'static Method, bool)| -> &'static Method {
            let id = MethodId { interface: id, ..method.id };
            Box::leak(Box::new(Method { interface: name, id, promises: *promises, ..(*method).clone() }))
        };
        let methods: Vec<_> = self.methods.iter().map(own).collect();
        let of = Some(InterfaceType::of::<T>());
        let parents: Vec<_> = self.parents.iter().copied().flatten().collect();
        Box::leak(Box::new(Descriptor { name, id, methods: methods.leak(), parents: parents.leak(), of }))
    }
}

/// The method of the instance `T` that stands at this place among its own.
#[must_use]
pub fn method<T: ?Sized + Interface>(at: usize) -> &'static Method {
    T::descriptor().methods[at]
}

/// Stands for a type argument, to be named by what its bounds tell: [`ByShape`], else [`ByInterface`], else [`ByNothing`].
///
/// The compiler takes the first of them that it can prove for `Argument<T>`, `&Argument<T>` and `&&Argument<T>`, in this
/// order, when the method is called on a `&&&Argument<T>`.
pub struct Argument<T: ?Sized>(PhantomData<T>);

impl<T: ?Sized> Argument<T> {
    /// The argument `T`.
    pub const NEW: Self = Self(PhantomData);
}

/// Names an argument that travels, by the shape of its values.
pub trait ByShape {
    /// The name.
    fn __rmi_name(&self) -> String;
}

impl<T: DeserializeOwned> ByShape for &&Argument<T> {
    fn __rmi_name(&self) -> String {
        shape::name::<T>()
    }
}

/// Names an argument that is an interface.
pub trait ByInterface {
    /// The name.
    fn __rmi_name(&self) -> String;
}

impl<T: ?Sized + Interface> ByInterface for &Argument<T> {
    fn __rmi_name(&self) -> String {
        T::descriptor().name.to_owned()
    }
}

/// Names an argument of which nothing is known.
pub trait ByNothing {
    /// The name.
    fn __rmi_name(&self) -> String;
}

impl<T: ?Sized> ByNothing for Argument<T> {
    fn __rmi_name(&self) -> String {
        shape::UNKNOWN.to_owned()
    }
}

/// Names an argument that is a number, a `bool` or a `char`.
pub fn value(argument: impl Debug) -> String {
    format!("{argument:?}")
}

#[cfg(test)]
mod tests {
    use serde::Serialize;

    use super::*;
    use crate::error::RemoteError;
    use crate::remote;

    #[remote(name = "generic.Store")]
    trait Store<T: Serialize + DeserializeOwned + Send + Sync>: Send {
        async fn get(&self) -> Result<T, RemoteError>;
        async fn put(&self, value: T) -> Result<(), RemoteError>;
    }

    #[remote(name = "generic.Ledger")]
    trait Ledger: Store<u64> {
        async fn sum(&self) -> Result<u64, RemoteError>;
    }

    #[remote(name = "generic.Factory")]
    trait Factory<T: ?Sized + Interface> {
        async fn make(&self) -> Result<crate::Proxy<T>, RemoteError>;
    }

    #[remote(name = "generic.Ring")]
    trait Ring<U, const N: usize, const END: char>: Store<Vec<U>>
    where
        U: Serialize + DeserializeOwned + Send + Sync,
    {
        async fn turn(&self) -> Result<(), RemoteError>;
    }

    #[remote(name = "generic.Mark")]
    trait Mark<T> {
        async fn mark(&self) -> Result<(), RemoteError>;
    }

    #[derive(Serialize, serde::Deserialize)]
    #[serde(bound = "T: Serialize + DeserializeOwned + Send + Sync + 'static")]
    struct Link<T> {
        value: T,
        next: Option<crate::Proxy<dyn Store<Self>>>,
    }

    fn name<T: ?Sized + Interface>() -> &'static str {
        T::descriptor().name
    }

    #[test]
    fn the_name_of_an_instance_covers_its_arguments() {
        assert_eq!(name::<dyn Store<u64>>(), "generic.Store<u64>");
        assert_eq!(name::<dyn Store<String>>(), "generic.Store<string>");
        assert_eq!(name::<dyn Ring<bool, 5, ','>>(), "generic.Ring<bool,5,','>");
        assert_eq!(name::<dyn Mark<u64>>(), "generic.Mark<_>");
    }

    #[test]
    fn an_argument_that_is_an_interface_has_the_name_of_the_interface() {
        assert_eq!(name::<dyn Factory<dyn Ledger>>(), "generic.Factory<generic.Ledger>");
        assert_eq!(name::<dyn Factory<dyn Store<u8>>>(), "generic.Factory<generic.Store<u8>>");
    }

    #[test]
    fn the_ids_of_an_instance_and_of_its_methods_cover_its_arguments() {
        let store = <dyn Store<u64>>::descriptor();
        assert_eq!(store.id, InterfaceId::of("generic.Store<u64>"));
        assert_eq!(store.methods[1].id, MethodId::of("generic.Store<u64>", "put"));
        assert_ne!(store.methods[1].id, <dyn Store<String>>::descriptor().methods[1].id);
    }

    #[test]
    fn an_instance_has_one_descriptor() {
        assert!(std::ptr::eq(<dyn Store<u64>>::descriptor(), <dyn Store<u64>>::descriptor()));
    }

    #[test]
    fn an_interface_extends_instances() {
        assert_eq!(<dyn Ledger>::descriptor().names(), ["generic.Ledger", "generic.Store<u64>"]);
        let ring = <dyn Ring<u8, 1, 'x'>>::descriptor();
        assert_eq!(ring.names(), ["generic.Ring<u8,1,'x'>", "generic.Store<list<u8>>"]);
        assert!(ring.is(<dyn Store<Vec<u8>>>::descriptor().id));
    }

    #[test]
    fn an_argument_that_holds_proxies_of_its_interface_ends() {
        assert_eq!(name::<dyn Store<Link<u8>>>(), "generic.Store<Link<u8,option<proxy<generic.Store<_>>>>>");
    }

    #[test]
    fn the_arguments_of_a_long_name_are_hashed() {
        type Four<T> = (T, T, T, T);
        type Long<T> = Four<Four<Four<T>>>;
        let long = name::<dyn Store<Long<u64>>>();
        assert!(long.starts_with("generic.Store<#") && long.len() == "generic.Store<#01234567>".len(), "{long}");
        assert_ne!(long, name::<dyn Store<Long<u32>>>());
    }
}
