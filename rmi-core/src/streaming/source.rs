//! What a stream is on the wire: a reference to a source, which its reader opens.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use rmi_macros::remote;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use crate::error::{ErrorKind, Executed, RemoteError};
use crate::proxy::Proxy;
use crate::streaming::pump::{self, Producer};
use crate::streaming::sink::Sink;
use crate::streaming::window::{Amount, Window};

/// The producer's side of a stream. It is exported for as long as the reader holds it; when it is dropped, so is the
/// producer.
#[remote(name = "rmi.Source")]
pub(super) trait Source {
    /// Begins to push into `sink` what fits into a window of so many items and bytes. Can be done once.
    async fn open(&self, sink: Proxy<dyn Sink>, items: u32, bytes: u32) -> Result<(), RemoteError>;

    /// The reader takes so much in all, counted from the beginning.
    #[remote(idempotent)]
    async fn grant(&self, items: u64, bytes: u64) -> Result<(), RemoteError>;

    /// The reader wants no more.
    #[remote(oneway)]
    async fn close(&self) -> Result<(), RemoteError>;
}

/// How much the reader takes, where the pump waits for more.
pub(super) struct Credit(Mutex<Granted>);

struct Granted {
    window: Window,
    /// A reader that breaks the rules is told so and gets no more.
    violation: Option<RemoteError>,
    waker: Option<Waker>,
}

impl Credit {
    fn new(window: Window) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Granted { window, violation: None, waker: None })))
    }

    /// Waits until something may be sent.
    pub(super) fn poll_room(&self, cx: &Context<'_>) -> Poll<Result<Amount, RemoteError>> {
        let mut granted = lock(&self.0);
        if let Some(error) = &granted.violation {
            return Poll::Ready(Err(error.clone()));
        }
        match granted.window.room() {
            Some(room) => Poll::Ready(Ok(room)),
            None => {
                granted.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// So much goes.
    pub(super) fn take(&self, amount: Amount) -> Result<(), RemoteError> {
        lock(&self.0).window.take(amount)
    }

    fn grant(&self, total: Amount) -> Result<(), RemoteError> {
        let (result, waker) = {
            let mut granted = lock(&self.0);
            let result = granted.window.grant(total);
            granted.violation = granted.violation.take().or_else(|| result.clone().err());
            (result, granted.waker.take())
        };
        waker.into_iter().for_each(Waker::wake);
        result
    }
}

/// The servant.
pub(super) struct Producing(Mutex<State>);

enum State {
    Unopened(Box<dyn Producer>),
    Open { credit: Arc<Credit>, pump: AbortHandle },
    Closed,
}

impl Producing {
    pub(super) fn new(producer: Box<dyn Producer>) -> Self {
        Self(Mutex::new(State::Unopened(producer)))
    }

    /// Ends the pump, and drops the producer.
    fn stop(&self) {
        // The producer is the program's: it is dropped with no lock held.
        let state = std::mem::replace(&mut *lock(&self.0), State::Closed);
        if let State::Open { pump, .. } = state {
            pump.abort();
        }
    }
}

#[remote]
impl Source for Producing {
    async fn open(&self, sink: Proxy<dyn Sink>, items: u32, bytes: u32) -> Result<(), RemoteError> {
        let window = Window::new(items, bytes)?;
        let runtime = Handle::try_current().map_err(|_| misuse("a stream is read inside a tokio runtime"))?;
        let mut state = lock(&self.0);
        match std::mem::replace(&mut *state, State::Closed) {
            State::Unopened(producer) => {
                let credit = Credit::new(window);
                let pump = runtime.spawn(pump::run(producer, sink, credit.clone())).abort_handle();
                *state = State::Open { credit, pump };
                Ok(())
            }
            State::Closed => Err(RemoteError::new(ErrorKind::Cancelled, Executed::No, "the stream was closed")),
            open @ State::Open { .. } => {
                *state = open;
                Err(misuse("the stream has a reader already"))
            }
        }
    }

    async fn grant(&self, items: u64, bytes: u64) -> Result<(), RemoteError> {
        let credit = match &*lock(&self.0) {
            State::Open { credit, .. } => credit.clone(),
            State::Unopened(_) => return Err(misuse("the stream was not opened")),
            // A reader may grant more before it learns of the end.
            State::Closed => return Ok(()),
        };
        credit.grant(Amount { items, bytes })
    }

    async fn close(&self) -> Result<(), RemoteError> {
        self.stop();
        Ok(())
    }
}

impl Drop for Producing {
    fn drop(&mut self) {
        self.stop();
    }
}

fn misuse(text: &str) -> RemoteError {
    RemoteError::new(ErrorKind::Misuse, Executed::No, text)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
