use std::time::SystemTime;

use almoner_chain::SigningKey;
use almoner_proto::FILE_DESCRIPTOR_SET;
use almoner_protocol::{B256, encode_hello};
use almoner_tls::Peer;
use prost::Message;
use prost_types::FileDescriptorSet;

use super::*;

const US: Address = Address::repeat_byte(0x11);
const OTHERS: Address = Address::repeat_byte(0x22);

/// Whoever has a certificate that names this, and the key of this account.
fn caller(named: Option<(Role, Address)>, account: Option<Address>) -> Caller {
    let peer = Peer { named, fingerprint: B256::ZERO, late: SystemTime::UNIX_EPOCH };
    Caller::known(Some(peer), account)
}

fn ask(path: &str, caller: &Caller) -> Result<Option<(Role, Address)>, Refused> {
    let accounts = Accounts { researchers: vec![US], sites: vec![OTHERS], ..Accounts::default() };
    check(&accounts, path, Some(caller))
}

fn check_role(path: &str, role: Role) -> Result<(), Refused> {
    ask(path, &caller(Some((role, US)), Some(US))).map(drop)
}

#[test]
fn every_rpc_is_in_the_table_and_every_entry_is_an_rpc() {
    let set = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap();
    let mut rpcs = Vec::new();
    for file in &set.file {
        for service in &file.service {
            let name = |method: &str| format!("/{}.{}/{method}", file.package(), service.name());
            rpcs.extend(service.method.iter().map(|method| name(method.name())));
        }
    }
    assert!(rpcs.len() > 20, "{rpcs:?}");
    for rpc in &rpcs {
        assert!(
            EXACTLY.iter().any(|(path, _)| path == rpc),
            "{rpc}: say in coordinator/src/access.rs who may ask for it"
        );
    }
    for (path, _) in EXACTLY.iter().filter(|(path, _)| path.starts_with("/almoner.")) {
        assert!(rpcs.iter().any(|rpc| rpc == path), "{path} is no RPC");
    }
}

#[test]
fn a_role_opens_its_own_doors() {
    assert_eq!(check_role("/almoner.v0.Sites/Upload", Site), Ok(()));
    assert_eq!(check_role("/almoner.v0.Researchers/Launch", Researcher), Ok(()));
    assert_eq!(check_role("/almoner.v0.Aggregators/Lease", Operator), Ok(()));
    assert_eq!(check_role("/almoner.v0.Researchers/Watch", Auditor), Ok(()));
    let refused = check_role("/almoner.v0.Researchers/Launch", Site).unwrap_err();
    let said = "/almoner.v0.Researchers/Launch is not for a site: researcher or operator may ask for it";
    assert_eq!(refused.to_string(), said);
    assert!(matches!(check_role("/almoner.v0.Aggregators/Lease", Researcher), Err(Refused::OtherRole { .. })));
}

#[test]
fn without_a_certificate_only_what_is_public_is_answered() {
    for path in ["/ipfs/bafy", "/rpc", "/deployment.json", "/grpc.health.v1.Health/Check"] {
        assert_eq!(check(&Accounts::default(), path, None), Ok(None));
    }
    // A key alone is not enough either.
    let keyed = Caller::known(None, Some(US));
    for nobody in [Caller::default(), keyed] {
        for (path, to) in EXACTLY {
            assert_eq!(ask(path, &nobody).is_ok(), to == Anybody, "{path}");
        }
    }
}

#[test]
fn a_certificate_without_the_accounts_key_opens_nothing() {
    for (path, to) in EXACTLY.iter().filter(|(_, to)| *to != Anybody) {
        let Only(roles) = to else { panic!("{path}") };
        for role in *roles {
            let stolen = caller(Some((*role, US)), None);
            assert!(matches!(ask(path, &stolen), Err(Refused::NoHello { .. })), "{path}");
            let shown_with_another_key = caller(Some((*role, US)), Some(OTHERS));
            assert!(matches!(ask(path, &shown_with_another_key), Err(Refused::OtherKey { .. })), "{path}");
        }
    }
}

#[test]
fn whose_certificate_names_nobody_is_what_its_account_is_listed_as_and_else_nobody() {
    let of = |account| caller(None, Some(account));
    assert_eq!(ask("/almoner.v0.Researchers/Launch", &of(US)), Ok(Some((Researcher, US))));
    assert_eq!(ask("/almoner.v0.Sites/Join", &of(OTHERS)), Ok(Some((Site, OTHERS))));
    assert!(matches!(ask("/almoner.v0.Researchers/Launch", &of(OTHERS)), Err(Refused::OtherRole { .. })));
    assert!(matches!(ask("/almoner.v0.Aggregators/Lease", &of(US)), Err(Refused::OtherRole { .. })));
    assert!(matches!(ask("/almoner.v0.Sites/Join", &caller(None, None)), Err(Refused::NoHello { .. })));
    let made_up = Address::repeat_byte(0x33);
    for (path, _) in EXACTLY.iter().filter(|(_, to)| *to != Anybody) {
        assert!(
            matches!(ask(path, &of(made_up)), Err(Refused::NotListed { account, .. }) if account == made_up),
            "{path}"
        );
    }
}

#[test]
fn a_hello_is_heard_on_its_own_channel_only() {
    let key = SigningKey::from_bytes(&[7; 32]).unwrap();
    let channel = Binding { client: B256::ZERO, server: B256::repeat_byte(1), exporter: B256::repeat_byte(2) };
    let Binding { client, server, exporter } = channel;
    let hello = Hello { account: key.address(), client, server, channel: exporter };
    let signature = key.sign_hash(hello.hash()).unwrap();
    let said = encode_hello(key.address(), &signature);
    assert_eq!(hear(&channel, &said), Some(key.address()));
    let word = B256::repeat_byte(9);
    for other in [
        Binding { client: word, ..channel },
        Binding { server: word, ..channel },
        Binding { exporter: word, ..channel },
    ] {
        assert_eq!(hear(&other, &said), None);
    }
    assert_eq!(hear(&channel, &encode_hello(US, &signature)), None, "in another's name");
    assert_eq!(hear(&channel, &[0; 85]), None);
}

#[test]
fn what_is_not_in_the_table_is_refused_to_everybody() {
    for path in ["/", "/almoner.v0.Sites/Leave", "/almoner.v1.Sites/Join", "/ipfs", "/metrics"] {
        assert!(matches!(check_role(path, Operator), Err(Refused::NotHere { .. })), "{path}");
    }
}
