//! Settings of a site: one TOML file, parsed whole before anything connects.

use std::net::SocketAddr;
use std::path::PathBuf;

use almoner_chain::Depth;
use almoner_model::DeviceChoice;
use almoner_protocol::{B256, FileVersion};
use almoner_tls::ClientFiles;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::data::{Columns, CsvSource};
use crate::{ClaimPolicy, SiteError};

/// A site's file. It is a participant (and committee member), a validator, or both.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SiteConfig {
    /// Of the file's format.
    #[serde(default)]
    pub version: FileVersion,
    /// URL of the coordinator: gRPC, and by default chain and store too.
    pub coordinator: String,
    /// JSON-RPC of the chain; the coordinator's `/rpc` if not named.
    pub rpc: Option<String>,
    /// How deep a block lies before what it holds is acted on: a number of blocks, "safe" or "finalized". Not named: 12,
    /// and 0 on the chains of development tools (1337, 31337).
    pub confirmations: Option<Depth>,
    /// Gateways to read artefacts from, in order; the coordinator's if none is named.
    #[serde(default)]
    pub gateways: Vec<String>,
    /// Whom it trusts and what it shows, for a coordinator at https://.
    #[serde(default)]
    pub tls: ClientFiles,
    /// Number of the federation in its contract.
    pub federation: u64,
    /// Name of the legal entity. A validator's scores of its own entity do not count.
    pub entity: String,
    /// Key file, readable by its owner only, or the vault that `almoner participant enrol` makes of it.
    pub key: PathBuf,
    /// What the vault is opened with when nobody is there to type: a file with an unlock secret, or with the password.
    /// Without it ALMONER_UNLOCK, then the service manager's credential `almoner-unlock`.
    pub unlock: Option<PathBuf>,
    /// Journal file: what this site has answered. A plain copy of it must never be put back.
    pub state: PathBuf,
    /// Where `/metrics`, `/healthz` and `/readyz` are served; nowhere if not named.
    pub metrics: Option<SocketAddr>,
    /// Collector of traces (OTLP over gRPC); none if not named. Needs a build with the feature `otel`.
    pub traces: Option<String>,
    /// Where training runs.
    #[serde(default)]
    pub device: DeviceChoice,
    /// When it asks to be paid: "when-idle" (no further round is planned), "each-round" or "never".
    #[serde(default)]
    pub claim: ClaimPolicy,
    /// Rows to train on.
    pub participant: Option<DataConfig>,
    /// Rows to judge by.
    pub validator: Option<DataConfig>,
    #[serde(default)]
    pub policy: PolicyConfig,
}

/// A CSV file of rows.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataConfig {
    pub csv: PathBuf,
    /// Names of the columns, for a file without a header line.
    #[serde(default)]
    pub columns: Vec<String>,
    /// The column that is the label.
    pub label: String,
    /// The columns that are features, in the model's order; all but the label if none is named.
    #[serde(default)]
    pub features: Vec<String>,
}

impl DataConfig {
    pub fn source(&self) -> CsvSource {
        let columns = if self.columns.is_empty() { Columns::Header } else { Columns::Named(self.columns.clone()) };
        CsvSource { path: self.csv.clone(), columns, label: self.label.clone(), features: self.features.clone() }
    }
}

/// What this site consents to, whatever the federation file says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PolicyConfig {
    /// Take part in rounds that open more scalars than the leak caps allow.
    pub accept_leak: bool,
    /// Scalars of this site's updates that may be opened over the federation's life; min(parameters, 4096) if not set.
    pub scalars_max: Option<u32>,
    /// Fewest updates in a sum that this site takes part in; the protocol's own least if not set.
    pub min_cohort: Option<u16>,
}

impl SiteConfig {
    /// Reads and checks a whole file.
    pub fn parse(text: &str) -> Result<Self, SiteError> {
        let config: Self = toml::from_str(text).map_err(|error| SiteError::Config(error.to_string()))?;
        config.check()?;
        Ok(config)
    }

    pub(crate) fn check(&self) -> Result<(), SiteError> {
        let refuse = |text: &str| Err(SiteError::Config(text.into()));
        if self.participant.is_none() && self.validator.is_none() {
            return refuse("add a [participant] or a [validator] section, or both");
        }
        if self.entity.trim().is_empty() {
            return refuse("entity: must name the legal entity");
        }
        if self.federation == 0 {
            return refuse("federation: numbers count from 1");
        }
        Ok(())
    }
}

