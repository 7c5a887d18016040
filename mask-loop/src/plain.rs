// SPDX-License-Identifier: Apache-2.0
//! The portable path: keystream from the `aes` and `ctr` crates, and loops over fields that any
//! processor can run. The other paths are tested against it bit for bit, and leave to it the widths
//! that have no vector code.

use aes::Aes256Enc;
use aes::cipher::consts::U16;
use aes::cipher::{InnerIvInit, KeyInit, StreamCipher, StreamCipherCoreWrapper};
use ctr::flavors::{Ctr32BE, Ctr128BE};
use ctr::{CtrCore, CtrFlavor};

use crate::fields::{Lane, Width};
use crate::stream::{Sign, Stream};

/// The round keys of one stream, as the `aes` crate holds them; wiped on drop.
pub(crate) struct Cipher(Box<Aes256Enc>);

impl Cipher {
    pub(crate) fn new(stream: &Stream) -> Self {
        Self(Box::new(Aes256Enc::new(stream.key().into())))
    }

    /// Overwrites `bytes` with the blocks from number `counter` on.
    pub(crate) fn write_keystream(&self, counter: u128, bytes: &mut [u8]) {
        let low = counter & u128::from(u32::MAX);
        // COST: the 32-bit counter is about twice as fast, and is the same unless it wraps.
        if low + bytes.len() as u128 <= u128::from(u32::MAX) {
            self.write_from::<Ctr32BE>(counter, bytes);
        } else {
            self.write_from::<Ctr128BE>(counter, bytes);
        }
    }

    fn write_from<F: CtrFlavor<U16>>(&self, counter: u128, bytes: &mut [u8]) {
        let core = CtrCore::<&Aes256Enc, F>::inner_iv_init(&self.0, &counter.to_be_bytes().into());
        StreamCipherCoreWrapper::from_core(core).write_keystream(bytes);
    }
}

/// Whether fields are lanes as they are.
pub(crate) fn is_whole_lane(width: Width) -> bool {
    matches!(width.bits(), 16 | 32 | 64)
}

/// Adds or subtracts the fields of `keystream`, one to each lane.
pub(crate) fn combine<L: Lane>(width: Width, sign: Sign, keystream: &[u8], lanes: &mut [L]) {
    match sign {
        Sign::Add => zip(width, keystream, lanes, L::plus),
        Sign::Subtract => zip(width, keystream, lanes, L::minus),
    }
}

/// The same for fields that are lanes, from `from` to `to`.
pub(crate) fn combine_from<L: Lane>(sign: Sign, from: &[L], keystream: &[u8], to: &mut [L]) {
    match sign {
        Sign::Add => L::combine_from(from, keystream, to, L::plus),
        Sign::Subtract => L::combine_from(from, keystream, to, L::minus),
    }
}

/// The same, packed on the way.
pub(crate) fn combine_to<L: Lane>(sign: Sign, from: &[L], keystream: &[u8], to: &mut [u8]) {
    match sign {
        Sign::Add => L::combine_to(from, keystream, to, L::plus),
        Sign::Subtract => L::combine_to(from, keystream, to, L::minus),
    }
}

/// COST: whole bytes and pairs in five bytes are loops of their own, compiled for that width.
fn zip<L: Lane>(width: Width, packed: &[u8], lanes: &mut [L], combine: impl Fn(L, L) -> L) {
    match width.bits() {
        8 => zip_bytes(packed, lanes, combine, |[byte]| u64::from(byte)),
        16 => zip_bytes(packed, lanes, combine, |bytes| {
            u16::from_le_bytes(bytes).into()
        }),
        20 => zip_groups::<L, 20>(width, packed, lanes, combine),
        24 => zip_groups::<L, 24>(width, packed, lanes, combine),
        32 => zip_bytes(packed, lanes, combine, |bytes| {
            u32::from_le_bytes(bytes).into()
        }),
        40 => zip_groups::<L, 40>(width, packed, lanes, combine),
        48 => zip_groups::<L, 48>(width, packed, lanes, combine),
        64 => zip_bytes(packed, lanes, combine, u64::from_le_bytes),
        _ => zip_bits(width, packed, lanes, combine),
    }
}

