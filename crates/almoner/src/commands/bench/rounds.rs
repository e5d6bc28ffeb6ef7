//! One federation of processes, round after round, and what each of them took.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use almoner_chain::{Ledger, SigningKey};
use almoner_proto::wire::researchers_client::ResearchersClient;
use almoner_proto::{CreateRequest, FundRequest, LaunchRequest, RoundNotice, WatchRequest, researchers_client, wire};
use almoner_protocol::spec::FederationSpec;
use almoner_tls::{Client as Tls, Role as Holder};
use tokio_stream::StreamExt;
use tonic::Streaming;
use tonic::transport::Channel;

use super::floors::{self, Floors};
use super::house::Role;
use super::papers::Papers;
use super::payload::Payload;
use crate::commands::channel::dial;
use crate::commands::federation::first_model;
use crate::commands::key;
use crate::commands::source::fetch_deployment;
use crate::failure::{Blame, Failure, Kind};

const FEATURES: usize = 30;
/// Rows of a site, the fewest that a validator may judge by: training is not what is measured.
const ROWS: usize = 50;
const POT: u128 = 1_000_000_000_000_000_000_000;
/// A round that says nothing for so long will not end.
const SILENCE: Duration = Duration::from_secs(120);

#[derive(Debug)]
pub(super) struct Plan {
    pub(super) hidden: u32,
    pub(super) sites: u16,
    pub(super) rounds: u32,
}

#[derive(Debug)]
pub(super) struct Peaks {
    pub(super) coordinator: u64,
    pub(super) aggregator: u64,
    pub(super) chain: u64,
    pub(super) site_max: u64,
}

#[derive(Debug)]
pub(super) struct Row {
    pub(super) params: usize,
    pub(super) sites: u16,
    pub(super) rounds: u32,
    /// All phases but training.
    pub(super) seconds: f64,
    /// In the order in which a round goes through them.
    pub(super) phases: Vec<(String, f64)>,
    pub(super) floors: Floors,
    /// Through the loopback device; known where nobody else uses it.
    pub(super) bytes: Option<u64>,
    pub(super) payload: usize,
    pub(super) peaks: Peaks,
}

/// A running federation.
pub(super) struct Federation {
    pub(super) url: String,
    chain: Role,
    coordinator: Role,
    aggregator: Role,
    sites: Vec<Role>,
    orders: ResearchersClient<Channel>,
}

pub(super) async fn measure(plan: &Plan, dir: &Path) -> Result<Row, Failure> {
    if dir.exists() {
        return Err(Failure::you(format!("{}: is there already; name another --dir", dir.display())));
    }
    let mut federation = Federation::start(plan, dir, &Papers::none(dir)).await?;
    let notices = federation.launch(plan).await?;
    let timed = timed(notices, plan).await?;
    let peaks = federation.peaks()?;
    let trainings = federation.trainings();
    let committee = federation.committee().await?;
    drop(federation);
    let params = 32 * plan.hidden as usize + 1;
    let payload = Payload::new(params, plan.sites.into(), committee);
    let floors = floors::measure(&payload, dir)?;
    let phases = phases(&timed, &trainings);
    let seconds = without_training(&timed, &trainings);
    let bytes = median_bytes(&timed);
    let Plan { sites, rounds, .. } = *plan;
    Ok(Row { params, sites, rounds, seconds, phases, floors, bytes, payload: payload.bytes(), peaks })
}

impl Federation {
    pub(super) async fn start(plan: &Plan, dir: &Path, papers: &Papers) -> Result<Self, Failure> {
        let room = |name: &str| dir.join(name);
        let account = key_file(&room("coordinator"), "coordinator.key")?;
        let mut chain = Role::start(
            "devnet",
            &room("chain"),
            &format!(
                "listen = \"127.0.0.1:0\"\nchain = \"chain.log\"\ncontrol = true\n[[funded]]\naccount = \"{account}\"\n\
                 ether = 1000\n"
            ),
        )?;
        let rpc = chain.url().await?;
        let mut coordinator = Role::start(
            "coordinator",
            &room("coordinator"),
            &format!(
                "listen = \"127.0.0.1:0\"\nrpc = \"{rpc}\"\nkey = \"coordinator.key\"\nstate = \"coordinator.db\"\n\
                 store = \"store\"\ndeployment = \"deployment.json\"\nbeaconless = true\ntime_travel = true\n{}",
                papers.of_coordinator(&room("coordinator"))?
            ),
        )?;
        let url = coordinator.url().await?;
        let account = key_file(&room("aggregator"), "aggregator.key")?;
        let shown = papers.of(&room("aggregator"), Holder::Operator, account)?;
        let aggregator = Role::start(
            "aggregator",
            &room("aggregator"),
            &format!("coordinator = \"{url}\"\nstore = \"../coordinator/store\"\nkey = \"aggregator.key\"\n{shown}"),
        )?;
        let researcher = papers.client("researcher", Holder::Researcher)?;
        let mut orders = researchers_client(dial(&researcher, &url, format!("the coordinator at {url}")).await?);
        let spec = spec(plan);
        let initial = first_model(&FederationSpec::parse(&spec)?)?;
        let request = CreateRequest { spec, initial };
        orders.create(wire::CreateRequest::from(request)).await?;
        let amount = POT * u128::from(plan.rounds + 1);
        orders.fund(wire::FundRequest::from(FundRequest { federation: 1, amount })).await?;
        let mut sites = Vec::new();
        for number in 0..plan.sites {
            sites.push(site(papers, &room(&format!("site-{number}")), "participant", &url, number.into())?);
        }
        sites.push(site(papers, &room("validator"), "validator", &url, plan.sites.into())?);
        for site in &mut sites {
            site.until("joined").await?;
        }
        Ok(Self { url, chain, coordinator, aggregator, sites, orders })
    }

