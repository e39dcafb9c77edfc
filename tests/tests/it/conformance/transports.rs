//! The page again, over every transport.
//!
//! Each test runs the tests of the page once more in a process of their own, with another transport under them.

use std::process::{Command, Output};
use std::sync::Mutex;

use rmi_tests::Way;

/// The groups of the page: all of them over a fast transport, over a slow one those that say what a call does.
const ALL: &[&str] = &[
    "arguments",
    "cancellation",
    "collection",
    "connections",
    "errors",
    "handovers",
    "invocation",
    "membrane",
    "order",
    "pipelining",
    "references",
    "security",
    "shutdown",
    "threads",
];
const CALLS: &[&str] = &["arguments", "cancellation", "errors", "invocation", "references", "shutdown"];
/// The fewest tests that these have; fewer would mean that the names above lead nowhere.
const CALLS_LEAST: usize = 40;

/// One after the other: they measure time.
static TURN: Mutex<()> = Mutex::new(());

fn hold_over(scheme: &str, groups: &[&str]) {
    let _turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let directory = tempfile::tempdir().unwrap();
    let way = Way::new(scheme, directory.path());
    let names = groups.iter().map(|group| format!("conformance::{group}::"));
    let Output { status, stdout, .. } =
        Command::new(std::env::current_exe().unwrap()).args(names).envs(way.environment()).output().unwrap();
    let text = String::from_utf8_lossy(&stdout);
    assert!(status.success(), "over {scheme}:\n{text}");
    let passed = text.lines().filter(|line| line.starts_with("test ") && line.ends_with(" ok")).count();
    assert!(passed >= CALLS_LEAST, "only {passed} tests over {scheme}:\n{text}");
}

macro_rules! pages {
    ($($name:ident: $scheme:literal $groups:ident;)*) => {
        $(#[test]
        fn $name() {
            hold_over($scheme, $groups);
        })*
    };
}

pages! {
    the_page_holds_over_unix: "unix" ALL;
    the_page_holds_over_tls: "tls" ALL;
    the_page_holds_over_quic: "quic" ALL;
    the_calls_of_the_page_hold_over_mem: "mem" CALLS;
}
