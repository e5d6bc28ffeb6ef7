//! `almoner model export`: the integers that the chain has the root of, as `torch` reads them.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use almoner_chain::{Ledger, RoundRecord, StageRecord};
use almoner_model::export_f32;
use almoner_participant::fetch::bytes;
use almoner_protocol::spec::FederationSpec;
use almoner_protocol::{Stage, base_to_f32, decode_model, model_file_length, model_root};
use almoner_store::{Url, cid_from_bytes};
use clap::Args;
use serde_json::{Value, json};

use crate::commands::channel::Trust;
use crate::commands::depth::Confirmations;
use crate::commands::reach::Reached;
use crate::commands::source::web;
use crate::failure::{Blame, Failure, Kind};

#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    from: From,
    /// A JSON-RPC node, in place of the coordinator's; for a run's directory, where the run settled on a node.
    #[arg(long, value_name = "URL", value_parser = web)]
    rpc: Option<Url>,
    /// Its number; 1 if not named, and a run's directory knows its own.
    #[arg(long, value_name = "N")]
    federation: Option<u64>,
    /// The round whose result is wanted; the last one that has a result if not named.
    #[arg(long, value_name = "R")]
    round: Option<u64>,
    #[command(flatten)]
    tls: Trust,
    #[command(flatten)]
    depth: Confirmations,
    /// The file to write; it must not exist yet.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Print one JSON document on stdout and nothing else.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[group(multiple = false)]
struct From {
    /// A coordinator, or `almoner serve`: chain and store are read through it. If not named that of --identity.
    #[arg(long, value_name = "URL", required_unless_present_any = ["dir", "identity"], value_parser = web)]
    coordinator: Option<Url>,
    /// The directory that a run left.
    #[arg(long)]
    dir: Option<PathBuf>,
}

pub(crate) async fn run(options: Options) -> Result<(), Failure> {
    let rpc = options.rpc.as_ref().map(Url::as_str);
    let reached = match &options.from.dir {
        Some(dir) => Reached::in_dir(dir, rpc, options.federation).await?,
        None => {
            let coordinator = options.tls.coordinator(options.from.coordinator.as_ref())?;
            let number = options.federation.unwrap_or(1);
            let depth = |ledger: &Ledger| options.depth.of(ledger);
            Reached::at(&options.tls.client()?, &coordinator, rpc, &[], number, depth).await?
        }
    };
    let (round, model) = posted(&reached, options.round)?;
    reached.ledger.confirm(round).await.blame(Kind::Peer, format!("round {}", round.number))?;
    let spec = reached.spec().await?;
    let values = verified(&reached, &spec, model).await?;
    let file = export_f32(&spec.model, &base_to_f32(&values, spec.rule.frac_bits))?;
    write_new(&options.out, &file)?;
    let said = Said { federation: reached.record.number, round: round.number, spec: &spec, model };
    if options.json {
        println!("{}", said.document(&options.out)?);
    } else {
        said.print(&options.out)?;
    }
    Ok(())
}

/// The round, and the model that it posted.
fn posted(reached: &Reached, wanted: Option<u64>) -> Result<(&RoundRecord, &StageRecord), Failure> {
    let of = |round: &'_ RoundRecord| wanted.is_none_or(|wanted| round.number == wanted);
    let mut rounds = reached.rounds.iter().rev().filter(|round| of(round));
    let found = rounds.find_map(|round| Some((round, round.stages.get(&Stage::Model)?)));
    found.ok_or_else(|| {
        let number = reached.record.number;
        Failure::you(match wanted {
            Some(round) => format!("--round {round}: federation {number} has no model of that round"),
            None => format!("federation {number} has no model yet: no round of it has come to its end"),
        })
    })
}

/// The integers under the posted CID, if they have the posted root.
async fn verified(reached: &Reached, spec: &FederationSpec, model: &StageRecord) -> Result<Vec<i32>, Failure> {
    let length = model_file_length(&spec.model)?;
    let file = bytes(reached.store.as_ref(), &model.cid, length).await.blame(Kind::Peer, "the model")?;
    let values = decode_model(&spec.model, &file).blame(Kind::Peer, "the model")?;
    let found = model_root(&values);
    if found != model.root {
        return Err(Failure::peer(format!("the model in the store has root {found}, the chain says {}", model.root)));
    }
    Ok(values)
}

fn write_new(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let context = format!("--out {}", path.display());
    if path.exists() {
        return Err(Failure::you(format!("{context}: exists; choose another name")));
    }
    let mut file = OpenOptions::new().write(true).create_new(true).open(path).blame(Kind::You, context.clone())?;
    file.write_all(bytes).and_then(|()| file.sync_all()).blame(Kind::You, context)
}

struct Said<'a> {
    federation: u64,
    round: u64,
    spec: &'a FederationSpec,
    model: &'a StageRecord,
}

impl Said<'_> {
    fn cid(&self) -> Result<String, Failure> {
        Ok(cid_from_bytes(&self.model.cid)?.to_string())
    }

    fn document(&self, out: &Path) -> Result<Value, Failure> {
        let tensors = self.spec.model.tensors();
        let tensors = tensors.iter().map(|tensor| json!({ "name": tensor.name, "shape": exported(&tensor.shape) }));
        Ok(json!({
            "schema": 1,
            "federation": self.federation,
            "name": self.spec.name,
            "round": self.round,
            "cid": self.cid()?,
            "model_root": self.model.root,
            "parameters": self.spec.model.parameters()?,
            "tensors": tensors.collect::<Vec<_>>(),
            "file": out,
        }))
    }

    fn print(&self, out: &Path) -> Result<(), Failure> {
        println!("{}: the model of round {} of federation {}", out.display(), self.round, self.federation);
        println!("  model root  {}  as on chain", self.model.root);
        println!("  CID         {}  of the integers it was made from", self.cid()?);
        println!("  parameters  {}", self.spec.model.parameters()?);
        for tensor in self.spec.model.tensors() {
            println!("    {:<12} {:?}", tensor.name, exported(&tensor.shape));
        }
        Ok(())
    }
}

/// Shapes in the file: weights are `[outputs, inputs]` there.
fn exported(shape: &[u32]) -> Vec<u32> {
    shape.iter().rev().copied().collect()
}
