// SPDX-License-Identifier: Apache-2.0
//! Vectors of four cells for processors without AVX-512: what `vaes512` and `avx512` ask of their
//! instructions, spelt out, so that the kernel, its strides and its indices are tested everywhere at
//! this size too. What stays untested there is that each instruction does what its name says.

use super::aes_ni::AesNi;
use super::instructions::{
    Aes, Joint, Lanes, is_whole_lane, join_indices, joint_indices, pack_indices, packed_cell,
    spread_indices,
};
use super::kernel::{Kernels, Pass, Sum, kernels};
use super::round_keys::RoundKeys;
use super::table::Table;

type Quad = [<AesNi as Aes>::V; 4];

struct FourStates;

impl Aes for FourStates {
    type V = Quad;

    const CELLS: usize = 4;

    unsafe fn zero() -> Quad {
        // SAFETY: the caller's promise, handed on; so in all that follow.
        unsafe { [AesNi::zero(); 4] }
    }

    unsafe fn load(from: *const u8) -> Quad {
        // SAFETY: 64 readable bytes.
        std::array::from_fn(|cell| unsafe { AesNi::load(from.add(16 * cell)) })
    }

    unsafe fn store(to: *mut u8, vector: Quad) {
        for (cell, state) in vector.into_iter().enumerate() {
            // SAFETY: 64 writable bytes.
            unsafe { AesNi::store(to.add(16 * cell), state) }
        }
    }

    unsafe fn broadcast(from: *const u8) -> Quad {
        // SAFETY: 16 readable bytes.
        unsafe { [AesNi::broadcast(from); 4] }
    }

    unsafe fn xor(one: Quad, other: Quad) -> Quad {
        // SAFETY: as above.
        std::array::from_fn(|cell| unsafe { AesNi::xor(one[cell], other[cell]) })
    }

    unsafe fn add_32(one: Quad, other: Quad) -> Quad {
        // SAFETY: as above.
        std::array::from_fn(|cell| unsafe { AesNi::add_32(one[cell], other[cell]) })
    }

    unsafe fn round(state: Quad, key: Quad) -> Quad {
        // SAFETY: as above.
        std::array::from_fn(|cell| unsafe { AesNi::round(state[cell], key[cell]) })
    }

    unsafe fn last_round(state: Quad, key: Quad) -> Quad {
        // SAFETY: as above.
        std::array::from_fn(|cell| unsafe { AesNi::last_round(state[cell], key[cell]) })
    }
}

type Bytes = [u8; 64];

struct SixtyFourBytes;

impl Lanes for SixtyFourBytes {
    type V = Quad;

    const BYTES: usize = 64;

    unsafe fn load(from: *const u8) -> Quad {
        // SAFETY: 64 readable bytes.
        unsafe { FourStates::load(from) }
    }

    unsafe fn store(to: *mut u8, lanes: Quad) {
        // SAFETY: 64 writable bytes.
        unsafe { FourStates::store(to, lanes) }
    }

    unsafe fn broadcast(from: *const u8) -> Quad {
        // SAFETY: 16 readable bytes.
        unsafe { FourStates::broadcast(from) }
    }

    unsafe fn add_16(one: Quad, other: Quad) -> Quad {
        quad(lanes::<2>(bytes(one), bytes(other), u64::wrapping_add))
    }

    unsafe fn add_32(one: Quad, other: Quad) -> Quad {
        quad(lanes::<4>(bytes(one), bytes(other), u64::wrapping_add))
    }

    unsafe fn add_64(one: Quad, other: Quad) -> Quad {
        quad(lanes::<8>(bytes(one), bytes(other), u64::wrapping_add))
    }

    unsafe fn spread<const BITS: usize>(packed: *const u8) -> Quad {
        // SAFETY: 64 readable bytes.
        let packed = unsafe { Self::load(packed) };
        if is_whole_lane(BITS) {
            return packed;
        }
        let lanes_of_fields = permute(spread_indices(BITS, 0), bytes(packed));
        if BITS == 20 {
            let down = |word, shift| word >> shift;
            quad(lanes::<4>(lanes_of_fields, words([0, 4]), down))
        } else {
            quad(lanes_of_fields)
        }
    }

