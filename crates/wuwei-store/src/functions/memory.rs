//! What the catalog has read lately, for as long as nothing is written.
//!
//! Everything here belongs to one generation of the store: the first look after any write finds it empty. So nobody sees
//! what was there before a write that has been answered, and a read that was overtaken by a write leaves nothing behind.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use wuwei_model::{FunctionKey, FunctionVersion};

use super::Function;

/// Values that are remembered of each kind. With one more, all are forgotten: those in use come back by themselves.
const ENTRIES_MAX: usize = 16_384;

/// A function as it was read; shared by all who ask.
#[derive(Debug, PartialEq, Eq)]
pub struct KnownFunction {
    /// All of it.
    pub function: Function,
    /// Its `$LATEST` once more, to be handed on.
    pub latest: Arc<FunctionVersion>,
}

impl KnownFunction {
    pub(super) fn new(function: Function) -> Self {
        Self { latest: Arc::new(function.latest.clone()), function }
    }
}

/// What is remembered of the catalog.
#[derive(Default)]
pub(super) struct Memory {
    pub(super) functions: Remembered<FunctionKey, KnownFunction>,
    pub(super) versions: Remembered<(FunctionKey, u64), FunctionVersion>,
    /// Function and qualifier, by the id of a URL.
    pub(super) urls: Remembered<String, (FunctionKey, String)>,
}

/// Values of one kind.
pub(super) struct Remembered<K, V>(Mutex<State<K, V>>);

struct State<K, V> {
    generation: u64,
    values: HashMap<K, Arc<V>>,
}

impl<K, V> Default for Remembered<K, V> {
    fn default() -> Self {
        Self(Mutex::new(State { generation: 0, values: HashMap::new() }))
    }
}

impl<K: Eq + Hash, V> Remembered<K, V> {
    /// The value, if it was read at this generation.
    pub(super) fn get(&self, key: &K, generation: u64) -> Option<Arc<V>> {
        let mut state = self.lock();
        state.advance_to(generation);
        if state.generation == generation { state.values.get(key).cloned() } else { None }
    }

    /// Keeps a value; `generation` is the store's from before it was read.
    pub(super) fn put(&self, key: K, value: Arc<V>, generation: u64) {
        let mut state = self.lock();
        state.advance_to(generation);
        if state.generation != generation {
            return;
        }
        if state.values.len() >= ENTRIES_MAX {
            state.values.clear();
        }
        state.values.insert(key, value);
    }

    fn lock(&self) -> MutexGuard<'_, State<K, V>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K, V> State<K, V> {
    fn advance_to(&mut self, generation: u64) {
        if self.generation < generation {
            self.generation = generation;
            self.values = HashMap::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ENTRIES_MAX, Remembered};
    use std::sync::Arc;

    #[test]
    fn a_value_is_gone_with_its_generation_and_a_late_reader_brings_nothing_back() {
        let remembered = Remembered::default();
        remembered.put("f", Arc::new(1), 3);
        assert_eq!(remembered.get(&"f", 3).as_deref(), Some(&1));
        assert_eq!(remembered.get(&"f", 4), None);
        remembered.put("f", Arc::new(1), 3);
        assert_eq!(remembered.get(&"f", 4), None);
        remembered.put("f", Arc::new(2), 4);
        assert_eq!(remembered.get(&"f", 3), None);
        assert_eq!(remembered.get(&"f", 4).as_deref(), Some(&2));
    }

    #[test]
    fn the_number_of_values_is_bounded() {
        let remembered = Remembered::default();
        for number in 0..=ENTRIES_MAX {
            remembered.put(number, Arc::new(()), 0);
        }
        assert_eq!(remembered.lock().values.len(), 1);
    }
}
