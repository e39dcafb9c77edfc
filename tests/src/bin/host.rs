//! A host in a process of its own, for tests that measure, attack or kill one: prints its object's reference and ends with
//! its input. `host exercise` has an object with more to do.

use rmi_core::Proxy;
use rmi_tests::{Echo, Exercise, Gymnast, Repeater, Way};
use tokio::io::AsyncReadExt;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let node = Way::from_environment().host().start().await?;
    let reference = match std::env::args().nth(1).as_deref() {
        Some("exercise") => node.export(&Proxy::<dyn Exercise>::new(Gymnast::default()))?,
        _ => node.export(&Proxy::<dyn Echo>::new(Repeater))?,
    };
    println!("{reference}");
    let mut rest = Vec::new();
    tokio::io::stdin().read_to_end(&mut rest).await?;
    node.shutdown().await;
    // What an attack may have left would show here.
    if node.connections() == 0 { Ok(()) } else { Err("connections are left".into()) }
}