    unsafe fn store_packed<const BITS: usize>(to: *mut u8, vector: Quad) {
        let vector = match BITS {
            16 | 32 | 64 => bytes(vector),
            20 => {
                let up = |word, shift| word << shift;
                let pairs = lanes::<4>(bytes(vector), words([12, 0]), up);
                let pairs = lanes::<8>(pairs, pairs, |pair, _| pair >> 12);
                permute(pack_indices(BITS), pairs)
            }
            _ => permute(pack_indices(BITS), bytes(vector)),
        };
        // SAFETY: 64 writable bytes.
        unsafe { Self::store(to, quad(vector)) }
    }
}

impl Joint for SixtyFourBytes {
    const SPREADS: bool = true;

    unsafe fn spread_joint<const BITS: usize>(position: usize, first: Quad, second: Quad) -> Quad {
        if is_whole_lane(BITS) {
            return first;
        }
        let spread = |bits| {
            let indices = joint_indices(bits)[position];
            permute_two(bytes(first), indices, bytes(second))
        };
        if BITS == 20 {
            // `vpmultishiftqb`.
            let parted = lanes::<8>(spread(40), [0; 64], |pair, _| {
                pair & 0xffff_ffff | pair >> 20 << 32
            });
            quad(parted)
        } else {
            quad(spread(BITS))
        }
    }

    unsafe fn store_joint<const BITS: usize>(to: *mut u8, lanes: &[Quad]) {
        // SAFETY: room for the packed vectors and one of slack.
        unsafe {
            if matches!(BITS, 24 | 48) {
                for (position, pair) in lanes.windows(2).enumerate() {
                    let indices = join_indices(BITS)[position];
                    let packed = permute_two(bytes(pair[0]), indices, bytes(pair[1]));
                    Self::store(to.add(position * 64), quad(packed));
                }
                return;
            }
            for (position, lanes) in lanes.iter().enumerate() {
                Self::store_packed::<BITS>(to.add(position * packed_cell(BITS) * 4), *lanes);
            }
        }
    }
}

fn bytes(vector: Quad) -> Bytes {
    let mut bytes = [0; 64];
    // SAFETY: 64 writable bytes; the processor has AES-NI, by the caller's promise.
    unsafe { FourStates::store(bytes.as_mut_ptr(), vector) }
    bytes
}

fn quad(bytes: Bytes) -> Quad {
    // SAFETY: 64 readable bytes; the processor has AES-NI, by the caller's promise.
    unsafe { FourStates::load(bytes.as_ptr()) }
}

/// `vpermb`.
fn permute(indices: Bytes, bytes: Bytes) -> Bytes {
    indices.map(|index| bytes[usize::from(index % 64)])
}

/// `vpermt2b`.
fn permute_two(first: Bytes, indices: Bytes, second: Bytes) -> Bytes {
    let both = [first, second].concat();
    indices.map(|index| both[usize::from(index % 128)])
}

fn words(pair: [u8; 2]) -> Bytes {
    std::array::from_fn(|byte| if byte % 4 == 0 { pair[byte / 4 % 2] } else { 0 })
}

/// Lane by lane, truncated to lanes of `N` bytes.
fn lanes<const N: usize>(one: Bytes, other: Bytes, operation: impl Fn(u64, u64) -> u64) -> Bytes {
    let mut result = [0; 64];
    for at in (0..64).step_by(N) {
        let word = |bytes: &Bytes| {
            let mut word = [0; 8];
            word[..N].copy_from_slice(&bytes[at..at + N]);
            u64::from_le_bytes(word)
        };
        let word = operation(word(&one), word(&other)).to_le_bytes();
        result[at..at + N].copy_from_slice(&word[..N]);
    }
    result
}

kernels!(FourStates, SixtyFourBytes, "aes,avx2", registers);
