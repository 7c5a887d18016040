// SPDX-License-Identifier: Apache-2.0
//! The tree and the entries as static files: [C2SP tlog-tiles](https://c2sp.org/tlog-tiles).

use consilium_crypto::digest::Digest;

use crate::tree::HashTree;

/// One file: where it belongs and what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tile {
    /// The path under the log's folder, `/` between its parts.
    pub path: String,
    /// The content.
    pub bytes: Vec<u8>,
    /// Whether 256 hashes or entries are in it, so that it never changes.
    pub fullness: Fullness,
}

/// Whether a tile can still grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fullness {
    /// All 256 places are taken.
    Full,
    /// The tree ends in it; the path says where.
    Partial,
}

/// The hash tiles that a tree of `size` has and one of `old_size` had not.
pub fn hash_tiles(tree: &HashTree, old_size: u64, size: u64) -> Vec<Tile> {
    let mut tiles = Vec::new();
    for level in 0..LEVELS {
        let bits = WIDTH_BITS * level;
        for (index, width) in changed(old_size >> bits, size >> bits) {
            let nodes = index * WIDTH..index * WIDTH + width;
            let hashes: Option<Vec<Digest>> = nodes
                .map(|node| tree.node(usize::try_from(bits).ok()?, usize::try_from(node).ok()?))
                .collect();
            // INVARIANT: the tree holds `size` leaves, so every node below is there.
            let Some(hashes) = hashes else { return tiles };
            tiles.push(Tile {
                path: tile_path(&level.to_string(), index, width),
                bytes: hashes.iter().flat_map(|hash| *hash.as_bytes()).collect(),
                fullness: fullness(width),
            });
        }
    }
    tiles
}

/// The entry bundles that a log of `size` has and one of `old_size` had not. `entry` gives an entry's bytes.
pub fn entry_tiles<E>(
    old_size: u64,
    size: u64,
    mut entry: impl FnMut(u64) -> Result<Vec<u8>, E>,
) -> Result<Vec<Tile>, E> {
    let mut tiles = Vec::new();
    for (index, width) in changed(old_size, size) {
        let mut bytes = Vec::new();
        for place in index * WIDTH..index * WIDTH + width {
            let entry = entry(place)?;
            // An entry is at most 8192 bytes long.
            bytes.extend_from_slice(&u16::try_from(entry.len()).unwrap_or(u16::MAX).to_be_bytes());
            bytes.extend_from_slice(&entry);
        }
        tiles.push(Tile {
            path: tile_path("entries", index, width),
            bytes,
            fullness: fullness(width),
        });
    }
    Ok(tiles)
}

/// The path of a tile, `tile/<level>/<N>` or `tile/<level>/<N>.p/<width>`.
pub fn tile_path(level: &str, index: u64, width: u64) -> String {
    let mut number = format!("{:03}", index % 1000);
    let mut rest = index / 1000;
    while rest > 0 {
        number = format!("x{:03}/{number}", rest % 1000);
        rest /= 1000;
    }
    match fullness(width) {
        Fullness::Full => format!("tile/{level}/{number}"),
        Fullness::Partial => format!("tile/{level}/{number}.p/{width}"),
    }
}

/// Tiles (index, width) of one level that differ between two counts of its hashes.
fn changed(old: u64, new: u64) -> impl Iterator<Item = (u64, u64)> {
    let first = if old == new {
        new.div_ceil(WIDTH)
    } else {
        old / WIDTH
    };
    (first..new.div_ceil(WIDTH)).map(move |index| (index, WIDTH.min(new - index * WIDTH)))
}

fn fullness(width: u64) -> Fullness {
    if width == WIDTH {
        Fullness::Full
    } else {
        Fullness::Partial
    }
}

/// Hashes in a full tile.
pub const WIDTH: u64 = 1 << WIDTH_BITS;
const WIDTH_BITS: u64 = 8;
/// Eight levels of 256 hold every 64-bit size.
const LEVELS: u64 = 8;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::convert::Infallible;

    use consilium_crypto::merkle::leaf_hash;

    use super::*;

    #[test]
    fn paths_are_those_of_the_specification() {
        assert_eq!(tile_path("0", 1_234_067, 256), "tile/0/x001/x234/067");
        assert_eq!(tile_path("0", 273, 112), "tile/0/273.p/112");
        assert_eq!(tile_path("entries", 1000, 256), "tile/entries/x001/000");
    }

    #[test]
    fn a_tree_of_70000_has_the_tiles_of_the_specification() {
        let mut tree = HashTree::new();
        (0..70_000_u32).for_each(|leaf| tree.push(leaf_hash(&leaf.to_be_bytes())));
        let tiles = hash_tiles(&tree, 0, 70_000);
        let paths: Vec<_> = tiles.iter().map(|tile| tile.path.as_str()).collect();
        assert_eq!(paths.len(), 273 + 1 + 1 + 1 + 1);
        assert_eq!(
            &paths[272..],
            [
                "tile/0/272",
                "tile/0/273.p/112",
                "tile/1/000",
                "tile/1/001.p/17",
                "tile/2/000.p/1"
            ]
        );
        assert!(
            tiles
                .iter()
                .all(|tile| (tile.fullness == Fullness::Full) == (tile.bytes.len() == 8192))
        );
    }

    #[test]
    fn growing_writes_only_what_changed() {
        let mut tree = HashTree::new();
        (0..300_u32).for_each(|leaf| tree.push(leaf_hash(&leaf.to_be_bytes())));
        let paths = |old, new| {
            hash_tiles(&tree, old, new)
                .into_iter()
                .map(|tile| tile.path)
                .collect::<Vec<_>>()
        };
        assert_eq!(paths(0, 255), ["tile/0/000.p/255"]);
        assert_eq!(paths(255, 256), ["tile/0/000", "tile/1/000.p/1"]);
        assert_eq!(paths(256, 300), ["tile/0/001.p/44"]);
        assert!(paths(300, 300).is_empty());
    }

    #[test]
    fn entries_carry_their_length_in_two_bytes() {
        let tiles = entry_tiles(0, 2, |place| {
            Ok::<_, Infallible>(vec![b'x'; usize::try_from(place).unwrap() + 1])
        })
        .unwrap();
        assert_eq!(
            tiles,
            [Tile {
                path: "tile/entries/000.p/2".to_owned(),
                bytes: b"\x00\x01x\x00\x02xx".to_vec(),
                fullness: Fullness::Partial
            }]
        );
    }
}
