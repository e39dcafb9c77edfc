//! The object that most behaviours are tried on.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rmi_core::{AnyProxy, Bytes, Call, CallContext, MethodId, Node, ObjectRef, Proxy, RemoteError, remote};
use serde::{Deserialize, Serialize, Serializer};
use tokio::sync::Notify;

/// A value that reads but does not write.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Unwritable;

impl Serialize for Unwritable {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("this does not write"))
    }
}

#[derive(Debug, Serialize, Deserialize, thiserror::Error)]
pub(super) enum ProbeError {
    #[error("bad {what}: {code}")]
    Bad { what: String, code: i32 },
    #[error("ask another")]
    AskAnother(Proxy<dyn Probe>),
    #[error(transparent)]
    Remote(#[from] RemoteError),
}

impl ProbeError {
    pub(super) fn remote(self) -> RemoteError {
        match self {
            Self::Remote(error) => error,
            other => panic!("not a failed call: {other}"),
        }
    }
}

pub(super) type Probed<T> = Result<T, ProbeError>;

#[remote(name = "conformance.Probe")]
pub(super) trait Probe {
    async fn nothing(&self) -> Probed<()>;
    async fn echo(&self, bytes: Bytes) -> Probed<Bytes>;
    async fn grow(&self, bytes: &[u8], by: u32) -> Probed<Vec<u8>>;
    async fn floats(&self, numbers: Vec<f64>) -> Probed<Vec<f64>>;
    async fn integers(&self, numbers: (i64, u64, i128)) -> Probed<(i64, u64, i128)>;
    async fn hang(&self) -> Probed<()>;
    async fn wait(&self, millis: u64) -> Probed<()>;
    async fn note(&self, number: u64) -> Probed<()>;
    #[remote(oneway)]
    async fn tell(&self, number: u64) -> Probed<()>;
    async fn bad(&self, what: &str, code: i32) -> Probed<()>;
    async fn refuse(&self, other: Proxy<dyn Probe>) -> Probed<()>;
    async fn panic(&self) -> Probed<()>;
    async fn take(&self, other: Proxy<dyn Probe>, value: Unwritable) -> Probed<()>;
    async fn give(&self) -> Probed<Unwritable>;
    async fn relay(&self, other: Proxy<dyn Probe>, bytes: Bytes) -> Probed<Bytes>;
    async fn relay_bad(&self, other: Proxy<dyn Probe>) -> Probed<()>;
    async fn relay_hang(&self, other: Proxy<dyn Probe>) -> Probed<()>;
    async fn ask(&self, object: AnyProxy, bytes: Bytes) -> Probed<Bytes>;
    async fn metadata(&self, key: &str) -> Probed<Option<String>>;
    async fn remaining_ms(&self) -> Probed<u64>;
    #[remote(spawn)]
    async fn block(&self, millis: u64) -> Probed<()>;
    async fn meet(&self) -> Probed<()>;
}

pub(super) struct Servant {
    pub(super) notes: Mutex<Vec<u64>>,
    /// How many calls run, the most that ran at once, and how many were dropped in the middle.
    pub(super) running: AtomicUsize,
    pub(super) most: AtomicUsize,
    pub(super) dropped: AtomicUsize,
    pub(super) changed: Notify,
    barrier: tokio::sync::Barrier,
}

impl Default for Servant {
    fn default() -> Self {
        Self {
            notes: Mutex::default(),
            running: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
            dropped: AtomicUsize::new(0),
            changed: Notify::new(),
            barrier: tokio::sync::Barrier::new(2),
        }
    }
}

/// Counts a call while it runs.
struct Run<'a>(&'a Servant, bool);

impl Servant {
    fn run(&self) -> Run<'_> {
        let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(running, Ordering::SeqCst);
        self.changed.notify_waiters();
        Run(self, false)
    }

    /// Waits until `done` says so; fails after five seconds.
    pub(super) async fn until(&self, done: impl Fn(&Self) -> bool) {
        let wait = async {
            loop {
                let changed = self.changed.notified();
                let mut changed = std::pin::pin!(changed);
                changed.as_mut().enable();
                if done(self) {
                    return;
                }
                changed.await;
            }
        };
        tokio::time::timeout(Duration::from_secs(5), wait).await.expect("it comes to pass");
    }
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
        if !self.1 {
            self.0.dropped.fetch_add(1, Ordering::SeqCst);
        }
        self.0.changed.notify_waiters();
    }
}

