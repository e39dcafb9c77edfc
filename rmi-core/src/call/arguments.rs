//! The arguments of a call: encoded by the caller's proxy, taken one by one by the servant's side.

use std::fmt;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::call::scope::References;
use crate::call::{Incoming, Outcome, Reply, Status, Target, scope};
use crate::error::{ErrorKind, Executed, RemoteError};
use crate::interface::Method;
use crate::wire::codec::{self, Form};

/// The arguments of a call that is being made. The first failure is kept and told when the call is made.
pub struct Outgoing {
    body: Vec<u8>,
    form: Form,
    references: References,
    failure: Option<(&'static str, String)>,
    largest: Largest,
}

/// The argument that takes the most bytes of a call: the one to be named when all together are too many.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Largest {
    name: &'static str,
    bytes: usize,
}

impl Largest {
    /// Adds to `error`, when the call or its result is too large, which argument makes it so, or the method.
    pub(crate) fn blamed(self, error: RemoteError, method: &Method) -> RemoteError {
        match error.executed() {
            _ if error.kind() != ErrorKind::TooLarge || error.is_relayed() => error,
            Executed::No => error.within(&format!("argument `{}` of {method} takes {} bytes", self.name, self.bytes)),
            _ => error.within(&format!("the result of {method} is too large")),
        }
    }
}

impl Outgoing {
    /// Room for `count` arguments, whose structs travel by the names of their fields.
    #[must_use]
    pub fn new(count: u16) -> Self {
        Self::of(count, Form::ByName)
    }

    /// Room for `count` arguments, whose structs travel by position.
    #[must_use]
    pub fn compact(count: u16) -> Self {
        Self::of(count, Form::Compact)
    }

    fn of(count: u16, form: Form) -> Self {
        let mut body = Vec::with_capacity(64);
        codec::array_header(count, &mut body);
        Self { body, form, references: References::default(), failure: None, largest: Largest::default() }
    }

    /// Encodes the next argument. `name` is for the error text.
    pub fn push<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) {
        if self.failure.is_some() {
            return;
        }
        let (before, body, form) = (self.body.len(), &mut self.body, self.form);
        if let Err(error) = scope::encoding(&mut self.references, || codec::encode(value, form, body)) {
            self.failure = Some((name, error.to_string()));
        }
        let bytes = self.body.len() - before;
        if bytes > self.largest.bytes {
            self.largest = Largest { name, bytes };
        }
    }

    /// Encodes the next argument as a byte string.
    pub fn push_bytes(&mut self, name: &'static str, value: &[u8]) {
        self.push(name, serde_bytes::Bytes::new(value));
    }

    /// Encodes the next argument as a byte string or nil.
    pub fn push_optional_bytes(&mut self, name: &'static str, value: Option<&[u8]>) {
        self.push(name, &value.map(serde_bytes::Bytes::new));
    }

    pub(crate) fn largest(&self) -> Largest {
        self.largest
    }

    pub(crate) fn finish(self, method: &Method) -> Result<(Bytes, Vec<Target>), RemoteError> {
        match self.failure {
            None => Ok((self.body.into(), self.references.into_list())),
            Some((name, error)) => {
                let text = format!("argument `{name}` of {method} cannot be encoded: {error}");
                Err(RemoteError::new(ErrorKind::BadArgument, Executed::No, text))
            }
        }
    }
}

/// The arguments of a call that has arrived, taken from first to last. Surplus ones are never looked at.
pub struct Arguments {
    method: &'static Method,
    body: Bytes,
    references: References,
    left: u32,
    at: usize,
}

impl Arguments {
    pub(crate) fn new(method: &'static Method, call: Incoming) -> Result<Self, RemoteError> {
        let wrong = |what: &dyn fmt::Display| bad(format!("the arguments of {method} are not {what}"));
        codec::check(&call.body).map_err(|error| wrong(&format_args!("well-formed: {error}")))?;
        let (left, at) = codec::read_array_header(&call.body).ok_or_else(|| wrong(&"an array"))?;
        Ok(Self { method, body: call.body, references: call.references.into(), left, at })
    }

