//! This framework: one object, called through its proxy.

use bytes::Bytes;
use rmi_core::{Node, ObjectRef, Proxy, RemoteError, remote};

use crate::Result;
use crate::contender::Caller;

#[remote]
trait Bench {
    async fn add(&self, a: i64, b: i64) -> std::result::Result<i64, RemoteError>;
    async fn echo(&self, bytes: Bytes) -> std::result::Result<Bytes, RemoteError>;
}

struct Echo;

#[remote]
impl Bench for Echo {
    async fn add(&self, a: i64, b: i64) -> std::result::Result<i64, RemoteError> {
        Ok(a.wrapping_add(b))
    }

    async fn echo(&self, bytes: Bytes) -> std::result::Result<Bytes, RemoteError> {
        Ok(bytes)
    }
}

pub(super) async fn serve(endpoint: &str) -> Result<()> {
    let node = Node::builder().listen(endpoint).start().await?;
    crate::child::announce(&node.export(&Proxy::<dyn Bench>::new(Echo))?.to_string());
    std::future::pending().await
}

/// The node lives as long as its callers.
pub(super) struct Rmi {
    node: Node,
    bench: Proxy<dyn Bench>,
}

pub(super) async fn connect(address: &str) -> Result<Rmi> {
    let node = Node::builder().start().await?;
    let reference: ObjectRef = address.parse()?;
    let bench = node.proxy::<dyn Bench>(&reference)?;
    Ok(Rmi { node, bench })
}

impl Caller for Rmi {
    async fn add(&mut self, a: i64, b: i64) -> Result<i64> {
        Ok(self.bench.add(a, b).await?)
    }

    async fn echo(&mut self, bytes: &Bytes) -> Result<usize> {
        Ok(self.bench.echo(bytes.clone()).await?.len())
    }

    fn fork(&self) -> Option<Self> {
        Some(Self { node: self.node.clone(), bench: self.bench.clone() })
    }
}
