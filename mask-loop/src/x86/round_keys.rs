// SPDX-License-Identifier: Apache-2.0
//! The key schedule of AES-256 (FIPS 197, section 5.2), without tables.

use std::arch::x86_64::{
    __m128i, _mm_aeskeygenassist_si128, _mm_loadu_si128, _mm_shuffle_epi32, _mm_slli_si128,
    _mm_storeu_si128, _mm_xor_si128,
};

use super::table::Cell;
use crate::stream::Sign;
use crate::workspace::wipe;

/// The round keys of one stream; wiped on drop.
pub(super) struct RoundKeys {
    /// Round keys 0 to 14.
    pub(super) keys: [Cell; 15],
    /// Round key 14, complemented when the stream is subtracted: the keystream then comes out
    /// complemented, and -k = !k + 1.
    pub(super) signed_last: Cell,
}

impl RoundKeys {
    /// # Safety
    /// The processor has AES-NI.
    #[target_feature(enable = "aes")]
    pub(super) unsafe fn expand(key: &[u8; 32], sign: Sign) -> Box<Self> {
        let mut round_keys = Box::new(Self {
            keys: [Cell::default(); 15],
            signed_last: Cell::default(),
        });
        let keys = &mut round_keys.keys;
        keys[0].0.copy_from_slice(&key[..16]);
        keys[1].0.copy_from_slice(&key[16..]);
        step::<0x01>(keys, 2);
        step::<0x02>(keys, 4);
        step::<0x04>(keys, 6);
        step::<0x08>(keys, 8);
        step::<0x10>(keys, 10);
        step::<0x20>(keys, 12);
        let last = even::<0x40>(read(&keys[12]), read(&keys[13]));
        write(&mut keys[14], last);
        round_keys.signed_last = round_keys.keys[14];
        if sign == Sign::Subtract {
            for byte in &mut round_keys.signed_last.0 {
                *byte = !*byte;
            }
        }
        round_keys
    }
}

impl Drop for RoundKeys {
    fn drop(&mut self) {
        wipe(&mut self.keys);
        wipe(std::slice::from_mut(&mut self.signed_last));
    }
}

/// Round keys `at` and `at + 1`, from the two before.
#[target_feature(enable = "aes")]
fn step<const CONSTANT: i32>(keys: &mut [Cell; 15], at: usize) {
    let even = even::<CONSTANT>(read(&keys[at - 2]), read(&keys[at - 1]));
    let before = read(&keys[at - 1]);
    // RotWord and the round constant are left out: the third word of the assistant's answer.
    let odd = _mm_shuffle_epi32::<0xAA>(_mm_aeskeygenassist_si128::<0>(even));
    write(&mut keys[at], even);
    write(&mut keys[at + 1], _mm_xor_si128(running_xor(before), odd));
}

#[target_feature(enable = "aes")]
fn even<const CONSTANT: i32>(two_before: __m128i, before: __m128i) -> __m128i {
    let word = _mm_shuffle_epi32::<0xFF>(_mm_aeskeygenassist_si128::<CONSTANT>(before));
    _mm_xor_si128(running_xor(two_before), word)
}

/// Each word XOR all words before it.
#[target_feature(enable = "aes")]
fn running_xor(words: __m128i) -> __m128i {
    let words = _mm_xor_si128(words, _mm_slli_si128::<4>(words));
    _mm_xor_si128(words, _mm_slli_si128::<8>(words))
}

#[target_feature(enable = "aes")]
fn read(cell: &Cell) -> __m128i {
    // SAFETY: a cell is 16 readable bytes.
    unsafe { _mm_loadu_si128(cell.0.as_ptr().cast()) }
}

#[target_feature(enable = "aes")]
fn write(cell: &mut Cell, value: __m128i) {
    // SAFETY: a cell is 16 writable bytes.
    unsafe { _mm_storeu_si128(cell.0.as_mut_ptr().cast(), value) }
}
