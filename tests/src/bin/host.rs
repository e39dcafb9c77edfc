//! A host in a process of its own, for tests that measure or attack one: prints its object's reference and ends with its
//! input.

use rmi_core::{Node, Proxy};
use rmi_tests::{Echo, Repeater};
use tokio::io::AsyncReadExt;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let node = Node::builder().listen("tcp://127.0.0.1:0").start().await?;
    println!("{}", node.export(&Proxy::<dyn Echo>::new(Repeater))?);
    let mut rest = Vec::new();
    tokio::io::stdin().read_to_end(&mut rest).await?;
    node.shutdown().await;
    // What an attack may have left would show here.
    if node.connections() == 0 { Ok(()) } else { Err("connections are left".into()) }
}
