//! Arguments into a call and out of it, by their types.

use std::convert::Infallible;
use std::marker::PhantomData;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::call::{Arguments, Outgoing};
use crate::error::{ErrorKind, Executed, RemoteError};
use crate::private::check::Borrows;

/// An argument of a call that is made: [`PushBytes`], else [`Push`], else [`PushNothing`].
pub struct Given<'v, T>(pub &'v T);

/// Encodes a byte string.
pub trait PushBytes {
    /// Encodes it as the next argument.
    fn __rmi_push(&self, outgoing: &mut Outgoing, name: &'static str);
}

macro_rules! push_bytes {
    ($($type:ty, $push:ident, $borrow:ident;)*) => {$(
        impl PushBytes for &&Given<'_, $type> {
            fn __rmi_push(&self, outgoing: &mut Outgoing, name: &'static str) {
                outgoing.$push(name, self.0.$borrow());
            }
        }
    )*};
}

push_bytes! {
    Vec<u8>, push_bytes, as_ref;
    Box<[u8]>, push_bytes, as_ref;
    &[u8], push_bytes, as_ref;
    Option<Vec<u8>>, push_optional_bytes, as_deref;
    Option<Box<[u8]>>, push_optional_bytes, as_deref;
    Option<&[u8]>, push_optional_bytes, as_deref;
}

/// Encodes a value.
pub trait Push {
    /// Encodes it as the next argument.
    fn __rmi_push(&self, outgoing: &mut Outgoing, name: &'static str);
}

impl<T: Serialize> Push for &Given<'_, T> {
    fn __rmi_push(&self, outgoing: &mut Outgoing, name: &'static str) {
        outgoing.push(name, self.0);
    }
}

