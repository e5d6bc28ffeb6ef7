//! `almoner participant init`: a site's settings and key, and what to keep of them.
//!
//! The settings are the sample of the documentation with this site's values in it, so that the comments come along and
//! a setting is explained in one place.

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use almoner_participant::SiteConfig;
use almoner_protocol::Address;
use almoner_store::Url;
use clap::{Args, ValueEnum};
use serde_json::json;

use crate::commands::key::fresh_key;
use crate::commands::source::web;
use crate::failure::{Blame, Failure, Kind};

const SAMPLE: &str = include_str!("../../../../../docs/config/site.toml");
/// As the sample names them.
const KEY: &str = "site.key";
const STATE: &str = "site.db";
const SETTINGS: &str = "site.toml";

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The folder of this site; made if it is not there.
    #[arg(long, default_value = ".")]
    dir: PathBuf,
    /// The coordinator of the federation.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8547", value_parser = web)]
    coordinator: Url,
    /// The federation's number.
    #[arg(long, value_name = "N", default_value_t = 1)]
    federation: u64,
    /// Name of your legal entity: a validator's scores of its own entity do not count.
    #[arg(long, value_name = "NAME")]
    entity: String,
    /// What this site does.
    #[arg(long, value_enum, default_value_t = Role::Participant)]
    role: Role,
    /// Its rows; a path is read from where the site is started.
    #[arg(long, value_name = "FILE", default_value = "rows.csv")]
    csv: String,
    /// The rows to judge by, for --role both; they are not trained on.
    #[arg(long, value_name = "FILE", default_value = "evaluation.csv")]
    evaluation_csv: String,
    /// The column that is the label.
    #[arg(long, value_name = "COLUMN", default_value = "label")]
    label: String,
    /// Print one JSON document on stdout and nothing else.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Role {
    /// Trains on its rows and serves on the committee.
    Participant,
    /// Judges by its rows.
    Validator,
    /// Both, on different rows.
    Both,
}

pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let [settings, key, state] = [SETTINGS, KEY, STATE].map(|name| options.dir.join(name));
    // All of them before anything is written: half a site is worse than none.
    if let Some(there) = [&settings, &key, &state].into_iter().find(|path| path.exists()) {
        return Err(Failure::you(format!(
            "{}: there is a site already; choose another --dir, nothing was written",
            there.display()
        )));
    }
    let text = text_of(options)?;
    fs::create_dir_all(&options.dir).blame(Kind::You, options.dir.display().to_string())?;
    let signing = fresh_key()?;
    signing.save(&key).map_err(|error| Failure::new(Kind::You, error))?;
    write_new(&settings, &text)?;
    let account = signing.address();
    if options.json {
        println!(
            "{}",
            json!({
                "schema": 1, "account": account, "settings_file": settings, "key_file": key, "state_file": state,
                "back_up": [key, settings], "never_restore": [state],
            })
        );
    } else {
        print(options, &settings, account);
    }
    Ok(())
}

fn write_new(path: &Path, text: &str) -> Result<(), Failure> {
    let context = path.display().to_string();
    let mut file = OpenOptions::new().write(true).create_new(true).open(path).blame(Kind::You, context.clone())?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).blame(Kind::You, context)
}

fn print(options: &Options, settings: &Path, account: Address) {
    let dir = options.dir.display();
    println!("{account} is this site's account; its settings are in {}", settings.display());
    println!("back up now:   {dir}/{KEY}   whoever has it is this site, and without it nobody can be paid");
    println!("               {dir}/{SETTINGS}");
    println!("never restore: {dir}/{STATE}    what this site has answered, made at the first start; a plain copy put");
    println!("               back could make it answer twice (`almoner participant backup` makes one that cannot)");
    if options.coordinator.scheme() == "https" {
        println!("have issued:   a certificate of the role site for {account}: ca.pem, certificate.pem and");
        println!("               certificate.key belong into {dir}");
    }
    println!("next:          look at {SETTINGS}, then, from {dir}:");
    println!(
        "               almoner participant enrol --config {SETTINGS} --invitation TOKEN   (puts the key under a password)"
    );
    println!("               almoner participant check --config {SETTINGS}");
    println!("               almoner participant --config {SETTINGS}");
}

