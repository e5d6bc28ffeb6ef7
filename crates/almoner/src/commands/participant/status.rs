//! `almoner participant status`: what this site has done and earned. The journal is read beside the agent that holds
//! it; the money is what the chain says, and while nobody can be asked for that, it is left out.

mod local;

use almoner_chain::{Depth, Ledger};
use almoner_journal::JournalReader;
use almoner_participant::{HomeChain, Records, SiteConfig, Standing, claim_of};
use almoner_protocol::{Address, FederationId, U256, default_scalars_max};
use almoner_store::Url;
use clap::Args;
use serde_json::{Value, json};

use self::local::Local;
use super::{home, parse, settings};
use crate::commands::channel::client;
use crate::commands::files::{RoleOptions, of_journal};
use crate::commands::reach::Reached;
use crate::commands::status::state;
use crate::commands::vault::account_of;
use crate::failure::{Blame, Failure, Kind};
use crate::tokens::tokens;

#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    of: RoleOptions,
}

struct Status {
    account: Address,
    home: Option<HomeChain>,
    running: bool,
    records: Records,
    limit: u32,
    earned: U256,
    standing: Standing,
    reached: Reached,
}

pub(crate) async fn run(options: Options) -> Result<(), Failure> {
    let config = settings(&options.of.config)?;
    let account = account_of(&config.key)?;
    let journal = JournalReader::open(&config.state).map_err(|error| of_journal(&config.state, error))?;
    match Status::read(&config, account, &journal).await {
        Ok(status) if options.of.json => println!("{}", status.document()),
        Ok(status) => status.print(),
        // Whoever would know is away; what the site itself has done is no secret of theirs.
        Err(failure) if failure.kind == Kind::Peer => {
            let local = Local::read(&config, account, &journal);
            let local = local.blame(Kind::You, format!("state = {:?}", config.state))?;
            if options.of.json {
                println!("{}", local.document(&failure))
            } else {
                local.print()
            }
            return Err(failure);
        }
        Err(failure) => return Err(failure),
    }
    Ok(())
}

impl Status {
    async fn read(config: &SiteConfig, account: Address, journal: &JournalReader) -> Result<Self, Failure> {
        let coordinator: Url = parse(&config.coordinator, "coordinator")?;
        let gateways: Result<Vec<Url>, Failure> = config.gateways.iter().map(|url| parse(url, "gateways")).collect();
        let tls = client(config.tls.clone())?;
        // As the agent does that is asked about.
        let usual = |ledger: &Ledger| Depth::usual(ledger.deployment().chain_id);
        let depth = |ledger: &Ledger| ledger.at(config.confirmations.unwrap_or(usual(ledger)));
        let (rpc, gateways) = (config.rpc.as_deref(), gateways?);
        let reached = Reached::at(&tls, &coordinator, rpc, &gateways, config.federation, depth).await?;
        home::check(&reached.ledger, journal, &config.state).await?;
        let deployment = reached.ledger.deployment();
        let (chain_id, federations) = (deployment.chain_id, deployment.federations);
        let federation = FederationId { chain_id, federations, number: config.federation };
        let records = Records::read(journal, federation).blame(Kind::You, format!("state = {:?}", config.state))?;
        let parameters = reached.spec().await?.model.parameters()?;
        let own = config.policy.scalars_max.unwrap_or_else(|| default_scalars_max(parameters));
        let claim = claim_of(&reached.ledger, reached.store.as_ref(), config.federation, account, &reached.rounds);
        let claim = claim.await;
        let standing = Standing::before(&reached.ledger, config.federation, account).await;
        Ok(Self {
            account,
            home: HomeChain::pinned(journal).blame(Kind::You, format!("state = {:?}", config.state))?,
            running: journal.is_held(),
            records,
            limit: own.min(reached.record.params.scalarsMax),
            earned: claim.blame(Kind::Peer, "the payout list")?.map_or(U256::ZERO, |claim| claim.cumulative),
            standing: standing.blame(Kind::Peer, "the chain")?,
            reached,
        })
    }

    fn document(&self) -> Value {
        let round = |round: &almoner_chain::RoundRecord| {
            json!({
                "round": round.number,
                "status": state(round.status),
                "uploaded": self.records.receipts.contains(&round.ctx),
                "promised": self.records.promises.contains(&round.ctx),
                "answered": self.records.answers.contains(&round.ctx),
            })
        };
        json!({
            "schema": 1,
            "federation": self.reached.record.number,
            "account": self.account,
            "chain": home::document(self.home.as_ref()),
            "agent_running": self.running,
            "generation": self.records.generation,
            "forgotten_until": self.records.forgotten_until,
            "rounds": self.reached.rounds.iter().map(round).collect::<Vec<_>>(),
            "took_part": self.took_part(),
            "earned": self.earned.to_string(),
            "claimed": self.standing.claimed.to_string(),
            "balance": self.standing.balance.to_string(),
            "scalars": { "opened": self.records.opened(), "limit": self.limit },
        })
    }

    /// Rounds in which the site did something.
    fn took_part(&self) -> usize {
        let records = &self.records;
        let did = |round: &&almoner_chain::RoundRecord| {
            [&records.receipts, &records.promises, &records.answers].iter().any(|rounds| rounds.contains(&round.ctx))
        };
        self.reached.rounds.iter().filter(did).count()
    }

    fn print(&self) {
        let running = if self.running { "the agent runs" } else { "the agent does not run" };
        println!("{} in federation {}: {running}", self.account, self.reached.record.number);
        println!("  {}", home::line(self.home.as_ref()));
        if let (1.., until) = (self.records.generation, self.records.forgotten_until) {
            let until = until.map_or_else(|| "its next start".to_owned(), |until| format!("block time {until}"));
            println!("  the journal was restored from a copy: nothing is answered that was asked before {until}");
        }
        println!("  took part in {} of {} rounds", self.took_part(), self.reached.rounds.len());
        for round in &self.reached.rounds {
            let did = [
                ("uploaded", &self.records.receipts),
                ("promised", &self.records.promises),
                ("answered", &self.records.answers),
            ];
            let did: Vec<&str> =
                did.iter().filter(|(_, rounds)| rounds.contains(&round.ctx)).map(|(word, _)| *word).collect();
            println!("    round {}: {:<9} {}", round.number, state(round.status), did.join(", "));
        }
        let [earned, claimed, balance] = [self.earned, self.standing.claimed, self.standing.balance].map(tokens);
        println!("  earned {earned}, claimed {claimed}, balance {balance} tokens");
        println!("  scalars of its updates opened: {} of at most {}", self.records.opened(), self.limit);
    }
}
