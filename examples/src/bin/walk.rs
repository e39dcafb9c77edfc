//! Pipelining: a walk down a tree of directories, each an object of its own, in one round trip.

use std::time::Duration;

use rmi_core::{Endpoint, Node, Proxy, RemoteError, remote};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::Instant;

#[remote]
trait Directory {
    async fn open(&self, name: &str) -> Result<Proxy<dyn Directory>, WalkError>;
    async fn read(&self) -> Result<String, WalkError>;
}

#[derive(Debug, Error, Serialize, Deserialize)]
enum WalkError {
    #[error("there is no {0}")]
    Missing(String),
    #[error(transparent)]
    Remote(#[from] RemoteError),
}

/// A directory of a tree that is as deep as one walks.
struct Branch(String);

#[remote]
impl Directory for Branch {
    async fn open(&self, name: &str) -> Result<Proxy<dyn Directory>, WalkError> {
        if name == "nowhere" {
            return Err(WalkError::Missing(name.to_owned()));
        }
        Ok(Proxy::new(Self(format!("{}/{name}", self.0))))
    }

    async fn read(&self) -> Result<String, WalkError> {
        Ok(self.0.clone())
    }
}

/// The time that a byte takes each way.
const DELAY: Duration = Duration::from_millis(20);

/// Carries bytes from one side to the other, each as much later.
async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf) -> std::io::Result<()> {
    let (sender, mut under_way) = mpsc::channel::<(Instant, Vec<u8>)>(1024);
    let arrive = tokio::spawn(async move {
        while let Some((due, bytes)) = under_way.recv().await {
            tokio::time::sleep_until(due).await;
            to.write_all(&bytes).await?;
        }
        std::io::Result::Ok(())
    });
    loop {
        let mut bytes = Vec::with_capacity(4096);
        if from.read_buf(&mut bytes).await? == 0 || sender.send((Instant::now() + DELAY, bytes)).await.is_err() {
            break;
        }
    }
    drop(sender);
    arrive.await.unwrap_or(Ok(()))
}

/// A place whose connections lead to `host`, over a long way.
async fn far_away(host: &Endpoint) -> Result<Endpoint, Box<dyn std::error::Error>> {
    let (listener, host) = (TcpListener::bind("127.0.0.1:0").await?, host.address().to_owned());
    let place = format!("tcp://{}", listener.local_addr()?).parse()?;
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            let Ok(far) = TcpStream::connect(&host).await else { return };
            let ((near_reads, near_writes), (far_reads, far_writes)) = (near.into_split(), far.into_split());
            tokio::spawn(carry(near_reads, far_writes));
            tokio::spawn(carry(far_reads, near_writes));
        }
    });
    Ok(place)
}

/// Opens one directory after the other and reads the last.
async fn walk(from: &Proxy<dyn Directory>, path: &[&str]) -> Result<(String, Duration), WalkError> {
    let (begun, mut at) = (Instant::now(), from.clone());
    for name in path {
        at = at.open(name).await?;
    }
    Ok((at.read().await?, begun.elapsed()))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let host = Node::builder().listen("tcp://127.0.0.1:0").start().await?;
    let id = host.export(&Proxy::<dyn Directory>::new(Branch(String::new())))?.object;
    let caller = Node::builder().start().await?;
    let root: Proxy<dyn Directory> = caller.at(&far_away(&host.endpoints()[0]).await?, id);
    root.read().await?;

    let path = ["usr", "share", "doc", "rmi"];
    let (found, step_by_step) = walk(&root, &path).await?;
    println!("{found} step by step: {step_by_step:.0?}");
    // The same walk: on a pipelined proxy `open` returns at once, with a promise.
    let (found, pipelined) = walk(&root.pipelined(), &path).await?;
    println!("{found} pipelined: {pipelined:.0?}");
    if let Err(error) = walk(&root.pipelined(), &["usr", "nowhere", "rmi"]).await {
        println!("a step that fails: {error}");
    }
    let trips = if pipelined * 2 < step_by_step { "one round trip" } else { "several round trips" };
    println!("{} calls took {trips}", path.len() + 1);
    Ok(())
}
