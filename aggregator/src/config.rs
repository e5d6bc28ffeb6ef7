//! Settings of a worker.

use std::net::SocketAddr;
use std::path::PathBuf;

use almoner_protocol::FileVersion;
use almoner_tls::ClientFiles;
use serde::Deserialize;

use crate::AggregatorError;

const MAX_LANES: usize = 256;

/// One TOML file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AggregatorConfig {
    /// Of the file's format.
    #[serde(default)]
    pub version: FileVersion,
    /// URL of the coordinator.
    pub coordinator: String,
    /// Gateways to read ciphertexts from, in order; the coordinator's own if none is named.
    #[serde(default)]
    pub gateways: Vec<String>,
    /// The coordinator's own store, where it is on this machine: it is read before the gateways.
    #[serde(default)]
    pub store: Option<PathBuf>,
    /// Where `/metrics`, `/healthz` and `/readyz` are served; nowhere if not named.
    pub metrics: Option<SocketAddr>,
    /// Collector of traces, for a build that sends them.
    pub traces: Option<String>,
    /// Key file of the account that the certificate in `[tls]` is for; it says hello to the coordinator.
    pub key: Option<PathBuf>,
    /// Whom it trusts and what it shows, for a coordinator at https://.
    #[serde(default)]
    pub tls: ClientFiles,
    /// A name for the coordinator's log.
    #[serde(default = "default_name")]
    pub name: String,
    /// Jobs worked on at a time; each takes about 12 MiB and one core. Default 1.
    #[serde(default = "one")]
    pub lanes: usize,
}

fn default_name() -> String {
    "aggregator".into()
}

fn one() -> usize {
    1
}

impl AggregatorConfig {
    /// Reads and checks a whole file; nothing binds or connects before.
    pub fn parse(text: &str) -> Result<Self, AggregatorError> {
        let config: Self = toml::from_str(text).map_err(|error| AggregatorError::Config(error.to_string()))?;
        config.check()?;
        Ok(config)
    }

    pub(crate) fn check(&self) -> Result<(), AggregatorError> {
        if !(1..=MAX_LANES).contains(&self.lanes) {
            return Err(AggregatorError::Config(format!("lanes: must be 1 to {MAX_LANES}")));
        }
        if self.name.is_empty() || self.name.len() > 64 {
            return Err(AggregatorError::Config("name: must have 1 to 64 bytes".into()));
        }
        if self.tls.certificate.is_some() && self.key.is_none() {
            let text = "key: must name the key of the account that [tls] certificate is for (almoner key)";
            return Err(AggregatorError::Config(text.into()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults() {
        let config = AggregatorConfig::parse("coordinator = \"http://127.0.0.1:7070\"").unwrap();
        assert_eq!((config.lanes, config.name.as_str(), config.gateways.len()), (1, "aggregator", 0));
    }

    #[test]
    fn the_sample_file_reads_and_refuses_an_unknown_key_by_name() {
        let sample = include_str!("../../docs/config/aggregator.toml");
        let config = AggregatorConfig::parse(sample).unwrap();
        assert_eq!((config.coordinator.as_str(), config.name.as_str()), ("http://127.0.0.1:8547", "aggregator-1"));
        let secure = sample.replace("\n#", "\n").replace("\n ", "\n# ");
        assert_eq!(AggregatorConfig::parse(&secure).unwrap().tls.ca, Some("ca.pem".into()));
        let error = AggregatorConfig::parse(&sample.replace("name =", "threads = 2\nname =")).unwrap_err();
        let AggregatorError::Config(text) = error else { panic!("{error}") };
        assert!(text.contains("unknown field `threads`"), "{text}");
    }

    #[test]
    fn mistakes_name_the_key() {
        for (text, named) in [
            ("", "coordinator"),
            ("coordinator = \"x\"\nlane = 2", "lane"),
            ("coordinator = \"x\"\nlanes = 0", "lanes"),
            ("coordinator = \"x\"\nname = \"\"", "name"),
            ("coordinator = \"x\"\n[tls]\ncertificate = \"c\"", "key"),
        ] {
            let error = AggregatorConfig::parse(text).unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
    }
}
