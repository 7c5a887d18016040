// SPDX-License-Identifier: Apache-2.0
//! What a test finds written in a folder.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Every file below a folder by its name, and its length.
pub(crate) fn lengths_below(folder: &Path) -> BTreeMap<String, u64> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().display().to_string();
                found.insert(name, fs::metadata(&path).unwrap().len());
            }
        }
    }
    found
}
