//! Callers that say who they are, and hospitals with authorities of their own.

use std::fs;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use alloy_primitives::B256;

use super::scene::{ACCOUNT, DAYS, Scene, endpoint, hello, serve, who};
use crate::{Binding, Client, ClientFiles, Door, Greeting, Role, ServerFiles, files};

/// Connects, says hello by `greet`, and asks who it is.
async fn greeted(
    files: ClientFiles,
    address: std::net::SocketAddr,
    greet: impl Fn(&Binding) -> Option<Greeting> + Send + Sync + 'static,
) -> Option<String> {
    let client = Client::new(files).unwrap();
    client.introduce(Arc::new(greet));
    let mut channel = client.connect(&endpoint(address)).await.ok()?;
    who(&mut channel).await.ok()
}

#[tokio::test]
async fn whoever_says_hello_is_known_by_it_as_long_as_the_line_lives() {
    let scene = Scene::new();
    let address = scene.serve().await;
    let client = Client::new(scene.site("site")).unwrap();
    client.introduce(Arc::new(|channel: &Binding| Some(hello(channel))));
    let mut channel = client.connect(&endpoint(address)).await.unwrap();
    for _ in 0..2 {
        let said = who(&mut channel).await.unwrap();
        assert!(said.ends_with(&format!(" hello {ACCOUNT:#x}")), "{said}");
    }
    let own = files::certificates(&scene.server().certificate).unwrap();
    assert_eq!(client.server(), Some(crate::greeting::fingerprint(&own[0])), "whom it reached");
    // Without a certificate too: what that is worth is for the table of the coordinator to say.
    let nobody = ClientFiles { ca: Some(scene.authority.certificate_file()), ..ClientFiles::default() };
    assert!(greeted(nobody, address, |channel| Some(hello(channel))).await.unwrap().starts_with("nobody hello "));
}

#[tokio::test]
async fn a_hello_of_another_line_is_hung_up_on() {
    let scene = Scene::new();
    let (address, elsewhere) = (scene.serve().await, scene.serve().await);
    let heard = Arc::new(Mutex::new(None));
    let kept = heard.clone();
    let record = move |channel: &Binding| {
        let said = hello(channel);
        *kept.lock().unwrap() = Some((*channel, said));
        Some(said)
    };
    greeted(scene.site("site"), address, record).await.unwrap();
    let (channel, said) = heard.lock().unwrap().take().unwrap();
    // The same certificates and the same coordinator, on the next line; and where its owner holds another line.
    for at in [address, elsewhere] {
        let replayed = greeted(scene.site(&format!("replays-{}", at.port())), at, move |_| Some(said)).await;
        assert_eq!(replayed, None);
    }
    // Two lines differ by what their handshakes give, whatever is shown on them.
    let differs = move |next: &Binding| {
        assert_ne!(next.exporter, channel.exporter);
        assert_eq!(next.server, channel.server);
        Some(hello(next))
    };
    greeted(scene.site("again"), address, differs).await.unwrap();
    assert_eq!(greeted(scene.site("garbage"), address, |_| Some([7; 85])).await, None);
}

#[tokio::test]
async fn a_hospitals_own_authority_lets_its_sites_in_and_names_nobody() {
    let (ours, theirs) = (Scene::new(), Scene::new());
    let door = ServerFiles { sites_ca: Some(theirs.authority.certificate_file()), ..ours.server() };
    let address = serve(Door::open(door.clone()).unwrap()).await;
    let of = |scene: &Scene, name: &str, role: Role| {
        let issued = scene.authority.issue(role, ACCOUNT, DAYS).unwrap();
        let files = scene.files(name, &issued.certificate, &issued.key);
        ClientFiles { ca: Some(ours.authority.certificate_file()), ..files }
    };
    let ask = async |files| greeted(files, address, |channel| Some(hello(channel))).await.unwrap();
    assert!(ask(of(&ours, "operator", Role::Operator)).await.starts_with("operator "));
    // It may write into a certificate what it likes.
    let said = ask(of(&theirs, "operator", Role::Operator)).await;
    assert!(said.starts_with("someone ") && said.ends_with(&format!(" hello {ACCOUNT:#x}")), "{said}");
    // Nor does it where there is no other authority.
    let alone = ServerFiles { clients_ca: None, revoked: None, ..door.clone() };
    let door = Door::open(alone).unwrap();
    assert!(door.asks());
    let said = greeted(of(&theirs, "site", Role::Site), serve(door).await, |channel| Some(hello(channel))).await;
    assert!(said.unwrap().starts_with("someone "));
    // Its revocations are taken beside ours.
    let both = ours.path("both.pem");
    let lists = [&ours, &theirs].map(|scene| fs::read_to_string(scene.authority.revoked_file()).unwrap());
    fs::write(&both, lists.concat()).unwrap();
    Door::open(ServerFiles {
        revoked: Some(both),
        sites_ca: Some(theirs.authority.certificate_file()),
        ..ours.server()
    })
    .unwrap();
}

