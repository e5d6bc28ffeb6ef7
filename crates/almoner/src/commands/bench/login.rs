//! What a login costs the coordinator. The client's Argon2id is not in it: that is the client's to pay.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use almoner_coordinator::{Desk, Enrolment};
use almoner_devnet::system_clock;
use almoner_identity::{
    Account, Invitation, LoggingIn, Password, Registering, Server, Stretch, fingerprint, registers,
};
use almoner_journal::{Invitation as Record, Journal};
use almoner_participant::system_rng;
use almoner_proto::{Admission, LoginFinishRequest, LoginStartRequest, RegisterFinishRequest, RegisterStartRequest};
use clap::Args;
use rand_chacha::ChaCha20Rng;
use serde_json::json;

use super::disk;
use crate::commands::key::fresh_key;
use crate::failure::{Failure, Kind};

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Logins that count.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(10..=100_000))]
    logins: u32,
    /// Where the journal is kept meanwhile. Never a folder in memory.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Print one JSON document on stdout and nothing else.
    #[arg(long)]
    json: bool,
}

/// What the coordinator spent on one login.
struct Spent {
    start: Duration,
    finish: Duration,
}

pub(super) fn run(options: &Options) -> Result<(), Failure> {
    let home = tempfile::Builder::new().prefix("almoner-bench-").tempdir()?;
    let dir = options.dir.clone().unwrap_or_else(|| home.path().to_owned());
    std::fs::create_dir_all(&dir).map_err(|error| Failure::new(Kind::You, error))?;
    disk::refuse_memory(&dir)?;
    let mut rng = system_rng()?;
    let journal = Journal::open(dir.join("login.db")).map_err(|error| Failure::new(Kind::You, error))?;
    let enrolment = Enrolment { server: Server::generate(&mut rng), seed: [0; 32], issuer: None };
    let desk = Desk::open(enrolment, journal.clone(), system_clock())?;
    let account = enrolled(&desk, &journal, &mut rng)?;
    let spent: Result<Vec<Spent>, Failure> = (0..options.logins).map(|_| login(&desk, &account, &mut rng)).collect();
    report(&spent?, options.json);
    Ok(())
}

fn password() -> Password {
    Password::new("correct horse battery".to_owned().into())
}

fn enrolled(desk: &Desk, journal: &Journal, rng: &mut ChaCha20Rng) -> Result<Account, Failure> {
    let (key, invitation) = (fresh_key()?, Invitation::draw(rng));
    let record = Record { role: "site".into(), account: None, expires: u64::MAX, used: None };
    journal.invite(fingerprint(invitation.secret()), &record)?;
    let account: Account = key.address().into_array();
    let (client, request) = Registering::start(password(), rng)?;
    let admission = Admission::Invitation(*invitation.secret());
    let reply = desk.register_start(RegisterStartRequest { account: key.address(), request, admission })?;
    let (record, _) = client.finish(&account, &reply.response, Stretch::INSECURE, rng)?;
    let signature = key.sign_hash(registers(&account, &reply.credential, &record).into())?;
    desk.register_finish(RegisterFinishRequest { credential: reply.credential, record, signature, csr: None })?;
    Ok(account)
}

fn login(desk: &Desk, account: &Account, rng: &mut ChaCha20Rng) -> Result<Spent, Failure> {
    let (client, request) = LoggingIn::start(password(), rng)?;
    let begun = Instant::now();
    let reply = desk.login_start(LoginStartRequest { account: account.into(), request }, None)?;
    let start = begun.elapsed();
    let (proof, _) = client.finish(account, &[], &reply.response, Stretch::INSECURE, rng)?;
    let begun = Instant::now();
    desk.login_finish(LoginFinishRequest { login: reply.login, proof })?;
    Ok(Spent { start, finish: begun.elapsed() })
}

fn report(spent: &[Spent], json: bool) {
    let sorted = |of: &dyn Fn(&Spent) -> Duration| {
        let mut all: Vec<f64> = spent.iter().map(|spent| of(spent).as_secs_f64() * 1e3).collect();
        all.sort_by(f64::total_cmp);
        all
    };
    let at = |all: &[f64], percent: usize| all.get(all.len() * percent / 100).copied().unwrap_or_default();
    let (total, start, finish) =
        (sorted(&|spent| spent.start + spent.finish), sorted(&|spent| spent.start), sorted(&|spent| spent.finish));
    let [median, p99, start, finish] =
        [at(&total, 50), at(&total, 99), at(&start, 50), at(&finish, 50)].map(|ms| (ms * 1e3).round() / 1e3);
    if json {
        let logins = spent.len();
        println!(
            "{}",
            json!({ "schema": 1, "logins": logins, "ms": { "median": median, "p99": p99, "start": start, "finish": finish } })
        );
    } else {
        println!("a login costs the coordinator {median} ms (median of {}), 99 of 100 at most {p99} ms", spent.len());
        println!("  LoginStart {start} ms, LoginFinish {finish} ms, the count of attempts included");
    }
}
