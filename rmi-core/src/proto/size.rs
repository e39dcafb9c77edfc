//! The size of bodies: the bounds that a sender keeps, which it knows from the peer's hello.

use bytes::Bytes;

use crate::proto::session::{Phase, Session};
use crate::wire::reference::WireReference;

impl Session {
    /// Checks that the peer takes a body like this. The text of the error says which body it is, its size, the bound and the
    /// way out.
    pub(super) fn check_size(&self, what: &str, references: &[WireReference], body: &Bytes) -> Result<(), String> {
        let (bytes, limit) = (body.len(), self.body_limit());
        if bytes > limit {
            return Err(format!("{what} of {bytes} bytes exceed the limit of {limit}; {}", way_out("body_bytes_max")));
        }
        let (count, limit) = (references.len(), self.references_limit());
        if count > limit {
            let way_out = way_out("references_per_body_max");
            return Err(format!("{what} with {count} references exceed the limit of {limit}; {way_out}"));
        }
        Ok(())
    }

    /// The largest body that both sides agree on; our own word as long as the peer's is not known.
    pub(super) fn body_limit(&self) -> usize {
        let own = self.settings.limits.body_bytes_max;
        let window = usize::try_from(self.peer.window_bytes).unwrap_or(usize::MAX);
        match self.phase {
            Phase::Open => own.min(self.peer.body_bytes as usize).min(window / 2),
            _ => own,
        }
    }

    /// The most references of a body that both sides agree on; our own word as long as the peer's is not known.
    fn references_limit(&self) -> usize {
        let own = self.settings.limits.references_per_body_max;
        if matches!(self.phase, Phase::Open) { own.min(self.peer.references as usize) } else { own }
    }
}

fn way_out(limit: &str) -> String {
    format!("send them in parts or as a stream, or raise Limits::{limit} at both ends")
}

#[cfg(test)]
#[path = "size_tests.rs"]
mod tests;
