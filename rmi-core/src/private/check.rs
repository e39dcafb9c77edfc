//! The demands on the types of an interface. Each is made in one place, so that one mistake gives one message.

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::call::{Arguments, Dispatched, Incoming};
use crate::error::RemoteError;
use crate::interface::{Descriptor, Interface};

/// A value that can be sent to another process and back.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot travel to another process",
    label = "cannot be an argument or a result of a remote method",
    note = "it must be `Send`, borrow nothing, and have serde's traits: #[derive(Serialize, Deserialize)]",
    note = "the `Trait` of a `Proxy<dyn Trait>` must have the attribute #[remote]"
)]
pub trait Travels: Serialize + DeserializeOwned + Send + 'static {}

#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned + Send + 'static> Travels for T {}

/// A type whose values are lent to a method: each has an owned form, which travels.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot travel to another process",
    label = "cannot be lent to a remote method",
    note = "it must be a `str`, a slice, a `Path`, or `Send`, borrow nothing, and have serde's traits: #[derive(Serialize, Deserialize)]"
)]
pub trait Lends: 'static {
    /// The owned form.
    type Owned: Travels;

    /// The value that the owned form holds.
    fn lend(owned: &Self::Owned) -> &Self;
}

#[diagnostic::do_not_recommend]
impl<T: Travels> Lends for T {
    type Owned = T;

    fn lend(owned: &T) -> &T {
        owned
    }
}

impl<T: Travels> Lends for [T] {
    type Owned = Vec<T>;

    fn lend(owned: &Vec<T>) -> &[T] {
        owned
    }
}

impl Lends for str {
    type Owned = String;

    fn lend(owned: &String) -> &Self {
        owned
    }
}

impl Lends for Path {
    type Owned = PathBuf;

    fn lend(owned: &PathBuf) -> &Self {
        owned
    }
}

/// An argument that borrows: `&T` or `Option<&T>`, written with `'static` for the time of the call.
#[diagnostic::on_unimplemented(
    message = "`{Self}` borrows, and only `&T` and `Option<&T>` can be lent to a method of another process",
    label = "cannot be an argument of a remote method",
    note = "take an owned value"
)]
pub trait Borrows {
    /// The value that travels.
    type Held: Travels;
    /// The argument for the time of the call.
    type Lent<'h>;

    /// Takes it out of a call.
    ///
    /// # Errors
    /// `BadArguments`, not executed.
    fn take(arguments: &mut Arguments, name: &'static str) -> Result<Self::Held, RemoteError>;

    /// Lends it to the method.
    fn lend(held: &Self::Held) -> Self::Lent<'_>;
}

impl<T: ?Sized + Lends> Borrows for &'static T {
    type Held = T::Owned;
    type Lent<'h> = &'h T;

    fn take(arguments: &mut Arguments, name: &'static str) -> Result<T::Owned, RemoteError> {
        arguments.take(name)
    }

    fn lend(held: &T::Owned) -> &T {
        T::lend(held)
    }
}

impl<T: ?Sized + Lends> Borrows for Option<&'static T> {
    type Held = Option<T::Owned>;
    type Lent<'h> = Option<&'h T>;

    fn take(arguments: &mut Arguments, name: &'static str) -> Result<Option<T::Owned>, RemoteError> {
        arguments.take_or_default(name)
    }

    fn lend(held: &Option<T::Owned>) -> Option<&T> {
        held.as_ref().map(T::lend)
    }
}

/// The result of a remote method.
#[diagnostic::on_unimplemented(
    message = "a remote call can fail: `{Self}` is not a `Result`",
    label = "return `Result<T, E>` with `E: From<RemoteError>`"
)]
pub trait Fallible {
    /// The value.
    type Value;
    /// The error.
    type Error;
}

impl<T, E> Fallible for Result<T, E> {
    type Value = T;
    type Error = E;
}

/// An error that can say that a call failed.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot say that a call failed",
    label = "cannot be the error of a remote method",
    note = "add a variant `Remote(#[from] RemoteError)`, or write `impl From<RemoteError>`"
)]
pub trait Carries: From<RemoteError> {}

#[diagnostic::do_not_recommend]
impl<E: From<RemoteError>> Carries for E {}

/// The result of a oneway method: nothing.
#[diagnostic::on_unimplemented(
    message = "nobody waits for a oneway call: return `Result<(), E>`, not a `{Self}`",
    label = "has a value for which nobody waits"
)]
pub trait Nothing {}

impl Nothing for () {}

/// A supertrait of a remote trait: remote itself, or one that says nothing about methods.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a remote interface, and so cannot be a supertrait of one",
    label = "its methods could not be called from another process",
    note = "put `#[remote]` on the trait"
)]
pub trait Supertrait {
    /// The interface, if it is one.
    const DESCRIPTOR: Option<fn() -> &'static Descriptor>;

    /// As [`Interface::dispatch`].
    fn dispatch(servant: std::sync::Arc<Self>, call: Incoming) -> Dispatched;

    /// As [`Interface::cast`].
    fn cast(servant: std::sync::Arc<Self>, target: std::any::TypeId) -> Option<Box<dyn std::any::Any>>;
}

#[diagnostic::do_not_recommend]
impl<T: ?Sized + Interface> Supertrait for T {
    const DESCRIPTOR: Option<fn() -> &'static Descriptor> = Some(T::descriptor);

    fn dispatch(servant: std::sync::Arc<Self>, call: Incoming) -> Dispatched {
        T::dispatch(servant, call)
    }

    fn cast(servant: std::sync::Arc<Self>, target: std::any::TypeId) -> Option<Box<dyn std::any::Any>> {
        T::cast(servant, target)
    }
}

macro_rules! markers {
    ($($marker:path),*) => {$(
        impl Supertrait for dyn $marker {
            const DESCRIPTOR: Option<fn() -> &'static Descriptor> = None;

            fn dispatch(_: std::sync::Arc<Self>, call: Incoming) -> Dispatched {
                Dispatched::Unknown(call)
            }

            fn cast(_: std::sync::Arc<Self>, _: std::any::TypeId) -> Option<Box<dyn std::any::Any>> {
                None
            }
        }
    )*};
}

markers!(Send, Sync, Unpin, std::panic::UnwindSafe, std::panic::RefUnwindSafe);

/// Compiles when `T` can be an argument that a method owns.
pub const fn argument<T: Travels>() {}

/// Compiles when `T` can be an argument that may be missing.
pub const fn defaulted<T: Default>() {}

/// Compiles when `&T` can be an argument.
pub const fn lent<T: ?Sized + Lends>() {}

/// Compiles when `T`, in which there is a reference, can be an argument.
pub const fn borrowed<T: Borrows>() {}

/// Compiles when a borrowed argument may be missing.
pub const fn borrowed_or_defaulted<T: Borrows<Held: Default>>() {}

/// Compiles when a remote method can return `R`.
pub const fn result<R: Fallible>()
where
    R::Value: Travels,
    R::Error: Travels + Carries,
{
}

/// Compiles when a oneway method can return `R`.
pub const fn oneway<R: Fallible>()
where
    R::Value: Nothing,
    R::Error: Travels + Carries,
{
}

/// Compiles when `P` can be a supertrait of a remote trait; says which interface it is.
#[must_use]
pub const fn supertrait<P: ?Sized + Supertrait>() -> Option<fn() -> &'static Descriptor> {
    P::DESCRIPTOR
}

/// Compiles when `T` is a remote interface.
pub const fn is_remote<T: ?Sized + Interface>() {}
