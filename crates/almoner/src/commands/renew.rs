//! A role that renews its own certificate: in the last third of its life it makes a key, asks the coordinator for a
//! certificate of it over a line that shows the old one, and puts both where the old ones are.

use std::time::{Duration, SystemTime};

use almoner_proto::{RenewReply, RenewRequest, enrolment_client, timely, wire};
use almoner_tls::Client as Tls;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

use crate::failure::{Blame, Failure, Kind};

/// Between two looks at how long the certificate lasts. One of a day has its last eight hours for it.
const LOOK: Duration = Duration::from_secs(3600);
/// Between two tries at most.
const DAY: Duration = Duration::from_secs(24 * 3600);
const MINUTE: Duration = Duration::from_secs(60);

/// Looks after the certificate until `stop`. What does not work is tried again, the more often the less is left.
pub(super) async fn keep(tls: Tls, channel: Channel, stop: CancellationToken) {
    let each_hour = async {
        loop {
            let wait = match tls.expires(SystemTime::now()) {
                None => LOOK,
                Some(expires) => attend(&tls, channel.clone(), expires).await,
            };
            tokio::time::sleep(wait).await;
        }
    };
    let _ = stop.run_until_cancelled(each_hour).await;
}

/// For whoever is here for one order only: renews what is in the last third of its life, and says so where it cannot.
pub(super) async fn once(tls: &Tls, channel: Channel) {
    let Some(expires) = tls.expires(SystemTime::now()) else { return };
    if let Err(failure) = renew(tls, channel).await {
        let days = expires.duration_since(SystemTime::now()).unwrap_or_default().as_secs() / DAY.as_secs();
        tracing::error!(%failure, days_left = days, "your certificate expires soon and is not renewed");
    }
}

async fn attend(tls: &Tls, channel: Channel, expires: SystemTime) -> Duration {
    let Err(failure) = renew(tls, channel).await else {
        tracing::info!("our certificate is renewed");
        return LOOK;
    };
    let left = expires.duration_since(SystemTime::now()).unwrap_or_default();
    tracing::warn!(%failure, hours_left = left.as_secs() / 3600, "our certificate expires soon and is not renewed");
    (left / 8).clamp(MINUTE, DAY)
}

async fn renew(tls: &Tls, channel: Channel) -> Result<(), Failure> {
    let (csr, key) = almoner_tls::request().blame(Kind::Us, "a request for a certificate")?;
    let request = wire::RenewRequest::from(RenewRequest { csr });
    let asked = enrolment_client(channel).renew(timely::<wire::RenewRequest>(request)).await;
    let reply = asked.map_err(|status| Failure::peer(format!("the coordinator: {}", status.message())))?;
    let RenewReply { certificate } = reply.into_inner().try_into().blame(Kind::Peer, "the coordinator")?;
    tls.renew(&certificate, &key).blame(Kind::You, "[tls]")
}
