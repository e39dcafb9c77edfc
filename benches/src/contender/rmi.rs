//! This framework: one object, called through its proxy.

use bytes::Bytes;
use rmi_core::{Child, Node, ObjectRef, Proxy, RemoteError, remote};
use rmi_tests::Way;
use tokio::process::Command;

use crate::Result;
use crate::contender::Caller;

#[remote]
pub(super) trait Bench {
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

pub(super) async fn serve(way: &Way, endpoint: &str) -> Result<()> {
    let node = way.caller().listen(endpoint).start().await?;
    crate::child::announce(&node.export(&Proxy::<dyn Bench>::new(Echo))?.to_string());
    std::future::pending().await
}

pub(super) async fn serve_parent() -> Result<()> {
    let node = Node::builder().serve_parent(&Proxy::<dyn Bench>::new(Echo)).start().await?;
    node.parent_gone().await;
    Ok(())
}

/// The node lives as long as its callers.
pub(super) struct Rmi {
    node: Node,
    bench: Proxy<dyn Bench>,
}

pub(super) async fn connect(way: &Way, address: &str) -> Result<Rmi> {
    let node = way.caller().start().await?;
    let reference: ObjectRef = address.parse()?;
    let bench = node.proxy::<dyn Bench>(&reference)?;
    Ok(Rmi { node, bench })
}

pub(super) async fn start(program: Command) -> Result<(Rmi, Child<dyn Bench>)> {
    let node = Node::builder().start().await?;
    let child = node.spawn::<dyn Bench>(program).await?;
    Ok((Rmi { node, bench: child.proxy().clone() }, child))
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
