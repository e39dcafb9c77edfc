//! A store in one file.

use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use redb::{Database, Durability, ReadableDatabase, ReadableTable, TableDefinition};
use rmi_core::naming::Name;

use crate::store::{Loaded, Store, StoreError, Stored, Write};

/// Name to binding, as MessagePack.
const BINDINGS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("bindings");
/// Numbers about the whole: the revision, the fencing tokens that may have been given, and the format.
const NUMBERS: TableDefinition<'_, &str, u64> = TableDefinition::new("numbers");
const REVISION: &str = "revision";
const TOKENS: &str = "tokens";
const FORMAT: &str = "format";
const FORMAT_NOW: u64 = 1;

/// Keeps bindings in one file. Every change is on the disk before it is answered.
pub struct Durable {
    /// `None` after a write that failed: the database must be opened anew, which a full disk that has room again allows.
    database: Option<Database>,
    path: PathBuf,
}

impl Durable {
    /// Opens the file, making it and the directories above it if need be. Both are for their owner alone: the file holds
    /// object ids, which are rights to call.
    ///
    /// # Errors
    /// The file cannot be made or read, belongs to another running registry, or is something else.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let path = path.as_ref().to_owned();
        if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
            let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory);
            made.map_err(|error| file(&path, error))?;
        }
        let made =
            std::fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
        made.map_err(|error| file(&path, error))?;
        let mut store = Self { database: None, path };
        store.reopen()?;
        store.check_format()?;
        Ok(store)
    }

    fn reopen(&mut self) -> Result<(), StoreError> {
        if self.database.is_none() {
            self.database = Some(Database::create(&self.path).map_err(|error| file(&self.path, error))?);
        }
        Ok(())
    }

    fn opened(&self) -> Result<&Database, redb::Error> {
        self.database.as_ref().ok_or(redb::Error::PreviousIo)
    }

    fn check_format(&self) -> Result<(), StoreError> {
        let format = self.number(FORMAT)?;
        if format > FORMAT_NOW {
            let reason = format!("format {format} is newer than {FORMAT_NOW}, which this registry writes");
            return Err(StoreError::File { path: self.path.display().to_string(), reason });
        }
        self.apply_inner(&[], &[]).map_err(|error| file(&self.path, error))
    }

    fn number(&self, key: &str) -> Result<u64, StoreError> {
        let read = || -> Result<u64, redb::Error> {
            let transaction = self.opened()?.begin_read()?;
            match transaction.open_table(NUMBERS) {
                Ok(table) => Ok(table.get(key)?.map_or(0, |number| number.value())),
                Err(redb::TableError::TableDoesNotExist(_)) => Ok(0),
                Err(error) => Err(error.into()),
            }
        };
        read().map_err(|error| file(&self.path, error))
    }

    fn apply_inner(&self, counts: &[(&str, u64)], writes: &[(&str, Option<Vec<u8>>)]) -> Result<(), redb::Error> {
        let mut transaction = self.opened()?.begin_write()?;
        transaction.set_durability(Durability::Immediate)?;
        transaction.set_two_phase_commit(true);
        {
            let mut numbers = transaction.open_table(NUMBERS)?;
            numbers.insert(FORMAT, FORMAT_NOW)?;
            for (key, count) in counts {
                numbers.insert(key, count)?;
            }
            let mut bindings = transaction.open_table(BINDINGS)?;
            for (name, value) in writes {
                match value {
                    Some(value) => bindings.insert(name, value.as_slice())?,
                    None => bindings.remove(name)?,
                };
            }
        }
        transaction.commit()?;
        Ok(())
    }
}

fn file(path: &Path, error: impl std::fmt::Display) -> StoreError {
    StoreError::File { path: path.display().to_string(), reason: error.to_string() }
}

impl Store for Durable {
    fn load(&mut self) -> Result<Loaded, StoreError> {
        let (revision, tokens) = (self.number(REVISION)?, self.number(TOKENS)?);
        let read = || -> Result<Vec<(String, Vec<u8>)>, redb::Error> {
            let transaction = self.opened()?.begin_read()?;
            let table = transaction.open_table(BINDINGS)?;
            let mut entries = Vec::new();
            for entry in table.iter()? {
                let (name, value) = entry?;
                entries.push((name.value().to_owned(), value.value().to_vec()));
            }
            Ok(entries)
        };
        let entries = read().map_err(|error| file(&self.path, error))?;
        let bindings = entries.into_iter().map(|(name, value)| self.entry(&name, &value)).collect::<Result<_, _>>()?;
        Ok(Loaded { revision, tokens, bindings })
    }

    fn apply(&mut self, revision: u64, writes: &[Write]) -> Result<(), StoreError> {
        let path = self.path.clone();
        let encode = |stored: &Stored| rmp_serde::to_vec_named(stored).map_err(|error| file(&path, error));
        let mut counts = vec![(REVISION, revision)];
        let mut encoded = Vec::with_capacity(writes.len());
        for write in writes {
            match write {
                Write::Put(name, stored) => encoded.push((name.as_str(), Some(encode(stored)?))),
                Write::Remove(name) => encoded.push((name.as_str(), None)),
                Write::Tokens(last) => counts.push((TOKENS, *last)),
            }
        }
        self.reopen()?;
        let applied = self.apply_inner(&counts, &encoded);
        if applied.is_err() {
            self.database = None;
        }
        applied.map_err(|error| file(&self.path, error))
    }
}

impl Durable {
    fn entry(&self, name: &str, value: &[u8]) -> Result<(Name, Stored), StoreError> {
        let bad = |reason: String| StoreError::Entry {
            path: self.path.display().to_string(),
            entry: name.to_owned(),
            reason,
        };
        let stored = rmp_serde::from_slice(value).map_err(|error| bad(error.to_string()))?;
        Ok((name.parse().map_err(|error: rmi_core::naming::NameError| bad(error.to_string()))?, stored))
    }
}
