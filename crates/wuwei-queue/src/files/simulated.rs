//! A file system for tests: it loses power, fails, fills up, and holds a sync back for as long as a test wants.
//!
//! What was not synced is lost in the ways of a real disk: each sector of each unsynced write is there or not, on its own,
//! and so is each change of a name.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use super::{Files, LogFile};
use crate::random::Random;

const SECTOR_BYTES: usize = 512;

/// What should go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The write fails after a part of it.
    Write,
    /// The sync fails; what it was for stays unsynced for good.
    Sync,
}

#[derive(Debug, Default)]
struct State {
    /// What is seen: names to identities of files.
    names: BTreeMap<String, usize>,
    /// What is on the disk for certain.
    durable_names: BTreeMap<String, usize>,
    /// Changes of names since the last sync of the directory; `None` takes the name away.
    changes: Vec<Vec<(String, Option<usize>)>>,
    files: Vec<Content>,
    /// Bytes that files may take in all.
    capacity: u64,
    faults: Vec<Fault>,
    /// Operations that still work.
    operations_left: Option<u64>,
    syncs: u64,
    is_held: bool,
    waiting: u64,
}

#[derive(Clone, Debug, Default)]
struct Content {
    seen: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<(usize, Vec<u8>)>,
    /// Of which a sync has failed: a later one does not bring them to the disk, though it succeeds.
    doomed: Vec<(usize, Vec<u8>)>,
}

/// A handle on the directory; clones see the same.
#[derive(Clone, Debug)]
pub(crate) struct SimulatedFiles(Arc<(Mutex<State>, Condvar)>);

impl SimulatedFiles {
    pub(crate) fn new(capacity: u64) -> Self {
        let state = State { capacity, ..State::default() };
        Self(Arc::new((Mutex::new(state), Condvar::new())))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.0.lock().unwrap()
    }

    /// Makes the next operation of the kind fail.
    pub(crate) fn inject(&self, fault: Fault) {
        self.state().faults.push(fault);
    }

    /// After so many operations the power is gone: none works any more.
    pub(crate) fn lose_power_after(&self, operations: u64) {
        self.state().operations_left = Some(operations);
    }

    pub(crate) fn syncs(&self) -> u64 {
        self.state().syncs
    }

    pub(crate) fn set_capacity(&self, capacity: u64) {
        self.state().capacity = capacity;
    }

    pub(crate) fn taken(&self) -> u64 {
        self.state().taken()
    }

    /// Syncs wait from now on, until [`SimulatedFiles::let_go`].
    pub(crate) fn hold_syncs(&self) {
        self.state().is_held = true;
    }

    pub(crate) fn let_go(&self) {
        self.state().is_held = false;
        self.0.1.notify_all();
    }

    /// Returns once a sync is waiting.
    pub(crate) fn wait_for_a_held_sync(&self) {
        drop(self.0.1.wait_while(self.state(), |state| state.waiting == 0).unwrap());
    }

    /// What the next start finds after the power was gone.
    pub(crate) fn after_power_loss(&self, random: &mut Random) -> Self {
        let state = self.state();
        let mut names = state.durable_names.clone();
        for change in &state.changes {
            // A file system journals its changes in order: the first that is lost is the end.
            if random.below(3) == 0 {
                break;
            }
            apply(&mut names, change);
        }
        let files = state.files.iter().map(|content| content.after_power_loss(random)).collect();
        let after = State { durable_names: names.clone(), names, files, capacity: state.capacity, ..State::default() };
        Self(Arc::new((Mutex::new(after), Condvar::new())))
    }

    /// What the next start finds after `kill -9`: everything that was written.
    pub(crate) fn after_kill(&self) -> Self {
        let state = self.state();
        let after = State {
            names: state.names.clone(),
            durable_names: state.durable_names.clone(),
            changes: state.changes.clone(),
            files: state.files.clone(),
            capacity: state.capacity,
            ..State::default()
        };
        Self(Arc::new((Mutex::new(after), Condvar::new())))
    }

    /// Flips a bit of a file on the disk.
    pub(crate) fn damage(&self, name: &str, offset: usize) {
        let mut state = self.state();
        let file = state.names[name];
        state.files[file].seen[offset] ^= 4;
        state.files[file].durable[offset] ^= 4;
    }

    /// Makes a file with these bytes on the disk.
    pub(crate) fn put(&self, name: &str, bytes: &[u8]) {
        let mut state = self.state();
        let file = state.files.len();
        state.files.push(Content { seen: bytes.to_vec(), durable: bytes.to_vec(), ..Content::default() });
        state.names.insert(name.to_owned(), file);
        state.durable_names.insert(name.to_owned(), file);
    }

    /// A file's bytes as they are seen.
    pub(crate) fn bytes(&self, name: &str) -> Vec<u8> {
        let state = self.state();
        state.files[state.names[name]].seen.clone()
    }

    /// Takes a file away as nobody should.
    pub(crate) fn lose(&self, name: &str) {
        let mut state = self.state();
        state.names.remove(name);
        state.durable_names.remove(name);
    }
}