/// The sample with this site's values.
fn text_of(options: &Options) -> Result<String, Failure> {
    let sections: &[(&str, &str)] = match options.role {
        Role::Participant => &[("participant", &options.csv)],
        Role::Validator => &[("validator", &options.csv)],
        Role::Both => &[("participant", &options.csv), ("validator", &options.evaluation_csv)],
    };
    let (before, rest) = split_at_line(SAMPLE, "[participant]");
    let (rows, after) = split_at_line(rest, "[policy]");
    // What stands ready for a coordinator elsewhere.
    let before = match options.coordinator.scheme() {
        "https" => before
            .replace("\n#[tls]", "\n[tls]")
            .replace("\n#ca", "\nca")
            .replace("\n#certificate", "\ncertificate")
            .replace("\n#key", "\nkey"),
        _ => before.to_owned(),
    };
    let mut text = with(
        &before,
        &[
            ("coordinator", quoted(options.coordinator.as_str().trim_end_matches('/'))),
            ("federation", options.federation.to_string()),
            ("entity", quoted(&options.entity)),
        ],
    );
    for (section, csv) in sections {
        let header = rows.replacen("[participant]", &format!("[{section}]"), 1);
        text += &with(&header, &[("csv", quoted(csv)), ("label", quoted(&options.label))]);
    }
    text += after;
    // Whatever was asked for, what is written is a file that the agent takes.
    SiteConfig::parse(&text).blame(Kind::You, "these options make no site")?;
    Ok(text)
}

fn split_at_line<'a>(text: &'a str, line: &str) -> (&'a str, &'a str) {
    let at = text.find(&format!("\n{line}\n")).map_or(text.len(), |at| at + 1);
    text.split_at(at)
}

/// The lines of `text`, those of the named keys with another value.
fn with(text: &str, values: &[(&str, String)]) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let key = line.split_once(" = ").map(|(key, _)| key);
        let value = values.iter().find(|(name, _)| key == Some(name));
        // Writing to a string cannot fail.
        let _ = match value {
            Some((name, value)) => writeln!(out, "{name} = {value}"),
            None => writeln!(out, "{line}"),
        };
    }
    out
}

fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    fn made(arguments: &[&str]) -> (String, SiteConfig) {
        let line = [&["init", "--entity", "St. \"Quote\" Clinic"], arguments].concat();
        let text = text_of(&Line::parse_from(line).options).unwrap();
        let config = SiteConfig::parse(&text).unwrap();
        (text, config)
    }

    #[test]
    fn a_file_is_the_sample_with_other_values() {
        let (text, config) = made(&["--coordinator", "http://[::1]:9", "--federation", "7", "--csv", "a.csv"]);
        assert_eq!((config.coordinator.as_str(), config.federation), ("http://[::1]:9", 7));
        assert_eq!((config.entity.as_str(), config.validator.is_none()), ("St. \"Quote\" Clinic", true));
        let rows = config.participant.unwrap();
        assert_eq!((rows.csv.to_str().unwrap(), rows.label.as_str()), ("a.csv", "label"));
        let changed = ["coordinator", "federation", "entity", "csv", "label"];
        let kept = |line: &&str| !changed.iter().any(|key| line.starts_with(&format!("{key} = ")));
        let lines = |text: &str| text.lines().filter(kept).map(ToOwned::to_owned).collect::<Vec<_>>();
        assert_eq!(lines(&text), lines(SAMPLE), "every comment is there");
        assert_eq!(text.lines().count(), SAMPLE.lines().count());
    }

    #[test]
    fn a_coordinator_elsewhere_is_reached_by_certificates() {
        let (_, config) = made(&["--coordinator", "https://almoner.example:8547"]);
        assert_eq!(config.tls.certificate, Some(PathBuf::from("certificate.pem")));
        let (_, config) = made(&[]);
        assert_eq!(config.tls, Default::default());
    }

    #[test]
    fn a_validator_and_a_site_that_is_both() {
        let (_, validator) = made(&["--role", "validator", "--label", "y"]);
        assert!(validator.participant.is_none());
        assert_eq!(validator.validator.unwrap().label, "y");
        let (_, both) = made(&["--role", "both"]);
        assert_eq!(both.participant.unwrap().csv, PathBuf::from("rows.csv"));
        assert_eq!(both.validator.unwrap().csv, PathBuf::from("evaluation.csv"));
    }

    #[test]
    fn the_names_are_those_of_the_sample() {
        let config = SiteConfig::parse(SAMPLE).unwrap();
        assert_eq!((config.key, config.state), (PathBuf::from(KEY), PathBuf::from(STATE)));
    }
}
