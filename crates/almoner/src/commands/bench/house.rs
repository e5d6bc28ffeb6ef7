//! Every role a process of this executable, in a room of its own with its key, its rows and its settings.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;

use crate::failure::{Failure, Kind};

/// What the units of docs/operating set: memory that is given back, in pages that are few. Sites keep half as much of it.
fn tunables(role: &str) -> String {
    let trim = if role == "participant" { 16 << 20 } else { 32 << 20 };
    format!(
        "glibc.malloc.hugetlb=1:glibc.malloc.arena_max=1:glibc.malloc.mmap_threshold=8388608:\
         glibc.malloc.trim_threshold={trim}"
    )
}

/// A running role; it ends with this value.
#[derive(Debug)]
pub(super) struct Role {
    name: String,
    child: Child,
    room: PathBuf,
    pub(super) heard: mpsc::UnboundedReceiver<Value>,
}

impl Role {
    /// Starts `role` in the room, with these settings.
    pub(super) fn start(role: &str, room: &Path, settings: &str) -> Result<Self, Failure> {
        std::fs::create_dir_all(room)?;
        std::fs::write(room.join("settings.toml"), settings)?;
        let log = std::fs::File::create(room.join("log"))?;
        let mut child = Command::new(std::env::current_exe()?)
            .args([role, "--config", "settings.toml", "--json"])
            .current_dir(room)
            .env("GLIBC_TUNABLES", tunables(role))
            .env("ALMONER_LOG", std::env::var("ALMONER_LOG").unwrap_or_else(|_| "warn".into()))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()?;
        let name = room.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let (say, heard) = mpsc::unbounded_channel::<Value>();
        if let Some(stdout) = child.stdout.take() {
            let who = name.clone();
            tokio::spawn(async move {
                let mut lines = BufReader::new(stdout).lines();
                while let Ok(Some(line)) = lines.next_line().await {
                    let Ok(said) = serde_json::from_str::<Value>(&line) else { continue };
                    if said["event"] == "refused" {
                        tracing::error!(who, said = %line, "a role refuses");
                    }
                    let _ = say.send(said);
                }
            });
        }
        Ok(Self { name, child, room: room.to_owned(), heard })
    }

    pub(super) async fn next(&mut self) -> Result<Value, Failure> {
        match self.heard.recv().await {
            Some(said) => Ok(said),
            None => Err(self.gone()),
        }
    }

    /// Where it is, once it is up.
    pub(super) async fn url(&mut self) -> Result<String, Failure> {
        let said = self.next().await?;
        Ok(said["url"].as_str().unwrap_or_default().to_owned())
    }

    pub(super) async fn until(&mut self, event: &str) -> Result<(), Failure> {
        while self.next().await?["event"] != event {}
        Ok(())
    }

    /// Its largest resident set so far, in bytes.
    pub(super) fn peak(&self) -> Result<u64, Failure> {
        let id = self.child.id().ok_or_else(|| self.gone())?;
        let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
        kib.map(|kib| kib << 10).ok_or_else(|| anyhow::anyhow!("/proc/{id}/status has no VmHWM").into())
    }

    /// Files and sockets that it has open.
    pub(super) fn open_files(&self) -> Result<usize, Failure> {
        let id = self.child.id().ok_or_else(|| self.gone())?;
        Ok(std::fs::read_dir(format!("/proc/{id}/fd"))?.count())
    }

    fn gone(&self) -> Failure {
        let log = std::fs::read_to_string(self.room.join("log")).unwrap_or_default();
        let last = log.lines().last().unwrap_or_default();
        Failure::new(Kind::Us, anyhow::anyhow!("{} ended: {last}", self.name))
    }
}

#[cfg(test)]
mod tests {
    use super::tunables;

    #[test]
    fn what_is_measured_is_what_the_units_start() {
        for (role, unit) in [
            ("aggregator", include_str!("../../../../../docs/operating/almoner-aggregator.service")),
            ("coordinator", include_str!("../../../../../docs/operating/almoner-coordinator.service")),
            ("participant", include_str!("../../../../../docs/operating/almoner-participant.service")),
            ("coordinator", include_str!("../../../../../docs/operating/Dockerfile")),
        ] {
            assert!(unit.contains(&format!("GLIBC_TUNABLES={}\n", tunables(role))), "{role}");
        }
    }
}
