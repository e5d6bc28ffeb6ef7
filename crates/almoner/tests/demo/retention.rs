//! A coordinator that keeps the uploads of the newest round only, in a store of bounded size.

use std::fs;

use almoner::localnet::breast_cancer::Labels;
use almoner::localnet::{ModelChoice, Seeds, breast_cancer_scenario};
use serde_json::Value;

use super::almoner;
use super::processes::{Daemon, HOSPITALS, House, key, order};

#[test]
fn uploads_of_old_rounds_are_forgotten_and_the_rest_stays() {
    let house = House::new();
    let rooms = ["chain", "coordinator", "aggregator"].map(|name| house.room(name));
    let account = key(&rooms[1].join("coordinator.key"));
    let funded = format!("control = true\n[[funded]]\naccount = \"{account}\"\nether = 1000\n");
    let (_chain, rpc) =
        house.daemon(&rooms[0], "devnet", &format!("listen = \"127.0.0.1:0\"\nchain = \"chain.log\"\n{funded}"));
    let settings = format!(
        "listen = \"127.0.0.1:0\"\nrpc = \"{rpc}\"\nkey = \"coordinator.key\"\nstate = \"coordinator.db\"\n\
         store = \"store\"\ndeployment = \"deployment.json\"\nbeaconless = true\ntime_travel = true\n\
         [retention]\nkeep_rounds = 1\nquota_mib = 64\n"
    );
    let (_coordinator, url) = house.daemon(&rooms[1], "coordinator", &settings);
    let (_aggregator, _) = house.daemon(&rooms[2], "aggregator", &format!("coordinator = \"{url}\"\n"));
    let file = house.home.path().join("federation.toml");
    fs::write(&file, include_str!("../../../../docs/config/breast-cancer-logistic.toml")).unwrap();
    order(&url, &["create", file.to_str().unwrap()]);
    order(&url, &["fund", "1", "2000000000000000000000"]);
    let scenario = breast_cancer_scenario(ModelChoice::Logistic, Labels::Clean, &Seeds::insecure(5)).unwrap();
    let mut sites: Vec<Daemon> = Vec::new();
    for (index, holder) in scenario.hospitals.iter().take(HOSPITALS).enumerate() {
        sites.push(house.site(&format!("hospital-{}", index + 1), "participant", &url, holder));
    }
    sites.push(house.site("validator", "validator", &url, &scenario.validators[0]));

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
            assert_eq!(audit.status.code(), Some(5), "{said}");
            break said;
        }
    };
    assert_eq!(audit["audit"]["by_kind"]["ciphertext"]["checks"], 2 * HOSPITALS, "{audit}");
    let wrong = &audit["first_wrong"];
    assert_eq!(wrong["round"], 1, "{audit}");
    assert!(wrong["text"].as_str().unwrap().starts_with("unavailable: "), "{audit}");
    let model = house.home.path().join("model.safetensors");
    let export =
        ["model", "export", "--coordinator", &url, "--federation", "1", "--out", model.to_str().unwrap(), "--json"];
    assert!(almoner(&export).status.success(), "the model is there");
}
