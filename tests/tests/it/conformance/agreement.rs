//! The page and the tests agree.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn page() -> String {
    std::fs::read_to_string(root().join("docs/conformance.md")).unwrap()
}

/// The names of the tests in the sources below a directory.
fn tests(directory: &Path, names: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            tests(&path, names);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let source = std::fs::read_to_string(&path).unwrap();
            let mut is_test = false;
            for line in source.lines().map(str::trim) {
                let name = line.split_once("fn ").and_then(|(_, rest)| rest.split_once('('));
                match name {
                    Some((name, _)) if is_test => drop(names.insert(name.to_owned())),
                    _ => {}
                }
                is_test = line.starts_with("#[test]") || line.starts_with("#[tokio::test") || is_test && name.is_none();
            }
        }
    }
}

fn known(directories: &[&str]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    directories.iter().for_each(|directory| tests(&root().join(directory), &mut names));
    names
}

/// The names in backticks that look like tests.
fn named(page: &str) -> BTreeSet<String> {
    let quoted = page.split('`').skip(1).step_by(2);
    quoted.filter(|name| name.contains('_') && !name.contains('/')).map(str::to_owned).collect()
}

#[test]
fn every_test_on_the_page_exists() {
    let tests = known(&["tests/tests", "registry/tests", "registry/src", "rmi-core/src", "rmi-core/tests"]);
    let missing: Vec<_> = named(&page()).difference(&tests).cloned().collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn every_test_of_these_groups_is_on_the_page() {
    let own = known(&["tests/tests/it/conformance"]);
    assert!(own.len() > 60, "{}", own.len());
    let here = [
        "every_test_on_the_page_exists",
        "every_test_of_these_groups_is_on_the_page",
        "every_behaviour_is_on_the_page_once",
    ];
    let named = named(&page());
    let missing: Vec<_> = own.iter().filter(|name| !named.contains(*name) && !here.contains(&name.as_str())).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn every_behaviour_is_on_the_page_once() {
    let page = page();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next()?.parse::<u32>().ok());
    let expected: Vec<u32> = (1..=186).collect();
    assert_eq!(rows.collect::<Vec<_>>(), expected);
}
