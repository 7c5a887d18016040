// SPDX-License-Identifier: Apache-2.0
//! Which instructions expand and add the streams.

/// The instructions that expand and add the streams, fastest first. All give the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Implementation {
    /// VAES over 512 bits, with AVX-512 F, BW and VBMI (Intel Ice Lake, AMD Zen 4, and later).
    Vaes512,
    /// VAES over 256 bits, with AVX2 (AMD Zen 3, Intel Alder Lake, and later).
    Vaes256,
    /// AES-NI, with AVX2 (Intel Haswell, AMD Zen, and later).
    AesNi,
    /// The `aes` and `ctr` crates and plain loops: every processor.
    Portable,
}

impl Implementation {
    /// All of them, fastest first.
    pub const ALL: [Self; 4] = [Self::Vaes512, Self::Vaes256, Self::AesNi, Self::Portable];

    /// The fastest that this processor has.
    #[must_use]
    pub fn fastest() -> Self {
        let mut all = Self::ALL.into_iter();
        all.find(|one| one.is_available()).unwrap_or(Self::Portable)
    }

    /// Whether this processor has the instructions.
    #[must_use]
    #[cfg(target_arch = "x86_64")]
    pub fn is_available(self) -> bool {
        match self {
            Self::Vaes512 => {
                is_x86_feature_detected!("aes")
                    && is_x86_feature_detected!("vaes")
                    && is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512vbmi")
            }
            Self::Vaes256 => {
                is_x86_feature_detected!("aes")
                    && is_x86_feature_detected!("vaes")
                    && is_x86_feature_detected!("avx2")
            }
            Self::AesNi => is_x86_feature_detected!("aes") && is_x86_feature_detected!("avx2"),
            Self::Portable => true,
        }
    }

    /// Whether this processor has the instructions.
    #[must_use]
    #[cfg(not(target_arch = "x86_64"))]
    pub fn is_available(self) -> bool {
        self == Self::Portable
    }

    /// The name used in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Vaes512 => "vaes-avx512",
            Self::Vaes256 => "vaes-avx2",
            Self::AesNi => "aes-ni",
            Self::Portable => "portable",
        }
    }
}

impl std::fmt::Display for Implementation {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.name())
    }
}
