//! What was looked at, what was found, and what to do about it.

use serde_json::{Value, json};

use crate::failure::{Failure, Kind};

struct Row {
    check: &'static str,
    state: State,
    found: String,
    remedy: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Fine,
    Warn,
    /// With whose doing it is.
    Fail(Kind),
}

impl State {
    fn word(self) -> &'static str {
        match self {
            Self::Fine => "ok",
            Self::Warn => "warn",
            Self::Fail(_) => "fail",
        }
    }
}

#[derive(Default)]
pub(super) struct Table(Vec<Row>);

impl Table {
    pub(super) fn fine(&mut self, check: &'static str, found: impl Into<String>) {
        self.0.push(Row { check, state: State::Fine, found: found.into(), remedy: None });
    }

    pub(super) fn warn(&mut self, check: &'static str, found: impl Into<String>, remedy: impl Into<String>) {
        self.0.push(Row { check, state: State::Warn, found: found.into(), remedy: Some(remedy.into()) });
    }

    pub(super) fn fail(&mut self, check: &'static str, failure: &Failure, remedy: impl Into<String>) {
        let (state, found) = (State::Fail(failure.kind), failure.to_string());
        self.0.push(Row { check, state, found, remedy: Some(remedy.into()) });
    }

    /// The value, or a row that says why there is none.
    pub(super) fn take<T>(&mut self, check: &'static str, result: Result<T, Failure>, remedy: &str) -> Option<T> {
        result.map_err(|failure| self.fail(check, &failure, remedy)).ok()
    }

    pub(super) fn document(&self) -> Value {
        let row = |row: &Row| json!({ "check": row.check, "state": row.state.word(), "found": row.found, "remedy": row.remedy });
        json!({ "schema": 1, "checks": self.0.iter().map(row).collect::<Vec<_>>() })
    }

    pub(super) fn print(&self) {
        for Row { check, state, found, remedy } in &self.0 {
            println!("{:<5} {check:<19} {found}", state.word());
            if let Some(remedy) = remedy {
                println!("{:<25} -> {remedy}", "");
            }
        }
    }

    /// Warnings let a site start. What its operator can mend is told before what others have to.
    pub(super) fn verdict(&self) -> Result<(), Failure> {
        let failed = |row: &Row| match row.state {
            State::Fail(kind) => Some((row.check, kind)),
            State::Fine | State::Warn => None,
        };
        let failed: Vec<(&str, Kind)> = self.0.iter().filter_map(failed).collect();
        let Some((_, first)) = failed.first() else { return Ok(()) };
        let own = failed.iter().find(|(_, kind)| *kind == Kind::You);
        let names: Vec<&str> = failed.iter().map(|(name, _)| *name).collect();
        let text = format!("{} of {} checks failed: {}", failed.len(), self.0.len(), names.join(", "));
        Err(Failure::new(own.map_or(*first, |(_, kind)| *kind), anyhow::anyhow!(text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_decides() {
        let mut table = Table::default();
        table.fine("settings", "site.toml");
        table.warn("disk", "little", "make room");
        assert!(table.verdict().is_ok(), "a warning is no failure");
        table.fail("chain", &Failure::peer("gone"), "wait");
        assert_eq!(table.verdict().unwrap_err().kind, Kind::Peer);
        table.fail("rows", &Failure::you("no such file"), "put it there");
        let failure = table.verdict().unwrap_err();
        assert_eq!((failure.kind, failure.to_string().as_str()), (Kind::You, "2 of 4 checks failed: chain, rows"));
        assert_eq!(table.document()["checks"][2]["state"], "fail");
    }
}