/// How an entity's name stands on chain.
pub fn entity_id(name: &str) -> B256 {
    B256::from(<[u8; 32]>::from(Sha256::digest(name.trim())))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SITE: &str = r#"
        coordinator = "http://127.0.0.1:7070"
        federation = 1
        entity = "St Bride's"
        key = "site.key"
        state = "site.db"
    "#;

    fn with(more: &str) -> Result<SiteConfig, SiteError> {
        SiteConfig::parse(&format!("{SITE}\n{more}"))
    }

    #[test]
    fn a_site_may_be_both() {
        let config = with(
            "[participant]\ncsv = \"a.csv\"\nlabel = \"y\"\n[validator]\ncsv = \"b.csv\"\nlabel = \"y\"\n\
             columns = [\"x\", \"y\"]\n[policy]\nmin_cohort = 5",
        )
        .unwrap();
        assert_eq!(config.participant.unwrap().source().columns, Columns::Header);
        assert_eq!(config.policy.min_cohort, Some(5));
        assert!(!config.policy.accept_leak);
    }

    #[test]
    fn mistakes_name_the_key() {
        for (more, named) in [
            ("", "[participant]"),
            ("[participant]\ncsv = \"a\"", "label"),
            ("[participant]\ncsv = \"a\"\nlabel = \"y\"\nlabels = 1", "labels"),
            ("[validator]\ncsv = \"a\"\nlabel = \"y\"\n[policy]\nleak = true", "leak"),
            ("claim = \"weekly\"\n[validator]\ncsv = \"a\"\nlabel = \"y\"", "weekly"),
            ("device = \"tpu\"\n[validator]\ncsv = \"a\"\nlabel = \"y\"", "tpu"),
        ] {
            let error = with(more).unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
    }

    /// Of the documentation: it must read, and be strict in every section.
    const SAMPLE: &str = include_str!("../../docs/config/site.toml");

    #[test]
    fn the_sample_file_reads() {
        let config = SiteConfig::parse(SAMPLE).unwrap();
        assert_eq!((config.federation, config.entity.as_str()), (1, "St Bride's Hospital"));
        assert_eq!((config.claim, config.rpc, config.validator), (ClaimPolicy::WhenIdle, None, None));
        assert_eq!((config.unlock, config.confirmations), (None, None));
        let source = config.participant.unwrap().source();
        assert_eq!(config.tls, ClientFiles::default());
        assert_eq!((source.columns, source.label.as_str(), source.features.len()), (Columns::Header, "malignant", 0));
        assert_eq!(config.policy, PolicyConfig { accept_leak: false, scalars_max: None, min_cohort: Some(3) });
    }

    #[test]
    fn what_stands_ready_in_the_sample_reads_too() {
        let secure = SAMPLE.replace("\n#", "\n").replace("\n ", "\n# ");
        let tls = SiteConfig::parse(&secure).unwrap().tls;
        assert_eq!((tls.ca, tls.key), (Some("ca.pem".into()), Some("certificate.key".into())));
    }

    #[test]
    fn an_unknown_key_of_the_sample_is_refused_by_name() {
        for (after, key) in
            [("federation = 1", "coordinater"), ("[participant]", "delimiter"), ("[policy]", "max_scalars")]
        {
            let after = format!("\n{after}\n");
            assert!(SAMPLE.contains(&after));
            let error = SiteConfig::parse(&SAMPLE.replace(&after, &format!("{after}{key} = 1\n"))).unwrap_err();
            let SiteError::Config(text) = error else { panic!("{error}") };
            assert!(text.contains(&format!("unknown field `{key}`")), "{text}");
        }
    }

    #[test]
    fn a_file_of_another_version_is_refused_for_that() {
        assert!(SAMPLE.contains("\nversion = 1\n"));
        let error = SiteConfig::parse(&SAMPLE.replace("version = 1\n", "version = 2\n")).unwrap_err().to_string();
        assert!(error.contains("version 2") && error.contains("run a newer almoner"), "{error}");
    }

    #[test]
    fn names_of_one_entity_are_one() {
        assert_eq!(entity_id(" A "), entity_id("A"));
        assert_ne!(entity_id("A"), entity_id("B"));
    }
}
