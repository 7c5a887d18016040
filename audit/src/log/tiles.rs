// SPDX-License-Identifier: Apache-2.0
//! Tiles on disk.

use std::{fs, io, path::Path};

use super::{
    Log, LogFault,
    files::{io_fault, read_if_there, sync_folder, write_atomically},
};
use crate::tile::{self, Fullness, Tile};

impl Log {
    /// Writes what a head of `size` entries has and one of `old` had not.
    pub(super) fn write_tiles(&self, old: u64, size: u64) -> Result<(), LogFault> {
        self.tiles(old, size)?
            .iter()
            .try_for_each(|tile| self.write_tile(tile))
    }

    /// Writes again what is missing or torn.
    pub(super) fn restore_tiles(&self) -> Result<(), LogFault> {
        for tile in self.tiles(0, self.head.size())? {
            if read_if_there(&self.directory.join(&tile.path))?.as_ref() != Some(&tile.bytes) {
                self.write_tile(&tile)?;
            }
        }
        sync_folder(&self.directory).map_err(io_fault(&self.directory))
    }

    fn tiles(&self, old: u64, size: u64) -> Result<Vec<Tile>, LogFault> {
        let mut tiles = tile::hash_tiles(&self.tree, old, size);
        tiles.extend(tile::entry_tiles(old, size, |place| {
            self.entry_bytes(place)
        })?);
        Ok(tiles)
    }

    /// COST: a partial tile is not fsynced; it is computed again from the entries if a power cut takes it.
    fn write_tile(&self, tile: &Tile) -> Result<(), LogFault> {
        let path = self.directory.join(&tile.path);
        match tile.fullness {
            Fullness::Partial => {
                let folder = path.parent().unwrap_or(&self.directory);
                fs::create_dir_all(folder)
                    .and_then(|()| fs::write(&path, &tile.bytes))
                    .map_err(io_fault(&path))
            }
            Fullness::Full => {
                write_atomically(&path, &tile.bytes)?;
                let mut partial = path.clone().into_os_string();
                partial.push(".p");
                match fs::remove_dir_all(&partial) {
                    Err(fault) if fault.kind() != io::ErrorKind::NotFound => {
                        Err(io_fault(Path::new(&partial))(fault))
                    }
                    Ok(()) | Err(_) => Ok(()),
                }
            }
        }
    }
}