fn zip_bytes<L: Lane, const N: usize>(
    packed: &[u8],
    lanes: &mut [L],
    combine: impl Fn(L, L) -> L,
    decode: impl Fn([u8; N]) -> u64,
) {
    let (fields, _) = packed.as_chunks::<N>();
    for (lane, bytes) in lanes.iter_mut().zip(fields) {
        *lane = combine(*lane, L::truncate(decode(*bytes)));
    }
}

/// Eight fields of at most 57 bits fill `BITS` bytes, and each lies within eight of them.
fn zip_groups<L: Lane, const BITS: usize>(
    width: Width,
    packed: &[u8],
    lanes: &mut [L],
    combine: impl Fn(L, L) -> L,
) {
    let (groups, rest) = lanes.as_chunks_mut::<8>();
    let (packed_groups, packed_rest) = packed.as_chunks::<BITS>();
    for (group, packed_group) in groups.iter_mut().zip(packed_groups) {
        for (position, lane) in group.iter_mut().enumerate() {
            let byte = (position * BITS / 8).min(BITS - 8);
            let shift = position * BITS - byte * 8;
            *lane = combine(*lane, L::truncate(load(&packed_group[byte..]) >> shift));
        }
    }
    zip_bits(width, packed_rest, rest, combine);
}

fn zip_bits<L: Lane>(width: Width, packed: &[u8], lanes: &mut [L], combine: impl Fn(L, L) -> L) {
    let bits = width.bits();
    // Eight fields fill `bits` whole bytes. Room behind lets each be read as eight bytes and a ninth.
    let mut group = zeroize::Zeroizing::new([0; 72]);
    for (lanes, packed_group) in lanes.chunks_mut(8).zip(packed.chunks(bits)) {
        group[..packed_group.len()].copy_from_slice(packed_group);
        for (position, lane) in lanes.iter_mut().enumerate() {
            let (byte, shift) = (position * bits / 8, position * bits % 8);
            let low = load(&group[byte..]) >> shift;
            let high = u64::from(group[byte + 8]) << (63 - shift) << 1;
            *lane = combine(*lane, L::truncate(low | high));
        }
    }
}

#[inline]
fn load(bytes: &[u8]) -> u64 {
    bytes.first_chunk().copied().map_or(0, u64::from_le_bytes)
}

/// Packs lanes into exactly as many bytes as they take; bits above the width are dropped.
pub(crate) fn pack<L: Lane>(width: Width, lanes: &[L], packed: &mut [u8]) {
    match width.bits() {
        8 => pack_bytes::<L, 1>(lanes, packed),
        24 => pack_bytes::<L, 3>(lanes, packed),
        40 => pack_bytes::<L, 5>(lanes, packed),
        48 => pack_bytes::<L, 6>(lanes, packed),
        16 | 32 | 64 => L::write(lanes, packed),
        _ => pack_bits(width, lanes, packed),
    }
}

fn pack_bytes<L: Lane, const N: usize>(lanes: &[L], packed: &mut [u8]) {
    let (fields, _) = packed.as_chunks_mut::<N>();
    for (lane, bytes) in lanes.iter().zip(fields) {
        if let Some(low) = lane.widen().to_le_bytes().first_chunk::<N>() {
            *bytes = *low;
        }
    }
}

fn pack_bits<L: Lane>(width: Width, lanes: &[L], packed: &mut [u8]) {
    let (bits, mask) = (width.bits(), width.mask());
    for (lanes, packed_group) in lanes.chunks(8).zip(packed.chunks_mut(bits)) {
        let mut group = [0; 72];
        for (position, lane) in lanes.iter().enumerate() {
            let (byte, shift) = (position * bits / 8, position * bits % 8);
            let spread = u128::from(lane.widen() & mask) << shift;
            for (place, part) in group[byte..].iter_mut().zip(spread.to_le_bytes()) {
                *place |= part;
            }
        }
        packed_group.copy_from_slice(&group[..packed_group.len()]);
    }
}
