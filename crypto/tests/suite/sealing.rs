// SPDX-License-Identifier: Apache-2.0
//! Sealed messages.

use consilium_crypto::Secret;
use consilium_crypto::sealing::{SealingFault, TAG_LENGTH, open, seal};
use proptest::prelude::*;

fn key(byte: u8) -> Secret<[u8; 32]> {
    Secret::new([byte; 32])
}

#[test]
fn any_flipped_bit_keeps_a_message_shut() {
    let sealed = seal(key(1), b"context", b"a share");
    for position in 0..sealed.len() * 8 {
        let mut damaged = sealed.clone();
        damaged[position / 8] ^= 1 << (position % 8);
        let refused = open(key(1), b"context", &damaged).err();
        assert_eq!(refused, Some(SealingFault));
    }
}

#[test]
fn another_key_context_or_length_keeps_a_message_shut() {
    let sealed = seal(key(1), b"context", b"a share");
    assert!(open(key(2), b"context", &sealed).is_err());
    assert!(open(key(1), b"Context", &sealed).is_err());
    for length in 0..sealed.len() {
        assert!(open(key(1), b"context", &sealed[..length]).is_err());
    }
    assert!(open(key(1), b"context", &[sealed.as_slice(), &[0]].concat()).is_err());
    assert!(open(key(1), b"context", &sealed).is_ok());
}

proptest! {
    #[test]
    fn what_is_sealed_opens(byte: u8, context: Vec<u8>, message: Vec<u8>) {
        let sealed = seal(key(byte), &context, &message);
        prop_assert_eq!(sealed.len(), message.len() + TAG_LENGTH);
        let opened = open(key(byte), &context, &sealed).unwrap();
        prop_assert_eq!(opened.expose(), &message);
    }
}
