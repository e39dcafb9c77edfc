//! Items in a stream: how fast they come, and what a slow reader leaves with its producer.

use std::time::{Duration, Instant};

use rmi_core::{Node, Proxy, Streaming};

use crate::figure::Figure;
use crate::stock::Stock;
use crate::{Host, Result, memory};

/// How many integers are streamed.
const ITEMS: u32 = 10_000_000;
/// How many come first, so that every buffer has its size: a tenth.
const FIRST: u32 = 10;
/// How often memory is looked at.
const LOOK: u32 = 100_000;
/// How many a reader takes that takes one in so long.
const SLOW_ITEMS: u32 = 5000;
const SLOW: Duration = Duration::from_millis(1);

pub(crate) async fn measure(part: u32) -> Result<Vec<Figure>> {
    let host = Host::start(None)?;
    let node = Node::builder().start().await?;
    let stock = node.proxy::<dyn Stock>(&host.child.address().parse()?)?;
    let count = ITEMS / part;
    read(&host, &mut stock.numbers(count / FIRST).await?, count / FIRST).await?;
    let before = memory::both(&host)?;
    let begun = Instant::now();
    let most = read(&host, &mut stock.numbers(count).await?, count).await?;
    let per_s = f64::from(count) / begun.elapsed().as_secs_f64();
    let mut figures = vec![
        Figure::new("stream_items_per_s", per_s),
        Figure::new("stream_memory_kib", memory::grown(before[0], most[0])?),
        Figure::new("stream_memory_reader_kib", memory::grown(before[1], most[1])?),
    ];
    figures.extend(slowly(&host, &stock, SLOW_ITEMS / part).await?);
    Ok(figures)
}

/// Reads the whole stream, which must be right; the most memory that the host and this process had meanwhile.
async fn read(host: &Host, numbers: &mut Streaming<u64>, count: u32) -> Result<[i64; 2]> {
    let mut most = [0; 2];
    for due in 0..count {
        if due % LOOK == 0 {
            let now = memory::both(host)?;
            most = [most[0].max(now[0]), most[1].max(now[1])];
        }
        let number = numbers.next().await.ok_or("the stream ended early")??;
        if number != u64::from(due) {
            return Err(format!("{number} came where {due} was due").into());
        }
    }
    if numbers.next().await.is_some() { Err("the stream has no end".into()) } else { Ok(most) }
}

/// A reader of one item in so long, and a producer that has many more.
async fn slowly(host: &Host, stock: &Proxy<dyn Stock>, count: u32) -> Result<[Figure; 2]> {
    let mut numbers = stock.numbers(ITEMS).await?;
    let (mut before, mut most, mut ahead) = (None, 0, 0);
    for read in 1..=u64::from(count) {
        numbers.next().await.ok_or("the stream ended early")??;
        ahead = ahead.max(stock.made().await? - read);
        let now = memory::both(host)?[0];
        before.get_or_insert(now);
        most = most.max(now);
        tokio::time::sleep(SLOW).await;
    }
    Ok([
        Figure::new("stream_slow_ahead_items", ahead.to_string().parse()?),
        Figure::new("stream_slow_memory_kib", memory::grown(before.unwrap_or(most), most)?),
    ])
}