/// Stands where the type was refused.
pub trait PushNothing {
    /// Does nothing.
    fn __rmi_push(&self, outgoing: &mut Outgoing, name: &'static str);
}

impl<T> PushNothing for Given<'_, T> {
    fn __rmi_push(&self, _: &mut Outgoing, _: &'static str) {}
}

/// An argument that a method owns: [`TakeBytes`], else [`TakeOption`], else [`Take`] or [`TakeOrDefault`], else
/// [`TakeNothing`].
pub struct Owned<T>(PhantomData<fn() -> T>);

impl<T> Owned<T> {
    /// The argument.
    pub const NEW: Self = Self(PhantomData);
}

/// Takes a byte string, or an option of one.
pub trait TakeBytes<T> {
    /// Takes the next argument.
    ///
    /// # Errors
    /// `BadArguments`, not executed.
    fn __rmi_take(&self, arguments: &mut Arguments, name: &'static str) -> Result<T, RemoteError>;

    /// Takes the next argument, or its default when it was not sent.
    ///
    /// # Errors
    /// `BadArguments`, not executed.
    fn __rmi_take_or_default(&self, arguments: &mut Arguments, name: &'static str) -> Result<T, RemoteError>;
}

macro_rules! take_bytes {
    ($($type:ty, $from:expr;)*) => {$(
        impl TakeBytes<$type> for &&&Owned<$type> {
            fn __rmi_take(&self, arguments: &mut Arguments, name: &'static str) -> Result<$type, RemoteError> {
                arguments.take_bytes(name).map($from)
            }

            fn __rmi_take_or_default(&self, arguments: &mut Arguments, name: &'static str) -> Result<$type, RemoteError> {
                arguments.take_optional_bytes(name).map(|bytes| $from(bytes.unwrap_or_default()))
            }
        }

        impl TakeBytes<Option<$type>> for &&&Owned<Option<$type>> {
            fn __rmi_take(&self, arguments: &mut Arguments, name: &'static str) -> Result<Option<$type>, RemoteError> {
                Ok(arguments.take_optional_bytes(name)?.map($from))
            }

            fn __rmi_take_or_default(
                &self,
                arguments: &mut Arguments,
                name: &'static str,
            ) -> Result<Option<$type>, RemoteError> {
                self.__rmi_take(arguments, name)
            }
        }
    )*};
}

take_bytes! {
    Bytes, std::convert::identity;
    Vec<u8>, Vec::from;
    Box<[u8]>, |bytes| Vec::from(bytes).into_boxed_slice();
}

/// Takes an option, which an older caller does not send.
pub trait TakeOption<T> {
    /// Takes the next argument; `None` when it was not sent.
    ///
    /// # Errors
    /// `BadArguments`, not executed.
    fn __rmi_take(&self, arguments: &mut Arguments, name: &'static str) -> Result<T, RemoteError>;
}

impl<T: DeserializeOwned> TakeOption<Option<T>> for &&Owned<Option<T>> {
    fn __rmi_take(&self, arguments: &mut Arguments, name: &'static str) -> Result<Option<T>, RemoteError> {
        arguments.take_or_default(name)
    }
}

/// Takes a value.
pub trait Take<T> {
    /// Takes the next argument.
    ///
    /// # Errors
    /// `BadArguments`, not executed.
    fn __rmi_take(&self, arguments: &mut Arguments, name: &'static str) -> Result<T, RemoteError>;
}

impl<T: DeserializeOwned> Take<T> for &Owned<T> {
    fn __rmi_take(&self, arguments: &mut Arguments, name: &'static str) -> Result<T, RemoteError> {
        arguments.take(name)
    }
}

/// Takes a value that has a default.
pub trait TakeOrDefault<T> {
    /// Takes the next argument, or its default when it was not sent.
    ///
    /// # Errors
    /// `BadArguments`, not executed.
    fn __rmi_take_or_default(&self, arguments: &mut Arguments, name: &'static str) -> Result<T, RemoteError>;
}

impl<T: DeserializeOwned + Default> TakeOrDefault<T> for &Owned<T> {
    fn __rmi_take_or_default(&self, arguments: &mut Arguments, name: &'static str) -> Result<T, RemoteError> {
        arguments.take_or_default(name)
    }
}

/// Stands where the type was refused.
pub trait TakeNothing<T> {
    /// Takes nothing.
    ///
    /// # Errors
    /// Always.
    fn __rmi_take(&self, arguments: &mut Arguments, name: &'static str) -> Result<T, RemoteError>;

    /// Takes nothing.
    ///
    /// # Errors
    /// Always.
    fn __rmi_take_or_default(&self, arguments: &mut Arguments, name: &'static str) -> Result<T, RemoteError>;
}

impl<T> TakeNothing<T> for Owned<T> {
    fn __rmi_take(&self, _: &mut Arguments, name: &'static str) -> Result<T, RemoteError> {
        refused(name)
    }

    fn __rmi_take_or_default(&self, _: &mut Arguments, name: &'static str) -> Result<T, RemoteError> {
        refused(name)
    }
}

fn refused<T>(name: &str) -> Result<T, RemoteError> {
    Err(RemoteError::new(ErrorKind::BadArguments, Executed::No, format!("argument `{name}` cannot travel")))
}

/// An argument that a method borrows, as [`Borrows`] writes it: [`LendBytes`], else [`Lend`] or [`LendOrDefault`], else
/// [`LendNothing`].
pub struct Lending<T>(PhantomData<fn() -> T>);

impl<T> Lending<T> {
    /// The argument.
    pub const NEW: Self = Self(PhantomData);
}

/// Takes a byte string without copying it, and lends it.
pub trait LendBytes {
    /// The holder of the bytes.
    type Held;
    /// The argument for the time of the call.
    type Lent<'h>;

    /// Takes the next argument.
    ///
    /// # Errors
    /// `BadArguments`, not executed.
    fn __rmi_take(&self, arguments: &mut Arguments, name: &'static str) -> Result<Self::Held, RemoteError>;

    /// Takes the next argument, or its default when it was not sent.
    ///
    /// # Errors
    /// `BadArguments`, not executed.
    fn __rmi_take_or_default(&self, arguments: &mut Arguments, name: &'static str) -> Result<Self::Held, RemoteError>;

    /// Lends it to the method.
    fn __rmi_lend<'h>(&self, held: &'h Self::Held) -> Self::Lent<'h>;
}

impl LendBytes for &&Lending<&'static [u8]> {
    type Held = Bytes;
    type Lent<'h> = &'h [u8];

    fn __rmi_take(&self, arguments: &mut Arguments, name: &'static str) -> Result<Bytes, RemoteError> {
        arguments.take_bytes(name)
    }

    fn __rmi_take_or_default(&self, arguments: &mut Arguments, name: &'static str) -> Result<Bytes, RemoteError> {
        Ok(arguments.take_optional_bytes(name)?.unwrap_or_default())
    }

    fn __rmi_lend<'h>(&self, held: &'h Bytes) -> &'h [u8] {
        held
    }
}

impl LendBytes for &&Lending<Option<&'static [u8]>> {
    type Held = Option<Bytes>;
    type Lent<'h> = Option<&'h [u8]>;

    fn __rmi_take(&self, arguments: &mut Arguments, name: &'static str) -> Result<Option<Bytes>, RemoteError> {
        arguments.take_optional_bytes(name)
    }

    fn __rmi_take_or_default(
        &self,
        arguments: &mut Arguments,
        name: &'static str,
    ) -> Result<Option<Bytes>, RemoteError> {
        arguments.take_optional_bytes(name)
    }

    fn __rmi_lend<'h>(&self, held: &'h Option<Bytes>) -> Option<&'h [u8]> {
        held.as_deref()
    }
}

/// Takes the owned form of a value, and lends it.
pub trait Lend<T: Borrows> {
    /// Takes the next argument.
    ///
    /// # Errors
    /// `BadArguments`, not executed.
    fn __rmi_take(&self, arguments: &mut Arguments, name: &'static str) -> Result<T::Held, RemoteError>;

    /// Lends it to the method.
    fn __rmi_lend<'h>(&self, held: &'h T::Held) -> T::Lent<'h>;
}

impl<T: Borrows> Lend<T> for &Lending<T> {
    fn __rmi_take(&self, arguments: &mut Arguments, name: &'static str) -> Result<T::Held, RemoteError> {
        T::take(arguments, name)
    }

    fn __rmi_lend<'h>(&self, held: &'h T::Held) -> T::Lent<'h> {
        T::lend(held)
    }
}

/// Takes the owned form of a value that has a default.
pub trait LendOrDefault<T: Borrows> {
    /// Takes the next argument, or its default when it was not sent.
    ///
    /// # Errors
    /// `BadArguments`, not executed.
    fn __rmi_take_or_default(&self, arguments: &mut Arguments, name: &'static str) -> Result<T::Held, RemoteError>;
}

impl<T: Borrows<Held: Default>> LendOrDefault<T> for &Lending<T> {
    fn __rmi_take_or_default(&self, arguments: &mut Arguments, name: &'static str) -> Result<T::Held, RemoteError> {
        arguments.take_or_default(name)
    }
}

/// Stands where the type was refused.
pub trait LendNothing<T> {
    /// Takes nothing.
    ///
    /// # Errors
    /// Always.
    fn __rmi_take(&self, arguments: &mut Arguments, name: &'static str) -> Result<Infallible, RemoteError>;

    /// Takes nothing.
    ///
    /// # Errors
    /// Always.
    fn __rmi_take_or_default(&self, arguments: &mut Arguments, name: &'static str) -> Result<Infallible, RemoteError>;

    /// Lends what was never taken.
    fn __rmi_lend(&self, held: &Infallible) -> T;
}

impl<T> LendNothing<T> for Lending<T> {
    fn __rmi_take(&self, _: &mut Arguments, name: &'static str) -> Result<Infallible, RemoteError> {
        refused(name)
    }

    fn __rmi_take_or_default(&self, _: &mut Arguments, name: &'static str) -> Result<Infallible, RemoteError> {
        refused(name)
    }

    fn __rmi_lend(&self, held: &Infallible) -> T {
        match *held {}
    }
}
