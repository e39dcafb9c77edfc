//! Measures out one page of a list.

use rmi_core::limits::OWN_BODY_BYTES_MAX;
use rmi_core::naming::Name;

use crate::store::Stored;

/// The most bindings in a page.
const BINDINGS: u32 = 1000;
/// The most bytes of bindings in a page. What else is in it takes less than the rest.
const BYTES: usize = OWN_BODY_BYTES_MAX - 1024;
/// The most bytes that a binding takes beside its texts: the names of its fields, its ids, its revision.
const BINDING: usize = 256;
/// The most bytes that a text takes beside its characters.
const TEXT: usize = 5;

/// The room that is left in a page.
pub(crate) struct Room {
    bindings: u32,
    bytes: usize,
    empty: bool,
}

impl Room {
    /// Room for `limit` bindings, as far as a page has it.
    pub(crate) fn new(limit: u32) -> Self {
        Self { bindings: limit.clamp(1, BINDINGS), bytes: BYTES, empty: true }
    }

    /// Takes a binding in; `false` when it is for the next page. The first one is never left to another page.
    pub(crate) fn takes(&mut self, name: &Name, stored: &Stored) -> bool {
        let bytes = bytes(name, stored);
        if !self.empty && (self.bindings == 0 || bytes > self.bytes) {
            return false;
        }
        self.empty = false;
        self.bindings -= 1;
        self.bytes = self.bytes.saturating_sub(bytes);
        true
    }
}

/// The most bytes that a binding takes in a page.
fn bytes(name: &Name, stored: &Stored) -> usize {
    let interfaces = stored.object.interfaces.iter().map(String::as_str);
    let endpoints = stored.object.endpoints.iter().map(|endpoint| endpoint.as_str());
    let tags = stored.tags.iter().flat_map(|(key, value)| [key.as_str(), value.as_str()]);
    let texts = interfaces.chain(endpoints).chain(tags).chain([name.as_str()]);
    BINDING + texts.map(|text| text.len() + TEXT).sum::<usize>()
}
