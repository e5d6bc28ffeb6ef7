use alloy::sol_types::{SolStruct, SolValue};
use almoner_protocol::types;

use super::{ARTEFACTS, Rounds};

/// The bindings' own structs and those of the protocol are generated from two sources. They must be the same.
#[test]
fn structs_are_those_of_the_protocol() {
    fn check<A: SolStruct, B: SolStruct>() {
        assert_eq!(A::eip712_encode_type(), B::eip712_encode_type());
    }
    check::<Rounds::Descriptor, types::Descriptor>();
    check::<Rounds::OpenCids, types::OpenCids>();
    check::<Rounds::Contribution, types::Contribution>();
    check::<Rounds::Ready, types::Ready>();
    check::<Rounds::DirectionPromise, types::DirectionPromise>();
    check::<Rounds::Reveal, types::Reveal>();
    check::<super::Federations::Join, types::Join>();
    let descriptor = types::Descriptor::default();
    assert_eq!(Rounds::Descriptor::default().abi_encode(), descriptor.abi_encode());
}

#[test]
fn every_artefact_holds_code() {
    for artefact in ARTEFACTS.all() {
        assert!(artefact.bytecode.len() > artefact.deployed.len(), "{}", artefact.name);
        assert!(artefact.deployed.len() <= 24_576, "{} is above the size limit of EIP-170", artefact.name);
    }
}
