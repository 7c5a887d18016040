// SPDX-License-Identifier: Apache-2.0
//! The mask loop against AES-256-CTR of aws-lc-rs, on one core in one run (feature `yardstick`).
//!
//! Each repetition measures everything in turn, so that a machine that slows down slows down all. Time is the
//! processor time of the thread: neighbours do not count. Two threads take half of the vector each, begin
//! together, and are as fast as the slower of them. The mask loop reads fields from memory (`u16` at 16
//! bits and below, `u32` to 32, `u64` above) and writes them packed; aws-lc-rs encrypts 16 KiB in the first-level
//! cache in place, and neither adds nor packs.

use std::hint::black_box;
use std::sync::Barrier;

use aws_lc_rs::cipher::{AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};

use crate::fields::Field;
use crate::{Implementation, MaskLoop, Sign, Stream};

/// How many streams are expanded at a time.
pub const STREAMS: u8 = 4;

/// Bytes of keystream a second, in gigabytes, over all repetitions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Speed {
    /// Half of the repetitions were slower.
    pub median: f64,
    /// The fastest repetition.
    pub best: f64,
}

/// What one run measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// AES-256-CTR of aws-lc-rs.
    pub aws_lc: Speed,
    /// The mask loops, in the order in which they were given.
    pub mask_loops: Vec<Speeds>,
}

/// What one mask loop reached.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Speeds {
    /// On one thread.
    pub one_thread: Speed,
    /// On two threads together.
    pub two_threads: Speed,
}

impl Speeds {
    /// How many times faster two threads are than one.
    #[must_use]
    pub fn gain(&self) -> f64 {
        self.two_threads.median / self.one_thread.median
    }
}

/// Measures `mask_loops` over `fields` fields each and aws-lc-rs, `repetitions` times in turn.
#[must_use]
pub fn compare(mask_loops: &[MaskLoop], fields: usize, repetitions: usize) -> Comparison {
    let streams = streams();
    // Not zero: a vector of zeros would be one page of zeros, mapped again and again.
    let narrow = vec![0x1234_u16; if any(mask_loops, ..=16) { fields } else { 0 }];
    let middle = vec![0x0001_2345_u32; if any(mask_loops, 17..=32) { fields } else { 0 }];
    let wide = vec![0x0001_2345_6789_u64; if any(mask_loops, 33..) { fields } else { 0 }];
    let longest = mask_loops.iter().map(|one| one.packed_length(fields)).max();
    let mut packed = vec![1; longest.unwrap_or_default()];

    let mut aws_lc = Vec::new();
    let mut speeds = vec![(Vec::new(), Vec::new()); mask_loops.len()];
    for _ in 0..repetitions.max(1) {
        aws_lc.push(aws_lc_speed());
        for (mask_loop, (one, two)) in mask_loops.iter().zip(&mut speeds) {
            let (on_one, on_two) = match mask_loop.bits() {
                ..=16 => both(mask_loop, &streams, &narrow, &mut packed),
                17..=32 => both(mask_loop, &streams, &middle, &mut packed),
                33.. => both(mask_loop, &streams, &wide, &mut packed),
            };
            one.push(on_one);
            two.push(on_two);
        }
    }
    let speeds = speeds.into_iter().map(|(one, two)| Speeds {
        one_thread: Speed::of(one),
        two_threads: Speed::of(two),
    });
    Comparison {
        aws_lc: Speed::of(aws_lc),
        mask_loops: speeds.collect(),
    }
}

/// Loops of every implementation that this processor has, at each of `widths`.
#[must_use]
pub fn available(widths: &[u8]) -> Vec<MaskLoop> {
    let mut mask_loops = Vec::new();
    for implementation in Implementation::ALL {
        let on = |bits: &u8| MaskLoop::new(*bits).ok()?.on(implementation);
        mask_loops.extend(widths.iter().filter_map(on));
    }
    mask_loops
}

/// The streams that are expanded, added and subtracted in turn.
#[must_use]
pub fn streams() -> Vec<(Sign, Stream)> {
    let sign = |number| match number % 2 {
        0 => Sign::Add,
        _ => Sign::Subtract,
    };
    (0..STREAMS)
        .map(|number| (sign(number), Stream::new(&[number + 1; 32], &[number; 12])))
        .collect()
}

impl Speed {
    /// Of some repetitions.
    #[must_use]
    pub fn of(mut speeds: Vec<f64>) -> Self {
        speeds.sort_by(f64::total_cmp);
        Self {
            median: speeds.get(speeds.len() / 2).copied().unwrap_or_default(),
            best: speeds.last().copied().unwrap_or_default(),
        }
    }
}

fn any(mask_loops: &[MaskLoop], widths: impl std::ops::RangeBounds<u8>) -> bool {
    mask_loops.iter().any(|one| widths.contains(&one.bits()))
}

/// On one thread, and on two.
fn both<F: Field>(
    mask_loop: &MaskLoop,
    streams: &[(Sign, Stream)],
    fields: &[F],
    packed: &mut [u8],
) -> (f64, f64) {
    let length = mask_loop.packed_length(fields.len());
    let keystream = (length * streams.len()) as f64;
    let Some(packed) = packed.get_mut(..length) else {
        return (0.0, 0.0);
    };
    let one = nanoseconds(mask_loop, streams, 0, fields, packed);

    let half = fields.len() / 2;
    let half = half - half % crate::FIELD_ALIGNMENT as usize;
    let (low, high) = fields.split_at(half);
    let (low_packed, high_packed) = packed.split_at_mut(mask_loop.packed_length(half));
    let together = Barrier::new(2);
    let two = std::thread::scope(|scope| {
        let other = scope.spawn(|| {
            together.wait();
            nanoseconds(mask_loop, streams, half as u64, high, high_packed)
        });
        together.wait();
        let own = nanoseconds(mask_loop, streams, 0, low, low_packed);
        other.join().map_or(f64::INFINITY, |other| own.max(other))
    });
    (keystream / one, keystream / two)
}

/// Nanoseconds that one thread takes.
fn nanoseconds<F: Field>(
    mask_loop: &MaskLoop,
    streams: &[(Sign, Stream)],
    first_field: u64,
    fields: &[F],
    packed: &mut [u8],
) -> f64 {
    let start = thread_time();
    mask_loop.mask(streams, first_field, black_box(fields), packed);
    let taken = thread_time() - start;
    black_box(packed);
    taken
}

fn aws_lc_speed() -> f64 {
    #[expect(clippy::expect_used, reason = "32 bytes are a key of AES-256")]
    let key = UnboundCipherKey::new(&AES_256, &[7; 32]).expect("a key of AES-256");
    #[expect(
        clippy::expect_used,
        reason = "every key of AES-256 is one of its counter mode"
    )]
    let key = EncryptingKey::ctr(key).expect("a key of counter mode");
    let mut buffer = vec![0; 16 << 10];
    let rounds = 5000;
    let start = thread_time();
    for _ in 0..rounds {
        let counter = EncryptionContext::Iv128((&[3; 16]).into());
        #[expect(
            clippy::expect_used,
            reason = "16 KiB are far below what a counter allows"
        )]
        key.less_safe_encrypt(black_box(&mut buffer), counter)
            .expect("short enough for its counter");
    }
    (rounds * buffer.len()) as f64 / (thread_time() - start)
}

/// Nanoseconds of processor time that this thread has used.
fn thread_time() -> f64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    now.tv_sec as f64 * 1e9 + now.tv_nsec as f64
}
