//! The page again, over every transport.
//!
//! Each test runs the tests of the page once more in a process of their own, with another transport under them.

use rmi_tests::run_again_over;

/// The groups of the page: all of them over a fast transport, over a slow one those that say what a call does.
const ALL: &[&str] = &[
    "conformance::arguments::",
    "conformance::cancellation::",
    "conformance::collection::",
    "conformance::connections::",
    "conformance::errors::",
    "conformance::handovers::",
    "conformance::invocation::",
    "conformance::membrane::",
    "conformance::order::",
    "conformance::pipelining::",
    "conformance::references::",
    "conformance::security::",
    "conformance::shutdown::",
    "conformance::threads::",
];
const CALLS: &[&str] = &[
    "conformance::arguments::",
    "conformance::cancellation::",
    "conformance::errors::",
    "conformance::invocation::",
    "conformance::references::",
    "conformance::shutdown::",
];
/// The fewest tests that these have; fewer would mean that the names above lead nowhere.
const CALLS_LEAST: usize = 40;

macro_rules! pages {
    ($($name:ident: $scheme:literal $groups:ident;)*) => {
        $(#[test]
        fn $name() {
            run_again_over($scheme, $groups, CALLS_LEAST);
        })*
    };
}

pages! {
    the_page_holds_over_unix: "unix" ALL;
    the_page_holds_over_shm: "shm" ALL;
    the_page_holds_over_tls: "tls" ALL;
    the_page_holds_over_quic: "quic" ALL;
    the_calls_of_the_page_hold_over_mem: "mem" CALLS;
    the_calls_of_the_page_hold_over_exec: "exec" CALLS;
    the_calls_of_the_page_hold_over_fifo: "fifo" CALLS;
    the_calls_of_the_page_hold_over_mq: "mq" CALLS;
    the_calls_of_the_page_hold_over_nats: "nats" CALLS;
}
