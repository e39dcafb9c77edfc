//! The one thread that changes bindings: it decides in order, stores, and only then answers.
//!
//! Wishes that arrive while the disk is busy are stored together: many binds, one sync.

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::task::Waker;
use std::thread;

use rmi_core::naming::{Change, Event, Name, NamingError};
use tokio::sync::{mpsc, oneshot};

use crate::state::{State, Wish, told};
use crate::store::{Store, StoreError, Stored, Write};
use crate::watchers::Watchers;

/// How many wishes may wait; further callers wait for a place.
const WAITING_MAX: usize = 1024;
/// How many wishes are stored together at most.
const BATCH_MAX: usize = 256;

struct Asked {
    wish: Wish,
    answer: oneshot::Sender<Result<u64, NamingError>>,
}

/// The way to the thread, and what it has stored.
#[derive(Clone)]
pub struct Writer {
    wishes: mpsc::Sender<Asked>,
    stored: Arc<RwLock<State>>,
    thread: Arc<Mutex<Option<thread::JoinHandle<()>>>>,
}

impl Writer {
    /// Reads the store and starts the thread. It ends when the last clone is dropped.
    pub(crate) fn start(mut store: impl Store, watchers: Arc<Watchers>) -> Result<Self, StoreError> {
        let loaded = store.load()?;
        let working = State::new(loaded.clone());
        let stored = Arc::new(RwLock::new(State::new(loaded)));
        let (wishes, waiting) = mpsc::channel(WAITING_MAX);
        let mut work = Work { store: Box::new(store), working, stored: stored.clone(), watchers };
        let thread = thread::Builder::new().name("registry-store".into()).spawn(move || work.run(waiting));
        let thread = thread.map_err(|error| StoreError::File { path: "thread".into(), reason: error.to_string() })?;
        Ok(Self { wishes, stored, thread: Arc::new(Mutex::new(Some(thread))) })
    }

    /// Runs `read` on what is stored.
    pub fn read<R>(&self, read: impl FnOnce(&State) -> R) -> R {
        read(&self.stored.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes a change; when it returns `Ok` it is stored. Returns the revision.
    ///
    /// Cancellation: the change may be made all the same.
    ///
    /// # Errors
    /// What [`State::decide`] says, or `Storage`.
    pub async fn change(&self, wish: Wish) -> Result<u64, NamingError> {
        let (answer, answered) = oneshot::channel();
        let gone = || NamingError::Storage("the registry is shutting down".into());
        self.wishes.send(Asked { wish, answer }).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }

    /// Waits until the thread has ended and the file is closed. Every other clone must be gone.
    pub async fn finish(self) {
        let Self { wishes, thread, .. } = self;
        drop(wishes);
        let thread = thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // A thread that panicked has said so.
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}

struct Work {
    store: Box<dyn Store>,
    /// What is stored, and what is about to be.
    working: State,
    stored: Arc<RwLock<State>>,
    watchers: Arc<Watchers>,
}

impl Store for Box<dyn Store> {
    fn load(&mut self) -> Result<crate::store::Loaded, StoreError> {
        (**self).load()
    }

    fn apply(&mut self, revision: u64, writes: &[Write]) -> Result<(), StoreError> {
        (**self).apply(revision, writes)
    }
}

type Answer = (oneshot::Sender<Result<u64, NamingError>>, Result<u64, NamingError>);

impl Work {
    fn run(&mut self, mut waiting: mpsc::Receiver<Asked>) {
        while let Some(first) = waiting.blocking_recv() {
            let mut batch = vec![first];
            while batch.len() < BATCH_MAX
                && let Ok(next) = waiting.try_recv()
            {
                batch.push(next);
            }
            for (answer, result) in self.store_batch(batch) {
                // Whoever asked may have gone away.
                let _ = answer.send(result);
            }
        }
    }

    fn store_batch(&mut self, batch: Vec<Asked>) -> Vec<Answer> {
        let revision = self.working.revision();
        let mut before: Vec<(Name, Option<Stored>)> = Vec::new();
        let mut writes = Vec::new();
        let mut answers: Vec<Answer> = Vec::new();
        for Asked { wish, answer } in batch {
            let decided = self.working.decide(&wish).map(|decided| {
                for write in decided {
                    let name = write.name().cloned();
                    before.extend(name.map(|name| (name.clone(), self.working.get(&name).cloned())));
                    let revision = self.working.apply(&write);
                    writes.push((revision, write));
                }
                self.working.revision()
            });
            answers.push((answer, decided));
        }
        if writes.is_empty() {
            return answers;
        }
        let only: Vec<Write> = writes.iter().map(|(_, write)| write.clone()).collect();
        if let Err(error) = self.store.apply(self.working.revision(), &only) {
            tracing::error!(%error, "a change could not be stored");
            self.working.restore(revision, before);
            let failed = NamingError::Storage(error.to_string());
            answers
                .iter_mut()
                .filter(|(_, result)| result.is_ok())
                .for_each(|(_, result)| *result = Err(failed.clone()));
            return answers;
        }
        self.publish(writes);
        answers
    }

    fn publish(&self, writes: Vec<(u64, Write)>) {
        let mut concerned = Vec::new();
        let mut stored = self.stored.write().unwrap_or_else(PoisonError::into_inner);
        for (revision, write) in &writes {
            stored.apply(write);
            let (name, change) = match write {
                Write::Put(name, stored) => (name, Change::Bound(told(name, stored, true))),
                Write::Remove(name) => (name, Change::Unbound),
                Write::Tokens(_) => continue,
            };
            // Under the lock, so that a watch that begins knows which changes it is told.
            concerned.extend(self.watchers.tell(Event::new(*revision, name.clone(), change)));
        }
        drop(stored);
        concerned.into_iter().for_each(Waker::wake);
    }
}
