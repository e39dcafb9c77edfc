//! Objects live as long as they are held: random runs beside a model. `cargo run --bin model` plays more of them.

use rmi_tests::model;

const RUNS: u64 = 60;

#[test]
fn objects_live_as_long_as_they_are_held_in_random_runs() {
    let (mut held, mut let_go) = (0, 0);
    for seed in 1..=RUNS {
        let tally = model::run(seed).unwrap_or_else(|failure| panic!("{failure}"));
        (held, let_go) = (held + tally.held, let_go + tally.let_go);
    }
    assert!(held > 30 * RUNS && let_go > RUNS, "{held} holds and {let_go} ends in {RUNS} runs show little");
}
