//! A caller in a process of its own: calls an echo so many times, some at once, and says how many answers it got.
//!
//! `caller REFERENCE COUNT`

use rmi_core::{ObjectRef, Proxy, RemoteError};
use rmi_tests::{Echo, Way};

/// The calls at once.
const TOGETHER: u32 = 8;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(reference), Some(count)) = (arguments.next(), arguments.next()) else {
        return Err("usage: caller REFERENCE COUNT".into());
    };
    let (reference, count): (ObjectRef, u32) = (reference.parse()?, count.parse()?);
    let node = Way::from_environment().caller().start().await?;
    let echo: Proxy<dyn Echo> = node.proxy(&reference)?;
    let callers: Vec<_> = (0..TOGETHER).map(|first| tokio::spawn(call(echo.clone(), first, count))).collect();
    let mut answered = 0;
    for caller in callers {
        answered += caller.await??;
    }
    println!("{answered} answered");
    drop(echo);
    node.shutdown().await;
    Ok(())
}

/// Calls with every number from `first` to `count` that is this caller's, one after the other.
async fn call(echo: Proxy<dyn Echo>, first: u32, count: u32) -> Result<u32, RemoteError> {
    let mut answered = 0;
    for number in (first..count).step_by(TOGETHER as usize) {
        let text = number.to_string();
        answered += u32::from(echo.echo(&text).await? == text);
    }
    Ok(answered)
}
