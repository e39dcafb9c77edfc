//! Reads the sources: modules import only downward, the protocol has nothing that panics or waits, files stay small.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::tokens::{self, Scan};

/// Layer 0: plain values.
const PLAIN: &[&str] = &["id", "endpoint", "reference", "limits", "error", "metadata", "peer"];
/// Layer 2: what a trait becomes, and calls as values.
const CALLS: &[&str] = &["proxy", "interface", "call", "private"];
/// Layer 3, without the transports.
const OBJECTS: &[&str] = &["object", "security", "observe"];

/// Who may import whom: the modules of a row may import each other and the modules of the groups beside them.
/// This is the drawing of `docs/architecture.md`, lowest layer first.
const LAYERS: &[(&[&str], &[&[&str]])] = &[
    (PLAIN, &[]),
    (&["wire"], &[PLAIN]),
    (&["proto"], &[PLAIN, &["wire"]]),
    (CALLS, &[PLAIN, &["wire"]]),
    (&["transport"], &[PLAIN]),
    (OBJECTS, &[PLAIN, &["wire", "proto"], CALLS]),
    (&["node"], &[PLAIN, &["wire", "proto", "transport"], CALLS, OBJECTS]),
    (&["naming", "streaming", "sync"], &[PLAIN, &["node"], CALLS, &["security"]]),
];

/// The modules in which nothing may panic, wait or read a clock.
const PURE: &[&str] = &["wire", "proto"];
const PURE_METHODS: &[&str] = &["unwrap", "expect", "unwrap_err", "expect_err"];
const PURE_MACROS: &[&str] =
    &["panic", "unreachable", "todo", "unimplemented", "assert", "assert_eq", "assert_ne", "dbg", "println"];
const PURE_WORDS: &[&str] = &["tokio", "SystemTime"];

const LINES_MAX: usize = 600;

/// The public names of the crate's root and the modules they come from.
type Facade = BTreeMap<String, String>;

fn layer_of(module: &str) -> Option<(&'static [&'static str], &'static [&'static [&'static str]])> {
    LAYERS.iter().find(|(modules, _)| modules.contains(&module)).copied()
}

/// The imports of `source` that point upward. `module` is the place of the file: `["proto", "window"]`.
fn upward_imports(module: &[String], scan: &Scan, facade: &Facade) -> Vec<String> {
    let Some(own) = module.first() else { return Vec::new() };
    let Some((row, below)) = layer_of(own) else {
        return vec![format!("module {own} has no layer: add it to the table in layers.rs")];
    };
    let allowed = |name: &str| name == own || row.contains(&name) || below.iter().any(|group| group.contains(&name));
    let wrong = |import: &tokens::Import| {
        let name = facade.get(&import.name).unwrap_or(&import.name);
        (!allowed(name)).then(|| format!("line {}: {own} may not import {name}", import.line))
    };
    scan.imports.iter().filter_map(wrong).collect()
}

/// What `source` has that a module without panics, clocks and tasks may not have.
fn impurities(scan: &Scan) -> Vec<String> {
    let mut found: Vec<String> = scan.indexed.iter().map(|line| format!("line {line}: indexing")).collect();
    for word in &scan.words {
        let (line, name) = (word.line, word.name.as_str());
        let bad = match word.role {
            tokens::Role::Method => PURE_METHODS.contains(&name),
            tokens::Role::Macro => PURE_MACROS.contains(&name),
            tokens::Role::Other => PURE_WORDS.contains(&name),
            tokens::Role::Associated => PURE_WORDS.contains(&name) || name == "Instant::now",
        };
        if bad {
            found.push(format!("line {line}: {name}"));
        }
    }
    found
}

fn shape(source: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let lines = source.lines().count();
    if lines > LINES_MAX {
        wrong.push(format!("{lines} lines exceed the limit of {LINES_MAX}"));
    }
    if !source.starts_with("//!") {
        wrong.push("does not begin with //!".to_owned());
    }
    wrong
}

fn facade(lib: &str) -> Facade {
    tokens::reexports(lib).into_iter().collect()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

/// Every source file below `folder`, with its text. Programs that are meant not to compile (`ui`) are not ours to judge.
fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("a readable entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        if path.is_dir() && !name.starts_with('.') && name != "target" && name != "ui" {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).expect("a readable file");
            files.push((path, text));
        }
    }
    files
}

/// The files of `rmi-core` that are not tests, with their place among the modules.
fn core_sources() -> Vec<(PathBuf, Vec<String>, String)> {
    let folder = root().join("rmi-core/src");
    let files = sources(&folder).into_iter().filter(|(path, _)| !is_test(path));
    files
        .map(|(path, text)| {
            let module = place(path.strip_prefix(&folder).expect("below the folder"));
            (path, module, text)
        })
        .collect()
}

fn is_test(path: &Path) -> bool {
    let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let in_tests = path.parent().is_some_and(|folder| folder.ends_with("tests"));
    in_tests || stem == "tests" || stem.ends_with("_tests")
}

/// `proto/window.rs` is `["proto", "window"]`, `proto/mod.rs` is `["proto"]`, `lib.rs` is `[]`.
fn place(path: &Path) -> Vec<String> {
    let whole = path.with_extension("");
    let names = whole.components().map(|name| name.as_os_str().to_string_lossy().into_owned());
    names.filter(|name| name != "mod" && name != "lib").collect()
}

fn assert_none(violations: &[String]) {
    assert!(violations.is_empty(), "\n{}\n", violations.join("\n"));
}

fn name_file(path: &Path, wrong: Vec<String>) -> Vec<String> {
    let name = path.strip_prefix(root()).unwrap_or(path).display().to_string();
    wrong.into_iter().map(|text| format!("{name}: {text}")).collect()
}

