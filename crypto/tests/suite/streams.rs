// SPDX-License-Identifier: Apache-2.0
//! Masks and packing: the laws by which masks cancel.

use consilium_crypto::Secret;
use consilium_crypto::mask::{FIELD_ALIGNMENT, MaskSet, MaskStream, Sign};
use consilium_crypto::packing::{PackedSum, PackingFault, pack, packed_length, unpack};
use consilium_crypto::random::{InsecureSeededRandom, RandomSource};
use consilium_crypto::ring::WordBits;
use proptest::prelude::*;

fn every_width() -> impl Iterator<Item = WordBits> {
    (8..=64).map(|bits| WordBits::new(bits).unwrap())
}

fn words(bits: WordBits, count: usize, seed: u64) -> Vec<u64> {
    let mut random = InsecureSeededRandom::from_seed(seed);
    (0..count)
        .map(|_| random.next_u64() & bits.mask())
        .collect()
}

fn key(seed: u64) -> Secret<[u8; 44]> {
    let mut random = InsecureSeededRandom::from_seed(seed);
    Secret::filled(|key: &mut [u8; 44]| random.fill(key))
}

fn stream(bits: WordBits, seed: u64) -> MaskStream {
    MaskStream::new(bits, &key(seed))
}

#[test]
fn packed_words_come_back_at_every_width_and_count() {
    for bits in every_width() {
        for count in (0..40).chain([127, 128, 1000]) {
            let words = words(bits, count, 1);
            let packed = pack(bits, &words);
            let expected = (count * usize::from(bits.bits())).div_ceil(8);
            assert_eq!(packed.len(), expected);
            assert_eq!(packed_length(bits, count), expected);
            assert_eq!(unpack(bits, &packed, count).unwrap(), words);
        }
    }
}

#[test]
fn packing_is_the_little_endian_string_of_bits() {
    for bits in every_width() {
        let width = usize::from(bits.bits());
        let words = words(bits, 37, 2);
        let packed = pack(bits, &words);
        for (position, byte) in packed.iter().enumerate() {
            for bit in 0..8 {
                let place = position * 8 + bit;
                let word = words.get(place / width).copied().unwrap_or_default();
                assert_eq!(byte >> bit & 1 == 1, word >> (place % width) & 1 == 1);
            }
        }
    }
}

#[test]
fn a_set_padding_bit_or_another_length_is_refused() {
    for bits in every_width() {
        let packed = pack(bits, &words(bits, 13, 3));
        let used = 13 * usize::from(bits.bits());
        for bit in used..packed.len() * 8 {
            let mut padded = packed.clone();
            padded[bit / 8] |= 1 << (bit % 8);
            assert_eq!(unpack(bits, &padded, 13), Err(PackingFault::Padding));
        }
        let (expected, found) = (packed.len(), packed.len() - 1);
        let short = unpack(bits, &packed[..found], 13);
        assert_eq!(short, Err(PackingFault::Length { expected, found }));
        let long = unpack(bits, &[packed.as_slice(), &[0]].concat(), 13);
        let found = packed.len() + 1;
        assert_eq!(long, Err(PackingFault::Length { expected, found }));
    }
}

#[test]
fn an_absurd_count_is_refused() {
    for bits in every_width() {
        let refused = unpack(bits, &[0; 16], usize::MAX);
        assert!(matches!(
            refused,
            Err(PackingFault::Length { found: 16, .. })
        ));
    }
}

#[test]
fn what_one_silo_adds_the_other_subtracts_at_every_width() {
    for bits in every_width() {
        let original = words(bits, 3000, 4);
        let mut masked = original.clone();
        stream(bits, 5).apply(Sign::Add, 0, &mut masked);
        assert!(masked.iter().all(|word| word & !bits.mask() == 0));
        assert_ne!(masked, original);
        stream(bits, 5).apply(Sign::Add.opposite(), 0, &mut masked);
        assert_eq!(masked, original);
    }
}

#[test]
fn a_stream_entered_anywhere_goes_on_as_if_read_from_the_start() {
    for bits in every_width() {
        let stream = stream(bits, 6);
        // More than two pieces at the widest, far more than one at the narrowest.
        let mut whole = vec![0; 40_000];
        stream.apply(Sign::Subtract, 0, &mut whole);
        for entered in [128_usize, 1280, 2048, 16_384, 39_936] {
            let mut rest = vec![0; whole.len() - entered];
            stream.apply(Sign::Subtract, u64::try_from(entered).unwrap(), &mut rest);
            assert_eq!(rest, whole[entered..]);
        }
    }
}

#[test]
fn chunks_of_every_aligned_size_give_the_same_mask() {
    let bits = WordBits::new(20).unwrap();
    let stream = stream(bits, 7);
    let mut whole = vec![0; 5000];
    stream.apply(Sign::Add, 0, &mut whole);
    for chunk in [128, 256, 1024, 4096] {
        let mut pieces = vec![0; 5000];
        for (number, piece) in (0..).zip(pieces.chunks_mut(chunk)) {
            stream.apply(Sign::Add, number * u64::try_from(chunk).unwrap(), piece);
        }
        assert_eq!(pieces, whole);
    }
}

