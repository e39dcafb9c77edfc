//! A method call as a value: [`Call`] in, [`Reply`] out.
//!
//! What a proxy holds is an [`Invoke`]; what a node exports is a [`Dispatch`]. Everything between the two moves values:
//! bytes, and beside them an explicit list of references.

pub(crate) mod arguments;
pub(crate) mod batch;
pub(crate) mod context;
pub(crate) mod dispatch;
pub(crate) mod further;
pub(crate) mod options;
pub(crate) mod promised;
pub(crate) mod scope;

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use bytes::Bytes;

use crate::error::RemoteError;
use crate::id::{MethodId, ObjectId};
use crate::metadata::Metadata;
use crate::reference::ObjectRef;

pub use arguments::{Arguments, Outgoing};
pub use context::CallContext;
pub use dispatch::{Dispatch, Dispatched, Incoming};
pub use options::CallOptions;
pub use promised::Promised;

/// A method call as a value.
#[derive(Clone)]
#[non_exhaustive]
pub struct Call {
    /// The method.
    pub method: MethodId,
    /// The arguments: one MessagePack array.
    pub body: Bytes,
    /// The references that the body names by index.
    pub references: Vec<Target>,
    /// Whether the method may run more than once.
    pub idempotent: bool,
    /// Whether nobody waits for the result.
    pub oneway: bool,
    /// Whether the call may be lost: see [`Method::unreliable`](crate::Method::unreliable).
    pub unreliable: bool,
    /// When the caller gives up; `None` takes the default of the node.
    pub deadline: Option<Instant>,
    /// Keys and values for the servant's [`CallContext`].
    pub metadata: Metadata,
    /// How many calls this one is inside of.
    pub hops: u8,
    /// The proxy that made the call: calls with one number are dispatched in the order they were made.
    pub order: u64,
}

impl Call {
    /// A call of `method` with these encoded arguments, and nothing else set.
    #[must_use]
    pub fn new(method: MethodId, body: Bytes) -> Self {
        Self {
            method,
            body,
            references: Vec::new(),
            idempotent: false,
            oneway: false,
            unreliable: false,
            deadline: None,
            metadata: Metadata::default(),
            hops: 0,
            order: 0,
        }
    }
}

/// How a method ended that ran to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It returned `Ok`.
    Ok,
    /// It returned its own `Err`.
    Error,
}

/// The result of a call as a value. Faults are not replies: they are a [`RemoteError`].
#[derive(Clone)]
#[non_exhaustive]
pub struct Reply {
    /// Which of the two the body holds.
    pub status: Status,
    /// The value or the error: one MessagePack value.
    pub body: Bytes,
    /// The references that the body names by index.
    pub references: Vec<Target>,
}

impl Reply {
    /// A reply with this status and encoded value.
    #[must_use]
    pub fn new(status: Status, body: Bytes) -> Self {
        Self { status, body, references: Vec::new() }
    }
}

/// What a call comes to: a reply, or the reason why there is none.
pub type Outcome = Result<Reply, RemoteError>;

/// A call under way.
pub type Invocation = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// Something that takes calls: a connection to an object elsewhere, an interceptor, a test double.
pub trait Invoke: Any + Send + Sync {
    /// Makes the call.
    ///
    /// Order: the call counts as made when the future is first polled. Cancellation: dropping the future cancels it.
    fn invoke(&self, call: Call) -> Invocation;

    /// The address of the object behind it.
    fn reference(&self) -> &ObjectRef;

    /// Resolves when the object or its node is gone. By default never.
    fn closed(&self) -> Watching {
        Box::pin(std::future::pending())
    }

