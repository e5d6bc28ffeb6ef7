use std::path::PathBuf;

use super::*;

const LIMITS: Limits = Limits { bytes: 1000, rows: 5, columns: 4 };

const SPEC: DataSpec = DataSpec { features: 1, label_min: 0.0, label_max: 1.0 };

fn source() -> CsvSource {
    CsvSource { path: PathBuf::from("rows.csv"), columns: Columns::Header, label: "y".into(), features: vec![] }
}

fn read(text: &str) -> Result<Dataset, DataError> {
    read_csv_from(text.as_bytes(), &source(), &LIMITS, 0.0..=1.0)
}

fn with_features(text: &str, features: &[&str]) -> Result<Dataset, DataError> {
    let features = features.iter().map(ToString::to_string).collect();
    read_csv_from(text.as_bytes(), &CsvSource { features, ..source() }, &LIMITS, 0.0..=1.0)
}

fn refused(text: &str) -> String {
    read(text).unwrap_err().to_string()
}

#[test]
fn features_keep_the_order_of_the_file_and_the_label_may_be_anywhere() {
    let data = read("a,y,b\n1,0,2.5\n-3,1,4e2\n").unwrap();
    assert_eq!((data.features(), data.x(), data.y()), (2, &[1.0, 2.5, -3.0, 400.0][..], &[0.0, 1.0][..]));
}

#[test]
fn named_features_come_in_the_order_named_and_the_rest_is_not_looked_at() {
    let data = with_features("a,id,b,y\n1,P-17,2,0\n", &["b", "a"]).unwrap();
    assert_eq!(data.x(), [2.0, 1.0]);
}

#[test]
fn a_file_without_a_header_gets_its_names_from_the_settings() {
    let named = Columns::Named(vec!["a".into(), "y".into()]);
    let data =
        read_csv_from(&b"7,1\n8,0\n"[..], &CsvSource { columns: named, ..source() }, &LIMITS, 0.0..=1.0).unwrap();
    assert_eq!((data.x(), data.y()), (&[7.0, 8.0][..], &[1.0, 0.0][..]));
}

#[test]
fn byte_order_mark_quotes_spaces_blank_lines_and_carriage_returns_are_harmless() {
    let data = read("\u{feff}\"a\", y\r\n\r\n 1 ,\"1\"\r\n").unwrap();
    assert_eq!((data.x(), data.y()), (&[1.0][..], &[1.0][..]));
}

#[test]
fn bad_values_are_named_by_line_and_column_but_not_shown() {
    assert_eq!(refused("a,y\n1,0\n,1\n"), "rows.csv line 3, column 'a': no value; drop the line or fill it in");
    assert!(matches!(read("a,y\n?,0\n"), Err(DataError::Missing { line: 2, .. })));
    assert!(matches!(read("a,y\n1,NA\n"), Err(DataError::Missing { .. })));
    assert_eq!(refused("a,y\nSmith,0\n"), "rows.csv line 2, column 'a': not a number");
    assert_eq!(refused("a,y\n1,0\n\nNaN,0\n"), "rows.csv line 4, column 'a': not a finite number");
    assert_eq!(refused("a,y\r\n\r\n1,0\r\ninf,0"), "rows.csv line 4, column 'a': not a finite number");
    assert!(matches!(read("a,y\n1e39,0\n"), Err(DataError::NotFinite { .. })));
    assert!(matches!(read("a,y\n-inf,0\n"), Err(DataError::NotFinite { .. })));
    assert_eq!(refused("a,y\n1,2\n"), "rows.csv line 2, column 'y': the label must lie in 0 to 1");
    assert!(matches!(read("a,y\n1,-0.5\n"), Err(DataError::LabelOutOfRange { .. })));
    assert!(matches!(read("a,y\n1,nan\n"), Err(DataError::NotFinite { .. })));
    let bytes = read_csv_from(&b"a,y\n\xff\xfe,1\n"[..], &source(), &LIMITS, 0.0..=1.0);
    assert!(matches!(bytes, Err(DataError::NotANumber { .. })));
}

