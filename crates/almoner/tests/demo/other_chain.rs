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

    let _second = coordinator("second");
    let ended = house.ended(&house.room("site"), &["participant", "--config", "settings.toml"]);
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(3), "{said}");
    for part in ["state = \"site.db\" is of chain", "now names chain", "a new file in `state`"] {
        assert!(said.contains(part), "{part} is not in: {said}");
    }
}
