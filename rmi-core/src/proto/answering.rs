//! The calls we serve: every one that was accepted gets exactly one reply.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use crate::id::{MethodId, ObjectId};
use crate::metadata::Metadata;
use crate::proto::after::Cargo;
use crate::proto::asked::append;
use crate::wire::FrameError;
use crate::wire::frame::{CallFrame, CallId, ReplyFrame};
use crate::wire::reference::{WireReference, encoded_bytes, split_off};

/// A call that has arrived whole.
#[derive(Debug)]
pub(crate) struct IncomingCall {
    pub(crate) id: CallId,
    pub(crate) object: ObjectId,
    pub(crate) method: MethodId,
    pub(crate) oneway: bool,
    /// Came in a datagram.
    pub(crate) unreliable: bool,
    pub(crate) hops: u8,
    /// What the caller had left when it sent the call.
    pub(crate) timeout: Duration,
    pub(crate) metadata: Metadata,
    pub(crate) references: Vec<WireReference>,
    pub(crate) body: Bytes,
    /// The id under which later calls name the reference that this one returns.
    pub(crate) promise: Option<ObjectId>,
    /// Whether it names a promise, as its object or among its references.
    pub(crate) dependent: bool,
}

impl IncomingCall {
    /// The call of this frame with its body, which may begin with so many references.
    pub(super) fn new(frame: CallFrame, mut body: Bytes, references_max: usize) -> Result<Self, FrameError> {
        let CallFrame { id, oneway, hops, object, method, timeout_ms, promise, metadata, mut references, .. } = frame;
        if frame.embedded {
            references = split_off(&mut body, references_max)?;
        }
        let timeout = Duration::from_millis(timeout_ms.into());
        Ok(Self {
            id,
            object,
            method,
            oneway,
            unreliable: false,
            hops,
            timeout,
            metadata,
            references,
            body,
            promise,
            dependent: false,
        })
    }
}

/// One of the places that we grant to the peer's calls.
#[derive(Default)]
enum Place {
    #[default]
    Free,
    /// The body is arriving in pieces.
    Assembling { call: Box<CallFrame>, body: BytesMut, total: usize },
    /// The call was handed over and has no reply yet.
    Running { generation: u32, held: usize },
}

#[derive(Default)]
pub(super) struct Answering {
    places: Vec<Place>,
    places_max: usize,
    running: usize,
    /// The bytes of the arguments of the calls that run, references included.
    pub(super) running_bytes: usize,
    /// How many calls were accepted.
    pub(super) accepted: u64,
    /// Replies that wait for credit.
    pub(super) waiting: VecDeque<(ReplyFrame, Option<Box<dyn Cargo>>)>,
    pub(super) waiting_bytes: usize,
}

/// What a peer did wrong with a place.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum PlaceError {
    #[error("call in place {slot} exceeds the limit of {limit} places")]
    OutOfRange { slot: u32, limit: usize },
    #[error("call in place {0}, which is taken")]
    Taken(u32),
    #[error("a piece of a body that was not announced, or does not end where it should")]
    BadPiece,
}

impl Answering {
    pub(super) fn new(places_max: usize) -> Self {
        // The last number is that of no place.
        Self { places_max: places_max.min(u32::MAX as usize), ..Self::default() }
    }

    fn free_place(&mut self, id: CallId) -> Result<&mut Place, PlaceError> {
        let (index, limit) = (id.slot as usize, self.places_max);
        if index >= limit {
            return Err(PlaceError::OutOfRange { slot: id.slot, limit });
        }
        if self.places.len() <= index {
            self.places.resize_with(index + 1, Place::default);
        }
        match self.places.get_mut(index) {
            Some(place @ Place::Free) => Ok(place),
            _ => Err(PlaceError::Taken(id.slot)),
        }
    }

    /// A call begins whose body of `total` bytes follows.
    pub(super) fn begin(&mut self, call: CallFrame, total: usize) -> Result<(), PlaceError> {
        let place = self.free_place(call.id)?;
        *place = Place::Assembling { call: Box::new(call), body: BytesMut::new(), total };
        Ok(())
    }

    /// A call that is whole in its frame takes its place.
    pub(super) fn run(&mut self, id: CallId, held: usize) -> Result<(), PlaceError> {
        *self.free_place(id)? = Place::Running { generation: id.generation, held };
        self.running += 1;
        self.running_bytes += held;
        Ok(())
    }

    /// A piece of a body. `Ok(Some(_))`, the call and its body, when the call is whole and runs.
    pub(super) fn piece(
        &mut self,
        id: CallId,
        bytes: &Bytes,
        last: bool,
    ) -> Result<Option<(CallFrame, Bytes)>, PlaceError> {
        let Some(place) = self.places.get_mut(id.slot as usize) else { return Err(PlaceError::BadPiece) };
        let Place::Assembling { call, body, total } = place else { return Err(PlaceError::BadPiece) };
        if call.id != id {
            return Err(PlaceError::BadPiece);
        }
        append(body, bytes, last, *total).map_err(|()| PlaceError::BadPiece)?;
        if !last {
            return Ok(None);
        }
        let held = *total + encoded_bytes(&call.references);
        let running = Place::Running { generation: id.generation, held };
        self.running_bytes += held;
        self.running += 1;
        match std::mem::replace(place, running) {
            Place::Assembling { call, body, .. } => Ok(Some((*call, body.freeze()))),
            _ => Err(PlaceError::BadPiece),
        }
    }

    /// Gives up a body that is arriving; returns how long it was to be, and the references of its call.
    pub(super) fn drop_assembly(&mut self, id: CallId) -> Option<(usize, Vec<WireReference>)> {
        let place = self.places.get_mut(id.slot as usize)?;
        match place {
            Place::Assembling { call, total, .. } if call.id == id => {
                let dropped = (*total, std::mem::take(&mut call.references));
                *place = Place::Free;
                Some(dropped)
            }
            _ => None,
        }
    }

    /// Frees the place of a call that runs; says whether it was running, so that no call gets two replies.
    pub(super) fn finish(&mut self, id: CallId) -> bool {
        let Some(place) = self.places.get_mut(id.slot as usize) else { return false };
        match place {
            Place::Running { generation, held } if *generation == id.generation => {
                self.running_bytes -= *held;
                self.running -= 1;
                *place = Place::Free;
                true
            }
            _ => false,
        }
    }

    pub(super) fn is_running(&self, id: CallId) -> bool {
        let place = self.places.get(id.slot as usize);
        matches!(place, Some(Place::Running { generation, .. }) if *generation == id.generation)
    }

    /// Whether every call that was accepted has its reply on the way. A body that is still arriving is no accepted call.
    pub(super) fn is_idle(&self) -> bool {
        self.running == 0 && self.waiting.is_empty()
    }

    /// How many calls run.
    pub(super) fn running(&self) -> usize {
        self.running
    }
}
