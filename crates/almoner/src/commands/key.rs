//! `almoner key`: a new account.

use std::path::PathBuf;

use almoner_chain::SigningKey;
use clap::Args;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use serde_json::json;

use crate::failure::{Failure, Kind};

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The file to write; it must not exist yet.
    file: PathBuf,
    /// Print one JSON document on stdout and nothing else.
    #[arg(long)]
    json: bool,
}

/// A key that nobody has had before.
pub(super) fn fresh_key() -> Result<SigningKey, Failure> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| anyhow::anyhow!("no randomness from the system: {error}"))?;
    Ok(SigningKey::generate(&mut ChaCha20Rng::from_seed(seed)))
}

pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let key = fresh_key()?;
    if options.file.exists() {
        let text = "there is one already, and a key is never overwritten: name another file";
        return Err(Failure::you(format!("{}: {text}", options.file.display())));
    }
    key.save(&options.file).map_err(|error| Failure::new(Kind::You, error))?;
    if options.json {
        println!("{}", json!({ "schema": 1, "account": key.address(), "file": options.file }));
    } else {
        println!("{} in {}: back it up, it is the account that is paid", key.address(), options.file.display());
    }
    Ok(())
}
