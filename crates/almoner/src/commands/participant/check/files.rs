//! The site's own half: settings, key, journal, device, rows, room on the disk.

use std::path::{Path, PathBuf};

use almoner_identity::{Source, Unlock, is_vault};
use almoner_journal::{JournalError, JournalReader};
use almoner_model::{ComputeDevice, Dataset};
use almoner_participant::data::{Limits, load, read_csv};
use almoner_participant::validate::LEAST_ROWS;
use almoner_participant::{DataConfig, HomeChain, SiteConfig};
use almoner_protocol::Address;
use almoner_protocol::spec::FederationSpec;

use super::table::Table;
use crate::commands::participant::{self, home};
use crate::commands::vault::{Holder, account_of, unlock};
use crate::failure::{Blame, Failure, Kind};

const MIB: u64 = 1 << 20;
/// Without this much a write may fail in the middle of a round.
const LEAST_ROOM: u64 = 64 * MIB;
const GOOD_ROOM: u64 = 1024 * MIB;

pub(super) fn settings(path: &Path, table: &mut Table) -> Option<SiteConfig> {
    let read = participant::settings(path);
    let config = table.take("settings", read, "mend the file; a sample is docs/config/site.toml")?;
    table.fine("settings", path.display().to_string());
    Some(config)
}

/// Key, journal and device; the account, if there is one.
pub(super) fn own(config: &SiteConfig, table: &mut Table) -> Option<Address> {
    let key = account_of(&config.key);
    let account = table.take("key", key, "a key file, or a vault, that only this user may read: chmod 600");
    if let Some(account) = account {
        vault(config, account, table);
    }
    journal(&config.state, table);
    match ComputeDevice::open(config.device) {
        Ok(device) => table.fine("device", device.name()),
        Err(error) => table.fail("device", &Failure::new(Kind::You, error), "device = \"cpu\" always works"),
    }
    account
}

/// How the key will be had. Nothing is asked of the coordinator, so a password is not tried.
fn vault(config: &SiteConfig, account: Address, table: &mut Table) {
    let shown = config.key.display();
    if !is_vault(&config.key) {
        return table.fine("key", format!("{account} in {shown}"));
    }
    let unlock = unlock(&Holder::from(config));
    if let Ok(Some((_, Source::File(file) | Source::Manager(file)))) = &unlock
        && on_one_disk(&config.key, file)
    {
        let found = format!("the vault {shown} and what opens it, {}, lie on one disk", file.display());
        table.warn(
            "unlock",
            found,
            "keep what opens it in memory, on another disk, or as systemd's LoadCredentialEncrypted",
        );
    }
    match unlock {
        Ok(Some((Unlock::Secret(_), _))) => {
            table.fine("key", format!("{account} in the vault {shown}; it opens by itself"))
        }
        Ok(Some((Unlock::Password(_), _))) => {
            table.fine("key", format!("{account} in the vault {shown}; it opens once the coordinator is there"));
        }
        Ok(None) => {
            let found = format!("{account} in the vault {shown}; somebody has to type the password at every start");
            table.warn("key", found, "unlock = a file, made by `almoner participant unlock-file`");
        }
        Err(failure) => table.fail("key", &failure, "make it again: `almoner participant unlock-file`"),
    }
}

/// Whoever takes the disk has both.
#[cfg(unix)]
fn on_one_disk(one: &Path, other: &Path) -> bool {
    let device = |path| std::fs::metadata(path).map(|about| std::os::unix::fs::MetadataExt::dev(&about)).ok();
    device(one).is_some_and(|of_one| device(other) == Some(of_one))
}

#[cfg(not(unix))]
fn on_one_disk(_: &Path, _: &Path) -> bool {
    false
}

