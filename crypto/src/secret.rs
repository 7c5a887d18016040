// SPDX-License-Identifier: Apache-2.0
//! Values that are wiped when dropped and never shown.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::Zeroize;

/// A secret value: boxed so that moving it leaves no copy behind, wiped on drop, without `Clone`,
/// `Serialize`, `PartialEq` or a telling `Debug`.
pub struct Secret<T: Zeroize>(Box<T>);

/// A 32-byte key or seed.
pub type Secret32 = Secret<[u8; 32]>;

impl<T: Zeroize> Secret<T> {
    /// Takes charge of `value`.
    ///
    /// A `Copy` value may leave its original on the caller's stack; fill arrays in place with
    /// [`Secret::filled`] where that matters.
    pub fn new(value: T) -> Self {
        Self(Box::new(value))
    }

    /// The value, for the one operation that needs it.
    pub fn expose(&self) -> &T {
        &self.0
    }

    /// The value, to be changed in place.
    pub(crate) fn expose_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<const N: usize> Secret<[u8; N]> {
    /// A secret written by `fill` straight into the memory that will be wiped.
    pub fn filled(fill: impl FnOnce(&mut [u8; N])) -> Self {
        let mut secret = Self(Box::new([0; N]));
        fill(&mut secret.0);
        secret
    }

    /// A copy of `bytes`, or nothing when they are not exactly `N` long.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; N] = bytes.try_into().ok()?;
        Some(Self::filled(|secret| secret.copy_from_slice(bytes)))
    }

    /// A second copy. There is no `Clone`, so that every copy is a decision that can be found.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self::filled(|copy| copy.copy_from_slice(self.expose()))
    }

    /// Compares in time that does not depend on the contents.
    pub fn equals(&self, other: &Self) -> bool {
        self.0.as_slice().ct_eq(other.0.as_slice()).into()
    }
}

impl<T: Zeroize> Drop for Secret<T> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl<T: Zeroize> fmt::Debug for Secret<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing_of_the_value() {
        let shown = format!("{:?}", Secret::new([0x5a_u8; 32]));
        assert_eq!(shown, "Secret(..)");
    }

    #[test]
    fn a_duplicate_equals_its_original_and_nothing_else() {
        let original = Secret32::new([7; 32]);
        assert!(original.equals(&original.duplicate()));
        assert!(!original.equals(&Secret32::new([8; 32])));
    }

    #[test]
    fn a_slice_of_another_length_is_no_secret() {
        assert!(Secret32::from_slice(&[0; 31]).is_none());
        assert!(Secret32::from_slice(&[0; 33]).is_none());
        assert!(Secret32::from_slice(&[0; 32]).is_some());
    }

    #[test]
    fn dropping_a_secret_wipes_it() {
        struct Witness<'a>(&'a std::cell::Cell<u32>);
        impl Zeroize for Witness<'_> {
            fn zeroize(&mut self) {
                self.0.set(self.0.get() + 1);
            }
        }
        let wiped = std::cell::Cell::new(0);
        drop(Secret::new(Witness(&wiped)));
        assert_eq!(wiped.get(), 1);
    }

    /// Compiles only while `Secret32` lacks the trait: with it, the method would be ambiguous.
    macro_rules! lacks {
        ($trait_path:path) => {{
            trait Unless<Marker> {
                fn lacks() {}
            }
            struct Has;
            impl<T: ?Sized> Unless<()> for T {}
            impl<T: ?Sized + $trait_path> Unless<Has> for T {}
            <Secret32 as Unless<_>>::lacks();
        }};
    }

    #[test]
    fn a_secret_is_not_copied_compared_printed_or_serialised_by_accident() {
        lacks!(Clone);
        lacks!(PartialEq);
        lacks!(fmt::Display);
        lacks!(serde::Serialize);
        lacks!(AsRef<[u8]>);
    }
}
