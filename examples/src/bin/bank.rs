//! Names, and errors with a type: a bank is bound in a registry, looked up, and says what is wrong.

use rmi_core::{CallOptions, Node, Proxy, Registry};
use rmi_examples::{Bank, BankError, Vault};
use rmi_registry::Running;
use rmi_registry::store::Memory;
use std::time::Duration;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // A program would use a registry that runs already: `rmi-registry`.
    let running = Running::start(&["tcp://127.0.0.1:0".parse()?], Memory).await?;
    let place = running.endpoints()[0].clone();

    let host = Node::builder().listen("tcp://127.0.0.1:0").start().await?;
    let names = Registry::connect(&host, &place).await?;
    let revision = names.bind("bank/main", &Proxy::<dyn Bank>::new(Vault::default())).await?;
    println!("bound bank/main with revision {revision}");

    let caller = Node::builder().start().await?;
    let bank: Proxy<dyn Bank> = Registry::connect(&caller, &place).await?.lookup("bank/main").await?;
    println!("alice has {} cents", bank.deposit("alice", 500).await?);
    match bank.withdraw("alice", 700).await {
        Err(BankError::Insufficient(cents)) => println!("alice is {cents} cents short"),
        other => println!("unexpected: {other:?}"),
    }
    let hurried = bank.with(CallOptions::new().timeout(Duration::from_millis(50)));
    if let Err(BankError::Remote(error)) = hurried.audit(10_000).await {
        println!("the audit: {error}");
    }
    host.shutdown().await;
    running.shutdown().await;
    println!("closed");
    Ok(())
}
