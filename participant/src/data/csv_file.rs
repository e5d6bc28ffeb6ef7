use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use almoner_model::Dataset;
use csv::{ByteRecord, ReaderBuilder, Trim};

use super::DataError;

/// What stands for "not recorded", beside an empty field.
const MISSING: [&str; 2] = ["?", "NA"];

/// Where the columns' names come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Columns {
    /// The file's first line.
    Header,
    /// The file has rows only; these are its columns from left to right.
    Named(Vec<String>),
}

/// A comma-separated file of numbers with one label column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CsvSource {
    /// The file.
    pub path: PathBuf,
    /// Its columns.
    pub columns: Columns,
    /// The column that is the label.
    pub label: String,
    /// The columns that are features, in the model's order; empty: all but the label, in the file's.
    pub features: Vec<String>,
}

/// Bounds on what is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Length of the file. Numbers in memory take at most twice this.
    pub bytes: u64,
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub columns: usize,
}

impl Default for Limits {
    /// 256 MiB, ten million rows, 65,536 columns.
    fn default() -> Self {
        Self { bytes: 256 << 20, rows: 10_000_000, columns: 1 << 16 }
    }
}

/// The file's rows as they are, not standardised.
pub fn read_csv(source: &CsvSource, limits: &Limits, labels: RangeInclusive<f64>) -> Result<Dataset, DataError> {
    let fail = |error| DataError::Read { path: source.path.clone(), source: error };
    read_csv_from(File::open(&source.path).map_err(fail)?, source, limits, labels)
}

/// The same from an open reader; `source.path` is only for errors.
pub fn read_csv_from(
    input: impl Read,
    source: &CsvSource,
    limits: &Limits,
    labels: RangeInclusive<f64>,
) -> Result<Dataset, DataError> {
    let path = source.path.as_path();
    let bounded = Bounded { inner: input, left: limits.bytes };
    let mut rows = Rows::new(bounded, path);
    let names = match &source.columns {
        Columns::Named(names) => names.clone(),
        Columns::Header => rows.header(limits)?,
    };
    let layout = Layout::new(source, &names, limits, labels)?;
    let (mut x, mut y) = (Vec::new(), Vec::new());
    while let Some((line, record)) = rows.next(limits)? {
        if y.len() == limits.rows {
            return Err(DataError::TooManyRows { path: path.into(), line, limit: limits.rows });
        }
        layout.read(line, record, &mut x, &mut y)?;
    }
    if y.is_empty() {
        return Err(DataError::Empty { path: path.into() });
    }
    let features = layout.features.len();
    Dataset::new(features, x, y).map_err(|reason| DataError::Unusable { path: path.into(), reason })
}

/// Which columns are what.
struct Layout<'a> {
    path: &'a Path,
    names: &'a [String],
    label: usize,
    features: Vec<usize>,
    labels: RangeInclusive<f64>,
}

impl<'a> Layout<'a> {
    fn new(
        source: &'a CsvSource,
        names: &'a [String],
        limits: &Limits,
        labels: RangeInclusive<f64>,
    ) -> Result<Self, DataError> {
        let path = || source.path.clone();
        if names.len() > limits.columns {
            return Err(DataError::TooManyColumns { path: path(), got: names.len(), limit: limits.columns });
        }
        distinct(names, &source.path)?;
        distinct(&source.features, &source.path)?;
        let find = |wanted: &String| {
            let unknown = || DataError::UnknownColumn { path: path(), column: wanted.clone(), found: names.len() };
            names.iter().position(|name| name == wanted).ok_or_else(unknown)
        };
        let label = find(&source.label)?;
        let features: Vec<usize> = match source.features.is_empty() {
            true => (0..names.len()).filter(|&column| column != label).collect(),
            false => source.features.iter().map(find).collect::<Result<_, _>>()?,
        };
        if features.is_empty() || features.contains(&label) {
            return Err(DataError::LabelAsFeature { path: path(), column: source.label.clone() });
        }
        Ok(Self { path: &source.path, names, label, features, labels })
    }

    fn read(&self, line: u64, record: &ByteRecord, x: &mut Vec<f32>, y: &mut Vec<f32>) -> Result<(), DataError> {
        if record.len() != self.names.len() {
            let (expected, got) = (self.names.len(), record.len());
            return Err(DataError::WrongColumns { path: self.path.into(), line, expected, got });
        }
        for &column in &self.features {
            x.push(self.number(line, record, column)?);
        }
        let label = self.number(line, record, self.label)?;
        if !self.labels.contains(&f64::from(label)) {
            let (path, column) = (self.path.into(), self.names[self.label].clone());
            let (least, largest) = self.labels.clone().into_inner();
            return Err(DataError::LabelOutOfRange { path, line, column, least, largest });
        }
        y.push(label);
        Ok(())
    }

