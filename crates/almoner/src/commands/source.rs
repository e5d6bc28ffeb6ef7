//! Where a coordinator says that its contracts are.

use std::time::{Duration, SystemTime};

use almoner_chain::Deployment;
use almoner_store::Url;
use almoner_tls::Client as Tls;

use super::channel::failure;
use crate::failure::{Blame, Failure, Kind};

const MAX_DEPLOYMENT_BYTES: usize = 1 << 16;
const ANSWER: Duration = Duration::from_secs(60);

/// An address on a command line. `host:8547` alone is one too, of the scheme `host`, but nobody means that.
pub(super) fn web(text: &str) -> Result<Url, String> {
    let whole = text.parse::<Url>().ok().filter(|url| ["http", "https"].contains(&url.scheme()));
    whole.ok_or_else(|| "write it whole: http://HOST:PORT, or https://HOST:PORT".to_owned())
}

pub(super) fn join(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("{}/{path}", base.path().trim_end_matches('/')));
    url
}

/// What a coordinator says of itself.
pub(super) struct Answer {
    pub(super) deployment: Deployment,
    /// Its clock, to the second.
    pub(super) date: Option<SystemTime>,
}

/// Asks a coordinator where the contracts are.
pub(super) async fn fetch_deployment(base: &Url, tls: &Tls) -> Result<Deployment, Failure> {
    Ok(ask_deployment(base, tls).await?.deployment)
}

/// As [`fetch_deployment`], with what else the answer says.
pub(super) async fn ask_deployment(base: &Url, tls: &Tls) -> Result<Answer, Failure> {
    let url = join(base, "deployment.json");
    let context = format!("{url}: is a coordinator or `almoner serve` running there?");
    let client = tls.http(base.host_str().unwrap_or_default()).timeout(ANSWER);
    let sent = client.build()?.get(url.clone()).send().await.and_then(reqwest::Response::error_for_status);
    let mut answer = match sent {
        Ok(answer) => answer,
        Err(error) => match tls.explain(&error, base.as_str().trim_end_matches('/')) {
            Some(known) => return Err(failure(&known)),
            None => return Err(error).blame(Kind::Peer, context),
        },
    };
    let date = answer.headers().get(reqwest::header::DATE).and_then(|date| date.to_str().ok());
    let date = date.and_then(|date| httpdate::parse_http_date(date).ok());
    let mut bytes = Vec::new();
    while let Some(part) = answer.chunk().await.blame(Kind::Peer, context.clone())? {
        if part.len() > MAX_DEPLOYMENT_BYTES - bytes.len() {
            return Err(Failure::peer(format!("{url}: too long for the addresses of a deployment")));
        }
        bytes.extend_from_slice(&part);
    }
    let deployment = serde_json::from_slice(&bytes);
    let deployment = deployment.blame(Kind::Peer, format!("{url}: not the addresses of a deployment"))?;
    Ok(Answer { deployment, date })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_written_whole() {
        for whole in ["http://127.0.0.1:8547", "https://almoner.example"] {
            assert!(web(whole).is_ok(), "{whole}");
        }
        for part in ["127.0.0.1:8547", "localhost:8547", "almoner.example:8547", ""] {
            assert!(web(part).unwrap_err().contains("http://HOST:PORT"), "{part}");
        }
    }
}
