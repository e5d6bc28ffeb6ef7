//! `almoner participant enrol`: the site's key goes into a vault, and the vault's password to the coordinator, who never
//! sees it.

use std::path::PathBuf;

use almoner_store::Url;
use almoner_tls::Role;
use clap::Args;

use super::settings;
use crate::commands::enrol::{Enrolled, enrol};
use crate::commands::source::web;
use crate::commands::vault::Holder;
use crate::failure::Failure;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The site's settings. The file that `key` names becomes the vault; a key in it is kept, else one is made.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The coordinator, if it is not the one in the settings.
    #[arg(long, value_name = "URL", value_parser = web)]
    coordinator: Option<Url>,
    /// As `almoner coordinator invite` printed it.
    #[arg(long, value_name = "TOKEN")]
    invitation: String,
    /// Print one JSON document on stdout and nothing else.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(options: Options) -> Result<(), Failure> {
    let config = settings(&options.config)?;
    let mut holder = Holder::from(&config);
    if let Some(coordinator) = &options.coordinator {
        holder.coordinator = coordinator.to_string();
    }
    let say = |enrolled: &Enrolled| enrolled.say(&holder, options.json);
    let enrolled = enrol(&holder, &options.invitation, &[Role::Site], say).await?;
    if !options.json {
        enrolled.print_certificate("where [tls] names it");
        println!("next:           almoner participant unlock-file, for a site that starts with nobody there");
    }
    Ok(())
}
