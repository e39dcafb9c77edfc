//! References on the wire. Protocol §5.

use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::endpoint::Endpoint;
use crate::id::{NodeId, ObjectId};
use crate::limits;
use crate::reference::ObjectRef;
use crate::wire::FrameError;
use crate::wire::frame::{put_text, take_16, take_text, within};

/// A reference beside a body.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum WireReference {
    /// An object of the node that sends the frame: its node and endpoints are known from the hello.
    Sender { object: ObjectId, interfaces: Arc<[String]> },
    /// An object of any other node, the receiver included.
    Other(ObjectRef),
    /// What a call to the receiver promised, which need not be there yet.
    Promised(ObjectId),
}

const SENDER: u8 = 0;
const OTHER: u8 = 1;
const PROMISED: u8 = 2;

/// Writes the references of a frame.
pub(super) fn encode(references: &[WireReference], out: &mut BytesMut) {
    out.put_u16_le(u16::try_from(references.len()).unwrap_or(u16::MAX));
    encode_all(references, out);
}

/// Says whether the references have room in one frame. Others travel at the front of their body.
pub(crate) fn fit_a_frame(references: &[WireReference]) -> bool {
    references.len() <= limits::REFERENCES_PER_FRAME_MAX && encoded_bytes(references) <= limits::REFERENCES_BYTES_MAX
}

/// The references and the value behind them as one body.
pub(crate) fn embed(references: &[WireReference], value: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(2 + encoded_bytes(references) + value.len());
    out.put_u32_le(u32::try_from(references.len()).unwrap_or(u32::MAX));
    encode_all(references, &mut out);
    out.put_slice(value);
    out.freeze()
}

/// Takes the references off the front of a body.
pub(crate) fn split_off(body: &mut Bytes, limit: usize) -> Result<Vec<WireReference>, FrameError> {
    let count = body.try_get_u32_le().map_err(|_| FrameError::Truncated("body that begins with references"))?;
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    within("references of a body", count, limit)?;
    let mut references = Vec::with_capacity(count.min(body.len() / 17));
    let mut last = Names::default();
    for _ in 0..count {
        references.push(decode_one(body, &mut last)?);
    }
    Ok(references)
}

fn encode_all(references: &[WireReference], out: &mut BytesMut) {
    for reference in references {
        match reference {
            WireReference::Sender { object, interfaces } => {
                out.put_u8(SENDER);
                out.put_slice(&object.to_bytes());
                put_texts(interfaces.iter().map(String::as_str), out);
            }
            WireReference::Other(reference) => {
                out.put_u8(OTHER);
                out.put_slice(&reference.node.to_bytes());
                out.put_slice(&reference.object.to_bytes());
                put_texts(reference.interfaces.iter().map(String::as_str), out);
                put_texts(reference.endpoints.iter().map(Endpoint::as_str), out);
            }
            WireReference::Promised(promise) => {
                out.put_u8(PROMISED);
                out.put_slice(&promise.to_bytes());
            }
        }
    }
}

/// How many bytes [`encode`] writes, at most.
pub(crate) fn encoded_bytes(references: &[WireReference]) -> usize {
    let texts = |texts: &[String]| 1 + texts.iter().map(|text| 2 + text.len()).sum::<usize>();
    let one = |reference: &WireReference| match reference {
        WireReference::Sender { interfaces, .. } => 17 + texts(interfaces),
        WireReference::Other(reference) => {
            let endpoints: usize = reference.endpoints.iter().map(|endpoint| 2 + endpoint.as_str().len()).sum();
            34 + texts(&reference.interfaces) + endpoints
        }
        WireReference::Promised(_) => 17,
    };
    2 + references.iter().map(one).sum::<usize>()
}

pub(super) fn decode(input: &mut Bytes) -> Result<Vec<WireReference>, FrameError> {
    let count = usize::from(input.try_get_u16_le().map_err(|_| FrameError::Truncated("references"))?);
    within("references in a frame", count, limits::REFERENCES_PER_FRAME_MAX)?;
    let mut references = Vec::with_capacity(count.min(input.len() / 17));
    let before = input.len();
    let mut last = Names::default();
    for _ in 0..count {
        references.push(decode_one(input, &mut last)?);
        within("bytes of references in a frame", before - input.len(), limits::REFERENCES_BYTES_MAX)?;
    }
    Ok(references)
}

fn decode_one(input: &mut Bytes, last: &mut Names) -> Result<WireReference, FrameError> {
    let kind = input.try_get_u8().map_err(|_| FrameError::Truncated("reference"))?;
    match kind {
        SENDER => {
            Ok(WireReference::Sender { object: decode_object(input)?, interfaces: take_interfaces(input, last)? })
        }
        OTHER => {
            let node = NodeId::from_bytes(take_16(input).ok_or(FrameError::Truncated("reference"))?);
            let object = decode_object(input)?;
            let interfaces = take_interfaces(input, last)?;
            Ok(WireReference::Other(ObjectRef::new(node, object, interfaces, take_endpoints(input)?)))
        }
        PROMISED => decode_object(input).map(WireReference::Promised),
        other => Err(FrameError::UnknownValue { what: "reference kind", value: other.into() }),
    }
}

fn decode_object(input: &mut Bytes) -> Result<ObjectId, FrameError> {
    take_16(input).map(ObjectId::from_bytes).ok_or(FrameError::Truncated("reference"))
}

/// The interfaces of the reference before, and their bytes: most references of a frame name the same, and share them.
#[derive(Default)]
struct Names {
    bytes: Bytes,
    names: Arc<[String]>,
}

fn take_interfaces(input: &mut Bytes, last: &mut Names) -> Result<Arc<[String]>, FrameError> {
    if !last.bytes.is_empty() && input.starts_with(&last.bytes) {
        input.advance(last.bytes.len());
        return Ok(last.names.clone());
    }
    let before = input.clone();
    let names = take_texts("interfaces of a reference", limits::INTERFACES_MAX, input)?;
    for name in &names {
        within("bytes of an interface name", name.len(), limits::INTERFACE_NAME_BYTES_MAX)?;
    }
    let bytes = before.slice(..before.len() - input.len());
    *last = Names { bytes, names: names.into() };
    Ok(last.names.clone())
}

pub(super) fn take_endpoints(input: &mut Bytes) -> Result<Vec<Endpoint>, FrameError> {
    take_texts("endpoints of a reference", limits::ENDPOINTS_MAX, input)?
        .iter()
        .map(|text| text.parse())
        .collect::<Result<_, _>>()
        .map_err(|error: crate::endpoint::EndpointError| FrameError::Invalid {
            what: "endpoint",
            reason: error.to_string(),
        })
}

pub(super) fn put_texts<'a>(texts: impl ExactSizeIterator<Item = &'a str>, out: &mut BytesMut) {
    out.put_u8(u8::try_from(texts.len()).unwrap_or(u8::MAX));
    texts.for_each(|text| put_text(text, out));
}

fn take_texts(what: &'static str, limit: usize, input: &mut Bytes) -> Result<Vec<String>, FrameError> {
    let count = usize::from(input.try_get_u8().map_err(|_| FrameError::Truncated(what))?);
    within(what, count, limit)?;
    (0..count).map(|_| take_text(what, input)).collect()
}