    /// Decodes the next argument.
    ///
    /// # Errors
    /// `BadArguments`, not executed: it is missing, or not a `T`.
    pub fn take<T: DeserializeOwned>(&mut self, name: &'static str) -> Result<T, RemoteError> {
        self.take_optional(name)?.ok_or_else(|| self.missing(name))
    }

    /// Decodes the next argument, or takes its default when an older caller did not send it.
    ///
    /// # Errors
    /// `BadArguments`, not executed: it is not a `T`.
    pub fn take_or_default<T: DeserializeOwned + Default>(&mut self, name: &'static str) -> Result<T, RemoteError> {
        Ok(self.take_optional(name)?.unwrap_or_default())
    }

    /// Takes the next argument, a byte string, without copying it.
    ///
    /// # Errors
    /// `BadArguments`, not executed: it is missing, or not a byte string.
    pub fn take_bytes(&mut self, name: &'static str) -> Result<Bytes, RemoteError> {
        self.take_optional_bytes(name)?.ok_or_else(|| self.missing(name))
    }

    /// Takes the next argument, a byte string or nil, without copying it; `None` as well when it was not sent.
    ///
    /// # Errors
    /// `BadArguments`, not executed: it is something else.
    pub fn take_optional_bytes(&mut self, name: &'static str) -> Result<Option<Bytes>, RemoteError> {
        if self.left == 0 {
            return Ok(None);
        }
        match codec::take_bytes(&self.body, self.at) {
            Some((bytes, next)) => {
                self.advance(next);
                Ok(bytes)
            }
            None => {
                self.take_optional::<serde_bytes::ByteBuf>(name).map(|buffer| buffer.map(|b| Bytes::from(b.into_vec())))
            }
        }
    }

    fn take_optional<T: DeserializeOwned>(&mut self, name: &'static str) -> Result<Option<T>, RemoteError> {
        if self.left == 0 {
            return Ok(None);
        }
        let rest = self.body.get(self.at..).unwrap_or_default();
        let decoded = scope::decoding(&mut self.references, || codec::decode_next::<T>(rest));
        let (value, used) =
            decoded.map_err(|error| bad(format!("argument `{name}` of {} cannot be decoded: {error}", self.method)))?;
        self.advance(self.at + used);
        Ok(Some(value))
    }

    fn advance(&mut self, next: usize) {
        self.left -= 1;
        self.at = next;
    }

    fn missing(&self, name: &str) -> RemoteError {
        bad(format!("argument `{name}` of {} is missing", self.method))
    }
}

fn bad(text: String) -> RemoteError {
    RemoteError::new(ErrorKind::BadArguments, Executed::No, text)
}

/// The reply that carries the result of `method`.
pub(crate) fn encode_result<T: Serialize, E: Serialize>(method: &Method, result: &Result<T, E>) -> Outcome {
    let form = if method.compact { Form::Compact } else { Form::ByName };
    let mut body = Vec::with_capacity(32);
    let mut references = References::default();
    let (status, encoded) = scope::encoding(&mut references, || match result {
        Ok(value) => (Status::Ok, codec::encode(value, form, &mut body)),
        Err(error) => (Status::Error, codec::encode(error, form, &mut body)),
    });
    match encoded {
        Ok(()) => Ok(Reply { status, body: body.into(), references: references.into_list() }),
        Err(error) => {
            let text = format!("the result of {method} cannot be encoded: {error}");
            Err(RemoteError::new(ErrorKind::BadResult, Executed::Yes, text))
        }
    }
}

/// The result that `reply` carries.
pub(crate) fn decode_result<T, E>(method: &Method, reply: Reply) -> Result<T, E>
where
    T: DeserializeOwned,
    E: DeserializeOwned + From<RemoteError>,
{
    let bad = |error: codec::DecodeError| {
        let text = format!("the reply of {method} cannot be decoded: {error}");
        E::from(RemoteError::new(ErrorKind::BadReply, Executed::Yes, text))
    };
    codec::check(&reply.body).map_err(bad)?;
    let body = &reply.body;
    scope::decoding(&mut reply.references.into(), || match reply.status {
        Status::Ok => codec::decode_next::<T>(body).map(|(value, _)| Ok(value)),
        Status::Error => codec::decode_next::<E>(body).map(|(error, _)| Err(error)),
    })
    .map_err(bad)?
}
