// SPDX-License-Identifier: Apache-2.0
//! A vector cut into pieces that stay in the cache: all streams are summed into a piece
//! before the next is begun, so that memory is read and written once, however many streams there are.

use crate::fields::{Field, Lane, Width};
use crate::implementation::Implementation;
use crate::plain::{self, Cipher};
use crate::stream::{Sign, Stream};
use crate::workspace::Aligned;
#[cfg(target_arch = "x86_64")]
use crate::x86;

/// The streams of one call, their round keys expanded.
pub(crate) struct Pieces {
    width: Width,
    /// The block of every stream at which the vector is entered.
    first_block: u128,
    engine: Engine,
    /// For engines that do not sum by themselves.
    keystream: Aligned<u8>,
}

enum Engine {
    Plain(Vec<(Sign, u128, Cipher)>),
    #[cfg(target_arch = "x86_64")]
    Vector(x86::Engine),
}

impl Pieces {
    pub(crate) fn new<'a>(
        width: Width,
        implementation: Implementation,
        first_block: u128,
        streams: impl Iterator<Item = (Sign, &'a Stream)>,
    ) -> Self {
        #[cfg(target_arch = "x86_64")]
        let vector = x86::Instructions::of(implementation);
        #[cfg(not(target_arch = "x86_64"))]
        let _ = implementation;
        let engine = 'engine: {
            #[cfg(target_arch = "x86_64")]
            if let Some(instructions) = vector {
                break 'engine Engine::Vector(x86::Engine::new(width, instructions, streams));
            }
            break 'engine Engine::Plain(
                streams
                    .map(|(sign, stream)| (sign, stream.first_block(), Cipher::new(stream)))
                    .collect(),
            );
        };
        Self {
            width,
            first_block,
            engine,
            keystream: Aligned::new(PLAIN_FIELDS * 8),
        }
    }

    /// Sums into lanes of `L` and packs.
    pub(crate) fn mask<L: Lane, F: Field>(mut self, fields: &[F], packed: &mut [u8]) {
        let mut piece = Piece::<L>::new(fields.len().min(self.piece_fields::<L>()));
        let mut packed = packed;
        let mut block = self.first_block;
        let mut rest = fields;
        while !rest.is_empty() {
            let (fields, later) = rest.split_at(self.next_piece::<L>(rest.len()));
            // The last lanes of another piece are not followed by readable fields.
            let source = L::borrow(fields).filter(|lanes| lanes.len().is_multiple_of(GRANULE));
            let lanes = match source {
                Some(_) => piece.lanes(fields.len()),
                None => piece.load(fields),
            };
            let done = self.sum(block, fields.len(), source, lanes, packed);
            let (packed_now, later_packed) =
                packed.split_at_mut(self.width.packed_length(fields.len()));
            let packed_rest = &mut packed_now[self.width.packed_length(done)..];
            plain::pack(self.width, &lanes[done..fields.len()], packed_rest);
            block += self.blocks(fields.len());
            (rest, packed) = (later, later_packed);
        }
    }

    /// Sums into lanes of `L` and writes them back as words.
    pub(crate) fn apply<L: Lane>(mut self, words: &mut [u64]) {
        let mut piece = Piece::<L>::new(words.len().min(self.piece_fields::<L>()));
        let mut block = self.first_block;
        for words in words.chunks_mut(self.piece_fields::<L>()) {
            let lanes = piece.load(words);
            self.sum(block, words.len(), None, lanes, &mut []);
            for (word, lane) in words.iter_mut().zip(lanes) {
                *word = lane.widen() & self.width.mask();
            }
            block += self.blocks(words.len());
        }
    }

    /// Adds or subtracts all streams to or from `source`, or, without one, what `lanes` hold, and
    /// leaves the sums of `count` fields in `lanes`, except for the first few, which may be packed
    /// into the beginning of `packed` instead: how many is returned. Bytes of `packed` that belong
    /// to later fields may be overwritten.
    fn sum<L: Lane>(
        &mut self,
        block: u128,
        count: usize,
        source: Option<&[L]>,
        lanes: &mut [L],
        packed: &mut [u8],
    ) -> usize {
        #[cfg(target_arch = "x86_64")]
        if let Engine::Vector(engine) = &mut self.engine
            && engine.covers(block, lanes.len())
        {
            return engine.sum(block, source, lanes, packed);
        }
        if let (Engine::Plain(streams), Some(source)) = (&self.engine, source)
            && let [first, between @ .., last] = streams.as_slice()
            && plain::is_whole_lane(self.width)
            && !packed.is_empty()
        {
            // COST: the first stream reads the fields and the last packs them, without a copy.
            let length = self.width.packed_length(count);
            let keystream = &mut self.keystream.as_mut()[..length];
            first
                .2
                .write_keystream(first.1.wrapping_add(block), keystream);
            plain::combine_from(first.0, source, keystream, lanes);
            for (sign, first_block, cipher) in between {
                cipher.write_keystream(first_block.wrapping_add(block), keystream);
                plain::combine(self.width, *sign, keystream, lanes);
            }
            last.2
                .write_keystream(last.1.wrapping_add(block), keystream);
            plain::combine_to(last.0, lanes, keystream, &mut packed[..length]);
            return count;
        }
        if let Some(source) = source {
            lanes.copy_from_slice(source);
        }
        self.sum_plainly(block, &mut lanes[..count]);
        0
    }

    fn sum_plainly<L: Lane>(&mut self, block: u128, lanes: &mut [L]) {
        let bits = self.width.bits();
        let keystream = self.keystream.as_mut();
        let mut blocks = (block..).step_by(PLAIN_FIELDS * bits / 128);
        for lanes in lanes.chunks_mut(PLAIN_FIELDS) {
            let block = blocks.next().unwrap_or_default();
            let keystream = &mut keystream[..self.width.packed_length(lanes.len())];
            match &self.engine {
                Engine::Plain(streams) => {
                    for (sign, first_block, cipher) in streams {
                        cipher.write_keystream(first_block.wrapping_add(block), keystream);
                        plain::combine(self.width, *sign, keystream, lanes);
                    }
                }
                #[cfg(target_arch = "x86_64")]
                Engine::Vector(engine) => {
                    for stream in engine.streams() {
                        engine.write_keystream(stream, block, keystream);
                        plain::combine(self.width, stream.sign(), keystream, lanes);
                    }
                }
            }
        }
    }

    /// How many blocks of keystream so many fields take, which are a multiple of 128 or the last.
    fn blocks(&self, fields: usize) -> u128 {
        (fields / 128 * self.width.bits()) as u128
    }

    /// How many of `fields` fields are in the next piece: whole granules, or the few that are left.
    fn next_piece<L: Lane>(&self, fields: usize) -> usize {
        match fields.min(self.piece_fields::<L>()) {
            piece if piece > GRANULE => piece / GRANULE * GRANULE,
            piece => piece,
        }
    }

    fn piece_fields<L: Lane>(&self) -> usize {
        match &self.engine {
            #[cfg(target_arch = "x86_64")]
            Engine::Vector(engine) if engine.has_kernel() => {
                PIECE_BYTES / size_of::<L>() / GRANULE * GRANULE
            }
            _ => PLAIN_FIELDS,
        }
    }
}

