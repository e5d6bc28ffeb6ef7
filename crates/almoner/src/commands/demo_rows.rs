//! `almoner demo --write-rows`: what the demo's sites hold, as files that sites of one's own can be given.

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::Path;

use almoner_model::Dataset;
use serde_json::json;

use crate::failure::{Blame, Failure, Kind};
use crate::localnet::Seeds;
use crate::localnet::breast_cancer::{DemoSplit, Labels, split};

/// The column of the label, 1 for benign.
const LABEL: &str = "benign";

/// Writes the rows of every hospital and validator, and those that the demo's harness judges by. They are raw: a site
/// standardises by its own.
pub(super) fn write(dir: &Path, labels: Labels, seeds: &Seeds, json: bool) -> Result<(), Failure> {
    let DemoSplit { test, validators, hospitals } = split(seeds.derive("split", 0), labels)?;
    let numbered = |kind: &'static str| move |(index, part)| (format!("{kind}-{}.csv", index + 1), part);
    let hospitals = hospitals.iter().enumerate().map(numbered("hospital"));
    let validators = validators.iter().enumerate().map(numbered("validator"));
    fs::create_dir_all(dir).blame(Kind::You, format!("--write-rows {}", dir.display()))?;
    let mut written = Vec::new();
    for (name, part) in hospitals.chain(validators).chain([("test.csv".to_owned(), &test)]) {
        let path = dir.join(name);
        write_new(&path, &csv(&part.data))?;
        written.push((path, part.data.rows()));
    }
    if json {
        let files: Vec<_> = written.iter().map(|(path, rows)| json!({ "file": path, "rows": rows })).collect();
        println!("{}", json!({ "schema": 1, "label": LABEL, "files": files }));
        return Ok(());
    }
    for (path, rows) in &written {
        println!("{}: {rows} rows", path.display());
    }
    println!("the label is {LABEL:?}; test.csv is for nobody but whoever judges the model (almoner model evaluate)");
    Ok(())
}

fn write_new(path: &Path, text: &str) -> Result<(), Failure> {
    let opened = OpenOptions::new().write(true).create_new(true).open(path);
    let written = opened.and_then(|mut file| file.write_all(text.as_bytes()));
    written.blame(Kind::You, format!("{}: name a new folder", path.display()))
}

fn csv(data: &Dataset) -> String {
    let mut text: String = (1..=data.features()).map(|feature| format!("x{feature},")).collect();
    text.push_str(LABEL);
    text.push('\n');
    for (row, label) in data.y().iter().enumerate() {
        for value in data.row(row) {
            // Writing to a string cannot fail.
            let _ = write!(text, "{value},");
        }
        let _ = writeln!(text, "{label}");
    }
    text
}

#[cfg(test)]
mod tests {
    use almoner_participant::DataConfig;
    use almoner_participant::data::{Limits, read_csv};

    use super::*;

    #[test]
    fn a_site_reads_what_is_written_for_it() {
        let home = tempfile::tempdir().unwrap();
        let seeds = Seeds::insecure(5);
        write(home.path(), Labels::Clean, &seeds, true).unwrap();
        let held = split(seeds.derive("split", 0), Labels::Clean).unwrap();
        let read = |name: &str| {
            let csv = home.path().join(name);
            let section: DataConfig = serde_json::from_value(json!({ "csv": csv, "label": LABEL })).unwrap();
            read_csv(&section.source(), &Limits::default(), 0.0..=1.0).unwrap()
        };
        let same = |name: &str, data: &Dataset| {
            let found = read(name);
            assert!((found.x(), found.y()) == (data.x(), data.y()), "{name}");
        };
        for (index, part) in held.hospitals.iter().enumerate() {
            same(&format!("hospital-{}.csv", index + 1), &part.data);
        }
        same("validator-3.csv", &held.validators[2].data);
        same("test.csv", &held.test.data);
        let again = write(home.path(), Labels::Clean, &seeds, true).unwrap_err();
        assert!(again.kind == Kind::You && again.to_string().contains("name a new folder"), "{again}");
    }
}
