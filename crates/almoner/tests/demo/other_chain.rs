//! A coordinator that comes back with another chain, which a site's journal knows nothing of.

use super::processes::{House, coordinator_settings, free_port};

#[test]
fn a_site_does_not_begin_again_on_another_chain_that_its_coordinator_names() {
    let (house, port) = (House::new(), free_port());
    let coordinator = |name: &str| {
        let room = house.room(name);
        let (chain, rpc) = house.chain(&house.room(&format!("chain-of-{name}")), &room);
        let (coordinator, url) = house.daemon(&room, "coordinator", &coordinator_settings(port, &rpc, ""));
        (chain, coordinator, house.federation(&url), url)
    };
    let (chain, first, scenario, url) = coordinator("first");
    let site = house.site("site", "participant", &url, &scenario.hospitals[0]);
    [site.id, first.id, chain.id].into_iter().for_each(|id| house.children.kill(id));

    let second = coordinator("second");
    let ended = house.ended(&house.room("site"), &["participant", "--config", "settings.toml"]);
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(3), "{said}");
    for part in ["state = \"site.db\" is of chain", "now names chain", "a new file in `state`"] {
        assert!(said.contains(part), "{part} is not in: {said}");
    }

    // Whoever only looks is told so too.
    let checked = house.ended(&house.room("site"), &["participant", "check", "--config", "settings.toml", "--json"]);
    let said: serde_json::Value = serde_json::from_slice(&checked.stdout).unwrap();
    let rows = said["checks"].as_array().unwrap();
    let found = |check: &str, state: &str| {
        let row = rows.iter().find(|row| row["check"] == check && row["state"] == state);
        row.unwrap_or_else(|| panic!("no {check} that is {state}: {said}"))["found"].as_str().unwrap()
    };
    assert_eq!(checked.status.code(), Some(3), "{said}");
    assert!(found("journal", "ok").starts_with("site.db, of chain 31337, contracts 0x"), "{said}");
    assert!(found("chain", "fail").contains("now names chain"), "{said}");
    let look = house.ended(&house.room("site"), &["participant", "status", "--config", "settings.toml"]);
    assert_eq!((look.status.code(), look.stdout.is_empty()), (Some(3), true));

    // With nobody there, the journal says what it is of.
    [second.1.id, second.0.id].into_iter().for_each(|id| house.children.kill(id));
    let look = house.ended(&house.room("site"), &["participant", "status", "--config", "settings.toml", "--json"]);
    let said: serde_json::Value = serde_json::from_slice(&look.stdout).unwrap();
    assert_eq!((look.status.code(), &said["chain"]["chain_id"]), (Some(4), &31337.into()), "{said}");
}
