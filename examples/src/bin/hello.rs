//! The smallest thing: an object in one node, called from another.

use rmi_core::{Node, Proxy, RemoteError, remote};

#[remote]
trait Greeter {
    async fn greet(&self, name: &str) -> Result<String, RemoteError>;
}

struct Polite;

#[remote]
impl Greeter for Polite {
    async fn greet(&self, name: &str) -> Result<String, RemoteError> {
        Ok(format!("Good day, {name}."))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let host = Node::builder().listen("tcp://127.0.0.1:0").start().await?;
    let reference = host.export(&Proxy::<dyn Greeter>::new(Polite))?;
    println!("{reference}");

    let caller = Node::builder().start().await?;
    let greeter: Proxy<dyn Greeter> = caller.proxy(&reference.to_string().parse()?)?;
    println!("{}", greeter.greet("world").await?);
    host.shutdown().await;
    Ok(())
}