    /// Why a proxy over it cannot be an argument or a result of a call; `None` when it can.
    fn stays(&self) -> Option<&'static str> {
        None
    }

    /// Makes a call that is to return one reference, and a promise of what the reference leads to. `None`, and nothing
    /// done, where that cannot be: the call is to be made as any other.
    ///
    /// Order: the call counts as made when this returns. Cancellation: dropping the promise cancels the call.
    ///
    /// # Errors
    /// The call cannot be made; not executed.
    fn promise(&self, call: &Call) -> Option<Result<Arc<dyn Invoke>, RemoteError>> {
        let _ = call;
        None
    }

    /// What became of the promise; `None` for what is no promise.
    fn promised(&self) -> Option<&Promised> {
        None
    }
}

/// A wait for the end of an object.
pub type Watching = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The object that a reference leads to.
#[derive(Clone)]
pub enum Target {
    /// An object of this process.
    Local(Arc<LocalObject>),
    /// An object somewhere else.
    Remote(Arc<dyn Invoke>),
}

impl Target {
    /// What a promise has led to, if this is one that was kept; else the target itself.
    pub(crate) fn settled(&self) -> &Self {
        match self {
            Self::Remote(remote) => match remote.promised().and_then(Promised::get) {
                Some(Ok(object)) => object.settled(),
                _ => self,
            },
            Self::Local(_) => self,
        }
    }

    /// Whether this is a promise, of which nothing is known yet.
    pub(crate) fn is_open(&self) -> bool {
        match self {
            Self::Remote(remote) => remote.promised().is_some_and(|promised| promised.get().is_none()),
            Self::Local(_) => false,
        }
    }

    /// The names of the interfaces that the object is known to implement.
    #[must_use]
    pub fn interfaces(&self) -> Vec<String> {
        match self.settled() {
            Self::Local(object) => object.interfaces().into_iter().map(str::to_owned).collect(),
            Self::Remote(remote) => remote.reference().interfaces.to_vec(),
        }
    }
}

impl Target {
    /// The object, when it is in this process.
    pub(crate) fn local(&self) -> Option<&Arc<LocalObject>> {
        match self {
            Self::Local(object) => Some(object),
            Self::Remote(_) => None,
        }
    }
}

impl PartialEq for Target {
    fn eq(&self, other: &Self) -> bool {
        match (self.settled(), other.settled()) {
            (Self::Local(a), Self::Local(b)) => Arc::ptr_eq(a, b),
            (Self::Remote(a), Self::Remote(b)) => {
                let (a, b) = (a.reference(), b.reference());
                (a.node, a.object) == (b.node, b.object)
            }
            _ => false,
        }
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.settled() {
            Self::Local(object) => write!(f, "local {}", object.servant.descriptor().name),
            Self::Remote(remote) if remote.promised().is_some() => {
                write!(f, "promised by node {}", remote.reference().node)
            }
            Self::Remote(remote) => {
                let reference = remote.reference();
                let name = reference.interfaces.first().map_or("", String::as_str);
                write!(f, "remote {name} on node {}", reference.node)
            }
        }
    }
}

/// A servant of this process and the id under which it was exported, if it was.
pub struct LocalObject {
    pub(crate) servant: Box<dyn Dispatch>,
    further: further::Further,
    id: OnceLock<ObjectId>,
    revoked: AtomicBool,
}

impl LocalObject {
    pub(crate) fn new(servant: Box<dyn Dispatch>) -> Self {
        Self { servant, further: further::Further::default(), id: OnceLock::new(), revoked: AtomicBool::new(false) }
    }

    /// The object's id: made when first asked for, the same ever after.
    pub(crate) fn id(&self) -> ObjectId {
        *self.id.get_or_init(ObjectId::random)
    }

    /// It must not be reached from other nodes any more.
    pub(crate) fn revoke(&self) {
        self.revoked.store(true, Ordering::Release);
    }

    pub(crate) fn is_revoked(&self) -> bool {
        self.revoked.load(Ordering::Acquire)
    }

    /// Gives the object a well-known id; says whether it has it now.
    pub(crate) fn claim_id(&self, id: ObjectId) -> bool {
        *self.id.get_or_init(|| id) == id
    }
}
