//! What many live references take, and what keeps them alive.

use std::sync::Arc;
use std::time::Duration;

use rmi_core::transport::Unix;
use rmi_core::{Node, ObjectRef, Proxy};

use crate::counted::{Counted, Frames};
use crate::figure::Figure;
use crate::stock::{Part, Stock, TOGETHER};
use crate::{Host, Result, memory};

const SESSIONS: u32 = 100;
const OBJECTS: u32 = 1_000_000;
/// The lease while renewals are counted, and the one that they are converted to.
const LEASE: Duration = Duration::from_secs(6);
const LEASE_USUAL: Duration = Duration::from_secs(60);
/// How many leases the count goes on.
const LEASES: u32 = 2;

/// A session and what it holds.
struct Holder {
    stock: Proxy<dyn Stock>,
    held: Vec<Proxy<dyn Part>>,
    _node: Node,
}

impl Holder {
    async fn connect(reference: &ObjectRef, frames: &Arc<Frames>) -> Result<Self> {
        let transport = Arc::new(Counted::new(Arc::new(Unix), frames.clone()));
        let node = Node::builder().transport(transport).start().await?;
        let stock = node.proxy::<dyn Stock>(reference)?;
        // What a session takes once, it has after this.
        drop(stock.make(TOGETHER).await?);
        Ok(Self { stock, held: Vec::new(), _node: node })
    }

    async fn hold(&mut self, mut count: u32) -> Result<()> {
        self.held.reserve_exact(usize::try_from(count)?);
        while count > 0 {
            let some = count.min(TOGETHER);
            self.held.extend(self.stock.make(some).await?);
            count -= some;
        }
        Ok(())
    }
}

pub(crate) async fn measure(part: u32) -> Result<Vec<Figure>> {
    let host = Host::start(Some(LEASE))?;
    let (reference, frames) = (host.child.address().parse()?, Arc::<Frames>::default());
    let mut holders = Vec::new();
    for _ in 0..SESSIONS {
        holders.push(Holder::connect(&reference, &frames).await?);
    }
    let before = memory::both(&host)?;
    for holder in &mut holders {
        holder.hold(OBJECTS / part / SESSIONS).await?;
    }
    let after = memory::both(&host)?;
    let [all, renewals] = frames.passed();
    let time = LEASE * LEASES;
    tokio::time::sleep(time).await;
    let [all, renewals] = [frames.passed()[0] - all, frames.passed()[1] - renewals];
    // Nothing was let go meanwhile.
    let first = holders.first().and_then(|holder| holder.held.first()).ok_or("nothing is held")?;
    first.touch().await?;
    let per_object = |before: i64, after: i64| exact(after - before) * 1024.0 / f64::from(OBJECTS / part);
    let usual = LEASE.as_secs_f64() / LEASE_USUAL.as_secs_f64();
    let per_s = |frames: u64| i64::try_from(frames).map(|frames| exact(frames) / time.as_secs_f64() * usual);
    Ok(vec![
        Figure::new("bytes_per_object", per_object(before[0], after[0])),
        Figure::new("bytes_per_reference", per_object(before[1], after[1])),
        Figure::new("renewal_frames_per_s", per_s(renewals)?),
        Figure::new("idle_frames_per_s", per_s(all)?),
    ])
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
fn exact(number: i64) -> f64 {
    number as f64
}
