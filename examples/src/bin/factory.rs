//! A factory whose objects die with their last client: two processes share a document, one leaves, one is killed.
//!
//! The program is the host, and starts itself twice more as clients. It says why each object is alive.

use std::collections::HashMap;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rmi_core::{Node, Proxy, RemoteError, WeakProxy, remote};
use rmi_examples::process::{self, Outcome, Process};
use tokio::sync::mpsc;
use tokio::time::timeout;

#[remote]
trait Office {
    /// The document with this title, the same for all, made for the first who asks.
    async fn open(&self, title: &str) -> Result<Proxy<dyn Document>, RemoteError>;
}

#[remote]
trait Document {
    /// Appends a word and returns all of them.
    async fn write(&self, word: &str) -> Result<Vec<String>, RemoteError>;
}

/// Finds a document as long as a client has it, and keeps none alive.
struct Shelves {
    documents: Mutex<HashMap<String, WeakProxy<dyn Document>>>,
    closed: mpsc::UnboundedSender<Vec<String>>,
}

#[remote]
impl Office for Shelves {
    async fn open(&self, title: &str) -> Result<Proxy<dyn Document>, RemoteError> {
        let mut documents = self.documents.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(document) = documents.get(title).and_then(WeakProxy::upgrade) {
            return Ok(document);
        }
        documents.retain(|_, document| document.upgrade().is_some());
        let document: Proxy<dyn Document> = Proxy::new(Sheet { words: Mutex::default(), closed: self.closed.clone() });
        documents.insert(title.to_owned(), document.downgrade());
        Ok(document)
    }
}

struct Sheet {
    words: Mutex<Vec<String>>,
    closed: mpsc::UnboundedSender<Vec<String>>,
}

#[remote]
impl Document for Sheet {
    async fn write(&self, word: &str) -> Result<Vec<String>, RemoteError> {
        let mut words = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        words.push(word.to_owned());
        Ok(words.clone())
    }
}

/// A document could be saved here.
impl Drop for Sheet {
    fn drop(&mut self) {
        let words = std::mem::take(self.words.get_mut().unwrap_or_else(PoisonError::into_inner));
        // The host may be at its end.
        let _ = self.closed.send(words);
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    process::report(match arguments.as_slice() {
        [reference, name] => client(reference, name).await,
        _ => host().await,
    })
}

/// What a client is: it writes into a document, and has it until it is asked to end.
async fn client(reference: &str, name: &str) -> Outcome {
    let node = Node::builder().start().await?;
    let office: Proxy<dyn Office> = node.proxy(&reference.parse()?)?;
    let plan = office.open("plan").await?;
    println!("{name} has a document with the words {:?}", plan.write(name).await?);
    process::parent_is_gone().await;
    // With a goodbye the host need not wait for a lease.
    node.shutdown().await;
    Ok(())
}

async fn host() -> Outcome {
    let (closing, mut closed) = mpsc::unbounded_channel();
    let (leaving, mut left) = mpsc::unbounded_channel();
    let node = Node::builder()
        .listen(process::unix_endpoint().as_str())
        .on_disconnect(move |_, clean| {
            // Nobody asks any more when the host is at its end.
            let _ = leaving.send(clean);
        })
        .start()
        .await?;
    let office = Proxy::<dyn Office>::new(Shelves { documents: Mutex::default(), closed: closing });
    let reference = node.export(&office)?.to_string();
    let ann = Process::start(&[&reference, "ann"]).await?;
    let bob = Process::start(&[&reference, "bob"]).await?;
    println!("{}\n{}", ann.line, bob.line);
    say_why(&node, 2)?;

    ann.end().await?;
    if left.recv().await != Some(true) {
        return Err("ann should have said goodbye".into());
    }
    println!("ann has left, and said goodbye");
    say_why(&node, 1)?;

    println!("kill -9 {}", bob.id());
    bob.kill().await?;
    let killed = Instant::now();
    let words = timeout(Duration::from_secs(2), closed.recv()).await?.ok_or("the office is gone")?;
    println!("the document with the words {words:?} was dropped after {:.1?}", killed.elapsed());
    say_why(&node, 0)?;
    println!("the document lived as long as its last client");
    Ok(())
}

/// Prints why each object is alive, and checks how many clients hold a document.
fn say_why(node: &Node, clients: usize) -> Outcome {
    let mut holders = 0;
    for object in node.objects() {
        println!("  {}", object.interfaces.join(", "));
        for hold in &object.holds {
            println!("    {hold}");
        }
        if object.interfaces.iter().any(|name| name == "Document") {
            holders += object.holds.len();
        }
    }
    if holders != clients {
        return Err(format!("the document is held by {holders} clients instead of {clients}").into());
    }
    Ok(())
}
