//! Calls that depend on each other, where every byte takes its time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rmi_core::transport::Memory;
use rmi_core::{Node, Proxy, RemoteError, remote};

use crate::Result;
use crate::delayed::Delayed;
use crate::figure::Figure;

/// How long a byte takes in one direction.
const DELAY: Duration = Duration::from_millis(20);
/// How many calls depend on each other, the last one included.
const CALLS: u32 = 5;

#[remote]
trait Folder {
    /// The folder inside this one.
    async fn open(&self) -> Result<Proxy<dyn Folder>, RemoteError>;
    async fn depth(&self) -> Result<u32, RemoteError>;
}

struct Nested(u32);

#[remote]
impl Folder for Nested {
    async fn open(&self) -> Result<Proxy<dyn Folder>, RemoteError> {
        Ok(Proxy::<dyn Folder>::new(Self(self.0 + 1)))
    }

    async fn depth(&self) -> Result<u32, RemoteError> {
        Ok(self.0)
    }
}

pub(crate) async fn measure() -> Result<Vec<Figure>> {
    let memory = Arc::new(Memory::new());
    let host = Node::builder().transport(memory.clone()).listen("mem:folders").start().await?;
    let caller = Node::builder().transport(Arc::new(Delayed::new(memory, DELAY))).start().await?;
    let root: Proxy<dyn Folder> = caller.proxy(&host.export(&Proxy::<dyn Folder>::new(Nested(1)))?)?;
    // The connection is there before time is taken.
    root.depth().await?;
    let sequential = took(chain(root.clone())).await?;
    let pipelined = took(chain(root.pipelined())).await?;
    Ok(vec![Figure::new("sequential_chain_of_5_ms", sequential), Figure::new("pipelined_chain_of_5_ms", pipelined)])
}

/// The milliseconds that a chain took, which must have come to its last folder.
async fn took(chain: impl Future<Output = Result<u32>>) -> Result<f64> {
    let begun = Instant::now();
    let depth = chain.await?;
    let took = begun.elapsed();
    if depth == CALLS { Ok(took.as_secs_f64() * 1e3) } else { Err(format!("the chain ended at {depth}").into()) }
}

/// Goes down to the last folder: one round trip for each, or one in all when every call is sent before the first answer.
async fn chain(mut folder: Proxy<dyn Folder>) -> Result<u32> {
    for _ in 1..CALLS {
        folder = folder.open().await?;
    }
    Ok(folder.depth().await?)
}
