//! `almoner model`: taking the trained model home, and seeing how it does on one's own rows.

mod evaluate;
mod export;

use clap::{Args, Subcommand};

use crate::failure::Failure;

#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Write a federation's model as f32 safetensors, once it is what the chain says it is.
    Export(export::Options),
    /// Judge a model on rows of your own; nothing leaves this machine.
    Evaluate(evaluate::Options),
}

pub(crate) async fn run(options: Options) -> Result<(), Failure> {
    match options.what {
        What::Export(options) => export::run(options).await,
        What::Evaluate(options) => evaluate::run(options).await,
    }
}
