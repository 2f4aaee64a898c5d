//! The key that was last derived from a secret. It lives and goes with the secret.

use std::fmt;
use std::sync::{Mutex, PoisonError};

/// Remembers one derived key. A copy has forgotten it, and nothing shows it.
#[derive(Default)]
pub struct DerivedKey(Mutex<Option<(String, [u8; 32])>>);

impl DerivedKey {
    /// The key for a scope: the one of last time, if that was for the same, or one that is derived now.
    pub fn get(&self, scope: &str, derive: impl FnOnce() -> [u8; 32]) -> [u8; 32] {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*last {
            Some((known, key)) if known == scope => *key,
            Some(_) | None => {
                let key = derive();
                *last = Some((scope.to_owned(), key));
                key
            }
        }
    }
}

impl Clone for DerivedKey {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl fmt::Debug for DerivedKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("DerivedKey").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::DerivedKey;

    #[test]
    fn a_key_is_derived_once_for_a_scope_and_anew_for_another() {
        let derived = DerivedKey::default();
        assert_eq!(derived.get("20261120/us-east-1/lambda", || [1; 32]), [1; 32]);
        assert_eq!(derived.get("20261120/us-east-1/lambda", || unreachable!("it is known")), [1; 32]);
        assert_eq!(derived.get("20261121/us-east-1/lambda", || [2; 32]), [2; 32]);
        let copy = derived.clone();
        assert_eq!(copy.get("20261121/us-east-1/lambda", || [3; 32]), [3; 32]);
        assert_eq!(derived.get("20261121/us-east-1/lambda", || [4; 32]), [2; 32]);
        assert!(!format!("{derived:?}").contains('2'));
    }
}
