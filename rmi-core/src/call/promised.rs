//! What a pipelined call comes to: nothing yet, the object it returned, or the reason why there is none.

use std::sync::OnceLock;

use tokio::sync::Notify;

use crate::call::{Outcome, Status, Target};
use crate::error::{ErrorKind, Executed, RemoteError};
use crate::wire::codec;
use crate::wire::describe::describe;

/// What a promise comes to. It is settled once, and stays what it is then.
#[derive(Default)]
pub struct Promised {
    outcome: OnceLock<Result<Target, RemoteError>>,
    wake: Notify,
}

impl Promised {
    /// The object, or the error that everything fails with which needs the object; `None` as long as the call is under
    /// way.
    #[must_use]
    pub fn get(&self) -> Option<&Result<Target, RemoteError>> {
        self.outcome.get()
    }

    /// Waits until the promise is settled. Cancellation: dropping the future changes nothing.
    pub async fn settled(&self) -> &Result<Target, RemoteError> {
        loop {
            let woken = self.wake.notified();
            if let Some(outcome) = self.get() {
                return outcome;
            }
            woken.await;
        }
    }

    pub(crate) fn settle(&self, outcome: Result<Target, RemoteError>) {
        // Only the call that makes the promise settles it.
        let _ = self.outcome.set(outcome);
        self.wake.notify_waiters();
    }
}

/// The object that a call returned which was to return one. The error is that of those who needed the object: they did not
/// run, and calling again would not help them.
pub(crate) fn kept(outcome: &Outcome) -> Result<Target, RemoteError> {
    let broken = |text: String| Err(RemoteError::new(ErrorKind::PromiseBroken, Executed::No, text).relayed());
    let reply = match outcome {
        Ok(reply) => reply,
        Err(error) => return Err(cause(error)),
    };
    if reply.status == Status::Error {
        let text = describe(&reply.body);
        return broken(format!("the call that promised the object returned the error {text}"));
    }
    match &reply.references[..] {
        [target] if reply.body == codec::FIRST_REFERENCE => Ok(target.clone()),
        _ => broken("the call that promised an object returned none".into()),
    }
}

/// `error` of the call that makes a promise, as those that name the promise get it.
pub(crate) fn cause(error: &RemoteError) -> RemoteError {
    RemoteError::new(error.kind(), Executed::No, error.message()).relayed()
}

/// Whether a promise is among the references of the outcome.
pub(crate) fn is_in(outcome: &Outcome) -> bool {
    let is_promise = |target: &Target| matches!(target, Target::Remote(remote) if remote.promised().is_some());
    outcome.as_ref().is_ok_and(|reply| reply.references.iter().any(is_promise))
}

/// The outcome with every promise in it replaced by the object that it came to: promises are not known beyond the
/// connection they were made on, and a result may go anywhere.
pub(crate) async fn settled(mut outcome: Outcome) -> Outcome {
    if let Ok(reply) = &mut outcome {
        settle_all(&mut reply.references).await.map_err(|error| {
            let text = format!("the result cannot be sent: {}", error.message());
            RemoteError::new(error.kind(), Executed::Yes, text).relayed()
        })?;
    }
    outcome
}

/// Waits for every promise among these, and puts the object in its place.
pub(crate) async fn settle_all(targets: &mut [Target]) -> Result<(), RemoteError> {
    for target in targets {
        if let Target::Remote(remote) = target
            && let Some(promised) = remote.promised()
        {
            let object = promised.settled().await.clone()?;
            *target = object;
        }
    }
    Ok(())
}
