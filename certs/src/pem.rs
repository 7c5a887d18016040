// SPDX-License-Identifier: Apache-2.0
//! The text armour of keys and certificates (RFC 7468), written the strict way.

use consilium_crypto::secret::Secret;
use data_encoding::BASE64;
use zeroize::Zeroizing;

/// Armours bytes that may be read by everybody.
pub(crate) fn encode(kind: &str, der: &[u8]) -> String {
    let body = BASE64.encode(der);
    let mut text = format!("-----BEGIN {kind}-----\n");
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(LINE_LENGTH));
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    text.push_str(&format!("-----END {kind}-----\n"));
    text
}

/// Armours a private key; the text is wiped with the secret that holds it.
pub(crate) fn encode_private_key(der: &[u8]) -> Secret<Vec<u8>> {
    let body = Zeroizing::new(BASE64.encode(der));
    // Enough room from the start: a vector that grows leaves copies of the key behind.
    let mut text = Vec::with_capacity(body.len() * 2 + 128);
    text.extend_from_slice(b"-----BEGIN PRIVATE KEY-----\n");
    for line in body.as_bytes().chunks(LINE_LENGTH) {
        text.extend_from_slice(line);
        text.push(b'\n');
    }
    text.extend_from_slice(b"-----END PRIVATE KEY-----\n");
    Secret::new(text)
}

pub(crate) const CERTIFICATE: &str = "CERTIFICATE";

const LINE_LENGTH: usize = 64;