#[test]
fn every_line_has_the_columns_of_the_header() {
    assert_eq!(refused("a,y\n1,0\n1,0,3\n"), "rows.csv line 3: expected 2 columns, found 3");
    assert!(matches!(read("a,y\n1\n"), Err(DataError::WrongColumns { expected: 2, got: 1, .. })));
}

#[test]
fn an_empty_file_is_refused() {
    for text in ["", "\n\n", "a,y\n", "a,y"] {
        assert_eq!(refused(text), "rows.csv: no rows", "{text:?}");
    }
}

#[test]
fn columns_must_exist_once_and_have_names() {
    let none =
        |found| format!("rows.csv: no column 'y' among the {found} that its first line names, separated by commas");
    assert_eq!(refused("a,b\n1,0\n"), none(2));
    // As spreadsheets of some countries write it.
    assert_eq!(refused("a;y\n1;0\n"), none(1));
    assert!(matches!(with_features("a,y\n1,0\n", &["c"]), Err(DataError::UnknownColumn { .. })));
    assert_eq!(refused("a,a,y\n1,2,0\n"), "rows.csv: two columns are called 'a'");
    assert!(matches!(with_features("a,y\n1,0\n", &["a", "a"]), Err(DataError::DuplicateColumn { .. })));
    assert!(matches!(with_features("a,y\n1,0\n", &["a", "y"]), Err(DataError::LabelAsFeature { .. })));
    assert!(matches!(read("y\n1\n"), Err(DataError::LabelAsFeature { .. })));
    assert_eq!(refused("a,,y\n1,2,0\n"), "rows.csv: column 2 has no readable name");
}

#[test]
fn reading_is_bounded() {
    let rows = "1,0\n".repeat(6);
    assert_eq!(
        refused(&format!("a,y\n{rows}")),
        "rows.csv line 7: more than 5 rows; raise the limit or split the file"
    );
    assert!(matches!(read("a,b,c,d,y\n1,2,3,4,0\n"), Err(DataError::TooManyColumns { got: 5, limit: 4, .. })));
    // One endless field: refused at the byte bound, not when memory is full.
    let endless = read_csv_from(std::io::repeat(b'1'), &source(), &LIMITS, 0.0..=1.0);
    assert!(matches!(endless, Err(DataError::TooLarge { limit: 1000, .. })));
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let missing = CsvSource { path: PathBuf::from("/no/such/rows.csv"), ..source() };
    let error = load(&missing, &LIMITS, &SPEC).unwrap_err();
    assert!(matches!(error, DataError::Read { .. }));
    assert!(error.to_string().starts_with("/no/such/rows.csv: "));
}

#[test]
fn loaded_rows_are_standardised_and_fit_the_federation_file() {
    let path = std::env::temp_dir().join(format!("almoner-rows-{}.csv", std::process::id()));
    std::fs::write(&path, "a,y\n1,0\n2,1\n3,1\n").unwrap();
    let source = CsvSource { path: path.clone(), ..source() };
    let loaded = load(&source, &LIMITS, &SPEC);
    let wide = load(&source, &LIMITS, &DataSpec { features: 2, ..SPEC });
    let narrow_labels = load(&source, &LIMITS, &DataSpec { label_max: 0.5, ..SPEC });
    std::fs::write(&path, "a,y\n1,0\n").unwrap();
    let one_row = load(&source, &LIMITS, &SPEC);
    std::fs::remove_file(&path).unwrap();
    let loaded = loaded.unwrap();
    assert!(loaded.x().iter().zip([-1.0, 0.0, 1.0]).all(|(a, b)| (a - b).abs() < 1e-6));
    assert!(matches!(wide, Err(DataError::Features { expected: 2, got: 1, .. })));
    assert!(matches!(narrow_labels, Err(DataError::LabelOutOfRange { line: 3, .. })));
    assert!(matches!(one_row, Err(DataError::Unusable { .. })));
}
