//! The promises about execution, under connections that break at random bytes.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use rmi_core::transport::{Memory, Tcp, Transport};
use rmi_core::{ErrorKind, Executed, Node, ObjectRef, Proxy, RemoteError, remote};
use rmi_tests::{Faulty, Plan};

#[remote]
trait Ledger {
    /// Remembers the number; nobody sends one twice.
    async fn enter(&self, number: u64, padding: &[u8]) -> Result<u64, RemoteError>;
}

#[derive(Default)]
struct Book {
    entered: Mutex<HashSet<u64>>,
    twice: AtomicU64,
}

#[remote]
impl Ledger for Book {
    async fn enter(&self, number: u64, padding: &[u8]) -> Result<u64, RemoteError> {
        if !self.entered.lock().unwrap().insert(number) {
            self.twice.fetch_add(1, Ordering::Relaxed);
        }
        if number.is_multiple_of(7) {
            tokio::task::yield_now().await;
        }
        Ok(number + padding.len() as u64)
    }
}

/// What callers were told.
#[derive(Default)]
struct Told {
    ok: Vec<u64>,
    no: Vec<u64>,
    yes: Vec<u64>,
    maybe: Vec<u64>,
}

impl Told {
    fn note(&mut self, number: u64, result: Result<u64, RemoteError>) {
        match result {
            Ok(_) => self.ok.push(number),
            // The host keeps the object, and its caller comes back.
            Err(error) if error.kind() == ErrorKind::Gone => panic!("call {number}: {error}"),
            Err(error) => match error.executed() {
                Executed::No => self.no.push(number),
                Executed::Yes => self.yes.push(number),
                Executed::Maybe => self.maybe.push(number),
            },
        }
    }
}

const CALLS: u64 = 100_000;
const CALLERS: u64 = 32;

async fn caller(ledger: Proxy<dyn Ledger>, numbers: impl Iterator<Item = u64>) -> Told {
    let mut told = Told::default();
    let large = vec![7; 200_000];
    for number in numbers {
        // Now and then a body that is cut into pieces.
        let padding =
            if number.is_multiple_of(500) { &large[..] } else { &large[..usize::try_from(number % 90).unwrap()] };
        told.note(number, ledger.enter(number, padding).await);
    }
    told
}

async fn promises_hold(seed: u64, inner: Arc<dyn Transport>, endpoint: &str) {
    let plan = Arc::new(Plan::new(seed).cut_after_written(1..=120_000).cut_after_read(1..=120_000));
    let transport: Arc<dyn Transport> = Arc::new(Faulty::new(inner, plan.clone()));
    let host = Node::builder().transport(transport.clone()).listen(endpoint).start().await.unwrap();
    let node = Node::builder().transport(transport).start().await.unwrap();
    let book = Arc::new(Book::default());
    let reference: ObjectRef = host.export(&Proxy::<dyn Ledger>::from_arc(book.clone())).unwrap();
    let tasks: Vec<_> = (0..CALLERS)
        .map(|task| {
            let ledger: Proxy<dyn Ledger> = node.proxy(&reference).unwrap();
            tokio::spawn(caller(ledger, (0..CALLS).filter(move |number| number % CALLERS == task)))
        })
        .collect();
    let mut told = Told::default();
    for task in tasks {
        let part = task.await.unwrap();
        told.ok.extend(part.ok);
        told.no.extend(part.no);
        told.yes.extend(part.yes);
        told.maybe.extend(part.maybe);
    }
    node.shutdown().await;
    host.shutdown().await;
    let entered = book.entered.lock().unwrap();
    assert_eq!(book.twice.load(Ordering::Relaxed), 0, "seed {seed}: a call ran twice");
    for number in &told.no {
        assert!(!entered.contains(number), "seed {seed}: call {number} ran, and its caller was told No");
    }
    for number in told.ok.iter().chain(&told.yes) {
        assert!(entered.contains(number), "seed {seed}: call {number} did not run, and its caller was told it had");
    }
    let sum = told.ok.len() + told.no.len() + told.yes.len() + told.maybe.len();
    assert_eq!(sum as u64, CALLS);
    let (cuts, ok) = (plan.cuts(), told.ok.len() as u64);
    assert!(cuts > 50, "seed {seed}: only {cuts} cuts");
    let (no, maybe, yes) = (told.no.len(), told.maybe.len(), told.yes.len());
    println!("seed {seed}: {cuts} cuts: {ok} ok, {no} no, {maybe} maybe, {yes} yes");
    assert!(!told.maybe.is_empty() && ok > CALLS / 2, "seed {seed}: {ok} calls of {CALLS} succeeded");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_runs_twice_and_no_answer_about_it_is_wrong_over_tcp() {
    promises_hold(1, Arc::new(Tcp), "tcp://127.0.0.1:0").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_runs_twice_and_no_answer_about_it_is_wrong_over_memory() {
    promises_hold(2, Arc::new(Memory::new()), "mem:ledger").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_under_load_shows_callers_no_error() {
    let object = rmi_core::ObjectId::random();
    let start = async |place: rmi_core::Endpoint, book: Arc<Book>| {
        let begun = std::time::Instant::now();
        loop {
            let servant = Proxy::<dyn Ledger>::from_arc(book.clone());
            match Node::builder().listen(&place).export_at(object, &servant).start().await {
                Ok(host) => return host,
                // The one before has not let go of the place yet.
                Err(error) => assert!(begun.elapsed().as_secs() < 5, "{error}"),
            }
            tokio::task::yield_now().await;
        }
    };
    let book = Arc::new(Book::default());
    let mut host = start("tcp://127.0.0.1:0".parse().unwrap(), book.clone()).await;
    let place = host.endpoints()[0].clone();
    let node = Node::builder().start().await.unwrap();
    let over = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let callers: Vec<_> = (0..4u64)
        .map(|caller| {
            let (ledger, over) = (node.at::<dyn Ledger>(&place, object), over.clone());
            tokio::spawn(async move {
                let mut made = 0;
                while !over.load(Ordering::Relaxed) {
                    ledger.enter(made * 4 + caller, b"").await.unwrap();
                    made += 1;
                }
                made
            })
        })
        .collect();
    for _ in 0..10 {
        let before = book.entered.lock().unwrap().len();
        while book.entered.lock().unwrap().len() < before + 500 {
            tokio::task::yield_now().await;
        }
        let ending = tokio::spawn(async move { host.shutdown().await });
        // Objects are exported to nodes, not to places: each host has one of its own, on the same book.
        host = start(place.clone(), book.clone()).await;
        ending.await.unwrap();
    }
    over.store(true, Ordering::Relaxed);
    let mut made = 0;
    for caller in callers {
        made += caller.await.expect("no caller saw an error");
    }
    assert_eq!(book.entered.lock().unwrap().len() as u64, made);
    assert_eq!(book.twice.load(Ordering::Relaxed), 0);
}
