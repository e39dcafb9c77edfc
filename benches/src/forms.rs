//! Measures what structs cost by the names of their fields and by position: bytes, and the time to write and read one.

use std::future::ready;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rmi_core::{
    AnyProxy, Descriptor, Dispatch, Dispatched, Incoming, Interface, Proxy, RemoteError, Reply, Status, remote,
};
use serde::{Deserialize, Serialize};

/// The calls of one measurement, so few that it ends before another process gets the core, and how often it is made: the fastest
/// counts.
const CALLS: u32 = 500;
const TIMES: usize = 1000;

#[derive(Clone, Serialize, Deserialize)]
struct Point {
    x: f64,
    y: f64,
    label: String,
}

#[derive(Clone, Serialize, Deserialize)]
struct Order {
    id: u64,
    customer: u64,
    created: u64,
    updated: u64,
    status: u8,
    currency: String,
    amount: i64,
    discount: Option<i64>,
    tax: i64,
    shipping: i64,
    street: String,
    city: String,
    postcode: String,
    country: String,
    weight: f64,
    express: bool,
    gift: bool,
    note: Option<String>,
    tags: Vec<String>,
    revision: u32,
}

fn point() -> Point {
    Point { x: 1.5, y: -2.5, label: "corner".into() }
}

fn order() -> Order {
    Order {
        id: 4_711,
        customer: 90_210,
        created: 1_760_000_000_000,
        updated: 1_760_000_360_000,
        status: 3,
        currency: "EUR".into(),
        amount: 12_999,
        discount: None,
        tax: 2_075,
        shipping: 499,
        street: "Hauptstraße 12".into(),
        city: "Heidelberg".into(),
        postcode: "69117".into(),
        country: "DE".into(),
        weight: 1.25,
        express: false,
        gift: true,
        note: Some("ring twice".into()),
        tags: vec!["new".into(), "web".into()],
        revision: 7,
    }
}

macro_rules! forms {
    ($(#[remote($($attribute:tt)*)] $name:ident)*) => { $(
        #[remote($($attribute)*)]
        trait $name {
            async fn nothing(&self, nothing: ()) -> Result<(), RemoteError>;
            async fn point(&self, point: Point) -> Result<Point, RemoteError>;
            async fn order(&self, order: Order) -> Result<Order, RemoteError>;
        }

        impl Form for Proxy<dyn $name> {
            const NAME: &'static str = stringify!($name);

            fn over(mirror: Mirror) -> Self {
                let mirror = Mirror { descriptor: Some(<dyn $name as Interface>::descriptor()), ..mirror };
                AnyProxy::from_dispatch(mirror).cast().expect("the mirror says that it is one")
            }

            async fn nothing(&self) {
                black_box($name::nothing(self, ()).await).expect("the mirror answers");
            }

            async fn point(&self) {
                black_box($name::point(self, point()).await).expect("the mirror answers");
            }

            async fn order(&self) {
                black_box($name::order(self, order()).await).expect("the mirror answers");
            }
        }
    )* };
}

/// One form of structs, and the calls that are measured.
trait Form {
    const NAME: &'static str;
    fn over(mirror: Mirror) -> Self;
    async fn nothing(&self);
    async fn point(&self);
    async fn order(&self);
}

forms! {
    #[remote(name = "bench.ByName")] ByName
    #[remote(name = "bench.Compact", compact)] Compact
}

/// Answers with the bytes of the argument, and notes how many there were.
#[derive(Clone, Default)]
struct Mirror {
    descriptor: Option<&'static Descriptor>,
    bytes: Arc<AtomicUsize>,
}

impl Dispatch for Mirror {
    fn descriptor(&self) -> &'static Descriptor {
        self.descriptor.expect("it has an interface")
    }

    fn dispatch(&self, call: Incoming) -> Dispatched {
        // The argument stands behind the head of an array of one value.
        let value = call.body.slice(1..);
        self.bytes.store(value.len(), Ordering::Relaxed);
        Dispatched::Serve { future: Box::pin(ready(Ok(Reply::new(Status::Ok, value)))), spawn: false }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    println!("{:<8} {:>16} {:>16} {:>10} {:>10}", "form", "3 fields, bytes", "20 fields, bytes", "3, ns", "20, ns");
    measure::<Proxy<dyn ByName>>().await;
    measure::<Proxy<dyn Compact>>().await;
}

async fn measure<F: Form>() {
    let mirror = Mirror::default();
    let form = F::over(mirror.clone());
    let bytes = || mirror.bytes.load(Ordering::Relaxed);
    let empty = fastest(async || form.nothing().await).await;
    let three = fastest(async || form.point().await).await.saturating_sub(empty);
    let three_bytes = bytes();
    let twenty = fastest(async || form.order().await).await.saturating_sub(empty);
    let (name, twenty_bytes) = (F::NAME, bytes());
    println!("{name:<8} {three_bytes:>16} {twenty_bytes:>16} {:>10} {:>10}", three.as_nanos(), twenty.as_nanos());
}

/// The time of one call, when nothing else was in its way.
async fn fastest(call: impl AsyncFn()) -> Duration {
    let mut fastest = Duration::MAX;
    for _ in 0..TIMES {
        let begun = Instant::now();
        for _ in 0..CALLS {
            call().await;
        }
        fastest = fastest.min(begun.elapsed() / CALLS);
    }
    fastest
}