    /// `record` has one field per name.
    fn number(&self, line: u64, record: &ByteRecord, column: usize) -> Result<f32, DataError> {
        let place = || (self.path.to_path_buf(), self.names[column].clone());
        let text = std::str::from_utf8(&record[column]).ok();
        if text.is_some_and(|text| text.is_empty() || MISSING.contains(&text)) {
            let (path, column) = place();
            return Err(DataError::Missing { path, line, column });
        }
        let Some(value) = text.and_then(|text| text.parse::<f32>().ok()) else {
            let (path, column) = place();
            return Err(DataError::NotANumber { path, line, column });
        };
        if !value.is_finite() {
            let (path, column) = place();
            return Err(DataError::NotFinite { path, line, column });
        }
        Ok(value)
    }
}

fn distinct(names: &[String], path: &Path) -> Result<(), DataError> {
    let mut seen = HashSet::new();
    match names.iter().find(|name| !seen.insert(name.as_str())) {
        Some(column) => Err(DataError::DuplicateColumn { path: path.into(), column: column.clone() }),
        None => Ok(()),
    }
}

/// Records one by one with their line numbers; blank lines are skipped.
///
/// A line is a row: the csv parser sees one line at a time, because its own line numbers are off after a blank line and
/// in files with carriage returns, and an error that names the wrong line sends somebody to the wrong patient.
struct Rows<'a, R> {
    input: BufReader<Bounded<R>>,
    line: u64,
    text: Vec<u8>,
    record: ByteRecord,
    path: &'a Path,
}

impl<'a, R: Read> Rows<'a, R> {
    fn new(input: Bounded<R>, path: &'a Path) -> Self {
        let input = BufReader::new(input);
        Self { input, line: 0, text: Vec::new(), record: ByteRecord::new(), path }
    }

    fn next(&mut self, limits: &Limits) -> Result<Option<(u64, &ByteRecord)>, DataError> {
        loop {
            self.text.clear();
            let got = self.input.read_until(b'\n', &mut self.text).map_err(|error| self.failure(error, limits))?;
            if got == 0 {
                return Ok(None);
            }
            self.line += 1;
            if !self.text.trim_ascii().is_empty() {
                break;
            }
        }
        self.split()?;
        Ok(Some((self.line, &self.record)))
    }

    /// The fields of the line at hand.
    fn split(&mut self) -> Result<(), DataError> {
        let mut builder = ReaderBuilder::new();
        builder.has_headers(false).flexible(true).trim(Trim::All).buffer_capacity(self.text.len());
        let mut parser = builder.from_reader(self.text.as_slice());
        // The parser takes raw bytes and any number of fields, so it refuses nothing; its error type says otherwise.
        parser.read_byte_record(&mut self.record).map(drop).map_err(|error| DataError::Read {
            path: self.path.into(),
            source: io::Error::new(io::ErrorKind::InvalidData, error),
        })
    }

    fn header(&mut self, limits: &Limits) -> Result<Vec<String>, DataError> {
        let path = self.path;
        let Some((_, record)) = self.next(limits)? else {
            return Err(DataError::Empty { path: path.into() });
        };
        if record.len() > limits.columns {
            return Err(DataError::TooManyColumns { path: path.into(), got: record.len(), limit: limits.columns });
        }
        let name = |(at, field): (usize, &[u8])| {
            let text = std::str::from_utf8(field).unwrap_or_default();
            // Spreadsheets put a byte order mark before the first name.
            let text = if at == 0 { text.trim_start_matches('\u{feff}').trim() } else { text };
            match text.is_empty() {
                true => Err(DataError::Header { path: path.into(), column: at + 1 }),
                false => Ok(text.to_owned()),
            }
        };
        record.iter().enumerate().map(name).collect()
    }

    fn failure(&self, source: io::Error, limits: &Limits) -> DataError {
        let path = self.path.to_path_buf();
        match source.kind() {
            io::ErrorKind::FileTooLarge => DataError::TooLarge { path, limit: limits.bytes },
            _ => DataError::Read { path, source },
        }
    }
}

/// Fails with `FileTooLarge` where a file goes on past its bound. A size asked for before reading
/// would say nothing about a pipe or a file that grows.
struct Bounded<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.inner.read(buffer)?;
        self.left = self.left.checked_sub(got as u64).ok_or(io::ErrorKind::FileTooLarge)?;
        Ok(got)
    }
}