#[test]
fn modules_import_only_downward() {
    let lib = std::fs::read_to_string(root().join("rmi-core/src/lib.rs")).expect("the root of the crate");
    let facade = facade(&lib);
    let check = |(path, module, text): (PathBuf, Vec<String>, String)| {
        name_file(&path, upward_imports(&module, &tokens::scan(&text, &module), &facade))
    };
    assert_none(&core_sources().into_iter().flat_map(check).collect::<Vec<_>>());
}

#[test]
fn the_protocol_has_nothing_that_panics_waits_or_reads_a_clock() {
    let pure = |module: &[String]| module.first().is_some_and(|name| PURE.contains(&name.as_str()));
    let files: Vec<_> = core_sources().into_iter().filter(|(_, module, _)| pure(module)).collect();
    assert!(files.len() >= PURE.len(), "the sources of {PURE:?} were not found");
    let check = |(path, module, text): (PathBuf, Vec<String>, String)| {
        name_file(&path, impurities(&tokens::scan(&text, &module)))
    };
    assert_none(&files.into_iter().flat_map(check).collect::<Vec<_>>());
}

#[test]
fn files_are_small_and_say_what_they_are() {
    let files = sources(&root());
    assert!(files.len() > 30, "only {} files were found", files.len());
    let check = |(path, text): (PathBuf, String)| name_file(&path, shape(&text));
    assert_none(&files.into_iter().flat_map(check).collect::<Vec<_>>());
}

fn imports_of(module: &[&str], source: &str) -> Vec<String> {
    let module: Vec<String> = module.iter().map(|&name| name.to_owned()).collect();
    let facade = facade("pub use node::{Node, NodeBuilder as Builder}; pub use error::RemoteError;");
    upward_imports(&module, &tokens::scan(source, &module), &facade)
}

#[test]
fn an_upward_import_is_found_however_it_is_written() {
    let node = ["line 1: wire may not import node"];
    for source in [
        "use crate::node::Node;",
        "use crate::{error::RemoteError, node::{self, Node}};",
        "fn f() { crate::node::spawn() }",
        "fn f() { g!(1, crate::node::spawn()) }",
        "use super::super::node::Node;",
        "mod inner { use super::super::super::node::Node; }",
        "use crate::Builder;",
    ] {
        assert_eq!(imports_of(&["wire", "frame"], source), node, "{source}");
    }
    assert_eq!(imports_of(&["transport"], "\nuse crate::wire::frame;"), ["line 2: transport may not import wire"]);
    assert_eq!(imports_of(&["proto", "asked"], "use crate::call::Call;"), ["line 1: proto may not import call"]);
    assert_eq!(imports_of(&["id"], "use super::*;"), ["line 1: id may not import *"]);
    let unknown = imports_of(&["extras"], "use crate::error::RemoteError;");
    assert_eq!(unknown, ["module extras has no layer: add it to the table in layers.rs"]);
}

#[test]
fn downward_imports_and_those_of_tests_pass() {
    for source in [
        "use crate::error::RemoteError; use crate::RemoteError; use super::frame; use super::super::limits;",
        "#[cfg(test)] mod tests { use crate::node::Node; } fn f() {}",
        "#[cfg(test)] use crate::node::Node;",
        "/// See [`Node`](crate::node::Node).\nfn f() {}",
        "mod inner { use super::frame; use super::super::hello; }",
    ] {
        assert_eq!(imports_of(&["wire", "frame"], source), [""; 0], "{source}");
    }
}

#[test]
fn what_panics_waits_or_reads_a_clock_is_found() {
    for (source, name) in [
        ("fn f() { x.unwrap() }", "unwrap"),
        ("fn f() { g!(x.expect(\"y\")) }", "expect"),
        ("fn f() { panic!() }", "panic"),
        ("fn f() { unreachable!() }", "unreachable"),
        ("fn f() { x[0] }", "indexing"),
        ("fn f() { x.y()[1..].z() }", "indexing"),
        ("fn f() { x[0][1] }", "indexing"),
        ("fn f() { format!(\"{}\", x[0]) }", "indexing"),
        ("fn f() { std::time::Instant::now() }", "Instant::now"),
        ("use std::time::SystemTime;", "SystemTime"),
        ("use tokio::sync::Notify;", "tokio"),
    ] {
        let found = impurities(&tokens::scan(source, &[]));
        assert!(found.contains(&format!("line 1: {name}")), "{source}: {found:?}");
    }
}

#[test]
fn what_only_looks_like_it_passes() {
    let source = "
        #[derive(Debug)] struct A<'a>(pub(crate) [u8; 4], &'a [u8], Vec<[u8; 2]>);
        fn f(x: &mut [u8], now: Instant) -> [u8; 2] {
            let [a, b] = *x else { return [1, 2] };
            match x { [0xdc, a, ..] => vec![1], _ => x.unwrap_or_default() };
            for a in [1] { if y {} [1].len(); }
            // x.unwrap(), panic!()
            \"x.unwrap() panic!() tokio\"
        }
        #[cfg(test)] mod tests { fn f() { x.unwrap(); y[0]; panic!() } }
        #[cfg(test)] #[path = \"x.rs\"] mod other;";
    assert_eq!(impurities(&tokens::scan(source, &[])), [""; 0]);
}

#[test]
fn a_long_file_and_one_without_a_first_line_are_found() {
    assert_eq!(shape("fn f() {}"), ["does not begin with //!"]);
    let long = format!("//! A file.\n{}", "\n".repeat(600));
    assert_eq!(shape(&long), ["601 lines exceed the limit of 600"]);
    assert_eq!(shape("//! A file.\n"), [""; 0]);
}
