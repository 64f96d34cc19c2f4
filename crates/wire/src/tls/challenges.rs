//! Answers to an authority that asks by TLS whether a name is ours (ACME, RFC 8737), for as long as it may ask.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

/// The protocol by which an authority asks.
pub(super) const PROTOCOL: &[u8] = b"acme-tls/1";

/// The answers of a door. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Challenges(Arc<Mutex<HashMap<String, Arc<CertifiedKey>>>>);

/// An answer, given until this is dropped.
#[derive(Debug)]
pub struct Answer {
    name: String,
    of: Challenges,
}

impl Challenges {
    /// Answers with this certificate whoever asks for the name by that protocol, and nobody else.
    ///
    /// # Errors
    /// When the key cannot be used.
    pub fn answer(
        &self,
        name: &str,
        certificate: CertificateDer<'static>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Answer, rustls::Error> {
        let name = name.to_ascii_lowercase();
        let key = aws_lc_rs::default_provider().key_provider.load_private_key(key)?;
        // Such a certificate is critical of whoever does not know what it is for, which rustls does not.
        let certified = CertifiedKey::new(vec![certificate], key);
        self.lock().insert(name.clone(), Arc::new(certified));
        Ok(Answer { name, of: self.clone() })
    }

    pub(super) fn find(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        self.lock().get(&name.to_ascii_lowercase()).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<CertifiedKey>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.of.lock().remove(&self.name);
    }
}
