//! What is left of objects and connections that are gone.

use std::time::{Duration, Instant};

use rmi_core::{Node, ObjectRef, Proxy};

use crate::figure::Figure;
use crate::stock::{Stock, TOGETHER};
use crate::{Host, Result, memory};

const OBJECTS: u32 = 1_000_000;
const CONNECTS: u32 = 100_000;
/// How many go first, so that every table and buffer has its size: a tenth.
const FIRST: u32 = 10;
/// How long a host may take to let go of the last ones.
const SOON: Duration = Duration::from_secs(5);

/// Objects made, sent, and let go.
pub(crate) async fn measure(part: u32) -> Result<Vec<Figure>> {
    let host = Host::start(None)?;
    let node = Node::builder().start().await?;
    let stock = node.proxy::<dyn Stock>(&host.child.address().parse()?)?;
    let count = OBJECTS / part;
    cycle(&stock, count / FIRST).await?;
    until_left(&stock, 1).await?;
    let before = memory::both(&host)?;
    let begun = Instant::now();
    cycle(&stock, count).await?;
    until_left(&stock, 1).await?;
    let per_s = f64::from(count) / begun.elapsed().as_secs_f64();
    let after = memory::both(&host)?;
    Ok(vec![
        Figure::new("references_per_s", per_s),
        Figure::new("cycles_memory_kib", memory::grown(before[0], after[0])?),
        Figure::new("cycles_memory_holder_kib", memory::grown(before[1], after[1])?),
    ])
}

async fn cycle(stock: &Proxy<dyn Stock>, count: u32) -> Result<()> {
    for _ in 0..count.div_ceil(TOGETHER) {
        drop(stock.make(TOGETHER).await?);
    }
    Ok(())
}

/// Connections made, used once, and closed.
pub(crate) async fn connects(part: u32) -> Result<Vec<Figure>> {
    let host = Host::start(None)?;
    let reference: ObjectRef = host.child.address().parse()?;
    let watcher = Node::builder().start().await?;
    let stock = watcher.proxy::<dyn Stock>(&reference)?;
    let count = CONNECTS / part;
    connect(&reference, count / FIRST).await?;
    until_left(&stock, 1).await?;
    let before = memory::both(&host)?;
    let begun = Instant::now();
    connect(&reference, count).await?;
    until_left(&stock, 1).await?;
    let per_s = f64::from(count) / begun.elapsed().as_secs_f64();
    let after = memory::both(&host)?;
    Ok(vec![
        Figure::new("connects_per_s", per_s),
        Figure::new("connects_memory_kib", memory::grown(before[0], after[0])?),
        Figure::new("connects_memory_holder_kib", memory::grown(before[1], after[1])?),
    ])
}

async fn connect(reference: &ObjectRef, count: u32) -> Result<()> {
    for _ in 0..count {
        let node = Node::builder().start().await?;
        let parts = node.proxy::<dyn Stock>(reference)?.make(1).await?;
        drop(parts);
        node.shutdown().await;
    }
    Ok(())
}

/// Waits until the host has nothing left but its stock, which is one object, and so many connections.
async fn until_left(stock: &Proxy<dyn Stock>, connections: u64) -> Result<()> {
    let begun = Instant::now();
    loop {
        let left = stock.left().await?;
        if left == (1, connections) {
            return Ok(());
        }
        if begun.elapsed() > SOON {
            return Err(format!("{} objects and {} connections are left after {SOON:?}", left.0, left.1).into());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
