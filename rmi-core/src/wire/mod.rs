//! Bytes and values: frames, and the MessagePack bodies inside them.

pub(crate) mod codec;
