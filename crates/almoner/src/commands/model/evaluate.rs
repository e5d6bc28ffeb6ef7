//! `almoner model evaluate`: how a model does on rows of one's own. The rows are read and standardised as a site does
//! it, by themselves; nothing is sent anywhere, unless the federation file is to be fetched.

use std::path::{Path, PathBuf};

use almoner_chain::Ledger;
use almoner_model::{ComputeDevice, Dataset, Metrics, Model, import_f32};
use almoner_participant::DataConfig;
use almoner_participant::data::{Limits, load};
use almoner_protocol::spec::FederationSpec;
use almoner_store::Url;
use clap::Args;
use serde_json::json;

use crate::commands::channel::Trust;
use crate::commands::depth::Confirmations;
use crate::commands::files::read_text;
use crate::commands::reach::Reached;
use crate::commands::source::web;
use crate::failure::{Blame, Failure, Kind};

/// Far above the header; the weights themselves are bounded by the federation file.
const MAX_HEADER: u64 = 1 << 20;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// f32 safetensors, as `almoner model export` writes them.
    #[arg(long, value_name = "FILE")]
    model: PathBuf,
    #[command(flatten)]
    of: Of,
    /// Its number, beside --coordinator.
    #[arg(long, value_name = "N", default_value_t = 1)]
    federation: u64,
    #[command(flatten)]
    tls: Trust,
    #[command(flatten)]
    depth: Confirmations,
    /// Rows to judge by.
    #[arg(long, value_name = "FILE")]
    csv: PathBuf,
    /// The column that is the label.
    #[arg(long, value_name = "COLUMN")]
    label: String,
    /// The columns that are features, in the model's order; all but the label if none is named.
    #[arg(long, value_name = "COLUMN", value_delimiter = ',')]
    features: Vec<String>,
    /// Names of the columns, for a file without a header line.
    #[arg(long, value_name = "COLUMN", value_delimiter = ',')]
    columns: Vec<String>,
    /// Print one JSON document on stdout and nothing else.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[group(multiple = false)]
struct Of {
    /// The federation file that the model belongs to.
    #[arg(long, value_name = "FILE")]
    federation_file: Option<PathBuf>,
    /// A coordinator to fetch it from, as published. If not named that of --identity.
    #[arg(long, value_name = "URL", required_unless_present_any = ["federation_file", "identity"], value_parser = web)]
    coordinator: Option<Url>,
}

pub(crate) async fn run(options: Options) -> Result<(), Failure> {
    let spec = match &options.of.federation_file {
        Some(file) => FederationSpec::parse(&read_text(file)?).blame(Kind::You, file.display().to_string())?,
        None => {
            let url = options.tls.coordinator(options.of.coordinator.as_ref())?;
            let depth = |ledger: &Ledger| options.depth.of(ledger);
            let tls = options.tls.client()?;
            Reached::at(&tls, &url, None, &[], options.federation, depth).await?.spec().await?
        }
    };
    let Options { model, csv, label, features, columns, json, .. } = options;
    let source = DataConfig { csv, columns, label, features }.source();
    let seen = tokio::task::spawn_blocking(move || {
        let flat = weights(&model, &spec)?;
        let rows = load(&source, &Limits::default(), &spec.data).blame(Kind::You, "--csv")?;
        let model = Model::build(&spec.model, flat.as_slice(), &ComputeDevice::cpu())?;
        Seen::of(&model, &rows)
    });
    let seen = seen.await??;
    if json {
        println!("{}", seen.document());
    } else {
        seen.print();
    }
    Ok(())
}

fn weights(path: &Path, spec: &FederationSpec) -> Result<Vec<f32>, Failure> {
    let context = format!("--model {}", path.display());
    let most = MAX_HEADER + 4 * u64::from(spec.model.parameters()?);
    let length = std::fs::metadata(path).blame(Kind::You, context.clone())?.len();
    if length > most {
        return Err(Failure::you(format!("{context}: {length} bytes, longer than a model of this federation")));
    }
    let bytes = std::fs::read(path).blame(Kind::You, context.clone())?;
    let asked = format!("{context}: is it what `almoner model export` wrote of this federation?");
    import_f32(&spec.model, &bytes).blame(Kind::You, asked)
}

/// Counts by prediction and label, a label above one half being a positive one.
struct Seen {
    metrics: Metrics,
    true_positive: usize,
    true_negative: usize,
    false_positive: usize,
    false_negative: usize,
}

impl Seen {
    fn of(model: &Model, rows: &Dataset) -> Result<Self, Failure> {
        let metrics = model.evaluate(rows)?;
        let logits = model.logits(rows)?;
        let count = |predicted: bool, label: bool| {
            let pairs = logits.iter().zip(rows.y());
            pairs.filter(|(logit, y)| (**logit > 0.0, **y > 0.5) == (predicted, label)).count()
        };
        Ok(Self {
            metrics,
            true_positive: count(true, true),
            true_negative: count(false, false),
            false_positive: count(true, false),
            false_negative: count(false, true),
        })
    }

    fn document(&self) -> serde_json::Value {
        json!({
            "schema": 1,
            "rows": self.metrics.rows,
            "correct": self.metrics.correct,
            "accuracy": self.metrics.accuracy,
            "log_loss": self.metrics.log_loss,
            "true_positive": self.true_positive,
            "true_negative": self.true_negative,
            "false_positive": self.false_positive,
            "false_negative": self.false_negative,
        })
    }

    fn print(&self) {
        let Metrics { rows, correct, accuracy, log_loss } = self.metrics;
        println!("{rows} rows, {correct} right: accuracy {accuracy:.4}, log-loss {log_loss:.4}");
        println!("  label 1: {} found, {} missed", self.true_positive, self.false_negative);
        println!("  label 0: {} found, {} taken for 1", self.true_negative, self.false_positive);
    }
}
