//! Binds a proof to the connection it was made over (`tls-server-end-point`, RFC 5929): a hash of the server's
//! certificate, by the hash that the certificate itself is signed with.

use rustls::crypto::aws_lc_rs::cipher_suite::{TLS13_AES_128_GCM_SHA256, TLS13_AES_256_GCM_SHA384};
use rustls::crypto::hash::HashAlgorithm;

/// What signatures with SHA-384 begin with in a certificate: RSA and ECDSA.
const WITH_SHA384: [&[u8]; 2] = [
    &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0c],
    &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03],
];

/// Those with SHA-256, and with the broken ones that SHA-256 stands in for: MD5 and SHA-1.
const WITH_SHA256: [&[u8]; 5] = [
    &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b],
    &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02],
    &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x05],
    &[0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x01],
    &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x04],
];

/// The binding that a certificate gives; `None` where it is signed in a way for which none is defined, or with a
/// hash that is not at hand.
pub(super) fn of(certificate: &[u8]) -> Option<Vec<u8>> {
    let algorithm = signature_algorithm(certificate)?;
    let is = |known: &[&[u8]]| known.iter().any(|begin| algorithm.starts_with(begin));
    let suite = if is(&WITH_SHA384) {
        TLS13_AES_256_GCM_SHA384
    } else if is(&WITH_SHA256) {
        TLS13_AES_128_GCM_SHA256
    } else {
        return None;
    };
    let provider = suite.tls13()?.common.hash_provider;
    debug_assert!(matches!(provider.algorithm(), HashAlgorithm::SHA256 | HashAlgorithm::SHA384));
    Some(provider.hash(certificate).as_ref().to_vec())
}

/// `Certificate ::= SEQUENCE { tbsCertificate, signatureAlgorithm SEQUENCE { … }, … }`: what is in the second.
fn signature_algorithm(certificate: &[u8]) -> Option<&[u8]> {
    let (certificate, _) = element(certificate)?;
    let (_, behind) = element(certificate)?;
    Some(element(behind)?.0)
}

/// The content of the DER element that stands here, and what stands behind it.
fn element(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (_, rest) = der.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(*first), rest),
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (digits.iter().fold(0, |sum, digit| sum << 8 | usize::from(*digit)), rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A certificate with nothing in it but how it is signed.
    fn signed(algorithm: &[u8]) -> Vec<u8> {
        let sequence =
            |content: &[u8]| [&[0x30, 0x81, u8::try_from(content.len()).unwrap()], content].concat();
        sequence(&[sequence(b"who and what"), sequence(algorithm)].concat())
    }

    #[test]
    fn the_hash_is_that_of_the_signature() {
        for (algorithm, length) in
            WITH_SHA256.iter().map(|a| (a, 32)).chain(WITH_SHA384.iter().map(|a| (a, 48)))
        {
            assert_eq!(of(&signed(algorithm)).map(|hash| hash.len()), Some(length), "{algorithm:x?}");
        }
        let ed25519 = [0x06, 0x03, 0x2b, 0x65, 0x70];
        assert_eq!(of(&signed(&ed25519)), None);
    }

    #[test]
    fn what_is_no_certificate_gives_none() {
        let whole = signed(WITH_SHA256[0]);
        for end in 0..whole.len() {
            assert_eq!(of(&whole[..end]), None);
        }
        for bad in
            [&[0x30, 0x80][..], &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff], &[0x30, 0x88, 1, 1, 1, 1, 1, 1, 1, 1]]
        {
            assert_eq!(of(bad), None);
        }
    }
}
