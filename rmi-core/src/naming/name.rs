//! Names in a registry.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::limits::NAME_BYTES_MAX;

/// A name in a registry: `bank/main`.
///
/// Shape: parts separated by `/`; no part is empty, `.` or `..`; no control characters. Limits: 1 to 255 bytes. Names are
/// compared byte by byte.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(Arc<str>);

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[non_exhaustive]
pub enum NameError {
    /// Nothing.
    #[error("a name cannot be empty")]
    Empty,
    /// Longer than the limit.
    #[error("name of {0} bytes exceeds the limit of {limit}", limit = NAME_BYTES_MAX)]
    TooLong(usize),
    /// A control character.
    #[error("name {0:?} has a control character at byte {1}")]
    Character(String, usize),
    /// An empty part, `.` or `..`.
    #[error("name {0:?} has a part at byte {1} that is empty, \".\" or \"..\"")]
    Part(String, usize),
}

impl Name {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn check(text: &str) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    if text.len() > NAME_BYTES_MAX {
        return Err(NameError::TooLong(text.len()));
    }
    if let Some(at) = text.find(char::is_control) {
        return Err(NameError::Character(text.to_owned(), at));
    }
    let mut at = 0;
    for part in text.split('/') {
        if matches!(part, "" | "." | "..") {
            return Err(NameError::Part(text.to_owned(), at));
        }
        at += part.len() + 1;
    }
    Ok(())
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        check(text)?;
        Ok(Self(text.into()))
    }
}

impl TryFrom<String> for Name {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl TryFrom<&str> for Name {
    type Error = NameError;

    fn try_from(text: &str) -> Result<Self, NameError> {
        text.parse()
    }
}

impl TryFrom<&String> for Name {
    type Error = NameError;

    fn try_from(text: &String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl TryFrom<&Self> for Name {
    type Error = NameError;

    fn try_from(name: &Self) -> Result<Self, NameError> {
        Ok(name.clone())
    }
}

impl From<std::convert::Infallible> for NameError {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        (*name.0).to_owned()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

/// A name, or the root of all names: what `list` and `watch` look under.
///
/// `bank` is over `bank` and `bank/main`, and not over `banker`. The empty prefix is over every name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Prefix(Option<Name>);

impl Prefix {
    /// Whether `name` is the prefix or below it.
    #[must_use]
    pub fn covers(&self, name: &Name) -> bool {
        let Some(prefix) = &self.0 else { return true };
        name.0.strip_prefix(&*prefix.0).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// The name; `None` for the root.
    #[must_use]
    pub fn name(&self) -> Option<&Name> {
        self.0.as_ref()
    }
}

impl FromStr for Prefix {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let text = text.strip_suffix('/').unwrap_or(text);
        if text.is_empty() { Ok(Self(None)) } else { text.parse().map(|name| Self(Some(name))) }
    }
}

impl TryFrom<String> for Prefix {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<Prefix> for String {
    fn from(prefix: Prefix) -> Self {
        prefix.0.map(Self::from).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_names_are_kept_as_they_are() {
        for text in ["a", "bank/main", "bank/main.2", "Ähre/ß", "a b", &"x".repeat(255)] {
            assert_eq!(text.parse::<Name>().unwrap().as_str(), text);
        }
    }

    #[test]
    fn bad_names_are_refused_with_their_place() {
        for (text, error) in [
            ("", "a name cannot be empty"),
            ("/a", r#"name "/a" has a part at byte 0 that is empty, "." or "..""#),
            ("a//b", r#"name "a//b" has a part at byte 2 that is empty, "." or "..""#),
            ("a/", r#"name "a/" has a part at byte 2 that is empty, "." or "..""#),
            ("a/../b", r#"name "a/../b" has a part at byte 2 that is empty, "." or "..""#),
            ("a\u{1b}[0m", r#"name "a\u{1b}[0m" has a control character at byte 1"#),
            (&"x".repeat(256), "name of 256 bytes exceeds the limit of 255"),
        ] {
            assert_eq!(text.parse::<Name>().unwrap_err().to_string(), error);
        }
    }

    #[test]
    fn a_prefix_covers_whole_parts() {
        let covers = |prefix: &str, name: &str| prefix.parse::<Prefix>().unwrap().covers(&name.parse().unwrap());
        assert!(covers("", "a/b") && covers("a", "a") && covers("a", "a/b") && covers("a/", "a/b/c"));
        assert!(!covers("a", "ab") && !covers("a/b", "a"));
    }
}
