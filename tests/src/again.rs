//! Tests that are run once more, over another transport.

use std::process::{Command, Output};
use std::sync::{Mutex, PoisonError};

use crate::Way;

/// One after the other: they measure time.
static TURN: Mutex<()> = Mutex::new(());

/// Runs the tests of this very binary whose names contain one of `names` in a process of its own, with the transport of
/// `scheme` under them; `least` of them must be there, or the names lead nowhere.
///
/// # Panics
/// A test fails, or there are fewer.
pub fn run_again_over(scheme: &str, names: &[&str], least: usize) {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let directory = tempfile::tempdir().expect("a directory");
    let way = Way::new(scheme, directory.path());
    let mut command = Command::new(std::env::current_exe().expect("the name of this program"));
    let Output { status, stdout, .. } = command.args(names).envs(way.environment()).output().expect("a process");
    let text = String::from_utf8_lossy(&stdout);
    assert!(status.success(), "over {scheme}:\n{text}");
    let passed = text.lines().filter(|line| line.starts_with("test ") && line.ends_with(" ok")).count();
    assert!(passed >= least, "only {passed} tests over {scheme}:\n{text}");
}
