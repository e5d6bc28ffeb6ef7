//! `almoner devnet`: the embedded chain as a process of its own, for a federation of one's own without a node.

use std::net::SocketAddr;
use std::path::PathBuf;

use almoner_devnet::{Access, Devnet, DevnetConfig, system_clock};
use almoner_protocol::{Address, FileVersion, U256};
use serde::Deserialize;

use super::files::{RoleOptions, TUNNEL, Transit, listen, read_text, say_up, until_told};
use super::in_the_clear;
use super::metrics::Watched;
use crate::failure::{Blame, Failure, Kind};
use crate::rpc_room::ROOM;

/// A chain operated by one process: real EVM, no consensus, no censorship resistance.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DevnetFile {
    #[serde(default, rename = "version")]
    _version: FileVersion,
    listen: SocketAddr,
    /// Its blocks.
    chain: PathBuf,
    /// Let whoever reaches it move its clock: for trials, see `time_travel` of a coordinator.
    #[serde(default)]
    control: bool,
    /// Accounts that have ether from the start; they cannot be changed later.
    funded: Vec<Funded>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Funded {
    account: Address,
    /// Whole ether.
    ether: u64,
}

fn parse(text: &str) -> Result<DevnetFile, toml::de::Error> {
    toml::from_str(text)
}

pub(crate) async fn run(options: RoleOptions) -> Result<(), Failure> {
    let file = parse(&read_text(&options.config)?).blame(Kind::You, options.config.display().to_string())?;
    let wei = U256::from(10).pow(U256::from(18));
    let accounts = file.funded.iter().map(|funded| (funded.account, U256::from(funded.ether) * wei)).collect();
    let listener = listen(file.listen, Transit::Clear { remedy: TUNNEL }).await?;
    let context = file.chain.display().to_string();
    let config = DevnetConfig::new(accounts, system_clock());
    let devnet = tokio::task::spawn_blocking(move || Devnet::open(&file.chain, &config)).await?;
    let access = if file.control { Access::Control } else { Access::Public };
    let router = ROOM.before(devnet.blame(Kind::You, context)?.router(access));
    say_up("devnet", &format!("http://{}/rpc", listener.local_addr()?), &Watched::default(), options.json);
    in_the_clear::serve(listener, router, until_told().cancelled_owned()).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_file_reads_and_refuses_an_unknown_key_by_name() {
        let sample = include_str!("../../../../docs/config/devnet.toml");
        assert_eq!(parse(sample).unwrap().funded.len(), 1);
        let error = parse(&sample.replace("listen", "listne")).unwrap_err().to_string();
        assert!(error.contains("unknown field `listne`"), "{error}");
    }
}
