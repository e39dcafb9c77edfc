//! What the caller does, step by step.

use std::error::Error;
use std::time::{Duration, Instant};

use rmi_core::{CallOptions, Node, Proxy, Registry, RemoteError, remote};
use rmi_examples::process::{Outcome, Process};
use rmi_examples::{Bank, BankError, Observer, Subscription};
use tokio::sync::mpsc;

use crate::LEASE;

/// Numbers the steps and times them.
struct Steps {
    number: u32,
    begun: Instant,
}

impl Steps {
    fn done(&mut self, text: impl std::fmt::Display) {
        self.number += 1;
        println!("{:>2}. {text}  [{:.1?}]", self.number, self.begun.elapsed());
        self.begun = Instant::now();
    }
}

pub(crate) async fn tour() -> Outcome {
    let mut steps = Steps { number: 0, begun: Instant::now() };
    let registry = Process::start(&["registry", "--memory", "--listen", "tcp://127.0.0.1:0"]).await?;
    let place = registry.line.strip_prefix("listening on ").ok_or("the registry says nothing")?.to_owned();
    steps.done(format!("a registry runs as process {}, at {place}", registry.id()));
    let host = Process::start(&["host", &place]).await?;
    steps.done(format!("a host runs as process {}: its bank is {}", host.id(), host.line));

    let node = Node::builder().start().await?;
    let names = Registry::connect(&node, &*place).await?;
    let bank: Proxy<dyn Bank> = names.lookup("bank/main").await?;
    steps.done("this process looked up bank/main and has a proxy, with its interface checked");

    calls(&mut steps, &bank).await?;
    callback(&mut steps, &bank).await?;
    lease(&mut steps, &place, &bank).await?;
    stream(&mut steps, &bank).await?;
    limits_of_patience(&mut steps, &bank).await?;
    let host = death_and_return(&mut steps, host, &place, &names, bank).await?;

    node.shutdown().await;
    host.kill().await?;
    registry.kill().await?;
    steps.done("every process that was started has ended");
    Ok(())
}

async fn calls(steps: &mut Steps, bank: &Proxy<dyn Bank>) -> Outcome {
    let balance = bank.deposit("alice", 500).await?;
    steps.done(format!("deposit(\"alice\", 500) ran in the host: the balance is {balance}; this first call dialled"));
    let balance = bank.balance("alice").await?;
    steps.done(format!("balance(\"alice\") is {balance}, over the same connection"));
    match bank.withdraw("alice", 700).await {
        Err(BankError::Insufficient(cents)) => {
            steps.done(format!("withdraw(\"alice\", 700) returned the bank's own error: {cents} cents short"));
            Ok(())
        }
        other => Err(format!("expected insufficient funds, not {other:?}").into()),
    }
}

struct Teller(mpsc::UnboundedSender<(String, u64)>);

#[remote]
impl Observer for Teller {
    async fn changed(&self, account: &str, cents: u64) -> Result<(), RemoteError> {
        // Nobody listens any more once the tour is over.
        let _ = self.0.send((account.to_owned(), cents));
        Ok(())
    }
}

async fn callback(steps: &mut Steps, bank: &Proxy<dyn Bank>) -> Outcome {
    let (sender, mut changes) = mpsc::unbounded_channel();
    let subscription = bank.watch(Proxy::new(Teller(sender))).await?;
    bank.deposit("alice", 1).await?;
    let (account, cents) = changes.recv().await.ok_or("no callback came")?;
    steps.done(format!("the host called an object of this process: {account} has {cents} cents now"));
    drop(subscription);
    // The subscription held the teller, and that was all that held it.
    if tokio::time::timeout(LEASE, changes.recv()).await?.is_some() {
        return Err("the teller should have been dropped".into());
    }
    steps.done(
        "the last proxy to the subscription was dropped: the host dropped its object, and this process the teller",
    );
    Ok(())
}