    /// The dropped round and those that count.
    pub(super) async fn launch(&mut self, plan: &Plan) -> Result<Streaming<wire::RoundNotice>, Failure> {
        let notices = self.orders.watch(wire::WatchRequest::from(WatchRequest { federation: 1 })).await?.into_inner();
        let request = LaunchRequest { federation: 1, rounds: Some(plan.rounds + 1) };
        self.orders.launch(wire::LaunchRequest::from(request)).await?;
        Ok(notices)
    }

    /// How many served in the rounds that count: all sites, or the median of the samples.
    async fn committee(&self) -> Result<usize, Failure> {
        let url = self.url.parse().blame(Kind::Us, "the coordinator's address")?;
        let deployment = fetch_deployment(&url, &Tls::default()).await?;
        let ledger = Ledger::connect(&format!("{}/rpc", self.url), deployment)?;
        let rounds = ledger.rounds(1).await?;
        let mut sizes: Vec<usize> = rounds.iter().skip(1).map(|round| round.descriptor.members.into()).collect();
        sizes.sort_unstable();
        Ok(sizes.get(sizes.len() / 2).copied().unwrap_or_default())
    }

    /// Of the coordinator, now.
    pub(super) fn open_files(&self) -> Result<usize, Failure> {
        self.coordinator.open_files()
    }

    pub(super) fn peaks(&self) -> Result<Peaks, Failure> {
        let sites: Result<Vec<u64>, Failure> = self.sites.iter().map(Role::peak).collect();
        Ok(Peaks {
            coordinator: self.coordinator.peak()?,
            aggregator: self.aggregator.peak()?,
            chain: self.chain.peak()?,
            site_max: sites?.into_iter().max().unwrap_or_default(),
        })
    }

    /// What the sites say their training took: the median of each round.
    pub(super) fn trainings(&mut self) -> BTreeMap<u64, f64> {
        let mut by_round: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
        for site in &mut self.sites {
            while let Ok(said) = site.heard.try_recv() {
                if said["event"] == "trained"
                    && let (Some(round), Some(seconds)) = (said["round"].as_u64(), said["seconds"].as_f64())
                {
                    by_round.entry(round).or_default().push(seconds);
                }
            }
        }
        by_round.into_iter().map(|(round, seconds)| (round, median(seconds))).collect()
    }
}

/// Makes the key of a role and returns its account.
fn key_file(room: &Path, name: &str) -> Result<almoner_protocol::Address, Failure> {
    std::fs::create_dir_all(room)?;
    let key: SigningKey = key::fresh_key()?;
    key.save(&room.join(name)).map_err(|error| Failure::new(Kind::You, error))?;
    Ok(key.address())
}

fn site(papers: &Papers, room: &Path, section: &str, coordinator: &str, number: usize) -> Result<Role, Failure> {
    let account = key_file(room, "site.key")?;
    let shown = papers.of(room, Holder::Site, account)?;
    std::fs::write(room.join("rows.csv"), rows(number))?;
    let settings = format!(
        "coordinator = \"{coordinator}\"\nfederation = 1\nentity = \"site {number}\"\nkey = \"site.key\"\n\
         state = \"site.db\"\nclaim = \"never\"\n[{section}]\ncsv = \"rows.csv\"\nlabel = \"y\"\n{shown}"
    );
    Role::start("participant", room, &settings)
}

/// Synthetic rows, the same in every run. A model of zeros learns of unequal labels alone.
fn rows(site: usize) -> String {
    let mut text: String = (0..FEATURES).map(|column| format!("x{column},")).collect();
    text.push_str("y\n");
    for row in 0..ROWS {
        for column in 0..FEATURES {
            // Writing to a string cannot fail.
            let _ = write!(text, "{},", ((site * 31 + row * 17 + column * 7) % 23) as f64 / 10.0 - 1.1);
        }
        let _ = writeln!(text, "{}", u8::from(row % 3 == 0));
    }
    text
}

