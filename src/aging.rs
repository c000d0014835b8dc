//! A map of bounded size that forgets what was not touched for longest, roughly.

use std::collections::HashMap;
use std::hash::Hash;

/// Two half-size maps: entries start in the young one, and move back there whenever they are touched. When the young
/// one is full it becomes the old one, and what the old one still held is forgotten. So an entry survives at least
/// `capacity / 2` touches of others, at constant cost, and an attacker with many keys cannot make it grow.
#[derive(Debug)]
pub(crate) struct AgingMap<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    half: usize,
}

impl<K: Eq + Hash + Clone, V> AgingMap<K, V> {
    pub(crate) fn new(capacity: usize) -> AgingMap<K, V> {
        AgingMap { young: HashMap::new(), old: HashMap::new(), half: (capacity / 2).max(1) }
    }

    /// The entry, touched.
    pub(crate) fn touch(&mut self, key: &K) -> Option<&mut V> {
        if !self.young.contains_key(key) {
            let value = self.old.remove(key)?;
            self.insert(key.clone(), value);
        }
        self.young.get_mut(key)
    }

    /// The entry, touched, or a new one.
    pub(crate) fn touch_or_insert_with(&mut self, key: &K, new: impl FnOnce() -> V) -> &mut V {
        if !self.young.contains_key(key) {
            let value = self.old.remove(key).unwrap_or_else(new);
            self.insert(key.clone(), value);
        }
        self.young.get_mut(key).expect("an entry just found or inserted is in the young half")
    }

    pub(crate) fn insert(&mut self, key: K, value: V) {
        self.old.remove(&key);
        if self.young.len() >= self.half && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }

    pub(crate) fn remove(&mut self, key: &K) {
        self.young.remove(key);
        self.old.remove(key);
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_never_holds_more_than_its_capacity() {
        let mut map = AgingMap::new(100);
        for key in 0..10_000 {
            map.insert(key, ());
            assert!(map.len() <= 100);
        }
    }

    #[test]
    fn an_entry_that_is_touched_stays_and_one_that_is_not_goes() {
        let mut map = AgingMap::new(10);
        map.insert("touched", 1);
        map.insert("left", 2);
        for other in ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"] {
            assert!(map.touch(&"touched").is_some());
            map.insert(other, 0);
        }
        assert_eq!(map.touch(&"touched"), Some(&mut 1));
        assert_eq!(map.touch(&"left"), None);
    }

    #[test]
    fn a_removed_entry_is_gone_from_both_halves() {
        let mut map = AgingMap::new(4);
        map.insert(1, ());
        map.insert(2, ());
        map.insert(3, ());
        map.remove(&1);
        map.remove(&3);
        assert_eq!(map.touch(&1), None);
        assert_eq!(map.touch(&3), None);
        assert!(map.touch(&2).is_some());
    }
}