/// Another caller: it watches the bank until it is killed.
pub(crate) async fn watcher(registry: &str) -> Outcome {
    let node = Node::builder().start().await?;
    let bank: Proxy<dyn Bank> = Registry::connect(&node, registry).await?.lookup("bank/main").await?;
    let (sender, _changes) = mpsc::unbounded_channel();
    let subscription = bank.watch(Proxy::new(Teller(sender))).await?;
    println!("watching, {} changes so far", subscription.told().await?);
    std::future::pending().await
}

async fn lease(steps: &mut Steps, place: &str, bank: &Proxy<dyn Bank>) -> Outcome {
    let watcher = Process::start(&["watcher", place]).await?;
    let id = watcher.id();
    if bank.watched().await? != 1 {
        return Err("the bank should be watched".into());
    }
    steps.done(format!("process {id} has a subscription, too, and says: {}", watcher.line));
    watcher.kill().await?;
    let killed = Instant::now();
    while bank.watched().await? > 0 {
        if killed.elapsed() > 2 * LEASE {
            return Err("the subscription outlived its lease".into());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    steps.done(format!("it was killed, and its lease of {LEASE:?} is over: the host dropped the subscription"));
    Ok(())
}

/// More than any reader wants to wait for.
const PAGES: u64 = 1_000_000;
/// How many pages may be under way to the reader.
const WINDOW: u32 = 4;

async fn stream(steps: &mut Steps, bank: &Proxy<dyn Bank>) -> Outcome {
    let mut statement = bank.statement(PAGES).await?.window(WINDOW, 1024);
    for _ in 0..3 {
        statement.next().await.ok_or("the statement is too short")??;
    }
    let printed = bank.printed().await?;
    // Beside those that were read and those under way, one may be queued and one be in the printer's hand.
    if printed > 3 + u64::from(WINDOW) + 3 {
        return Err(format!("{printed} pages were printed for a reader of 3").into());
    }
    steps.done(format!(
        "of a stream of {PAGES} pages 3 were read; the host printed {printed}, and waits for the reader"
    ));
    Ok(())
}

async fn limits_of_patience(steps: &mut Steps, bank: &Proxy<dyn Bank>) -> Outcome {
    let hurried = bank.with(CallOptions::new().timeout(Duration::from_millis(50)));
    let error = remote_error(hurried.audit(10_000).await)?;
    steps.done(format!("a call with 50 ms that needs 10 s failed: {error}"));
    let before = bank.given_up().await?;
    let dropped = tokio::time::timeout(Duration::from_millis(50), bank.audit(10_000)).await;
    if dropped.is_ok() {
        return Err("the audit should have been dropped".into());
    }
    while bank.given_up().await? == before {
        tokio::task::yield_now().await;
    }
    steps.done("a call was dropped in the middle, and the host stopped working on it");
    Ok(())
}

async fn death_and_return(
    steps: &mut Steps,
    host: Process,
    place: &str,
    names: &Registry,
    bank: Proxy<dyn Bank>,
) -> Result<Process, Box<dyn Error>> {
    let id = host.id();
    let (result, killed) = tokio::join!(bank.audit(10_000), async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        host.kill().await
    });
    killed?;
    let error = remote_error(result)?;
    steps.done(format!("process {id} was killed during a call, and the caller knows what it can know: {error}"));
    let error = remote_error(bank.deposit("alice", 1).await.map(drop))?;
    steps.done(format!("a call to the dead host fails: {error}"));
    let host = Process::start(&["host", place]).await?;
    steps.done(format!("the host is back as process {}: its bank is {}", host.id(), host.line));
    let bank: Proxy<dyn Bank> = names.lookup("bank/main").await?;
    let balance = bank.deposit("alice", 5).await?;
    steps.done(format!("a fresh lookup leads to it; its vault was in memory, so alice has {balance} cents"));
    Ok(host)
}

fn remote_error(result: Result<(), BankError>) -> Result<RemoteError, Box<dyn Error>> {
    match result {
        Err(BankError::Remote(error)) => Ok(error),
        other => Err(format!("expected a call that fails, not {other:?}").into()),
    }
}
