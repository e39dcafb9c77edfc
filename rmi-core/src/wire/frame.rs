//! The frames of protocol §3: one enum, one arm each way.
//!
//! A frame is `u32 length · u8 kind · …`, little-endian; the length counts what follows it.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::error::cut;
use crate::id::{InterfaceId, MethodId, ObjectId};
use crate::limits;
use crate::metadata::Metadata;
use crate::wire::FrameError;
use crate::wire::hello::Hello;
use crate::wire::holding::{self, Claim, Claimed, Released};
use crate::wire::reference::{self, WireReference};

/// Which call: the caller's place for it, and how often that place was used before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct CallId {
    pub(crate) slot: u32,
    pub(crate) generation: u32,
}

impl CallId {
    /// The id of an unreliable call, which has no place: its number.
    pub(crate) fn from_number(number: u64) -> Self {
        let half = |number: u64| u32::try_from(number & u64::from(u32::MAX)).unwrap_or_default();
        Self { slot: half(number), generation: half(number >> 32) }
    }

    pub(crate) fn number(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.slot)
    }
}

/// The two directions of bodies, each with a window of its own, so that replies never wait for calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    Calls,
    Replies,
}

/// How a call ended, in the header of its reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReplyStatus {
    Ok,
    Error,
    Fault,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct CallFrame {
    pub(crate) id: CallId,
    pub(crate) oneway: bool,
    pub(crate) hops: u8,
    pub(crate) object: ObjectId,
    pub(crate) method: MethodId,
    /// Remaining time when the frame was made.
    pub(crate) timeout_ms: u32,
    /// The id under which later calls name the reference that this one returns.
    pub(crate) promise: Option<ObjectId>,
    pub(crate) metadata: Metadata,
    pub(crate) references: Vec<WireReference>,
    /// Set when the references stand at the front of the body instead.
    pub(crate) embedded: bool,
    pub(crate) body: Body,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ReplyFrame {
    pub(crate) id: CallId,
    pub(crate) status: ReplyStatus,
    pub(crate) references: Vec<WireReference>,
    /// Set when the references stand at the front of the body instead.
    pub(crate) embedded: bool,
    pub(crate) body: Body,
}

/// A body in its frame, or the announcement of one that follows in `Data` frames.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Body {
    Whole(Bytes),
    Follows(u32),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Frame {
    Hello(Hello),
    Call(CallFrame),
    Reply(ReplyFrame),
    Data {
        lane: Lane,
        id: CallId,
        last: bool,
        bytes: Bytes,
    },
    Cancel(CallId),
    Credit {
        lane: Lane,
        bytes: u64,
    },
    Ping(u64),
    Pong(u64),
    GoAway {
        accepted: u64,
    },
    Goodbye {
        code: u16,
        accepted: u64,
        text: String,
    },
    Release(Vec<Released>),
    Renew,
    Claim(Claim),
    Claimed(Vec<Claimed>),
    /// Promises that the caller will not name again.
    Forget(Vec<ObjectId>),
}

const HELLO: u8 = 1;
const CALL: u8 = 2;
const REPLY: u8 = 3;
const DATA: u8 = 4;
const CANCEL: u8 = 5;
const CREDIT: u8 = 6;
const PING: u8 = 7;
const PONG: u8 = 8;
const GO_AWAY: u8 = 9;
const GOODBYE: u8 = 10;
const RELEASE: u8 = 11;
const RENEW: u8 = 12;
const CLAIM: u8 = 13;
const CLAIMED: u8 = 14;
const FORGET: u8 = 17;

const ONEWAY: u8 = 1;
const REFERENCES: u8 = 2;
const METADATA: u8 = 4;
const FOLLOWS: u8 = 8;
const PROMISE: u8 = 16;
const EMBEDDED: u8 = 32;
const LAST: u8 = 16;

/// The feature bit of a node that takes unreliable calls in datagrams.
pub(crate) const DATAGRAMS: u32 = 1;
/// The feature bit of a node that takes large replies on streams beside the bytes.
pub(crate) const ASIDES: u32 = 2;
/// What a call takes beside its metadata and its body, with its kind.
const CALL_BYTES: usize = 39;

/// How long the datagram of a call with this metadata and this body is.
pub(crate) fn datagram_bytes(metadata: &Metadata, body: &[u8]) -> usize {
    let pairs: usize = metadata.iter().map(|(key, value)| 4 + key.len() + value.len()).sum();
    CALL_BYTES + if pairs == 0 { 0 } else { 1 + pairs } + body.len()
}

/// A call as a datagram: a frame without its length.
pub(crate) fn encode_datagram(call: &CallFrame) -> Bytes {
    let mut out = BytesMut::new();
    out.put_u8(CALL);
    encode_call(call, &mut out);
    out.freeze()
}

/// Cuts the first whole frame off `input`; `None` when it is not all there yet.
pub(crate) fn split(input: &mut BytesMut, limit: usize) -> Result<Option<Bytes>, FrameError> {
    let Some(prefix) = input.first_chunk::<4>() else { return Ok(None) };
    let bytes = usize::try_from(u32::from_le_bytes(*prefix)).unwrap_or(usize::MAX);
    if bytes > limit {
        return Err(FrameError::TooLong { bytes, limit });
    }
    if input.len() - 4 < bytes {
        return Ok(None);
    }
    input.advance(4);
    Ok(Some(input.split_to(bytes).freeze()))
}

impl Frame {
    /// Reads what [`split`] cut off.
    pub(crate) fn decode(mut input: Bytes) -> Result<Self, FrameError> {
        let kind = input.try_get_u8().map_err(|_| FrameError::Truncated("empty"))?;
        let (name, frame) = match kind {
            HELLO => return Hello::decode(input).map(Self::Hello),
            CALL => ("call", decode_call(input)?),
            REPLY => ("reply", decode_reply(input)?),
            DATA => ("data", decode_data(input)),
            CANCEL => ("cancel", decode_id(&mut input).map(Self::Cancel)),
            CREDIT => ("credit", decode_credit(input)?),
            PING => ("ping", input.try_get_u64_le().ok().map(Self::Ping)),
            PONG => ("pong", input.try_get_u64_le().ok().map(Self::Pong)),
            GO_AWAY => ("goaway", input.try_get_u64_le().ok().map(|accepted| Self::GoAway { accepted })),
            GOODBYE => ("goodbye", decode_goodbye(input)),
            RELEASE => ("release", holding::decode_released(&mut input)?.map(Self::Release)),
            RENEW => ("renew", Some(Self::Renew)),
            CLAIM => ("claim", Claim::decode(&mut input)?.map(Self::Claim)),
            CLAIMED => ("claimed", holding::decode_claimed(&mut input)?.map(Self::Claimed)),
            FORGET => ("forget promises", decode_forget(input)?),
            unknown => return Err(FrameError::UnknownKind(unknown)),
        };
        frame.ok_or(FrameError::Truncated(name))
    }

    /// Appends the frame to `out`.
    pub(crate) fn encode(&self, out: &mut BytesMut) {
        match self {
            Self::Hello(hello) => framed(out, HELLO, |out| hello.encode(out)),
            Self::Call(call) => framed(out, CALL, |out| encode_call(call, out)),
            Self::Reply(reply) => framed(out, REPLY, |out| encode_reply(reply, out)),
            Self::Data { lane, id, last, bytes } => {
                data_header(out, *lane, *id, *last, bytes.len());
                out.put_slice(bytes);
            }
            Self::Cancel(id) => framed(out, CANCEL, |out| encode_id(*id, out)),
            Self::Credit { lane, bytes } => framed(out, CREDIT, |out| {
                out.put_u8(encode_lane(*lane));
                out.put_u64_le(*bytes);
            }),
            Self::Ping(token) => framed(out, PING, |out| out.put_u64_le(*token)),
            Self::Pong(token) => framed(out, PONG, |out| out.put_u64_le(*token)),
            Self::GoAway { accepted } => framed(out, GO_AWAY, |out| out.put_u64_le(*accepted)),
            Self::Goodbye { code, accepted, text } => framed(out, GOODBYE, |out| {
                out.put_u16_le(*code);
                out.put_u64_le(*accepted);
                out.put_slice(cut(text).as_bytes());
            }),
            Self::Release(released) => framed(out, RELEASE, |out| holding::encode_released(released, out)),
            Self::Renew => framed(out, RENEW, |_| {}),
            Self::Claim(claim) => framed(out, CLAIM, |out| claim.encode(out)),
            Self::Claimed(claimed) => framed(out, CLAIMED, |out| holding::encode_claimed(claimed, out)),
            Self::Forget(promises) => framed(out, FORGET, |out| encode_forget(promises, out)),
        }
    }
}

/// The header of a data frame whose `bytes` bytes follow outside `out`, so that they need not be copied into it.
pub(crate) fn data_header(out: &mut BytesMut, lane: Lane, id: CallId, last: bool, bytes: usize) {
    let length = u32::try_from(bytes.saturating_add(10)).unwrap_or(u32::MAX);
    out.put_u32_le(length);
    out.put_u8(DATA);
    out.put_u8(encode_lane(lane) | if last { LAST } else { 0 });
    encode_id(id, out);
}

/// Writes `kind` and `content` behind their length.
fn framed(out: &mut BytesMut, kind: u8, content: impl FnOnce(&mut BytesMut)) {
    let start = out.len();
    out.put_u32_le(0);
    out.put_u8(kind);
    content(out);
    let length = u32::try_from(out.len() - start - 4).unwrap_or(u32::MAX).to_le_bytes();
    if let Some(prefix) = out.get_mut(start..start + 4) {
        prefix.copy_from_slice(&length);
    }
}

fn encode_lane(lane: Lane) -> u8 {
    match lane {
        Lane::Calls => 0,
        Lane::Replies => 1,
    }
}

fn decode_lane(flags: u8) -> Lane {
    if flags & 1 == 0 { Lane::Calls } else { Lane::Replies }
}

fn encode_id(id: CallId, out: &mut BytesMut) {
    out.put_u32_le(id.slot);
    out.put_u32_le(id.generation);
}

fn decode_id(input: &mut Bytes) -> Option<CallId> {
    Some(CallId { slot: input.try_get_u32_le().ok()?, generation: input.try_get_u32_le().ok()? })
}

fn encode_call(call: &CallFrame, out: &mut BytesMut) {
    let mut flags = if call.oneway { ONEWAY } else { 0 };
    flags |= if call.references.is_empty() { 0 } else { REFERENCES };
    flags |= if call.metadata.is_empty() { 0 } else { METADATA };
    flags |= if matches!(call.body, Body::Follows(_)) { FOLLOWS } else { 0 };
    flags |= if call.promise.is_some() { PROMISE } else { 0 };
    flags |= if call.embedded { EMBEDDED } else { 0 };
    out.put_u8(flags);
    encode_id(call.id, out);
    out.put_u8(call.hops);
    out.put_slice(&call.object.to_bytes());
    out.put_u32_le(call.method.interface.0);
    out.put_u32_le(call.method.method);
    out.put_u32_le(call.timeout_ms);
    if let Some(promise) = call.promise {
        out.put_slice(&promise.to_bytes());
    }
    if !call.metadata.is_empty() {
        encode_metadata(&call.metadata, out);
    }
    encode_tail(&call.references, &call.body, out);
}

/// The fixed part of a call is read first; `Ok(None)` says that it was cut short.
fn decode_call(mut input: Bytes) -> Result<Option<Frame>, FrameError> {
    let fixed = |input: &mut Bytes| -> Option<(u8, CallFrame)> {
        let flags = input.try_get_u8().ok()?;
        let id = decode_id(input)?;
        let hops = input.try_get_u8().ok()?;
        let object = ObjectId::from_bytes(take_16(input)?);
        let interface = InterfaceId(input.try_get_u32_le().ok()?);
        let method = MethodId { interface, method: input.try_get_u32_le().ok()? };
        let timeout_ms = input.try_get_u32_le().ok()?;
        let promise = if flags & PROMISE == 0 { None } else { Some(ObjectId::from_bytes(take_16(input)?)) };
        let call = CallFrame {
            id,
            oneway: flags & ONEWAY != 0,
            hops,
            object,
            method,
            timeout_ms,
            promise,
            metadata: Metadata::default(),
            references: Vec::new(),
            embedded: flags & EMBEDDED != 0,
            body: Body::Follows(0),
        };
        Some((flags, call))
    };
    let Some((flags, mut call)) = fixed(&mut input) else { return Ok(None) };
    if flags & METADATA != 0 {
        call.metadata = decode_metadata(&mut input)?;
    }
    (call.references, call.body) = decode_tail(flags, input)?;
    Ok(Some(Frame::Call(call)))
}

fn encode_reply(reply: &ReplyFrame, out: &mut BytesMut) {
    let mut flags = if reply.references.is_empty() { 0 } else { REFERENCES };
    flags |= if reply.embedded { EMBEDDED } else { 0 };
    flags |= if matches!(reply.body, Body::Follows(_)) { FOLLOWS } else { 0 };
    out.put_u8(flags);
    encode_id(reply.id, out);
    out.put_u8(match reply.status {
        ReplyStatus::Ok => 0,
        ReplyStatus::Error => 1,
        ReplyStatus::Fault => 2,
    });
    encode_tail(&reply.references, &reply.body, out);
}

fn decode_reply(mut input: Bytes) -> Result<Option<Frame>, FrameError> {
    let fixed = |input: &mut Bytes| Some((input.try_get_u8().ok()?, decode_id(input)?, input.try_get_u8().ok()?));
    let Some((flags, id, status)) = fixed(&mut input) else { return Ok(None) };
    let status = match status {
        0 => ReplyStatus::Ok,
        1 => ReplyStatus::Error,
        2 => ReplyStatus::Fault,
        other => return Err(FrameError::UnknownValue { what: "reply status", value: other.into() }),
    };
    let (references, body) = decode_tail(flags, input)?;
    let embedded = flags & EMBEDDED != 0;
    Ok(Some(Frame::Reply(ReplyFrame { id, status, references, embedded, body })))
}

/// What calls and replies end with: references, if any, then the body or how long it is.
fn encode_tail(references: &[WireReference], body: &Body, out: &mut BytesMut) {
    if !references.is_empty() {
        reference::encode(references, out);
    }
    match body {
        Body::Whole(bytes) => out.put_slice(bytes),
        Body::Follows(length) => out.put_u32_le(*length),
    }
}

fn decode_tail(flags: u8, mut input: Bytes) -> Result<(Vec<WireReference>, Body), FrameError> {
    if flags & REFERENCES != 0 && flags & EMBEDDED != 0 {
        return Err(FrameError::Invalid {
            what: "frame",
            reason: "it has references beside its body and in it".into(),
        });
    }
    let references = if flags & REFERENCES == 0 { Vec::new() } else { reference::decode(&mut input)? };
    let body = match flags & FOLLOWS {
        0 => Body::Whole(input),
        _ => Body::Follows(input.try_get_u32_le().map_err(|_| FrameError::Truncated("body length"))?),
    };
    Ok((references, body))
}

fn decode_data(mut input: Bytes) -> Option<Frame> {
    let flags = input.try_get_u8().ok()?;
    let id = decode_id(&mut input)?;
    Some(Frame::Data { lane: decode_lane(flags), id, last: flags & LAST != 0, bytes: input })
}

fn decode_credit(mut input: Bytes) -> Result<Option<Frame>, FrameError> {
    let Some(lane) = input.try_get_u8().ok() else { return Ok(None) };
    if lane > 1 {
        return Err(FrameError::UnknownValue { what: "lane", value: lane.into() });
    }
    Ok(input.try_get_u64_le().ok().map(|bytes| Frame::Credit { lane: decode_lane(lane), bytes }))
}

fn decode_goodbye(mut input: Bytes) -> Option<Frame> {
    let code = input.try_get_u16_le().ok()?;
    let accepted = input.try_get_u64_le().ok()?;
    let text = String::from_utf8_lossy(&input).into_owned();
    Some(Frame::Goodbye { code, accepted, text: cut(&text).to_owned() })
}

fn encode_forget(promises: &[ObjectId], out: &mut BytesMut) {
    out.put_u16_le(u16::try_from(promises.len()).unwrap_or(u16::MAX));
    promises.iter().for_each(|id| out.put_slice(&id.to_bytes()));
}

fn decode_forget(mut input: Bytes) -> Result<Option<Frame>, FrameError> {
    let Ok(count) = input.try_get_u16_le() else { return Ok(None) };
    within("promises in a frame", count.into(), limits::PROMISES_PER_SESSION_MAX)?;
    let ids = (0..count).map(|_| take_16(&mut input).map(ObjectId::from_bytes));
    Ok(ids.collect::<Option<_>>().map(Frame::Forget))
}

fn encode_metadata(metadata: &Metadata, out: &mut BytesMut) {
    out.put_u8(u8::try_from(metadata.iter().count()).unwrap_or(u8::MAX));
    for (key, value) in metadata.iter() {
        put_text(key, out);
        put_text(value, out);
    }
}

fn decode_metadata(input: &mut Bytes) -> Result<Metadata, FrameError> {
    let count = usize::from(input.try_get_u8().map_err(|_| FrameError::Truncated("metadata"))?);
    within("metadata entries", count, limits::METADATA_ENTRIES_MAX)?;
    let mut bytes = 0;
    let mut pairs = Vec::with_capacity(count);
    for _ in 0..count {
        let (key, value) = (take_text("metadata", input)?, take_text("metadata", input)?);
        bytes += key.len() + value.len();
        pairs.push((key, value));
    }
    within("metadata bytes", bytes, limits::METADATA_BYTES_MAX)?;
    Ok(pairs.into_iter().collect())
}

pub(super) fn within(what: &'static str, value: usize, limit: usize) -> Result<(), FrameError> {
    if value > limit { Err(FrameError::TooMany { what, value, limit }) } else { Ok(()) }
}

/// A text of at most 65,535 bytes behind its length; longer ones are cut, and the limits of all texts are far below.
pub(super) fn put_text(text: &str, out: &mut BytesMut) {
    let text = text.get(..text.floor_char_boundary(usize::from(u16::MAX).min(text.len()))).unwrap_or_default();
    out.put_u16_le(u16::try_from(text.len()).unwrap_or(u16::MAX));
    out.put_slice(text.as_bytes());
}

pub(super) fn take_text(what: &'static str, input: &mut Bytes) -> Result<String, FrameError> {
    let length = usize::from(input.try_get_u16_le().map_err(|_| FrameError::Truncated(what))?);
    if input.len() < length {
        return Err(FrameError::Truncated(what));
    }
    String::from_utf8(input.split_to(length).to_vec()).map_err(|_| FrameError::NotText(what))
}

pub(super) fn take_16(input: &mut Bytes) -> Option<[u8; 16]> {
    let bytes = *input.first_chunk::<16>()?;
    input.advance(16);
    Some(bytes)
}

#[cfg(test)]
#[path = "frame_tests.rs"]
mod tests;
