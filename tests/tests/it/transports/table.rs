//! The table of what ran: a row for each test, a column for each transport. It is printed when the whole suite has run.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::future::Future;
use std::io::Write as _;
use std::sync::{Mutex, PoisonError};

use super::TESTS;

/// Whether each test of each transport passed.
static RESULTS: Mutex<BTreeMap<(&str, &str), bool>> = Mutex::new(BTreeMap::new());

/// Runs a test of the suite and remembers how it ended.
pub(super) async fn fill(transport: &'static str, test: &'static str, run: impl Future<Output = ()>) {
    let mut cell = Cell { transport, test, passed: false };
    run.await;
    cell.passed = true;
}

struct Cell {
    transport: &'static str,
    test: &'static str,
    passed: bool,
}

impl Drop for Cell {
    fn drop(&mut self) {
        let mut results = RESULTS.lock().unwrap_or_else(PoisonError::into_inner);
        results.insert((self.test, self.transport), self.passed);
        if results.len() == TESTS {
            // Not `print!`: what a test prints is kept from sight.
            let _ = std::io::stdout().write_all(table(&results).as_bytes());
        }
    }
}

fn table(results: &BTreeMap<(&str, &str), bool>) -> String {
    let mut transports: Vec<&str> = results.keys().map(|(_, transport)| *transport).collect();
    transports.sort_unstable();
    transports.dedup();
    let mut tests: Vec<&str> = results.keys().map(|(test, _)| *test).collect();
    tests.sort_unstable_by_key(|test| {
        (test.as_bytes()[0], test[1..].split('_').next().unwrap().parse::<u32>().unwrap())
    });
    tests.dedup();
    let mut text = format!("\n{:72}", "");
    transports.iter().for_each(|transport| write!(text, " {transport:>6}").unwrap());
    for test in tests {
        write!(text, "\n{test:72}").unwrap();
        for transport in &transports {
            let mark = match results.get(&(test, *transport)) {
                Some(true) => "ok",
                Some(false) => "FAILED",
                None => "-",
            };
            write!(text, " {mark:>6}").unwrap();
        }
    }
    text + "\n\n"
}
