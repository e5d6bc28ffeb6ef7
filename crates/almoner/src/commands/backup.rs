//! Copies of a role's journal, made while it runs, and putting one back. Both mark the copy: a role that opens it finds
//! out first what was said since, and contradicts none of it.

use std::path::{Path, PathBuf};

use almoner_journal::{JournalReader, restore};
use clap::Args;
use serde_json::json;

use super::files::of_journal;
use crate::failure::{Blame, Failure, Kind};

#[derive(Debug, Args)]
pub(crate) struct Backup {
    /// The role's settings.
    #[arg(long, value_name = "FILE")]
    pub(super) config: PathBuf,
    /// The copy to write; it must not exist yet.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Print one JSON document on stdout and nothing else.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Restore {
    /// The role's settings.
    #[arg(long, value_name = "FILE")]
    pub(super) config: PathBuf,
    /// The copy that is put back. The journal that it replaces must be moved away first.
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// Print one JSON document on stdout and nothing else.
    #[arg(long)]
    json: bool,
}

impl Backup {
    /// Copies the journal at `state`; `beside` is what else has to be kept.
    pub(super) fn run(&self, state: &Path, beside: &[&Path]) -> Result<(), Failure> {
        let copied = JournalReader::open(state).and_then(|journal| journal.copy_to(&self.out));
        let generation = copied.map_err(|error| of_journal(state, error))?;
        if self.json {
            let beside: Vec<&Path> = beside.to_vec();
            let out = &self.out;
            println!(
                "{}",
                json!({ "schema": 1, "file": out, "state_file": state, "generation": generation, "beside": beside })
            );
        } else {
            println!("{} is a copy of {}", self.out.display(), state.display());
            let beside: Vec<String> = beside.iter().map(|path| path.display().to_string()).collect();
            println!("not in it, keep them too: {}", beside.join(", "));
        }
        Ok(())
    }
}

impl Restore {
    /// Puts the copy at `state`; `then` says what the role does about it.
    pub(super) fn run(&self, state: &Path, then: &str) -> Result<(), Failure> {
        let restored = restore(&self.from, state).blame(Kind::You, format!("--from {}", self.from.display()));
        let generation = restored?;
        if self.json {
            println!(
                "{}",
                json!({ "schema": 1, "state_file": state, "from_file": self.from, "generation": generation })
            );
        } else {
            println!("{} is in place as {}", self.from.display(), state.display());
            println!("{then}");
        }
        Ok(())
    }
}
