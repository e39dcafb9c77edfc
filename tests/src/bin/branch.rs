//! A program with an `Account` of its own, in a module of its own: another build of the trait that `names` in the tests has.
//!
//! - `branch`: serves its parent with an account.
//! - `branch bind REGISTRY NAME`: binds one, says so, and serves it until it is killed.

use rmi_core::{Node, Proxy, Registry, RemoteError};

mod counter {
    use rmi_core::{Proxy, RemoteError, remote};

    #[remote]
    pub(super) trait Account {
        async fn owner(&self) -> Result<String, RemoteError>;
        async fn deposit(&self, cents: u64) -> Result<String, RemoteError>;
        async fn withdraw(&self, cents: u64, memo: Option<String>) -> Result<String, RemoteError>;
        async fn transfer(&self, to: String, cents: u64) -> Result<String, RemoteError>;
        async fn freeze(&self) -> Result<(), RemoteError>;
        /// Calls another account, and says how each call ended.
        async fn visit(&self, other: Proxy<dyn Account>) -> Result<Vec<String>, RemoteError>;
    }
}

use counter::Account;

struct Counter;

#[rmi_core::remote]
impl Account for Counter {
    async fn owner(&self) -> Result<String, RemoteError> {
        Ok("the branch".into())
    }
    async fn deposit(&self, cents: u64) -> Result<String, RemoteError> {
        Ok(format!("{cents} in"))
    }
    async fn withdraw(&self, cents: u64, memo: Option<String>) -> Result<String, RemoteError> {
        Ok(format!("{cents} out, {memo:?}"))
    }
    async fn transfer(&self, to: String, cents: u64) -> Result<String, RemoteError> {
        Ok(format!("{cents} to {to}"))
    }
    async fn freeze(&self) -> Result<(), RemoteError> {
        Ok(())
    }
    async fn visit(&self, other: Proxy<dyn Account>) -> Result<Vec<String>, RemoteError> {
        let said = |result: Result<String, RemoteError>| result.unwrap_or_else(|error| error.message().to_owned());
        Ok(vec![
            said(other.owner().await),
            said(other.deposit(5).await),
            said(other.withdraw(7, Some("rent".into())).await),
            said(other.transfer("bob".into(), 9).await),
            said(other.freeze().await.map(|()| "frozen".into())),
        ])
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let account = Proxy::<dyn Account>::new(Counter);
    match &arguments[..] {
        [] => Node::builder().serve_parent(&account).start().await?.parent_gone().await,
        [verb, registry, name] if verb == "bind" => {
            let node = Node::builder().listen("tcp://127.0.0.1:0").start().await?;
            let registry = Registry::connect(&node, registry.as_str()).await?;
            registry.bind(name.as_str(), &account).await?;
            println!("bound");
            std::future::pending().await
        }
        _ => return Err("usage: branch [bind REGISTRY NAME]".into()),
    }
    Ok(())
}
