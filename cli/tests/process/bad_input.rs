// SPDX-License-Identifier: Apache-2.0
//! Bad input: the message names file, field and fix, nothing is half done, and the same again works once it is mended.

mod data_set;
mod folder;
mod membership;
mod study_file;
