//! A holder in a process of its own, to be killed: takes so many references from a factory, says so, and ends with its input.
//!
//! `holder REFERENCE COUNT`

use rmi_core::{ObjectRef, Proxy};
use rmi_tests::{Factory, Product, Way};
use tokio::io::AsyncReadExt;

/// What is asked for at once.
const TOGETHER: u32 = 1000;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(reference), Some(count)) = (arguments.next(), arguments.next()) else {
        return Err("usage: holder REFERENCE COUNT".into());
    };
    let (reference, mut left): (ObjectRef, u32) = (reference.parse()?, count.parse()?);
    let node = Way::from_environment().caller().start().await?;
    let factory: Proxy<dyn Factory> = node.proxy(&reference)?;
    let mut held: Vec<Proxy<dyn Product>> = Vec::new();
    while left > 0 {
        let some = factory.make(left.min(TOGETHER)).await?;
        left -= left.min(TOGETHER);
        held.extend(some);
    }
    println!("holding {}", held.len());
    tokio::io::stdin().read_to_end(&mut Vec::new()).await?;
    Ok(())
}
