//! A second implementation, in Python, which was written from `docs/protocol.md` alone, speaks to a host and a registry of this
//! one: `tests/second/peer.py`.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use rmi_core::naming::Tags;
use rmi_core::streaming::Policy;
use rmi_core::{Bytes, Node, Proxy, Registry, RemoteError, Streaming, remote};
use rmi_registry::Running;
use rmi_registry::store::Memory;
use serde::{Deserialize, Serialize};
use tokio::process::Command;
use tokio::sync::Notify;

#[derive(Debug, Serialize, Deserialize)]
struct Note {
    title: String,
    size: Option<u32>,
    data: Vec<u8>,
    due: Duration,
    kind: Kind,
}

#[derive(Debug, Serialize, Deserialize)]
enum Kind {
    Urgent(u8),
    Idle,
}

#[derive(Debug, thiserror::Error, Serialize, Deserialize)]
enum DeskError {
    #[error("refused: {why}")]
    Refused { why: String },
    #[error(transparent)]
    Remote(#[from] RemoteError),
}

#[remote(name = "second.Listener")]
trait Listener {
    async fn heard(&self, text: &str) -> Result<u32, RemoteError>;
}

#[remote(name = "second.Drawer")]
trait Drawer {
    async fn put(&self, thing: &str) -> Result<u32, RemoteError>;
    async fn things(&self) -> Result<u32, RemoteError>;
}

#[remote(name = "second.Desk")]
trait Desk {
    async fn keep(&self, note: Note) -> Result<Note, DeskError>;
    async fn refuse(&self, why: String) -> Result<(), DeskError>;
    async fn echo(&self, bytes: Bytes) -> Result<Bytes, DeskError>;
    async fn tell(&self, listener: Proxy<dyn Listener>, text: &str) -> Result<u32, DeskError>;
    async fn how_many(&self, listeners: Vec<Proxy<dyn Listener>>) -> Result<usize, DeskError>;
    async fn give_back(&self, listener: Proxy<dyn Listener>) -> Result<Proxy<dyn Listener>, RemoteError>;
    async fn drawer(&self) -> Result<Proxy<dyn Drawer>, RemoteError>;
    async fn drawers(&self) -> Result<usize, DeskError>;
    async fn look_into(&self, drawer: Proxy<dyn Drawer>) -> Result<u32, DeskError>;
    async fn count(&self, to: u64) -> Result<Streaming<u64>, DeskError>;
    async fn sum(&self, numbers: Streaming<u64>) -> Result<u64, DeskError>;
    #[remote(oneway)]
    async fn ring(&self) -> Result<(), DeskError>;
}

/// The servant; counts the drawers that live.
#[derive(Default)]
struct Table {
    drawers: Arc<AtomicUsize>,
    rung: Arc<Notify>,
}

#[remote]
impl Desk for Table {
    async fn keep(&self, note: Note) -> Result<Note, DeskError> {
        Ok(note)
    }

    async fn refuse(&self, why: String) -> Result<(), DeskError> {
        Err(DeskError::Refused { why })
    }

    async fn echo(&self, bytes: Bytes) -> Result<Bytes, DeskError> {
        Ok(bytes)
    }

    async fn tell(&self, listener: Proxy<dyn Listener>, text: &str) -> Result<u32, DeskError> {
        Ok(listener.heard(text).await?)
    }

    async fn how_many(&self, listeners: Vec<Proxy<dyn Listener>>) -> Result<usize, DeskError> {
        Ok(listeners.len())
    }

    async fn give_back(&self, listener: Proxy<dyn Listener>) -> Result<Proxy<dyn Listener>, RemoteError> {
        Ok(listener)
    }

    async fn drawer(&self) -> Result<Proxy<dyn Drawer>, RemoteError> {
        self.drawers.fetch_add(1, Ordering::SeqCst);
        Ok(Proxy::new(Oak { things: AtomicU32::new(0), drawers: self.drawers.clone() }))
    }

    async fn drawers(&self) -> Result<usize, DeskError> {
        Ok(self.drawers.load(Ordering::SeqCst))
    }

    async fn look_into(&self, drawer: Proxy<dyn Drawer>) -> Result<u32, DeskError> {
        Ok(drawer.things().await?)
    }

    async fn count(&self, to: u64) -> Result<Streaming<u64>, DeskError> {
        let (sender, numbers) = Streaming::channel(16, Policy::Block);
        tokio::spawn(async move {
            for number in 0..to {
                sender.send(number).await?;
            }
            Ok::<_, RemoteError>(())
        });
        Ok(numbers)
    }

    async fn sum(&self, mut numbers: Streaming<u64>) -> Result<u64, DeskError> {
        let mut sum = 0;
        while let Some(number) = numbers.next().await {
            sum += number?;
        }
        Ok(sum)
    }

    async fn ring(&self) -> Result<(), DeskError> {
        self.rung.notify_one();
        Ok(())
    }
}

/// A drawer.
struct Oak {
    things: AtomicU32,
    drawers: Arc<AtomicUsize>,
}

#[remote]
impl Drawer for Oak {
    async fn put(&self, _: &str) -> Result<u32, RemoteError> {
        Ok(self.things.fetch_add(1, Ordering::SeqCst) + 1)
    }

    async fn things(&self) -> Result<u32, RemoteError> {
        Ok(self.things.load(Ordering::SeqCst))
    }
}

impl Drop for Oak {
    fn drop(&mut self) {
        self.drawers.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Runs the peer, which ends well when everything was as the page says.
async fn peer(registry: &str) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("second/peer.py");
    let ended = Command::new("python3").arg("-B").arg(script).arg(registry).kill_on_drop(true).output();
    let ended = tokio::time::timeout(Duration::from_secs(60), ended).await.expect("the peer ends").unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_implementation_calls_is_called_holds_looks_up_and_streams() {
    let running = Running::start(&["tcp://127.0.0.1:0".parse().unwrap()], Memory).await.unwrap();
    let place = running.endpoints()[0].clone();
    let host = Node::builder().listen("tcp://127.0.0.1:0").start().await.unwrap();
    let desk = Arc::new(Table::default());
    let registry = Registry::connect(&host, &place).await.unwrap();
    let tags = Tags::from([("floor".into(), "3".into())]);
    registry.bind_with("second/desk", &Proxy::<dyn Desk>::from_arc(desk.clone()), tags).await.unwrap();
    peer(place.as_str()).await;
    let rung = tokio::time::timeout(Duration::from_secs(5), desk.rung.notified()).await;
    assert!(rung.is_ok(), "the oneway call before the goodbye was delivered");
    assert_eq!(desk.drawers.load(Ordering::SeqCst), 0, "nothing is held any more");
    host.shutdown().await;
    running.shutdown().await;
}
