//! `almoner participant check`: whether a site could take part, before it says anything. It joins nothing and sends
//! nothing about its rows: it reads its own files, asks the coordinator where the contracts are, and reads the chain.

mod files;
mod peers;
mod table;

use clap::Args;

use self::table::Table;
use crate::commands::files::RoleOptions;
use crate::failure::Failure;

#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    of: RoleOptions,
}

pub(crate) async fn run(options: Options) -> Result<(), Failure> {
    let mut table = Table::default();
    if let Some(config) = files::settings(&options.of.config, &mut table) {
        let account = files::own(&config, &mut table);
        let spec = peers::look(&config, account, &mut table).await;
        files::rows(&config, spec.as_ref(), &mut table);
        files::disk(&config, spec.as_ref(), &mut table);
    }
    if options.of.json {
        println!("{}", table.document());
    } else {
        table.print();
    }
    table.verdict()
}
