//! Observers that unsubscribe by being dropped: one drops its subscription, one is killed.
//!
//! The program is the host, and starts itself twice more as observers.

use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use rmi_core::{Node, Proxy, RemoteError, remote};
use rmi_examples::process::{self, Outcome, Process};
use tokio::sync::mpsc;
use tokio::time::timeout;

#[remote]
trait Thermometer {
    /// Tells `observer` what is measured, as long as somebody refers to the subscription.
    async fn observe(&self, name: &str, observer: Proxy<dyn Observer>) -> Result<Proxy<dyn Subscription>, RemoteError>;
}

#[remote]
trait Observer {
    #[remote(oneway)]
    async fn measured(&self, degrees: i32) -> Result<(), RemoteError>;
}

#[remote]
trait Subscription {
    async fn name(&self) -> Result<String, RemoteError>;
}

/// The subscriptions belong to the observers: the thermometer only knows of them.
struct Station {
    subscriptions: Mutex<Vec<Weak<Subscribed>>>,
    ended: mpsc::UnboundedSender<String>,
}

/// Holds the observer, which does not hold this: two objects that held each other would never be dropped.
struct Subscribed {
    name: String,
    observer: Proxy<dyn Observer>,
    ended: mpsc::UnboundedSender<String>,
}

impl Drop for Subscribed {
    fn drop(&mut self) {
        // The host may be at its end.
        let _ = self.ended.send(std::mem::take(&mut self.name));
    }
}

impl Station {
    /// Tells everybody, and says how many that were.
    async fn measure(&self, degrees: i32) -> usize {
        let subscriptions = {
            let mut known = self.subscriptions.lock().unwrap_or_else(PoisonError::into_inner);
            known.retain(|subscription| subscription.strong_count() > 0);
            known.iter().filter_map(Weak::upgrade).collect::<Vec<_>>()
        };
        for subscription in &subscriptions {
            // An observer that is gone does not stop the thermometer.
            let _ = subscription.observer.measured(degrees).await;
        }
        subscriptions.len()
    }
}

#[remote]
impl Thermometer for Station {
    async fn observe(&self, name: &str, observer: Proxy<dyn Observer>) -> Result<Proxy<dyn Subscription>, RemoteError> {
        let subscription = Arc::new(Subscribed { name: name.to_owned(), observer, ended: self.ended.clone() });
        self.subscriptions.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(&subscription));
        Ok(Proxy::from_arc(subscription))
    }
}

#[remote]
impl Subscription for Subscribed {
    async fn name(&self) -> Result<String, RemoteError> {
        Ok(self.name.clone())
    }
}

struct Eye(mpsc::UnboundedSender<i32>);

#[remote]
impl Observer for Eye {
    async fn measured(&self, degrees: i32) -> Result<(), RemoteError> {
        // It may have seen enough.
        let _ = self.0.send(degrees);
        Ok(())
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    process::report(match arguments.as_slice() {
        [reference, name, enough] => process::child(observer(reference, name, enough)).await,
        _ => host().await,
    })
}

/// What an observer is: it subscribes, sees so many temperatures, and drops its subscription.
async fn observer(reference: &str, name: &str, enough: &str) -> Outcome {
    let node = Node::builder().start().await?;
    let thermometer: Proxy<dyn Thermometer> = node.proxy(&reference.parse()?)?;
    let (sender, mut seen) = mpsc::unbounded_channel();
    let subscription = thermometer.observe(name, Proxy::new(Eye(sender))).await?;
    println!("{} is subscribed", subscription.name().await?);
    for _ in 0..enough.parse()? {
        println!("{name} sees {} degrees", seen.recv().await.ok_or("the thermometer is gone")?);
    }
    drop(subscription);
    std::future::pending().await
}

async fn host() -> Outcome {
    let (sender, mut ended) = mpsc::unbounded_channel();
    let station = Arc::new(Station { subscriptions: Mutex::default(), ended: sender });
    let node = Node::builder().listen(process::unix_endpoint().as_str()).start().await?;
    let reference = node.export(&Proxy::<dyn Thermometer>::from_arc(station.clone()))?.to_string();
    let mut brief = Process::start(&[&reference, "brief", "1"]).await?;
    let mut keen = Process::start(&[&reference, "keen", "1000"]).await?;
    println!("{}\n{}", brief.line, keen.line);

    station.measure(21).await;
    println!("{}\n{}", brief.next_line().await?, keen.next_line().await?);
    println!("{} has dropped its subscription", next(&mut ended).await?);
    let told = station.measure(22).await;
    println!("{}, {told} observer was told", keen.next_line().await?);

    println!("kill -9 {}", keen.id());
    keen.kill().await?;
    let killed = Instant::now();
    println!("{} is not subscribed any more after {:.1?}", next(&mut ended).await?, killed.elapsed());
    println!("{} observers are left: one dropped its subscription, one was killed", station.measure(23).await);
    Ok(())
}

/// Whose subscription ends next; it takes no more than two seconds, even if its process was killed.
async fn next(ended: &mut mpsc::UnboundedReceiver<String>) -> Outcome<String> {
    Ok(timeout(Duration::from_secs(2), ended.recv()).await?.ok_or("the station is gone")?)
}
