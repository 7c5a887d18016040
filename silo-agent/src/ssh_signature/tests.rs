// SPDX-License-Identifier: Apache-2.0
use consilium_crypto::secret::Secret;
use consilium_crypto::signing::SigningKey;

use super::*;

/// A key of its own for each number, and what `ssh-keygen -Y sign` would write with it.
pub(crate) fn key(number: u8) -> (SshPublicKey, impl Fn(&str, &str) -> String) {
    let key = SigningKey::from_seed(&Secret::new([number; 32]));
    let public = SshPublicKey(key.verifying_key());
    let sign = move |namespace: &str, message: &str| {
        let mut signed = MAGIC.to_vec();
        let hashed = Sha512::digest(message.as_bytes());
        for part in [namespace.as_bytes(), b"", b"sha512", &hashed] {
            push_string(&mut signed, part);
        }
        let (mut public, mut signature) = (Vec::new(), Vec::new());
        push_string(&mut public, KIND.as_bytes());
        push_string(&mut public, &key.verifying_key().to_bytes());
        push_string(&mut signature, KIND.as_bytes());
        push_string(&mut signature, &key.sign_raw(&signed).to_bytes());
        let mut blob = [MAGIC, &1_u32.to_be_bytes()].concat();
        for part in [&public, namespace.as_bytes(), b"", b"sha512", &signature] {
            push_string(&mut blob, part);
        }
        let base64 = BASE64.encode(&blob);
        format!("-----BEGIN SSH SIGNATURE-----\n{base64}\n-----END SSH SIGNATURE-----\n")
    };
    (public, sign)
}

fn foreign() -> SshPublicKey {
    KEY.parse().unwrap()
}

#[test]
fn signatures_that_openssh_made_hold_for_what_they_were_made_for_and_nothing_else() {
    for signature in [SHA512, SHA256] {
        foreign().verify(NAMESPACE, MESSAGE, signature).unwrap();
        assert_eq!(
            foreign().verify(NAMESPACE, b"a statement", signature),
            Err(SshFault::Signature)
        );
        let other: SshPublicKey = OTHER_KEY.parse().unwrap();
        assert_eq!(
            other.verify(NAMESPACE, MESSAGE, signature),
            Err(SshFault::Signature)
        );
    }
    assert!(matches!(
        foreign().verify(NAMESPACE, MESSAGE, FOR_A_FILE),
        Err(SshFault::Namespace { .. })
    ));
}

#[test]
fn no_changed_letter_of_a_signature_holds() {
    for place in 0..SHA512.len() {
        let mut changed = SHA512.as_bytes().to_vec();
        changed[place] ^= 1;
        let changed = String::from_utf8(changed).unwrap();
        let same = unarmoured(&changed).is_some_and(|blob| unarmoured(SHA512) == Some(blob));
        // The public key inside is not what is believed, so its letters may be anything.
        let inside = unarmoured(&changed)
            .zip(unarmoured(SHA512))
            .is_some_and(|(left, right)| left[65..] == right[65..] && left[..14] == right[..14]);
        assert!(
            same || inside || foreign().verify(NAMESPACE, MESSAGE, &changed).is_err(),
            "{place}"
        );
    }
    for length in 0..SHA512.trim_end().len() {
        assert!(
            foreign()
                .verify(NAMESPACE, MESSAGE, &SHA512[..length])
                .is_err()
        );
    }
}

#[test]
fn a_key_is_written_as_it_was_read_and_other_kinds_are_refused() {
    assert_eq!(foreign().to_string(), KEY);
    let commented: SshPublicKey = format!("{KEY} m.keller@hospital").parse().unwrap();
    assert_eq!(commented, foreign());
    for bad in [
        "",
        "ssh-ed25519",
        "ssh-rsa AAAA",
        &KEY[..60],
        "ssh-ed25519 !!!!",
    ] {
        assert_eq!(bad.parse::<SshPublicKey>(), Err(SshFault::Key), "{bad}");
    }
}

#[test]
fn our_own_test_signer_writes_what_is_read() {
    let (public, sign) = key(3);
    let signature = sign(NAMESPACE, "text");
    public.verify(NAMESPACE, b"text", &signature).unwrap();
    assert!(foreign().verify(NAMESPACE, b"text", &signature).is_err());
}

const NAMESPACE: &str = "consilium-privacy-budget";
const MESSAGE: &[u8] = b"a statement\n";

// Made by OpenSSH 9.2: `ssh-keygen -t ed25519`, `ssh-keygen -Y sign -n consilium-privacy-budget [-O hashalg=sha256]`.
const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJq0V/jh5DvDONjQOhvt4V+A8vF1i+QLwS7ejYG38HlU";
const OTHER_KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDNL3r0xBIhpqLT4mCdzL83NQhAKqqVXOKo/VyZjTosC";
const SHA512: &str = "-----BEGIN SSH SIGNATURE-----
U1NIU0lHAAAAAQAAADMAAAALc3NoLWVkMjU1MTkAAAAgmrRX+OHkO8M42NA6G+3hX4Dy8X
WL5AvBLt6NgbfweVQAAAAYY29uc2lsaXVtLXByaXZhY3ktYnVkZ2V0AAAAAAAAAAZzaGE1
MTIAAABTAAAAC3NzaC1lZDI1NTE5AAAAQHKb/Wk1E2sMv0Kcr5zdUO0Z/qL9PVRVCSQZOY
NyOwEtp2dpmFFT8iYFY6YpQHVFXxk37obo36pTMd/QSGs5fQ4=
-----END SSH SIGNATURE-----
";
const SHA256: &str = "-----BEGIN SSH SIGNATURE-----
U1NIU0lHAAAAAQAAADMAAAALc3NoLWVkMjU1MTkAAAAgmrRX+OHkO8M42NA6G+3hX4Dy8X
WL5AvBLt6NgbfweVQAAAAYY29uc2lsaXVtLXByaXZhY3ktYnVkZ2V0AAAAAAAAAAZzaGEy
NTYAAABTAAAAC3NzaC1lZDI1NTE5AAAAQJryaSMkOZ68E9ruvvF2kWEI6iYJfLyvHSp5E9
ViUCHmeu4/W8FydvNiYmP9Y3cqi4x9/NE4huiJJL0g44IjkA0=
-----END SSH SIGNATURE-----
";
const FOR_A_FILE: &str = "-----BEGIN SSH SIGNATURE-----
U1NIU0lHAAAAAQAAADMAAAALc3NoLWVkMjU1MTkAAAAgmrRX+OHkO8M42NA6G+3hX4Dy8X
WL5AvBLt6NgbfweVQAAAAEZmlsZQAAAAAAAAAGc2hhNTEyAAAAUwAAAAtzc2gtZWQyNTUx
OQAAAECZZIpQAov16rOqE2KjDEoRvZ0ro/2rgE7cNlafsouqpmzASzSOrqVfV/vdAascWT
FcMCF3OXbR8GM0kwhpUH4M
-----END SSH SIGNATURE-----
";