#[remote]
impl Probe for Servant {
    async fn nothing(&self) -> Probed<()> {
        Ok(())
    }
    async fn echo(&self, bytes: Bytes) -> Probed<Bytes> {
        Ok(bytes)
    }
    async fn grow(&self, bytes: &[u8], by: u32) -> Probed<Vec<u8>> {
        Ok([bytes, &vec![1; by as usize]].concat())
    }
    async fn floats(&self, numbers: Vec<f64>) -> Probed<Vec<f64>> {
        Ok(numbers)
    }
    async fn integers(&self, numbers: (i64, u64, i128)) -> Probed<(i64, u64, i128)> {
        Ok(numbers)
    }
    async fn hang(&self) -> Probed<()> {
        let _run = self.run();
        std::future::pending().await
    }
    async fn wait(&self, millis: u64) -> Probed<()> {
        let mut run = self.run();
        tokio::time::sleep(Duration::from_millis(millis)).await;
        run.1 = true;
        Ok(())
    }
    async fn note(&self, number: u64) -> Probed<()> {
        self.notes.lock().unwrap().push(number);
        self.changed.notify_waiters();
        // Completion is not ordered; dispatch is.
        tokio::task::yield_now().await;
        Ok(())
    }
    async fn tell(&self, number: u64) -> Probed<()> {
        self.note(number).await
    }
    async fn bad(&self, what: &str, code: i32) -> Probed<()> {
        Err(ProbeError::Bad { what: what.to_owned(), code })
    }
    async fn refuse(&self, other: Proxy<dyn Probe>) -> Probed<()> {
        Err(ProbeError::AskAnother(other))
    }
    async fn panic(&self) -> Probed<()> {
        panic!("a secret of the servant's");
    }
    async fn take(&self, _: Proxy<dyn Probe>, _: Unwritable) -> Probed<()> {
        Ok(())
    }
    async fn give(&self) -> Probed<Unwritable> {
        Ok(Unwritable)
    }
    async fn relay(&self, other: Proxy<dyn Probe>, bytes: Bytes) -> Probed<Bytes> {
        other.echo(bytes).await
    }
    async fn relay_bad(&self, other: Proxy<dyn Probe>) -> Probed<()> {
        other.panic().await
    }
    async fn relay_hang(&self, other: Proxy<dyn Probe>) -> Probed<()> {
        let _run = self.run();
        other.hang().await
    }
    async fn ask(&self, object: AnyProxy, bytes: Bytes) -> Probed<Bytes> {
        Ok(object.invoke(Call::new(MethodId::of("conformance.Any", "any"), bytes)).await?.body)
    }
    async fn metadata(&self, key: &str) -> Probed<Option<String>> {
        let context = CallContext::current().expect("inside a call");
        Ok(context.metadata().find(key).map(str::to_owned))
    }
    async fn remaining_ms(&self) -> Probed<u64> {
        let left = CallContext::current().expect("inside a call").remaining();
        Ok(u64::try_from(left.as_millis()).unwrap())
    }
    async fn block(&self, millis: u64) -> Probed<()> {
        let _run = self.run();
        std::thread::sleep(Duration::from_millis(millis));
        Ok(())
    }
    async fn meet(&self) -> Probed<()> {
        self.barrier.wait().await;
        Ok(())
    }
}

/// A host with a probe, and a caller.
pub(super) struct Setting {
    pub(super) host: Node,
    pub(super) caller: Node,
    pub(super) servant: Arc<Servant>,
    pub(super) reference: ObjectRef,
    pub(super) probe: Proxy<dyn Probe>,
}

pub(super) async fn setting() -> Setting {
    setting_with(|builder| builder).await
}

/// A setting whose host is built with more than the defaults.
pub(super) async fn setting_with(host: impl FnOnce(rmi_core::NodeBuilder) -> rmi_core::NodeBuilder) -> Setting {
    let host = host(super::WAY.host()).start().await.unwrap();
    let caller = super::WAY.caller().start().await.unwrap();
    let servant = Arc::new(Servant::default());
    let reference = host.export(&Proxy::<dyn Probe>::from_arc(servant.clone())).unwrap();
    let probe = caller.proxy(&reference).unwrap();
    Setting { host, caller, servant, reference, probe }
}

/// A probe of this process.
pub(super) fn own_probe() -> (Arc<Servant>, Proxy<dyn Probe>) {
    let servant = Arc::new(Servant::default());
    (servant.clone(), Proxy::from_arc(servant))
}
