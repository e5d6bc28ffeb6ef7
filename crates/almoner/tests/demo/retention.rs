//! A coordinator that keeps the uploads of the newest round only, in a store of bounded size, and so does the Kubo daemon
//! that it gives everything.

use almoner_store::FakeKubo;
use serde_json::Value;

use super::almoner;
use super::kubo::{StandIn, named};
use super::processes::{HOSPITALS, House, coordinator_settings, order};

#[test]
fn uploads_of_old_rounds_are_forgotten_and_the_rest_stays() {
    let house = House::new();
    let rooms = ["chain", "coordinator", "aggregator"].map(|name| house.room(name));
    let (_chain, rpc) = house.chain(&rooms[0], &rooms[1]);
    let kubo = StandIn::start(FakeKubo::default());
    let kept = "[retention]\nkeep_rounds = 1\nquota_mib = 64\n";
    let more = format!("time_travel = true\n{kept}[kubo]\nurl = \"{}\"\n", kubo.url());
    let settings = coordinator_settings(0, &rpc, &more);
    let (_coordinator, url) = house.daemon(&rooms[1], "coordinator", &settings);
    let (_aggregator, _) = house.daemon(&rooms[2], "aggregator", &format!("coordinator = \"{url}\"\n"));
    let scenario = house.federation(&url);
    let mut sites = house.sites(&url, &scenario, 0);

    let mut watch = house.start(house.home.path(), &["federation", "watch", "1", "--coordinator", &url]);
    order(&url, &["launch", "1", "--rounds", "2"]);
    let paid = sites.iter_mut().map(|site| site.until("paid")["paid"].as_str().unwrap().parse::<u128>().unwrap());
    assert_eq!(paid.sum::<u128>(), 2_000_000_000_000_000_000_000);
    watch.until("settled");

    // An audit reads every upload there is: it finds those of the first round gone, one after another, and no other.
    let audit = loop {
        let audit = almoner(&["audit", &url, "--json"]);
        let said: Value = serde_json::from_slice(&audit.stdout).expect("one JSON document");
        if said["audit"]["by_kind"]["ciphertext"]["held"] == HOSPITALS {
            assert_eq!(audit.status.code(), Some(4), "{said}");
            break said;
        }
    };
    assert_eq!(audit["audit"]["by_kind"]["ciphertext"]["checks"], 2 * HOSPITALS, "{audit}");
    assert_eq!(audit["first_wrong"], Value::Null, "{audit}");
    let gone = &audit["first_missing"];
    assert_eq!(gone["round"], 1, "{audit}");
    assert!(gone["text"].as_str().unwrap().starts_with("unavailable: "), "{audit}");
    let model = house.home.path().join("model.safetensors");
    let export =
        ["model", "export", "--coordinator", &url, "--federation", "1", "--out", model.to_str().unwrap(), "--json"];
    assert!(almoner(&export).status.success(), "the model is there");
    let kept = named(&url, 1);
    assert_eq!(named(&url, 0).len(), kept.len() + 3 * HOSPITALS);
    kubo.until_pinned(&kept);
}