fn apply(names: &mut BTreeMap<String, usize>, change: &[(String, Option<usize>)]) {
    for (name, file) in change {
        match file {
            Some(file) => drop(names.insert(name.clone(), *file)),
            None => drop(names.remove(name)),
        }
    }
}

fn io_error(text: &str) -> io::Error {
    io::Error::other(text.to_owned())
}

impl State {
    fn step(&mut self) -> io::Result<()> {
        match &mut self.operations_left {
            Some(0) => Err(io_error("the power is gone")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn has_fault(&mut self, fault: Fault) -> bool {
        let found = self.faults.iter().position(|other| *other == fault);
        found.map(|position| self.faults.remove(position)).is_some()
    }

    fn taken(&self) -> u64 {
        self.names.values().map(|file| self.files[*file].seen.len() as u64).sum()
    }

    fn change(&mut self, change: Vec<(String, Option<usize>)>) {
        apply(&mut self.names, &change);
        self.changes.push(change);
    }
}

impl Content {
    fn after_power_loss(&self, random: &mut Random) -> Self {
        let mut durable = self.durable.clone();
        // All of it, a prefix, or any of the sectors.
        let way = random.below(3);
        let mut is_lost = false;
        for (offset, bytes) in self.doomed.iter().chain(&self.unsynced) {
            let mut start = 0;
            while start < bytes.len() {
                let end = (start + SECTOR_BYTES - (offset + start) % SECTOR_BYTES).min(bytes.len());
                is_lost |= way == 1 && random.below(4) == 0;
                if way == 0 || way == 1 && !is_lost || way == 2 && random.below(2) == 0 {
                    durable[offset + start..offset + end].copy_from_slice(&bytes[start..end]);
                }
                start = end;
            }
        }
        Self { seen: durable.clone(), durable, ..Self::default() }
    }
}

impl Files for SimulatedFiles {
    fn list(&self) -> io::Result<Vec<String>> {
        let mut state = self.state();
        state.step()?;
        Ok(state.names.keys().cloned().collect())
    }

    fn create(&self, name: &str, length: u64) -> io::Result<Arc<dyn LogFile>> {
        let mut state = self.state();
        state.step()?;
        if state.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if state.taken() + length > state.capacity {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let file = state.files.len();
        let zeros = vec![0; usize::try_from(length).unwrap()];
        state.files.push(Content { seen: zeros.clone(), durable: zeros, ..Content::default() });
        state.change(vec![(name.to_owned(), Some(file))]);
        Ok(Arc::new(SimulatedFile { files: self.clone(), file }))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn LogFile>> {
        let mut state = self.state();
        state.step()?;
        let file = *state.names.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(SimulatedFile { files: self.clone(), file }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        let file = *state.names.get(from).ok_or(io::ErrorKind::NotFound)?;
        state.change(vec![(from.to_owned(), None), (to.to_owned(), Some(file))]);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        if !state.names.contains_key(name) {
            return Err(io::ErrorKind::NotFound.into());
        }
        state.change(vec![(name.to_owned(), None)]);
        Ok(())
    }

    fn sync_directory(&self) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        if state.has_fault(Fault::Sync) {
            return Err(io_error("the directory cannot be synced"));
        }
        state.durable_names = state.names.clone();
        state.changes.clear();
        Ok(())
    }
}

#[derive(Debug)]
struct SimulatedFile {
    files: SimulatedFiles,
    file: usize,
}

impl LogFile for SimulatedFile {
    fn length(&self) -> io::Result<u64> {
        let mut state = self.files.state();
        state.step()?;
        Ok(state.files[self.file].seen.len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let state = self.files.state();
        let seen = &state.files[self.file].seen;
        let start = usize::try_from(offset).unwrap();
        let range = seen.get(start..start + buffer.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(range);
        Ok(())
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.files.state();
        let powered = state.step();
        let fails = powered.is_err() || state.has_fault(Fault::Write);
        let written = if fails { &bytes[..bytes.len() / 2] } else { bytes };
        let start = usize::try_from(offset).unwrap();
        let content = &mut state.files[self.file];
        content.seen[start..start + written.len()].copy_from_slice(written);
        content.unsynced.push((start, written.to_vec()));
        powered?;
        if fails { Err(io_error("the disk refuses a write")) } else { Ok(()) }
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.files.state();
        state.step()?;
        if state.is_held {
            state.waiting += 1;
            self.files.0.1.notify_all();
            state = self.files.0.1.wait_while(state, |state| state.is_held).unwrap();
            state.waiting -= 1;
        }
        state.syncs += 1;
        if state.has_fault(Fault::Sync) {
            let content = &mut state.files[self.file];
            let doomed = std::mem::take(&mut content.unsynced);
            content.doomed.extend(doomed);
            return Err(io_error("the disk refuses a sync"));
        }
        let content = &mut state.files[self.file];
        for (offset, bytes) in std::mem::take(&mut content.unsynced) {
            content.durable[offset..offset + bytes.len()].copy_from_slice(&bytes);
        }
        Ok(())
    }

    fn settle(&self) -> io::Result<()> {
        self.sync()?;
        let mut state = self.files.state();
        let content = &mut state.files[self.file];
        content.seen = content.durable.clone();
        content.doomed.clear();
        Ok(())
    }
}