fn spec(plan: &Plan) -> String {
    let Plan { hidden, rounds, .. } = plan;
    format!(
        "name = \"bench\"\n[model]\nlayers = [{{ type = \"linear\", inputs = {FEATURES}, outputs = {hidden} }}, \
         {{ type = \"relu\" }}, {{ type = \"linear\", inputs = {hidden}, outputs = 1 }}]\n\
         [data]\nfeatures = {FEATURES}\n[training]\nlr = 0.2\nbatch = 1\nsteps = 1\n\
         [round]\npot = \"{POT}\"\nrounds = {}\nchallenge_window_s = 3600\n",
        rounds + 1
    )
}

/// When a round was first seen in a state, and how many bytes had gone through the loopback device.
#[derive(Debug)]
pub(super) struct Seen {
    round: u64,
    state: String,
    at: Instant,
    bytes: Option<u64>,
}

pub(super) async fn timed(mut notices: Streaming<wire::RoundNotice>, plan: &Plan) -> Result<Vec<Seen>, Failure> {
    let mut seen: Vec<Seen> = Vec::new();
    loop {
        let notice = tokio::time::timeout(SILENCE, notices.next()).await;
        let Ok(notice) = notice else {
            let last = seen.last().map_or("the start", |seen| seen.state.as_str());
            return Err(Failure::new(Kind::Us, anyhow::anyhow!("nothing happened for {SILENCE:?} after {last}")));
        };
        let at = Instant::now();
        let notice = notice.ok_or_else(|| Failure::peer("the coordinator ended the stream"))??;
        let RoundNotice { round, state, reason, .. } = notice.try_into()?;
        if round == 0 || seen.last().is_some_and(|last| (last.round, &last.state) == (round, &state)) {
            continue;
        }
        let over = state == "settled";
        if ["void", "expired"].contains(&state.as_str()) {
            return Err(Failure::new(Kind::Us, anyhow::anyhow!("round {round} is {state}: {reason}")));
        }
        seen.push(Seen { round, state, at, bytes: loopback_bytes() });
        if over && round > u64::from(plan.rounds) {
            return Ok(seen);
        }
    }
}

/// What has gone through the loopback device, if it is the only one there is: in a network namespace of one's own.
fn loopback_bytes() -> Option<u64> {
    let devices = std::fs::read_to_string("/proc/self/net/dev").ok()?;
    let mut lines = devices.lines().skip(2);
    let (name, counters) = lines.next()?.split_once(':')?;
    if name.trim() != "lo" || lines.next().is_some() {
        return None;
    }
    counters.split_whitespace().next()?.parse().ok()
}

/// From the end of one round to the end of the next: the first one, which starts everything up, does not count.
fn steady(seen: &[Seen]) -> impl Iterator<Item = (&Seen, &Seen)> {
    seen.iter().zip(&seen[1..]).filter(|(_, to)| to.round > 1)
}

/// What lies before each state is called by what was done then; medians over the rounds.
fn phases(seen: &[Seen], trainings: &BTreeMap<u64, f64>) -> Vec<(String, f64)> {
    let mut spent: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
    for (from, to) in steady(seen) {
        let mut seconds = (to.at - from.at).as_secs_f64();
        let Some(index) = PHASES.iter().position(|(state, _)| *state == to.state) else { continue };
        if to.state == "locked" {
            let training = trainings.get(&to.round).copied().unwrap_or_default().min(seconds);
            seconds -= training;
            spent.entry(TRAINING).or_default().push(training);
        }
        spent.entry(index).or_default().push(seconds);
    }
    spent.into_iter().map(|(index, seconds)| (PHASES[index].1.to_owned(), median(seconds))).collect()
}

/// A state and what leads to it. A notice that was overtaken by the next one leaves its time to that one.
const PHASES: [(&str, &str); 13] = [
    ("announced", "open"),
    ("promised", "promise"),
    ("training", "announce"),
    ("", "training"),
    ("locked", "upload"),
    ("revealed", "reveal"),
    ("audited", "audit"),
    ("scored", "score"),
    ("admitted", "admit"),
    ("summed", "sum"),
    ("opened", "model"),
    ("proposed", "settle"),
    ("settled", "challenge"),
];
const TRAINING: usize = 3;

/// A round from the end of the one before to its own, less what its sites trained: the median.
pub(super) fn without_training(seen: &[Seen], trainings: &BTreeMap<u64, f64>) -> f64 {
    let mut by_round: BTreeMap<u64, f64> = BTreeMap::new();
    for (from, to) in steady(seen) {
        *by_round.entry(to.round).or_default() += (to.at - from.at).as_secs_f64();
    }
    median(by_round.into_iter().map(|(round, all)| all - trainings.get(&round).copied().unwrap_or_default()).collect())
}

fn median_bytes(seen: &[Seen]) -> Option<u64> {
    let mut by_round: BTreeMap<u64, u64> = BTreeMap::new();
    for (from, to) in steady(seen) {
        *by_round.entry(to.round).or_default() += to.bytes?.saturating_sub(from.bytes?);
    }
    let mut bytes: Vec<u64> = by_round.into_values().collect();
    bytes.sort_unstable();
    bytes.get(bytes.len() / 2).copied()
}

pub(super) fn median(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds.get(seconds.len() / 2).copied().unwrap_or_default()
}