#[test]
fn a_set_gives_what_its_streams_give_one_by_one() {
    for bits in every_width() {
        for count in [0, 1, 4] {
            let mut set = MaskSet::new(bits);
            let mut expected = words(bits, 3000, 10);
            let original = expected.clone();
            for seed in 0..count {
                let sign = if seed == 2 { Sign::Subtract } else { Sign::Add };
                set.push(sign, &key(seed));
                stream(bits, seed).apply(sign, 1280, &mut expected);
            }
            assert_eq!(set.len() as u64, count);
            assert_eq!(set.is_empty(), count == 0);
            assert_eq!(set.pack(1280, &original), pack(bits, &expected));
            let mut masked = original;
            set.apply(1280, &mut masked);
            assert_eq!(masked, expected);
        }
    }
}

#[test]
#[should_panic(expected = "entered at a multiple of 128")]
fn a_stream_is_not_entered_between_blocks() {
    stream(WordBits::new(20).unwrap(), 8).apply(Sign::Add, FIELD_ALIGNMENT / 2, &mut [0]);
}

#[test]
fn fields_look_uniform() {
    // 64 cells, 2^18 fields each width: a sum of squares beyond 160 has a chance below 10^-9.
    for bits in every_width() {
        let mut fields = vec![0; 1 << 18];
        stream(bits, 9).apply(Sign::Add, 0, &mut fields);
        for shift in [0, bits.bits() - 6] {
            let mut counts = [0_u32; 64];
            for field in &fields {
                counts[usize::try_from(field >> shift & 63).unwrap()] += 1;
            }
            let expected = f64::from(1 << 12);
            let statistic: f64 = counts
                .iter()
                .map(|count| (f64::from(*count) - expected).powi(2) / expected)
                .sum();
            assert!(statistic < 160.0, "{statistic} at {bits:?}");
        }
    }
}

proptest! {
    #[test]
    fn masks_of_a_whole_cohort_cancel(bits in 8_u8..=64, silos in 2_usize..6, seed: u64) {
        let bits = WordBits::new(bits).unwrap();
        let inputs: Vec<_> = (0..silos).map(|silo| words(bits, 300, seed ^ silo as u64)).collect();
        let mut plain = vec![0; 300];
        let mut masked_sum = vec![0; 300];
        for (position, input) in inputs.iter().enumerate() {
            bits.add_assign(&mut plain, input);
            let mut masked = input.clone();
            for peer in (0..silos).filter(|peer| *peer != position) {
                let (lower, higher) = (position.min(peer), position.max(peer));
                let pair = stream(bits, (lower * 100 + higher) as u64);
                let sign = if position < peer { Sign::Add } else { Sign::Subtract };
                pair.apply(sign, 1280, &mut masked);
            }
            bits.add_assign(&mut masked_sum, &masked);
        }
        prop_assert_eq!(masked_sum, plain);
    }

    #[test]
    fn unpacking_any_bytes_is_refused_or_packs_back(bits in 8_u8..=64, count in 0_usize..50, bytes: Vec<u8>) {
        let bits = WordBits::new(bits).unwrap();
        if let Ok(words) = unpack(bits, &bytes, count) {
            prop_assert_eq!(pack(bits, &words), bytes);
        }
    }
}

proptest! {
    #[test]
    fn a_sum_of_packed_vectors_is_masked_like_the_sum_of_their_words(
        bits in 8_u8..=64,
        count in 0_usize..700,
        vectors in 0_usize..6,
        seed: u64,
    ) {
        let bits = WordBits::new(bits).unwrap();
        let mut random = InsecureSeededRandom::from_seed(seed);
        let mut masks = MaskSet::new(bits);
        masks.push(Sign::Subtract, &Secret::new([7; 44]));
        let mut sum = PackedSum::new(bits, count);
        let mut words = vec![0; count];
        for _ in 0..vectors {
            let vector: Vec<u64> = (0..count).map(|_| random.next_u64() & bits.mask()).collect();
            bits.add_assign(&mut words, &vector);
            sum.add(&pack(bits, &vector)).unwrap();
        }
        prop_assert_eq!(masks.pack_sum(256, &sum), masks.pack(256, &words));
    }
}

#[test]
fn a_packed_vector_of_another_length_or_with_padding_is_not_added() {
    let bits = WordBits::new(20).unwrap();
    let mut sum = PackedSum::new(bits, 3);
    let packed = pack(bits, &[1, 2, 3]);
    sum.add(&packed).unwrap();
    let mut padded = packed.clone();
    padded[7] |= 0x10;
    assert_eq!(sum.add(&padded), Err(PackingFault::Padding));
    assert!(matches!(
        sum.add(&packed[..7]),
        Err(PackingFault::Length { .. })
    ));
    assert_eq!(MaskSet::new(bits).pack_sum(0, &sum), packed);
}
