// SPDX-License-Identifier: Apache-2.0
//! Text signed by one or more keys: [C2SP signed-note](https://c2sp.org/signed-note).

use std::{fmt, str::FromStr};

use consilium_crypto::{
    signing::{Signature, SigningKey, VerifyingKey},
    transcript::sha256,
};
use data_encoding::{BASE64, HEXLOWER};

/// A text and the signatures under it, none of them verified yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedNote {
    text: String,
    signatures: Vec<NoteSignature>,
}

impl SignedNote {
    /// A text that nobody signed yet; it must end with a line end.
    pub fn unsigned(text: String) -> Result<Self, NoteFault> {
        if !text.ends_with('\n')
            || text
                .chars()
                .any(|character| character < ' ' && character != '\n')
        {
            return Err(NoteFault::Malformed);
        }
        Ok(Self {
            text,
            signatures: Vec::new(),
        })
    }

    /// The text, its last line end included.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The signature lines, in order.
    pub fn signatures(&self) -> &[NoteSignature] {
        &self.signatures
    }

    /// Puts a line under the text, in place of one by the same key.
    pub fn add(&mut self, signature: NoteSignature) {
        let same_key = |other: &NoteSignature| {
            other.name == signature.name && other.key_id == signature.key_id
        };
        match self.signatures.iter_mut().find(|other| same_key(other)) {
            Some(place) => *place = signature,
            None => self.signatures.push(signature),
        }
    }

    /// The same text with this one line under it.
    pub(crate) fn with_only(&self, signature: NoteSignature) -> Self {
        Self {
            text: self.text.clone(),
            signatures: vec![signature],
        }
    }

    /// The one line by the key of this name and identifier; two are an error.
    pub(crate) fn by_key(
        &self,
        name: &KeyName,
        key_id: KeyId,
    ) -> Result<Option<&NoteSignature>, NoteFault> {
        let mut lines = self
            .signatures
            .iter()
            .filter(|line| line.name == *name && line.key_id == key_id);
        match (lines.next(), lines.next()) {
            (line, None) => Ok(line),
            (_, Some(_)) => Err(NoteFault::RepeatedSignature { name: name.clone() }),
        }
    }
}

impl FromStr for SignedNote {
    type Err = NoteFault;

    fn from_str(note: &str) -> Result<Self, NoteFault> {
        if note.len() > LONGEST_NOTE {
            return Err(NoteFault::Malformed);
        }
        let split = note.rfind("\n\n").ok_or(NoteFault::Malformed)?;
        let (text, rest) = note
            .split_at_checked(split + 1)
            .ok_or(NoteFault::Malformed)?;
        let mut unsigned = Self::unsigned(text.to_owned())?;
        let lines = rest
            .strip_prefix('\n')
            .and_then(|lines| lines.strip_suffix('\n'))
            .ok_or(NoteFault::Malformed)?;
        unsigned.signatures = lines
            .split('\n')
            .map(str::parse)
            .collect::<Result<_, _>>()?;
        Ok(unsigned)
    }
}

impl fmt::Display for SignedNote {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "{}", self.text)?;
        self.signatures
            .iter()
            .try_for_each(|line| writeln!(formatter, "{line}"))
    }
}

/// One signature line: `— <name> <base64 of key identifier and signature>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoteSignature {
    pub(crate) name: KeyName,
    pub(crate) key_id: KeyId,
    pub(crate) bytes: Vec<u8>,
}

impl NoteSignature {
    /// The name of the key that is said to have signed.
    pub fn name(&self) -> &str {
        self.name.as_str()
    }
}

impl FromStr for NoteSignature {
    type Err = NoteFault;

