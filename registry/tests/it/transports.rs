//! Names and groups again, over other transports, with their tests in a process of their own.

use rmi_tests::run_again_over;

const NAMES: &[&str] = &["naming::", "groups::"];
/// The fewest tests that these have.
const LEAST: usize = 30;

#[test]
fn names_and_groups_hold_over_unix() {
    run_again_over("unix", NAMES, LEAST);
}

#[test]
fn names_and_groups_hold_over_tls() {
    run_again_over("tls", NAMES, LEAST);
}

#[test]
fn names_and_groups_hold_over_quic() {
    run_again_over("quic", NAMES, LEAST);
}

#[test]
fn names_and_groups_hold_over_shm() {
    run_again_over("shm", NAMES, LEAST);
}