/// The lanes of one piece, in one allocation that every piece uses.
struct Piece<L: Lane>(Aligned<L>);

impl<L: Lane> Piece<L> {
    /// Room for pieces of up to `count` fields.
    fn new(count: usize) -> Self {
        Self(Aligned::new(count.next_multiple_of(GRANULE)))
    }

    /// The lanes that `count` fields and their padding take.
    fn lanes(&mut self, count: usize) -> &mut [L] {
        &mut self.0.as_mut()[..count.next_multiple_of(GRANULE)]
    }

    /// The same, holding `fields`.
    fn load<F: Field>(&mut self, fields: &[F]) -> &mut [L] {
        let lanes = self.lanes(fields.len());
        for (lane, field) in lanes.iter_mut().zip(fields) {
            *lane = L::truncate(field.widen());
        }
        lanes
    }
}

/// How many lanes fill whole vectors of every size, for every width that has vector code.
pub(crate) const GRANULE: usize = 256;

/// COST: a quarter or less of a second-level cache. Smaller pieces would fit the first level, but the
/// kernels keep up with the second, and a table for each stream and piece would weigh more.
const PIECE_BYTES: usize = 64 << 10;

/// Fields summed at a time without vector code: they and their keystream stay in the first-level cache.
const PLAIN_FIELDS: usize = 16 * GRANULE;
