//! The protocol's page, `docs/protocol.md`, beside the code: its examples in hexadecimal digits, and its interfaces.

mod bodies;
mod frames;
mod interfaces;
mod shapes;

use std::collections::BTreeSet;
use std::path::Path;

use bytes::Bytes;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub(crate) fn page() -> String {
    std::fs::read_to_string(root().join("../docs/protocol.md")).unwrap()
}

/// A line of the page that matters here.
enum Line {
    /// The head of a table of bytes.
    Table(String),
    /// The name of an example and its bytes.
    Example(String, Bytes),
}

/// The tables of bytes and the examples, in the order of the page.
fn lines() -> Vec<Line> {
    let (page, mut found) = (page(), Vec::new());
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if line.starts_with("| bytes |") && line != "| shape | bytes |" {
            found.push(Line::Table(line.to_owned()));
        } else if let Some(name) = line.strip_prefix("```hex ") {
            let bytes = lines.by_ref().take_while(|line| *line != "```").flat_map(bytes_of).collect();
            found.push(Line::Example(name.to_owned(), bytes));
        }
    }
    found
}

/// Returns what stands in front of the remark.
fn bytes_of(line: &str) -> impl Iterator<Item = u8> {
    let digits = line.split('#').next().unwrap_or_default();
    digits.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap())
}

/// The bytes of the example with this name.
pub(crate) fn example(name: &str) -> Bytes {
    let is_it = |line| match line {
        Line::Example(found, bytes) if found == name => Some(bytes),
        _ => None,
    };
    lines().into_iter().find_map(is_it).unwrap_or_else(|| panic!("the page has no example {name}"))
}

#[test]
fn every_table_of_bytes_has_an_example_behind_it() {
    let lines = lines();
    let tables = lines.iter().filter(|line| matches!(line, Line::Table(_))).count();
    assert!(tables > 20, "{tables} tables of bytes were found");
    for (line, next) in lines.iter().zip(lines.iter().skip(1).map(Some).chain([None])) {
        if let Line::Table(head) = line {
            assert!(matches!(next, Some(Line::Example(..))), "no example behind {head}");
        }
    }
}

/// The text of every test of this crate.
fn sources(folder: &Path, text: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, text);
        } else {
            text.push_str(&std::fs::read_to_string(path).unwrap());
        }
    }
}

#[test]
fn every_example_has_a_name_of_its_own_and_is_read_by_a_test() {
    let (mut names, mut source) = (BTreeSet::new(), String::new());
    sources(&root().join("src"), &mut source);
    for line in lines() {
        if let Line::Example(name, _) = line {
            assert!(source.contains(&format!("example(\"{name}\")")), "no test reads the example {name}");
            assert!(names.insert(name.clone()), "two examples are called {name}");
        }
    }
}