/// A certificate in the last third of its life, and a newer one of the same holder.
fn old_and_new(scene: &Scene) -> (ClientFiles, crate::Issued) {
    let soon = SystemTime::now() + Duration::from_secs(3600);
    let old = scene.authority.issue_until(Role::Site, ACCOUNT, soon).unwrap();
    let files = scene.files("site", &old.certificate, &old.key);
    (files, scene.authority.issue(Role::Site, ACCOUNT, DAYS).unwrap())
}

fn shown(client: &Client) -> B256 {
    client.shown().unwrap().fingerprint
}

#[test]
fn a_renewed_certificate_takes_the_place_of_the_old_and_nothing_else_does() {
    let scene = Scene::new();
    let (files, new) = old_and_new(&scene);
    let client = Client::new(files.clone()).unwrap();
    let (before, now) = (shown(&client), SystemTime::now());
    assert!(client.expires(now).is_some_and(|expires| expires > now));
    // Another's, another key's, one that expires as soon.
    let operator = scene.authority.issue(Role::Operator, ACCOUNT, DAYS).unwrap();
    let late = scene.authority.issue_until(Role::Site, ACCOUNT, now + Duration::from_secs(60)).unwrap();
    for (certificate, key) in [
        (operator.certificate.as_str(), &operator.key),
        (new.certificate.as_str(), &operator.key),
        (late.certificate.as_str(), &late.key),
        ("no certificate", &new.key),
    ] {
        assert!(client.renew(certificate, key).is_err());
        assert_eq!(shown(&Client::new(files.clone()).unwrap()), before);
    }
    client.renew(&new.certificate, &new.key).unwrap();
    // The next look, which each new line takes, finds it.
    assert_eq!(client.expires(now), None);
    assert_ne!(shown(&client), before);
    let key = files.key.unwrap();
    assert_eq!(fs::read_to_string(&key).unwrap(), *new.key);
    #[cfg(unix)]
    assert_eq!(std::os::unix::fs::MetadataExt::mode(&fs::metadata(&key).unwrap()) & 0o077, 0);
}

/// Whatever a process that ends in between leaves behind, key and certificate fit each other at the next start.
#[test]
fn a_renewal_that_stops_anywhere_leaves_the_old_pair_or_the_new_one() {
    for step in 0..5 {
        let scene = Scene::new();
        let (files, new) = old_and_new(&scene);
        let before = shown(&Client::new(files.clone()).unwrap());
        let [key, certificate] = [&files.key, &files.certificate].map(|file| file.clone().unwrap());
        let [new_key, new_certificate] = [&key, &certificate].map(|file| {
            let mut name = file.clone().into_os_string();
            name.push(".new");
            std::path::PathBuf::from(name)
        });
        // The steps of `put` and `settle`, up to where the process ended.
        let steps: [&dyn Fn(); 4] = [
            &|| files::write_private(&new_key, &new.key).unwrap(),
            &|| files::replace(&new_certificate, &new.certificate).unwrap(),
            &|| fs::rename(&new_key, &key).unwrap(),
            &|| fs::rename(&new_certificate, &certificate).unwrap(),
        ];
        steps.iter().take(step).for_each(|done| done());
        let found = shown(&Client::new(files.clone()).unwrap());
        // With the certificate whole beside the old one it is decided.
        assert_eq!(found == before, step < 2, "after {step} steps");
        // What is left over is in nobody's way.
        Client::new(files.clone()).unwrap().renew(&new.certificate, &new.key).unwrap();
        assert!(!new_key.exists() && !new_certificate.exists());
        assert_ne!(shown(&Client::new(files).unwrap()), before);
    }
}
