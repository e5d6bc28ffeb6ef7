use std::fs;
use std::os::unix::fs::PermissionsExt;

use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::*;
use crate::{Code, is_vault, prepare_vault, read_vault, write_vault};

const KEY: [u8; 32] = *b"the evm key of some hospital 123";

fn export(byte: u8) -> ExportKey {
    ExportKey(Zeroizing::new([byte; 64]))
}

fn made() -> (Vault, RecoveryCode, ChaCha20Rng) {
    let mut rng = ChaCha20Rng::from_seed([1; 32]);
    let recovery = RecoveryCode::draw(&mut rng);
    (Vault::create([3; 20], &KEY, &export(1), &recovery, &mut rng).unwrap(), recovery, rng)
}

#[test]
fn password_and_recovery_code_open_the_same_vault_and_nothing_else_does() {
    let (vault, recovery, mut rng) = made();
    let by_password = vault.open(&Opener::Password(&export(1))).unwrap();
    let by_code = vault.open(&Opener::Recovery(&recovery)).unwrap();
    assert_eq!((by_password.evm_key(), by_code.evm_key()), (&KEY, &KEY));
    let sealed = by_password.state_key().seal("x", b"seed", &mut rng).unwrap();
    assert_eq!(by_code.state_key().open("x", &sealed).unwrap().as_slice(), b"seed");
    assert!(matches!(vault.open(&Opener::Password(&export(2))), Err(IdentityError::OlderVault)));
    let other = Code::draw(&mut rng);
    assert!(matches!(vault.open(&Opener::Recovery(&other)), Err(IdentityError::WrongOpener("recovery code"))));
    let unlock = Code::from_secret(*recovery.secret());
    assert!(matches!(vault.open(&Opener::Unlock(&unlock)), Err(IdentityError::WrongOpener("unlock secret"))));
    assert!(!format!("{by_code:?}").contains("evm"));
}

#[test]
fn a_change_of_password_can_stop_half_way() {
    let (vault, recovery, mut rng) = made();
    let open = vault.open(&Opener::Password(&export(1))).unwrap();
    // Before the coordinator has said which one holds, both open.
    let half = vault.and_password(&open, &export(2), &mut rng).unwrap();
    for password in [1, 2] {
        assert_eq!(half.open(&Opener::Password(&export(password))).unwrap().evm_key(), &KEY);
    }
    let fresh = Code::draw(&mut rng);
    let done = half.with_password(&open, &export(2), &fresh, &mut rng).unwrap();
    assert!(done.open(&Opener::Password(&export(1))).is_err() && done.open(&Opener::Recovery(&recovery)).is_err());
    assert_eq!(done.open(&Opener::Recovery(&fresh)).unwrap().evm_key(), &KEY);
    let unlock = Code::draw(&mut rng);
    let unattended = done.with_unlock(&open, &unlock, &mut rng).unwrap();
    assert_eq!(unattended.open(&Opener::Unlock(&unlock)).unwrap().evm_key(), &KEY);
}

#[test]
fn the_file_is_private_shows_nothing_and_reads_back() {
    let (vault, recovery, _) = made();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("site.key");
    write_vault(&path, &vault).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    assert!(is_vault(&path));
    assert_eq!(read_vault(&path).unwrap(), vault);
    let text = fs::read_to_string(&path).unwrap();
    let hex: String = KEY.iter().map(|byte| format!("{byte:02x}")).collect();
    let code: String = recovery.secret().iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(!text.contains(&hex) && !text.contains(&code) && text.contains(&"03".repeat(20)));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(matches!(read_vault(&path), Err(IdentityError::Open { .. })));
}

#[test]
fn a_prepared_vault_changes_nothing_until_it_is_put() {
    let (vault, _, _) = made();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("site.key");
    fs::write(&path, "the plain key").unwrap();
    drop(prepare_vault(&path, &vault).unwrap());
    assert_eq!(
        (fs::read_to_string(&path).unwrap().as_str(), fs::read_dir(dir.path()).unwrap().count()),
        ("the plain key", 1)
    );
    prepare_vault(&path, &vault).unwrap().put().unwrap();
    assert_eq!((read_vault(&path).unwrap(), fs::read_dir(dir.path()).unwrap().count()), (vault.clone(), 1));
    let error = prepare_vault(&dir.path().join("nowhere/site.key"), &vault).unwrap_err();
    assert!(error.to_string().contains("nowhere/site.key"), "{error}");
}

#[test]
fn a_damaged_or_later_file_is_named() {
    let (vault, _, _) = made();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("site.key");
    let read = |text: String| {
        crate::write_private(&path, text.as_bytes()).unwrap();
        read_vault(&path).unwrap_err().to_string()
    };
    write_vault(&path, &vault).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert!(read(text.replace("\"almoner_vault\": 1", "\"almoner_vault\": 2")).contains("run a newer almoner"));
    assert!(read(text.replace("almoner_vault", "vault")).contains("site.key is not a vault"));
    assert!(read(text.replacen("\"key\": \"", "\"key\": \"+", 1)).contains("not hexadecimal"));
    assert!(read(text.replacen("\"key\"", "\"kay\"", 1)).contains("site.key is not a vault"));
    assert!(read("{".into()).contains("site.key is not a vault"));
    // An account that is not the one it was made for opens nothing.
    let other: Vault = serde_json::from_str(&text.replace(&"03".repeat(20), &"04".repeat(20))).unwrap();
    assert!(other.open(&Opener::Password(&export(1))).is_err());
}

proptest! {
    /// Whatever is changed in the file, it gives the right key or none.
    #[test]
    fn a_changed_file_gives_no_other_key(at in 0usize..2000, to in 32u8..127) {
        let (vault, recovery, _) = made();
        let mut text = serde_json::to_vec(&vault).unwrap();
        let at = at % text.len();
        text[at] = to;
        if let Ok(vault) = serde_json::from_slice::<Vault>(&text) {
            for opener in [Opener::Password(&export(1)), Opener::Recovery(&recovery)] {
                let key = vault.open(&opener).map(|open| *open.evm_key());
                prop_assert!(key.is_err() || key.is_ok_and(|key| key == KEY));
            }
        }
    }
}
