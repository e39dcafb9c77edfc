//! Every example runs to its end and says what it should.

use std::process::{Command, Output};

fn last_line(program: &str) -> String {
    let Output { status, stdout, stderr } = Command::new(program).output().unwrap();
    let (out, error) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{out}{error}");
    out.lines().last().unwrap_or_default().to_owned()
}

#[test]
fn hello_greets() {
    assert_eq!(last_line(env!("CARGO_BIN_EXE_hello")), "Good day, world.");
}

#[test]
fn bank_closes() {
    assert_eq!(last_line(env!("CARGO_BIN_EXE_bank")), "closed");
}

#[test]
fn who_is_dropped_or_killed_has_left_the_chat_room() {
    assert_eq!(last_line(env!("CARGO_BIN_EXE_chat")), "ann is heard by 0 others, all have left the room");
}

#[test]
fn an_observer_that_is_dropped_or_killed_is_not_subscribed_any_more() {
    let line = last_line(env!("CARGO_BIN_EXE_observer"));
    assert_eq!(line, "0 observers are left: one dropped its subscription, one was killed");
}

#[test]
fn an_object_of_a_factory_dies_with_its_last_client() {
    assert_eq!(last_line(env!("CARGO_BIN_EXE_factory")), "the document lived as long as its last client");
}

#[test]
fn the_permit_of_a_killed_holder_goes_to_the_next() {
    let line = last_line(env!("CARGO_BIN_EXE_semaphore"));
    assert_eq!(line, "the permit of the process that was killed went to the next one, with a higher token");
}

#[test]
fn the_walk_takes_one_round_trip() {
    assert_eq!(last_line(env!("CARGO_BIN_EXE_walk")), "5 calls took one round trip");
}

#[test]
fn the_tour_goes_to_its_end() {
    let line = last_line(env!("CARGO_BIN_EXE_tour"));
    assert!(line.contains("every process that was started has ended"), "{line}");
}

#[test]
fn a_slow_reader_of_prices_skips_what_is_old() {
    let line = last_line(env!("CARGO_BIN_EXE_prices"));
    assert_eq!(line, "the slow reader read few of 1000 prices, the last one was 1000");
}

#[test]
fn every_job_is_done_although_a_worker_is_killed() {
    let line = last_line(env!("CARGO_BIN_EXE_workers"));
    assert_eq!(line, "90 of 90 jobs are done, and 1 of 3 workers was killed");
}
