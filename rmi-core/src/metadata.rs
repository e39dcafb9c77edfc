//! Keys and values beside the arguments of a call.

use std::sync::Arc;

use crate::error::{ErrorKind, Executed, RemoteError};
use crate::limits;

/// Keys and values that travel beside the arguments. Cheap to clone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Metadata(Option<Arc<Vec<(String, String)>>>);

impl Metadata {
    /// The value of the first pair with this key.
    #[must_use]
    pub fn find(&self, key: &str) -> Option<&str> {
        self.iter().find(|(k, _)| *k == key).map(|(_, value)| value)
    }

    /// The pairs, in the order they were added.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().flat_map(|pairs| pairs.iter()).map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.as_ref().is_none_or(|pairs| pairs.is_empty())
    }

    pub(crate) fn push(&mut self, key: String, value: String) {
        Arc::make_mut(self.0.get_or_insert_default()).push((key, value));
    }

    pub(crate) fn check(&self) -> Result<(), RemoteError> {
        let too_large = |text| Err(RemoteError::new(ErrorKind::TooLarge, Executed::No, text));
        let entries = self.iter().count();
        if entries > limits::METADATA_ENTRIES_MAX {
            return too_large(format!(
                "metadata of {entries} entries exceeds the limit of {}",
                limits::METADATA_ENTRIES_MAX
            ));
        }
        let bytes: usize = self.iter().map(|(key, value)| key.len() + value.len()).sum();
        if bytes > limits::METADATA_BYTES_MAX {
            return too_large(format!("metadata of {bytes} bytes exceeds the limit of {}", limits::METADATA_BYTES_MAX));
        }
        Ok(())
    }
}

impl FromIterator<(String, String)> for Metadata {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(pairs: I) -> Self {
        let pairs: Vec<_> = pairs.into_iter().collect();
        Self((!pairs.is_empty()).then(|| Arc::new(pairs)))
    }
}
