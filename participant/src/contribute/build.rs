//! From an update to three files and a manifest.
//!
//! 1. The secret is drawn from randomness, round and update, so that no two updates ever share one.
//! 2. Its shares are dealt while it is there; encrypting consumes it.
//! 3. Each share is sealed to its member, bound to round, sender, index and the three roots.
//!
//! A file of sealed shares is a list (kind 13) by committee index; an item is the sealed blob and, in the clear, the
//! siblings of the member's salted leaf, so that the member alone can hold its share against `shareRoot`.

use almoner_crypto::encrypt::{Ciphertext, Params, Secret, encrypt_update, noise_rng, update_digest};
use almoner_crypto::seal::{ShareAad, seal_share};
use almoner_crypto::share::{SALT_BYTES, ShareVec, deal, share_leaf, share_root};
use almoner_crypto::tree;
use almoner_protocol::types::Contribution;
use almoner_protocol::{Address, B256, SealedShares, Update, encode_list};
use almoner_store::{Layout, cid_of};
use bytes::Bytes;
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::SiteError;
use crate::fetch::Terms;

/// What leaves the site, and nothing else does.
#[derive(Clone, Debug)]
pub struct Contributed {
    pub manifest: Contribution,
    pub ciphertext: Bytes,
    pub check: Bytes,
    pub shares: Bytes,
}

/// A share and the salt of its leaf.
#[derive(Debug)]
pub struct Salted {
    salt: Zeroizing<[u8; SALT_BYTES]>,
    share: ShareVec,
}

/// Builds the upload. The same `randomness` and update give the same bytes, so a restarted site repeats itself.
pub fn build_contribution(
    terms: &Terms,
    participant: Address,
    update: &Update,
    randomness: &[u8; 32],
) -> Result<Contributed, SiteError> {
    let digest = update_digest(update.values());
    let secret = Secret::draw(randomness, &terms.ctx.0, &digest);
    let mut rng = noise_rng(randomness, &terms.ctx.0, &digest);
    let shares = deal_shares(terms, &secret, &mut rng)?;
    let scale = &terms.descriptor.scale;
    let params = Params::new(scale.delta, scale.updateMax.into())?;
    let ciphertext = encrypt_update(&terms.seed, secret, update.values(), &params, &mut rng)?;
    seal_contribution(terms, participant, update.norm_class(), ciphertext, &shares, &mut rng)
}

/// One share of a secret for every member of the committee.
pub fn deal_shares(terms: &Terms, secret: &Secret, rng: &mut impl CryptoRng) -> Result<Vec<Salted>, SiteError> {
    let shares = deal(secret, terms.committee.len(), terms.threshold(), rng)?;
    Ok(shares.into_iter().map(|share| salted(share, rng)).collect())
}

/// Seals the shares to their members and commits to all three files.
pub fn seal_contribution(
    terms: &Terms,
    participant: Address,
    norm_class: u8,
    ciphertext: Ciphertext,
    shares: &[Salted],
    rng: &mut impl CryptoRng,
) -> Result<Contributed, SiteError> {
    let root = share_root(shares.iter().map(|salted| (&*salted.salt, &salted.share)));
    let sealed = seal_all(terms, participant, &ciphertext, root, shares, rng)?;
    Ok(finish(terms, participant, norm_class, ciphertext, root, sealed))
}

fn salted(share: ShareVec, rng: &mut impl CryptoRng) -> Salted {
    let mut salt = Zeroizing::new([0; SALT_BYTES]);
    rng.fill_bytes(salt.as_mut_slice());
    Salted { salt, share }
}

fn seal_all(
    terms: &Terms,
    participant: Address,
    ciphertext: &Ciphertext,
    root: tree::Hash,
    shares: &[Salted],
    rng: &mut impl CryptoRng,
) -> Result<Bytes, SiteError> {
    // A committee has at most 128 members.
    let indexed = || (0u16..).zip(shares);
    let leaves: Vec<tree::Hash> =
        indexed().map(|(member, salted)| share_leaf(member, &salted.salt, &salted.share)).collect();
    let mut items = Vec::with_capacity(shares.len());
    for ((member, Salted { salt, share }), to) in indexed().zip(&terms.committee) {
        let aad = ShareAad {
            round: terms.descriptor.round,
            participant: participant.into_array(),
            member,
            ciphertext_root: ciphertext.ciphertext_root,
            check_root: ciphertext.check_root,
            share_root: root,
        };
        let mut item = seal_share(&to.key, &terms.ctx.0, &aad, salt, share, rng)?;
        // There are as many leaves as members.
        let siblings = tree::proof(&leaves, member.into()).unwrap_or_default();
        item.extend(siblings.iter().flatten());
        items.push(SealedShares(item.into()));
    }
    Ok(encode_list(&items).into())
}

fn finish(
    terms: &Terms,
    participant: Address,
    norm_class: u8,
    ciphertext: Ciphertext,
    share_root: tree::Hash,
    shares: Bytes,
) -> Contributed {
    let cid = |bytes: &[u8]| cid_of(bytes, Layout::V1_2025).to_bytes().into();
    let manifest = Contribution {
        ctx: terms.ctx,
        participant,
        blocks: terms.blocks(),
        ciphertextRoot: B256::new(ciphertext.ciphertext_root),
        checkRoot: B256::new(ciphertext.check_root),
        shareRoot: B256::new(share_root),
        ciphertextCid: cid(&ciphertext.data),
        checkCid: cid(&ciphertext.check),
        sharesCid: cid(&shares),
        normClass: norm_class,
    };
    Contributed { manifest, ciphertext: ciphertext.data.into(), check: ciphertext.check.into(), shares }
}
