//! A host of a tally in a process of its own: prints the reference and ends with its input.
//!
//! `slate LISTEN [ADVERTISED]`

use rmi_core::Proxy;
use rmi_tests::{Broker, Slate, Tally};
use tokio::io::AsyncReadExt;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut node = Broker::node().listen(arguments.next().ok_or("usage: slate LISTEN [ADVERTISED]")?);
    if let Some(advertised) = arguments.next() {
        node = node.advertise(advertised);
    }
    let node = node.start().await?;
    println!("{}", node.export(&Proxy::<dyn Tally>::new(Slate::default()))?);
    tokio::io::stdin().read_to_end(&mut Vec::new()).await?;
    node.shutdown().await;
    Ok(())
}
