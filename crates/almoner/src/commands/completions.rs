//! `almoner completions` and `almoner man`: made from the definition of the command line itself.

use std::path::{Path, PathBuf};

use clap::{Args, Command};
use clap_complete::Shell;
use serde_json::json;

use crate::failure::{Blame, Failure, Kind};

#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell that is to know the commands.
    #[arg(value_enum)]
    shell: Shell,
    /// Print one JSON document on stdout and nothing else.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Man {
    /// Write a page per command into this folder; without it the first page is printed.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Print one JSON document on stdout and nothing else.
    #[arg(long)]
    json: bool,
}

impl Completions {
    pub(crate) fn run(&self, mut command: Command) -> Result<(), Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command, "almoner", &mut script);
        let script = String::from_utf8(script)?;
        match self.json {
            true => println!("{}", json!({ "schema": 1, "shell": self.shell.to_string(), "script": script })),
            false => print!("{script}"),
        }
        Ok(())
    }
}

impl Man {
    pub(crate) fn run(&self, mut command: Command) -> Result<(), Failure> {
        // Names of subcommands become "almoner federation" and so on.
        command.build();
        let Some(dir) = &self.dir else {
            let page = String::from_utf8(page(&command)?)?;
            match self.json {
                true => println!("{}", json!({ "schema": 1, "page": page })),
                false => print!("{page}"),
            }
            return Ok(());
        };
        std::fs::create_dir_all(dir).blame(Kind::You, dir.display().to_string())?;
        let mut written = Vec::new();
        write_pages(&command, dir, &mut written)?;
        match self.json {
            true => println!("{}", json!({ "schema": 1, "files": written })),
            false => println!("{} pages in {}", written.len(), dir.display()),
        }
        Ok(())
    }
}

fn page(command: &Command) -> Result<Vec<u8>, Failure> {
    let mut page = Vec::new();
    let name = command.get_bin_name().unwrap_or("almoner").replace(' ', "-");
    clap_mangen::Man::new(command.clone()).title(name).render(&mut page)?;
    Ok(page)
}

/// A page of the command and of every one below it, named as `man` looks for them.
fn write_pages(command: &Command, dir: &Path, written: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let name = command.get_bin_name().unwrap_or("almoner").replace(' ', "-");
    let path = dir.join(format!("{name}.1"));
    let page = page(command)?;
    std::fs::write(&path, page).blame(Kind::You, path.display().to_string())?;
    written.push(path);
    let below = command.get_subcommands().filter(|below| below.get_name() != "help");
    below.into_iter().try_for_each(|below| write_pages(below, dir, written))
}
