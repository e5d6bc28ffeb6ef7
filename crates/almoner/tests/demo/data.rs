//! `demo --data DIR` with files that are broken: each names file and field, and nothing is written.

use std::path::Path;

use super::almoner;

const CENTRES: [&str; 4] = ["cleveland", "hungarian", "switzerland", "va"];

/// Four hospitals of 60 rows each, 20 of them to train on.
fn write(dir: &Path) {
    let mut split = String::from("centre,line,set\n");
    for (place, centre) in CENTRES.iter().enumerate() {
        let rows: String = (0..60)
            .map(|row| {
                let (age, rate, sick) = (40 + row % 30, 100 + (row * 7 + place) % 60, row % 3);
                format!(
                    "{age},{},{},130,2{row:02},0,{},{rate},0,1.{},?,?,?,{sick}\n",
                    row % 2,
                    1 + row % 4,
                    row % 3,
                    row % 9
                )
            })
            .collect();
        std::fs::write(dir.join(format!("processed.{centre}.data")), rows).unwrap();
        split.extend((0..60).map(|row| format!("{centre},{row},{}\n", if row < 20 { "train" } else { "test" })));
    }
    std::fs::write(dir.join("split_seed43.csv"), split).unwrap();
}

/// What `demo` says of these files after `change`; it must be the user's to mend, and leave nothing behind.
fn refused(change: impl FnOnce(&Path)) -> String {
    let home = tempfile::tempdir().unwrap();
    let (data, run) = (home.path().join("data"), home.path().join("run"));
    std::fs::create_dir(&data).unwrap();
    write(&data);
    change(&data);
    let (named, run_dir) = (data.to_str().unwrap(), run.to_str().unwrap());
    let output = almoner(&["demo", "--data", named, "--dir", run_dir, "--rounds", "1", "--seed", "1"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(output.stdout.is_empty());
    assert!(!run.exists(), "nothing is left behind");
    said.replace(named, "DATA")
}

/// Puts other text in the place of the first `from` of a file.
fn swap(name: &'static str, from: &'static str, to: &'static str) -> impl FnOnce(&Path) {
    move |dir| {
        let path = dir.join(name);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{name} has no {from}");
        std::fs::write(path, text.replacen(from, to, 1)).unwrap();
    }
}

#[test]
fn the_sample_itself_is_used() {
    let home = tempfile::tempdir().unwrap();
    write(home.path());
    let run = home.path().join("run");
    let done = super::demo(&run, &["--data", home.path().to_str().unwrap(), "--rounds", "1", "--seed", "1"]);
    assert_eq!(done["participants"].as_array().unwrap().len(), 4);
    assert_eq!(done["participants"][0]["rows"], 20);
    assert_eq!(done["audit"]["checks"], done["audit"]["held"]);
}

#[test]
fn broken_rows_are_named_by_file_line_and_column() {
    for (name, from, to, said) in [
        ("processed.va.data", ",200,", ",high,", "processed.va.data line 1, column 'chol': expected a number or '?'"),
        ("processed.va.data", ",201,", ",NaN,", "processed.va.data line 2, column 'chol': not a finite number"),
        (
            "processed.cleveland.data",
            ",202,",
            ",inf,",
            "processed.cleveland.data line 3, column 'chol': not a finite number",
        ),
        (
            "processed.hungarian.data",
            ",?,?,?,2\n",
            ",?,?,?,9\n",
            "processed.hungarian.data line 3, column 'num': the label must be a grade from 0 to 4",
        ),
        ("processed.hungarian.data", ",200,0", ",200", "processed.hungarian.data line 1: expected 14 columns"),
    ] {
        assert_eq!(refused(swap(name, from, to)), format!("error: --data DATA: DATA/{said}\n"));
    }
}

#[test]
fn an_empty_file_is_named() {
    let said = refused(|dir| std::fs::write(dir.join("processed.switzerland.data"), "").unwrap());
    let text = "processed.switzerland.data: no row without a missing value; is it the file that UCI publishes?";
    assert_eq!(said, format!("error: --data DATA: DATA/{text}\n"));
    let said = refused(|dir| std::fs::remove_file(dir.join("processed.va.data")).unwrap());
    assert_eq!(
        said,
        "error: --data DATA: expected processed.cleveland.data, processed.hungarian.data, processed.switzerland.data, \
         processed.va.data and split_seed43.csv in it\n"
    );
}

#[test]
fn a_wrong_split_is_named() {
    let split = "split_seed43.csv";
    for (from, to, said) in [
        ("centre,line,set", "centre;line;set", " line 1: expected the header centre,line,set"),
        ("va,7,train", "va,7,both", " line 189: the set must be 'train' or 'test'"),
        ("va,7,train", "va,6,train", " line 189: this line was named before"),
        ("va,7,train", "va,60,train", ": names no set for line 7 of centre va (counted from 0)"),
        (
            "va,59,test",
            "va,59,test\nva,60,test",
            ": names line 60 of centre va (counted from 0), which has no usable row",
        ),
    ] {
        assert_eq!(refused(swap(split, from, to)), format!("error: --data DATA: DATA/{split}{said}\n"));
    }
    let few = |dir: &Path| {
        let path = dir.join(split);
        let text = std::fs::read_to_string(&path).unwrap();
        let test = ["va,59,test", "va,58,test"];
        let all = text.lines().map(|line| match line.starts_with("va,") && !test.contains(&line) {
            true => line.replace("test", "train"),
            false => line.to_owned(),
        });
        std::fs::write(&path, all.collect::<Vec<_>>().join("\n")).unwrap();
    };
    assert_eq!(
        refused(few),
        format!("error: --data DATA: DATA/{split}: leaves 122 test rows, at least 151 are needed\n")
    );
}