fn journal(path: &Path, table: &mut Table) {
    let shown = path.display();
    let looked = || -> Result<_, JournalError> {
        let journal = JournalReader::open(path)?;
        let of = match HomeChain::pinned(&journal)? {
            Some(home) => format!(", of {}", home::text(&home)),
            None => ", of no chain yet".into(),
        };
        Ok((of, journal.is_held(), journal.generation()?))
    };
    match looked() {
        Ok((of, _, generation)) if generation > 0 => {
            let remedy =
                "nothing: it answers nothing in rounds that began before its first use; later ones are as ever";
            table.warn("journal", format!("{shown}{of}, was restored from a copy (generation {generation})"), remedy);
        }
        Ok((of, true, _)) => table.fine("journal", format!("{shown}{of}, in use: the agent runs")),
        Ok((of, false, _)) => table.fine("journal", format!("{shown}{of}")),
        Err(JournalError::Missing { .. }) => table.fine("journal", format!("{shown} is made at the first start")),
        Err(error) => {
            let failure = Failure::new(Kind::You, anyhow::Error::from(error).context(format!("state = {path:?}")));
            table.fail("journal", &failure, "run the version that wrote it; never put an older copy in its place");
        }
    }
}

pub(super) fn rows(config: &SiteConfig, spec: Option<&FederationSpec>, table: &mut Table) {
    let sections = [("[participant]", &config.participant, 2), ("[validator]", &config.validator, LEAST_ROWS)];
    for (name, section, least) in sections {
        let Some(section) = section else { continue };
        let read = read(section, spec).blame(Kind::You, name);
        let remedy = "`csv` names a file of numbers, `label` a column of it with every value in range; line and column are named \
             where a value is wrong";
        let Some(rows) = table.take("rows", read, remedy) else { continue };
        let (have, features) = (rows.rows(), rows.features());
        let fits =
            if spec.is_some() { "as the federation's model takes them" } else { "not held against a federation" };
        let found = format!("{name} {}: {have} rows of {features} features, {fits}", section.csv.display());
        match have < least {
            true => table.warn("rows", found, format!("a site of this kind needs at least {least} rows")),
            false => table.fine("rows", found),
        }
    }
}

fn read(section: &DataConfig, spec: Option<&FederationSpec>) -> Result<Dataset, almoner_participant::data::DataError> {
    let (source, limits) = (section.source(), Limits::default());
    match spec {
        Some(spec) => load(&source, &limits, &spec.data),
        None => read_csv(&source, &limits, 0.0..=1.0),
    }
}

/// Room for the journal and its log: the last model and what belongs to a round, several times over.
pub(super) fn disk(config: &SiteConfig, spec: Option<&FederationSpec>, table: &mut Table) {
    let folder = config.state.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.map_or_else(|| PathBuf::from("."), Path::to_owned);
    let stat = rustix::fs::statvfs(&folder).blame(Kind::You, format!("state = {:?}", config.state));
    let Some(stat) = table.take("disk", stat, "make the folder, or name another for the journal") else { return };
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    let model = spec.and_then(|spec| spec.model.parameters().ok()).map_or(0, |parameters| 16 * u64::from(parameters));
    let found = format!("{} MiB free in {}", free / MIB, folder.display());
    if free < LEAST_ROOM + model {
        let failure = Failure::you(found);
        table.fail("disk", &failure, format!("at least {} MiB are needed", (LEAST_ROOM + model) / MIB));
    } else if free < GOOD_ROOM + model {
        table.warn("disk", found, "a gigabyte leaves room for logs and many rounds");
    } else {
        table.fine("disk", found);
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_vault_and_what_opens_it_are_told_to_lie_on_one_disk() {
        let dir = tempfile::tempdir().unwrap();
        let [vault, unlock] = ["site.key", "site.unlock"].map(|name| dir.path().join(name));
        assert!(!on_one_disk(&vault, &unlock), "neither is there");
        for file in [&vault, &unlock] {
            std::fs::write(file, "").unwrap();
        }
        assert!(on_one_disk(&vault, &unlock));
        assert!(!on_one_disk(&vault, Path::new("/proc/self/status")));
    }
}
