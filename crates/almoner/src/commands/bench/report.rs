//! The result: a document, or a screen for people.

use serde_json::{Value, json};

use super::rounds::Row;

pub(super) fn document(rows: &[Row]) -> Value {
    json!({ "schema": 1, "rows": rows.iter().map(row).collect::<Vec<_>>() })
}

fn row(row: &Row) -> Value {
    let phases: serde_json::Map<String, Value> =
        row.phases.iter().map(|(name, seconds)| (name.clone(), json!(rounded(*seconds)))).collect();
    json!({
        "params": row.params,
        "sites": row.sites,
        "rounds": row.rounds,
        "seconds": rounded(row.seconds),
        "phases": phases,
        "tcp_seconds": rounded(row.floors.tcp),
        "fsync_seconds": rounded(row.floors.fsync),
        "hash_seconds": rounded(row.floors.hash),
        "bytes": row.bytes,
        "payload_bytes": row.payload,
        "peak_bytes": {
            "coordinator": row.peaks.coordinator,
            "aggregator": row.peaks.aggregator,
            "chain": row.peaks.chain,
            "site_max": row.peaks.site_max,
        },
    })
}

/// To a tenth of a millisecond: more digits would say nothing.
fn rounded(seconds: f64) -> f64 {
    (seconds * 1e4).round() / 1e4
}

pub(super) fn text(row: &Row) {
    let mib = |bytes: u64| bytes >> 20;
    println!("{} parameters, {} sites: {:.3} s a round without training", row.params, row.sites, row.seconds);
    for (name, seconds) in &row.phases {
        println!("  {name:<12}{seconds:>9.3} s");
    }
    for (name, floor) in [("raw TCP", row.floors.tcp), ("fsync", row.floors.fsync), ("SHA-256", row.floors.hash)] {
        println!("  floor: {name:<10}{floor:>9.3} s, a round takes {:.1} times that", row.seconds / floor);
    }
    let bytes = row.bytes.map_or("not counted (see --help)".into(), |bytes| bytes.to_string());
    println!("  bytes: {bytes}, payload {}", row.payload);
    let peaks = &row.peaks;
    println!(
        "  peak MiB: coordinator {}, aggregator {}, chain {}, largest site {}",
        mib(peaks.coordinator),
        mib(peaks.aggregator),
        mib(peaks.chain),
        mib(peaks.site_max)
    );
}
