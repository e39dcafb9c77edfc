//! A live stream of prices: a reader that is slow skips what is old, and the exchange never waits for it.

use std::sync::{Arc, Mutex, PoisonError};

use rmi_core::streaming::Policy;
use rmi_core::{Node, Proxy, RemoteError, StreamSender, Streaming, remote};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Price {
    number: u32,
    cents: u64,
}

#[remote]
trait Exchange {
    /// Every price from now on. Who reads too slowly misses some: the newest are kept.
    async fn prices(&self) -> Result<Streaming<Price>, RemoteError>;
}

/// How many prices wait for a slow reader.
const KEPT: usize = 4;

#[derive(Default)]
struct Floor(Mutex<Vec<StreamSender<Price>>>);

impl Floor {
    /// Tells every reader a price; with this policy that never waits.
    async fn quote(&self, price: Price) {
        let senders = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let mut staying = Vec::new();
        for sender in senders {
            // A reader that has dropped its stream is taken off the list.
            if sender.send(price.clone()).await.is_ok() {
                staying.push(sender);
            }
        }
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(staying);
    }

    /// The day is over: dropping the senders finishes the streams.
    fn close(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

#[remote]
impl Exchange for Floor {
    async fn prices(&self) -> Result<Streaming<Price>, RemoteError> {
        let (sender, prices) = Streaming::channel(KEPT, Policy::DropOldest);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(sender);
        Ok(prices)
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let floor = Arc::new(Floor::default());
    let host = Node::builder().listen("tcp://127.0.0.1:0").start().await?;
    let reference = host.export(&Proxy::<dyn Exchange>::from_arc(floor.clone()))?;

    let caller = Node::builder().start().await?;
    let exchange: Proxy<dyn Exchange> = caller.proxy(&reference)?;
    // No more than two prices may be under way.
    let mut prices = exchange.prices().await?.window(2, 1024);

    // The reader takes the first price, and is busy while a thousand more are quoted.
    floor.quote(Price { number: 1, cents: 10_001 }).await;
    let first = prices.next().await.ok_or("no price came")??;
    println!("price {}: {} cents", first.number, first.cents);
    for number in 2..=1000 {
        floor.quote(Price { number, cents: 10_000 + u64::from(number) }).await;
    }
    floor.close();

    let (mut last, mut read) = (first.number, 1);
    while let Some(price) = prices.next().await {
        let price = price?;
        println!("price {}: {} cents", price.number, price.cents);
        (last, read) = (price.number, read + 1);
    }
    let few = read <= 2 + 2 + KEPT;
    println!("the slow reader read {} of 1000 prices, the last one was {last}", if few { "few" } else { "many" });
    Ok(())
}
