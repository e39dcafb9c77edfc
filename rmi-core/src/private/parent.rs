//! The supertraits of an interface, to which a call and a cast fall through.

use std::any::{Any, TypeId};
use std::marker::PhantomData;
use std::sync::Arc;

use crate::call::{Dispatched, Incoming};
use crate::interface::Descriptor;
use crate::private::check::Supertrait;

type Known = Option<fn() -> &'static Descriptor>;

/// Counts those of these supertraits that are interfaces.
#[must_use]
pub const fn parents_count(all: &[Known]) -> usize {
    let (mut count, mut at) = (0, 0);
    while at < all.len() {
        count += all[at].is_some() as usize;
        at += 1;
    }
    count
}

/// The `N` of these supertraits that are interfaces.
#[must_use]
pub const fn parents<const N: usize>(all: &[Known]) -> [fn() -> &'static Descriptor; N] {
    let mut parents: [fn() -> &'static Descriptor; N] = [|| const { &Descriptor::new("") }; N];
    let (mut count, mut at) = (0, 0);
    while at < all.len() {
        if let Some(parent) = all[at] {
            parents[count] = parent;
            count += 1;
        }
        at += 1;
    }
    parents
}

/// Stands for a supertrait `P`, which is a [`Parent`], else [`NoParent`].
pub struct Super<P: ?Sized>(PhantomData<P>);

impl<P: ?Sized> Super<P> {
    /// The supertrait.
    pub const NEW: Self = Self(PhantomData);
}

/// Serves and casts as a supertrait.
pub trait Parent<P: ?Sized> {
    /// As [`Interface::dispatch`](crate::Interface).
    fn __rmi_dispatch(&self, servant: Arc<P>, call: Incoming) -> Dispatched;

    /// As [`Interface::cast`](crate::Interface).
    fn __rmi_cast(&self, servant: Arc<P>, target: TypeId) -> Option<Box<dyn Any>>;
}

impl<P: ?Sized + Supertrait> Parent<P> for &Super<P> {
    fn __rmi_dispatch(&self, servant: Arc<P>, call: Incoming) -> Dispatched {
        P::dispatch(servant, call)
    }

    fn __rmi_cast(&self, servant: Arc<P>, target: TypeId) -> Option<Box<dyn Any>> {
        P::cast(servant, target)
    }
}

/// Stands where the supertrait was refused.
pub trait NoParent<P: ?Sized> {
    /// Serves nothing.
    fn __rmi_dispatch(&self, servant: Arc<P>, call: Incoming) -> Dispatched;

    /// Is nothing.
    fn __rmi_cast(&self, servant: Arc<P>, target: TypeId) -> Option<Box<dyn Any>>;
}

impl<P: ?Sized> NoParent<P> for Super<P> {
    fn __rmi_dispatch(&self, _: Arc<P>, call: Incoming) -> Dispatched {
        Dispatched::Unknown(call)
    }

    fn __rmi_cast(&self, _: Arc<P>, _: TypeId) -> Option<Box<dyn Any>> {
        None
    }
}
