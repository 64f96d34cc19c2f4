//! SHA-256 of a text: what is kept in place of a token, and what tells one migration's text from another.

use std::fmt::Write;
use std::hash::{Hash, Hasher};

use aws_lc_rs::{constant_time, digest};

/// 32 bytes that say nothing of what they were made from.
#[derive(Debug, Clone, Copy, Eq)]
pub(crate) struct Digest([u8; 32]);

impl Digest {
    pub(crate) fn of(text: impl AsRef<[u8]>) -> Digest {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest::digest(&digest::SHA256, text.as_ref()).as_ref());
        Digest(bytes)
    }

    pub(crate) fn from_bytes(bytes: [u8; 32]) -> Digest {
        Digest(bytes)
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    pub(crate) fn to_hex(self) -> String {
        let mut text = String::with_capacity(64);
        for byte in self.0 {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        text
    }
}

/// Takes the same time wherever two digests part.
impl PartialEq for Digest {
    fn eq(&self, other: &Self) -> bool {
        constant_time::verify_slices_are_equal(&self.0, &other.0).is_ok()
    }
}

impl Hash for Digest {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::Digest;

    #[test]
    fn it_is_sha_256() {
        // The example of FIPS 180-4, one block.
        let known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Digest::of("abc").to_hex(), known);
        assert_eq!(Digest::from_bytes(*Digest::of("abc").as_bytes()), Digest::of("abc"));
        assert_ne!(Digest::of("abd"), Digest::of("abc"));
    }
}