    fn from_str(line: &str) -> Result<Self, NoteFault> {
        let (name, encoded) = line
            .strip_prefix("\u{2014} ")
            .and_then(|line| line.split_once(' '))
            .ok_or(NoteFault::Malformed)?;
        let decoded = BASE64
            .decode(encoded.as_bytes())
            .map_err(|_| NoteFault::Malformed)?;
        let (key_id, bytes) = decoded
            .split_first_chunk::<4>()
            .ok_or(NoteFault::Malformed)?;
        // One signature, one spelling: the decoder also takes several padded pieces in a row.
        if BASE64.encode(&decoded) != encoded {
            return Err(NoteFault::Malformed);
        }
        Ok(Self {
            name: KeyName::parse(name)?,
            key_id: KeyId(*key_id),
            bytes: bytes.to_vec(),
        })
    }
}

impl fmt::Display for NoteSignature {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let payload = [self.key_id.0.as_slice(), &self.bytes].concat();
        write!(
            formatter,
            "\u{2014} {} {}",
            self.name,
            BASE64.encode(&payload)
        )
    }
}

/// The name of a key: not empty, no spaces, no plus sign, no control characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyName(String);

impl KeyName {
    /// Reads a name.
    pub fn parse(name: &str) -> Result<Self, NoteFault> {
        let odd = |character: char| {
            character.is_whitespace() || character.is_control() || character == '+'
        };
        if name.is_empty() || name.len() > LONGEST_NAME || name.chars().any(odd) {
            return Err(NoteFault::Name {
                name: name.to_owned(),
            });
        }
        Ok(Self(name.to_owned()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// What kind of signature a key makes; the byte is hashed into the key's identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SignatureType {
    /// Ed25519 over the text: the log itself.
    Note,
    /// Ed25519 over `cosignature/v1`, a time and the text: a witness.
    Cosignature,
}

impl SignatureType {
    fn byte(self) -> u8 {
        match self {
            Self::Note => 0x01,
            Self::Cosignature => 0x04,
        }
    }
}

/// The first four bytes of a hash of name, type and key: tells keys apart, proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct KeyId([u8; 4]);

impl KeyId {
    pub(crate) fn new(name: &KeyName, kind: SignatureType, key: &VerifyingKey) -> Self {
        let hashed = [
            name.as_str().as_bytes(),
            b"\n",
            &[kind.byte()],
            &key.to_bytes(),
        ]
        .concat();
        let [first, second, third, fourth, ..] = *sha256(&hashed).as_bytes();
        Self([first, second, third, fourth])
    }
}

/// A public key with its name, written `name+identifier+key` (a C2SP vkey).
pub(crate) fn write_vkey(name: &KeyName, kind: SignatureType, key: &VerifyingKey) -> String {
    let material = [[kind.byte()].as_slice(), &key.to_bytes()].concat();
    format!(
        "{name}+{}+{}",
        HEXLOWER.encode(&KeyId::new(name, kind, key).0),
        BASE64.encode(&material)
    )
}

/// Reads what [`write_vkey`] writes.
pub(crate) fn parse_vkey(
    text: &str,
    kind: SignatureType,
) -> Result<(KeyName, VerifyingKey), NoteFault> {
    let fault = || NoteFault::Key {
        key: text.to_owned(),
    };
    let mut parts = text.splitn(3, '+');
    let (Some(name), Some(key_id), Some(material)) = (parts.next(), parts.next(), parts.next())
    else {
        return Err(fault());
    };
    let name = KeyName::parse(name)?;
    let material = BASE64.decode(material.as_bytes()).map_err(|_| fault())?;
    let (&[kind_byte], key) = material.split_first_chunk::<1>().ok_or_else(fault)?;
    let key = <[u8; 32]>::try_from(key)
        .ok()
        .and_then(|bytes| VerifyingKey::from_bytes(&bytes).ok())
        .ok_or_else(fault)?;
    if kind_byte != kind.byte() || key_id != HEXLOWER.encode(&KeyId::new(&name, kind, &key).0) {
        return Err(fault());
    }
    // One key, one spelling: the decoder also takes several padded pieces in a row.
    if write_vkey(&name, kind, &key) != text {
        return Err(fault());
    }
    Ok((name, key))
}

/// The log's own key with its name, the log's origin.
pub struct NoteSigner {
    name: KeyName,
    key: SigningKey,
}

impl NoteSigner {
    /// A signer; the name is the log's origin.
    pub fn new(origin: &str, key: SigningKey) -> Result<Self, NoteFault> {
        Ok(Self {
            name: KeyName::parse(origin)?,
            key,
        })
    }

    /// The log's origin.
    pub fn origin(&self) -> &str {
        self.name.as_str()
    }

    /// What others need to check this signer's notes.
    pub fn verifier(&self) -> NoteVerifier {
        NoteVerifier::of(self.name.clone(), self.key.verifying_key())
    }

    /// The signature line over `text`.
    pub fn sign(&self, text: &str) -> NoteSignature {
        let signature = self.key.sign_raw(text.as_bytes());
        NoteSignature {
            name: self.name.clone(),
            key_id: KeyId::new(&self.name, SignatureType::Note, &self.key.verifying_key()),
            bytes: signature.to_bytes().to_vec(),
        }
    }
}

/// The log's public key with its name, the log's origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoteVerifier {
    name: KeyName,
    key: VerifyingKey,
    key_id: KeyId,
}

impl NoteVerifier {
    /// The verifier of the log of this origin.
    pub fn new(origin: &str, key: VerifyingKey) -> Result<Self, NoteFault> {
        Ok(Self::of(KeyName::parse(origin)?, key))
    }

    fn of(name: KeyName, key: VerifyingKey) -> Self {
        Self {
            key_id: KeyId::new(&name, SignatureType::Note, &key),
            name,
            key,
        }
    }

    /// Reads a C2SP vkey of signature type 1.
    pub fn from_vkey(vkey: &str) -> Result<Self, NoteFault> {
        parse_vkey(vkey, SignatureType::Note).map(|(name, key)| Self::of(name, key))
    }

    /// The C2SP vkey.
    pub fn to_vkey(&self) -> String {
        write_vkey(&self.name, SignatureType::Note, &self.key)
    }

    /// The log's origin.
    pub fn origin(&self) -> &str {
        self.name.as_str()
    }

    /// The key.
    pub fn key(&self) -> &VerifyingKey {
        &self.key
    }

    /// Checks that this key signed the note.
    pub fn verify(&self, note: &SignedNote) -> Result<(), NoteFault> {
        let line = note
            .by_key(&self.name, self.key_id)?
            .ok_or_else(|| NoteFault::Unsigned {
                name: self.name.clone(),
            })?;
        let wrong = || NoteFault::WrongSignature {
            name: self.name.clone(),
        };
        let bytes = <[u8; 64]>::try_from(line.bytes.as_slice()).map_err(|_| wrong())?;
        self.key
            .verify_raw(note.text().as_bytes(), &Signature::from_bytes(bytes))
            .map_err(|_| wrong())
    }
}

/// Why a note is not to be believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoteFault {
    /// The bytes are not a signed note.
    #[error("not a signed note")]
    Malformed,
    /// A name that a key cannot have.
    #[error("`{name}` cannot name a key: it must not be empty or hold spaces or `+`")]
    Name {
        /// The name.
        name: String,
    },
    /// A text that is not a public key with name and identifier.
    #[error("`{key}` is not a named public key")]
    Key {
        /// The text.
        key: String,
    },
    /// Two lines by one key.
    #[error("two signatures by `{name}`")]
    RepeatedSignature {
        /// The key's name.
        name: KeyName,
    },
    /// No line by the key.
    #[error("no signature by `{name}`")]
    Unsigned {
        /// The key's name.
        name: KeyName,
    },
    /// A line by the key that does not verify.
    #[error("the signature by `{name}` does not verify")]
    WrongSignature {
        /// The key's name.
        name: KeyName,
    },
}

const LONGEST_NOTE: usize = 1 << 18;
const LONGEST_NAME: usize = 255;
