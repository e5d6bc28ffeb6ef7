//! The heart files, and what is said of broken ones.

use std::path::PathBuf;

use tempfile::TempDir;

use super::heart::{CENTRES, HeartError, SPLIT_FILE, is_heart_dir, load};

/// A directory with four small hospitals: per centre two rows to train on, one to test with, one with a value missing.
struct Files(TempDir);

const ROWS: &str = "63.0,1.0,1.0,145.0,233.0,1.0,2.0,150.0,0.0,2.3,3.0,0.0,6.0,0\n\
                    67,1,4,160,286,0,2,108,1,1.5,2,3,3,2\n\
                    ?,1,4,120,229,0,2,129,1,2.6,2,2,7,1\n\
                    37,1,3,130,250,0,0,187,0,3.5,?,?,?,4\n";
const SETS: [(usize, &str); 3] = [(0, "train"), (1, "train"), (3, "test")];

impl Files {
    fn new() -> Self {
        let files = Self(TempDir::new().unwrap());
        let mut split = String::from("centre,line,set\n");
        for centre in CENTRES {
            files.write(&format!("processed.{centre}.data"), ROWS);
            split.extend(SETS.map(|(line, set)| format!("{centre},{line},{set}\n")));
        }
        files.write(SPLIT_FILE, &split);
        files
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.path().join(name), text).unwrap();
    }

    fn change(name: &str, from: &str, to: &str) -> (Self, PathBuf) {
        let files = Self::new();
        let path = files.0.path().join(name);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{from} is not in {name}");
        files.write(name, &text.replacen(from, to, 1));
        (files, path)
    }
}

/// What is said of a file that was changed, after its name.
#[track_caller]
fn refused(name: &str, from: &str, to: &str) -> (HeartError, String) {
    let (files, path) = Files::change(name, from, to);
    let error = load(files.0.path()).unwrap_err();
    let text = error.to_string();
    let said = text.strip_prefix(&path.display().to_string()).unwrap_or_else(|| panic!("{text} does not name {name}"));
    let said = said.to_owned();
    (error, said)
}

#[test]
fn the_four_hospitals_are_read_and_rows_with_a_missing_value_are_not() {
    let files = Files::new();
    assert!(is_heart_dir(files.0.path()));
    let centres = load(files.0.path()).unwrap();
    let rows: Vec<_> = centres.iter().map(|centre| (centre.name, centre.train.rows(), centre.test.rows())).collect();
    assert_eq!(rows, CENTRES.map(|name| (name, 2, 1)));
    assert_eq!(centres[0].train.y(), [0.0, 1.0]);
    assert_eq!(centres[0].train.x()[..13], [63.0, 1.0, 145.0, 233.0, 1.0, 150.0, 0.0, 2.3, 0.0, 0.0, 0.0, 0.0, 1.0]);
    std::fs::remove_file(files.0.path().join(SPLIT_FILE)).unwrap();
    assert!(!is_heart_dir(files.0.path()));
}

#[test]
fn a_bad_field_is_named_by_file_line_and_column_but_not_shown() {
    for (from, to, said) in [
        ("286", "Smith", " line 2, column 'chol': expected a number or '?'"),
        ("160", "", " line 2, column 'trestbps': expected a number or '?'"),
        ("286", "NaN", " line 2, column 'chol': not a finite number"),
        ("233.0", "inf", " line 1, column 'chol': not a finite number"),
        ("67,1,4,", "67,1,7,", " line 2, column 'cp': not one of the levels UCI describes"),
        ("0,0,187", "0,3,187", " line 4, column 'restecg': not one of the levels UCI describes"),
        ("3,3,2", "3,3,5", " line 2, column 'num': the label must be a grade from 0 to 4"),
        ("3,3,2", "3,3,-1", " line 2, column 'num': the label must be a grade from 0 to 4"),
        ("3,3,2", "3,3,sick", " line 2, column 'num': expected a number or '?'"),
    ] {
        let (error, text) = refused("processed.va.data", from, to);
        assert!(matches!(error, HeartError::Field { .. }), "{error}");
        assert_eq!(text, said);
    }
    let (error, text) = refused("processed.hungarian.data", ",3,3,2", ",3,2");
    assert!(matches!(error, HeartError::Line { line: 2, .. }));
    assert_eq!(text, " line 2: expected 14 columns");
}

#[test]
fn a_file_without_rows_is_refused() {
    for text in ["", "?,1,4,120,229,0,2,129,1,2.6,2,2,7,1\n"] {
        let files = Files::new();
        files.write("processed.switzerland.data", text);
        let error = load(files.0.path()).unwrap_err();
        assert!(
            matches!(&error, HeartError::Empty { path } if path.ends_with("processed.switzerland.data")),
            "{error}"
        );
    }
    let files = Files::new();
    files.write("processed.va.data", &"1".repeat((1 << 20) + 1));
    assert!(matches!(load(files.0.path()).unwrap_err(), HeartError::TooLarge { limit: 1_048_576, .. }));
}

#[test]
fn the_split_must_name_every_usable_line_once() {
    let split = |from, to| refused(SPLIT_FILE, from, to);
    for (from, to, said) in [
        ("centre,line,set", "center,line,set", " line 1: expected the header centre,line,set"),
        ("cleveland,1,train", "cleveland,1", " line 3: expected 3 columns"),
        ("cleveland,1,train", "cleveland,1,valid", " line 3: the set must be 'train' or 'test'"),
        ("cleveland,1,train", "cleveland,one,train", " line 3: expected a line number"),
        ("cleveland,1,train", "cleveland,0,train", " line 3: this line was named before"),
        (
            "cleveland,1,train",
            "clevland,1,train",
            " line 3: the centre must be cleveland, hungarian, switzerland or va",
        ),
    ] {
        let (error, text) = split(from, to);
        assert!(matches!(error, HeartError::Line { .. }), "{error}");
        assert_eq!(text, said);
    }
    let (error, text) = split("hungarian,3,test\n", "");
    assert!(matches!(error, HeartError::NotInSplit { centre: "hungarian", line: 3, .. }));
    assert_eq!(text, ": names no set for line 3 of centre hungarian (counted from 0)");
    let (error, text) = split("va,3,test\n", "va,3,test\nva,2,test\n");
    assert!(matches!(error, HeartError::NotInData { line: 2, .. }));
    assert_eq!(text, ": names line 2 of centre va (counted from 0), which has no usable row");
    let (error, text) = split("va,3,test", "va,3,train");
    assert!(matches!(error, HeartError::NoRows { centre: "va", set: "test", .. }));
    assert_eq!(text, ": leaves centre va without test rows");
}
