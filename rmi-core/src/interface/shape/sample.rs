//! Values that stand in the place of real ones where a type reads nothing further without them.

/// The number of samples of everything.
pub(super) const COUNT: usize = 10;

const TEXTS: [&str; COUNT] = [
    "",
    "a",
    "00000000-0000-0000-0000-000000000000",
    "1970-01-01T00:00:00Z",
    "1970-01-01",
    "00:00:00",
    "127.0.0.1",
    "127.0.0.1:1",
    "http://a.b/",
    "0",
];

pub(super) fn text(sample: usize) -> &'static str {
    TEXTS.get(sample).copied().unwrap_or_default()
}

pub(super) fn number(sample: usize) -> u8 {
    u8::try_from(sample).unwrap_or_default()
}
