//! What was measured, for people and for programs.

use std::fmt::Write as _;

use crate::contender::{Peer, Transport};
use crate::load::{Figures, Workload};

/// One contender at one workload over one transport, in every round.
pub(crate) struct Row {
    pub(crate) peer: Peer,
    pub(crate) transport: Transport,
    pub(crate) workload: Workload,
    pub(crate) rounds: Vec<Figures>,
}

type Figure = fn(&Figures) -> Option<f64>;

/// The keys of the JSON objects, the headings of the table, and how many digits follow the point.
const FIGURES: [(&str, &str, usize, Figure); 5] = [
    ("p50_us", "p50 µs", 1, |figures| figures.p50_us),
    ("p99_us", "p99 µs", 1, |figures| figures.p99_us),
    ("calls_per_s", "calls/s", 0, |figures| figures.calls_per_s),
    ("cpu_us_per_call", "µs cpu/call", 2, |figures| figures.cpu_us_per_call),
    ("mb_per_s", "MB/s", 0, |figures| figures.mb_per_s),
];

impl Row {
    fn median(&self, figure: Figure) -> Option<f64> {
        let mut values: Vec<f64> = self.rounds.iter().filter_map(figure).collect();
        values.sort_unstable_by(f64::total_cmp);
        values.get(values.len().saturating_sub(1) / 2).copied()
    }
}

pub(crate) fn table(rows: &[Row]) -> String {
    let mut out = format!("{:<8} {:<9} {:<8}", "peer", "transport", "workload");
    FIGURES.iter().for_each(|(_, heading, ..)| put(&mut out, heading));
    for row in rows {
        let Row { peer, transport, workload, .. } = row;
        out += &format!("\n{peer:<8} {transport:<9} {workload:<8}");
        for (_, _, digits, figure) in FIGURES {
            put(&mut out, &row.median(figure).map_or("–".to_owned(), |value| format!("{value:.digits$}")));
        }
    }
    out + "\n"
}

fn put(line: &mut String, cell: &str) {
    // Writing to a string cannot fail.
    let _ = write!(line, " {cell:>11}");
}

pub(crate) fn json(row: &Row) -> String {
    let mut object = serde_json::Map::new();
    object.insert("peer".into(), row.peer.to_string().into());
    object.insert("transport".into(), row.transport.to_string().into());
    object.insert("workload".into(), row.workload.to_string().into());
    for (key, _, _, figure) in FIGURES {
        if let Some(value) = row.median(figure) {
            object.insert(key.into(), ((value * 1000.0).round() / 1000.0).into());
        }
    }
    serde_json::Value::Object(object).to_string()
}

/// For each contender and transport a line that sets it against the floor of the same transport.
pub(crate) fn ratios(rows: &[Row]) -> Vec<String> {
    let mut lines = Vec::new();
    for row in rows.iter().filter(|row| row.peer != Peer::Floor) {
        let key = format!("{} {}:", row.peer, row.transport);
        if !lines.iter().any(|line: &String| line.starts_with(&key)) {
            lines.extend(ratio_line(rows, row.peer, row.transport).map(|text| key + &text));
        }
    }
    lines
}

fn ratio_line(rows: &[Row], peer: Peer, transport: Transport) -> Option<String> {
    let find = |peer, workload, figure: Figure| {
        let same = |row: &&Row| (row.peer, row.transport, row.workload) == (peer, transport, workload);
        rows.iter().find(same)?.median(figure)
    };
    let [p50, _, rate, _, mb] = FIGURES.map(|(.., figure)| figure);
    let against = |workload, figure: Figure, floor: Workload| {
        Some(find(peer, workload, figure)? / find(Peer::Floor, floor, figure)?)
    };
    let parts = [
        against(Workload::L1, p50, Workload::L1).map(|ratio| format!(" L1 p50 {ratio:.2} × raw")),
        against(Workload::T64, rate, Workload::L1).map(|ratio| format!(" T64 {ratio:.1} × the raw one-caller rate")),
        against(Workload::T1000, rate, Workload::L1)
            .map(|ratio| format!(" T1000 {ratio:.1} × the raw one-caller rate")),
        against(Workload::B64K, mb, Workload::B64K).map(|ratio| format!(" B64K {:.0} % of raw", ratio * 100.0)),
        against(Workload::B1M, mb, Workload::B1M).map(|ratio| format!(" B1M {:.0} % of raw", ratio * 100.0)),
    ];
    let text = parts.into_iter().flatten().collect::<Vec<_>>().join(",");
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(calls_per_s: &[f64]) -> Row {
        let rounds =
            calls_per_s.iter().map(|&rate| Figures { calls_per_s: Some(rate), ..Figures::default() }).collect();
        Row { peer: Peer::Floor, transport: Transport::Tcp, workload: Workload::L1, rounds }
    }

    #[test]
    fn a_row_is_the_median_of_its_rounds_and_omits_what_was_not_measured() {
        let text = json(&row(&[9.0, 1.0, 2.5]));
        assert_eq!(text, r#"{"calls_per_s":2.5,"peer":"floor","transport":"tcp","workload":"L1"}"#);
    }

    #[test]
    fn the_floor_is_not_set_against_itself() {
        assert!(ratios(&[row(&[1.0])]).is_empty());
    }
}
