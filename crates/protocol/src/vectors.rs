//! Shared test vectors, `tests/vectors/<topic>/0/*.json`, those of what contracts know read by the Solidity tests as well.
//!
//! A file is one flat object: inputs and what follows from them, big integers as decimal strings, bytes as 0x hex.
//! A file named `bad_…` must be refused. Changing a vector is a protocol change; `write_vectors` makes the files
//! anew after one (`cargo test --release -p almoner-protocol write_vectors -- --ignored`).

mod committee_cases;
mod direction_cases;
mod fields;
mod payout_cases;
mod quality_cases;
mod scale_cases;
mod tree_cases;

use std::fs;
use std::path::PathBuf;

use serde_json::{Map, Value};

/// One vector without its outputs, or with them.
type Object = Map<String, Value>;
/// What follows from the inputs of a vector; an error text if they are refused.
type Run = fn(&Object) -> Result<Object, String>;

struct Topic {
    name: &'static str,
    run: Run,
    cases: fn() -> Vec<(&'static str, Object)>,
}

const TOPICS: [Topic; 6] = [
    Topic { name: "scale", run: scale_cases::run, cases: scale_cases::cases },
    Topic { name: "quality", run: quality_cases::run, cases: quality_cases::cases },
    Topic { name: "payout", run: payout_cases::run, cases: payout_cases::cases },
    Topic { name: "directions", run: direction_cases::run, cases: direction_cases::cases },
    Topic { name: "committee", run: committee_cases::run, cases: committee_cases::cases },
    Topic { name: "trees", run: tree_cases::run, cases: tree_cases::cases },
];

fn folder(topic: &Topic) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "../../tests/vectors", topic.name, "0"].iter().collect()
}

#[test]
#[ignore = "writes the vector files"]
fn write_vectors() {
    for topic in TOPICS {
        fs::create_dir_all(folder(&topic)).unwrap();
        for (name, mut vector) in (topic.cases)() {
            match (topic.run)(&vector) {
                Ok(outputs) => {
                    assert!(!name.starts_with("bad_"), "{name} is not refused");
                    vector.extend(outputs);
                }
                Err(error) => assert!(name.starts_with("bad_"), "{name}: {error}"),
            }
            let text = serde_json::to_string_pretty(&vector).unwrap() + "\n";
            fs::write(folder(&topic).join(format!("{name}.json")), text).unwrap();
        }
    }
}

#[test]
fn vectors_hold() {
    for topic in TOPICS {
        let mut read = 0;
        for entry in fs::read_dir(folder(&topic)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let vector: Object = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
            check(&topic, &name, &vector);
            read += 1;
        }
        assert_eq!(read, (topic.cases)().len(), "files of {}", topic.name);
    }
}

fn check(topic: &Topic, name: &str, vector: &Object) {
    let place = format!("{}/{name}", topic.name);
    match (topic.run)(vector) {
        Ok(outputs) => {
            assert!(!name.starts_with("bad_"), "{place} is not refused");
            for (field, value) in outputs {
                assert_eq!(vector.get(&field), Some(&value), "{place}: {field}");
            }
        }
        Err(error) => assert!(name.starts_with("bad_"), "{place}: {error}"),
    }
}
