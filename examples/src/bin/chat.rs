//! A chat room: it calls its members over the connections that they made, and knows by itself who is gone.
//!
//! The program is the room and two of its guests; a third one is a process of its own, and is killed.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rmi_core::{CallContext, Node, Proxy, RemoteError, remote};
use rmi_examples::process::{self, Outcome, Process};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::time::timeout;

#[derive(Debug, thiserror::Error, Serialize, Deserialize)]
enum ChatError {
    #[error("there is a {0} already")]
    Taken(String),
    #[error(transparent)]
    Remote(#[from] RemoteError),
}

#[remote]
trait Room {
    /// Lets `member` hear what the others say, until it is gone.
    async fn enter(&self, name: &str, member: Proxy<dyn Member>) -> Result<(), ChatError>;
    /// Tells all others, and says how many that are.
    async fn say(&self, name: &str, text: &str) -> Result<usize, ChatError>;
}

#[remote]
trait Member {
    #[remote(oneway)]
    async fn hear(&self, name: &str, text: &str) -> Result<(), RemoteError>;
}

#[derive(Clone, Default)]
struct Lobby(Arc<Mutex<BTreeMap<String, Proxy<dyn Member>>>>);

impl Lobby {
    fn members(&self) -> MutexGuard<'_, BTreeMap<String, Proxy<dyn Member>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn others(&self, name: &str) -> Vec<Proxy<dyn Member>> {
        self.members().iter().filter(|(other, _)| *other != name).map(|(_, member)| member.clone()).collect()
    }

    async fn tell(&self, name: &str, text: &str) -> usize {
        let others = self.others(name);
        for other in &others {
            // Who is just leaving does not hear it.
            let _ = other.hear(name, text).await;
        }
        others.len()
    }

    /// Shows a member out when it is gone: with its node, or with its process.
    async fn see_out(self, name: String, member: Proxy<dyn Member>) {
        member.closed().await;
        self.members().remove(&name);
        self.tell(&name, "(has left)").await;
    }
}

#[remote]
impl Room for Lobby {
    async fn enter(&self, name: &str, member: Proxy<dyn Member>) -> Result<(), ChatError> {
        if let Some(peer) = CallContext::current().and_then(|context| context.peer().cloned()) {
            println!("{name} enters over connection {}", peer.connection);
        }
        {
            let mut members = self.members();
            if members.contains_key(name) {
                return Err(ChatError::Taken(name.to_owned()));
            }
            members.insert(name.to_owned(), member.clone());
        }
        tokio::spawn(self.clone().see_out(name.to_owned(), member));
        Ok(())
    }

    async fn say(&self, name: &str, text: &str) -> Result<usize, ChatError> {
        Ok(self.tell(name, text).await)
    }
}

struct Ear(mpsc::UnboundedSender<String>);

#[remote]
impl Member for Ear {
    async fn hear(&self, name: &str, text: &str) -> Result<(), RemoteError> {
        // The guest may be about to go.
        let _ = self.0.send(format!("{name}: {text}"));
        Ok(())
    }
}

/// Somebody in the room. The node goes with it, so that dropping it is leaving.
struct Guest {
    name: String,
    room: Proxy<dyn Room>,
    heard: mpsc::UnboundedReceiver<String>,
    _node: Node,
}

impl Guest {
    async fn enter(reference: &str, name: &str) -> Outcome<Self> {
        // It listens nowhere: it is called back over its own connection.
        let node = Node::builder().start().await?;
        let room: Proxy<dyn Room> = node.proxy(&reference.parse()?)?;
        let (sender, heard) = mpsc::unbounded_channel();
        room.enter(name, Proxy::new(Ear(sender))).await?;
        Ok(Self { name: name.to_owned(), room, heard, _node: node })
    }

    async fn say(&self, text: &str) -> Outcome<usize> {
        Ok(self.room.say(&self.name, text).await?)
    }

    async fn hears(&mut self, expected: &str) -> Outcome {
        let heard = timeout(Duration::from_secs(2), self.heard.recv()).await?.ok_or("the room is gone")?;
        check(&self.name, &heard, expected)
    }
}

/// Says what a guest has heard, and checks that it is just that.
fn check(name: &str, heard: &str, expected: &str) -> Outcome {
    println!("  {name} hears {heard}");
    if heard == expected { Ok(()) } else { Err(format!("{name} should have heard {expected}").into()) }
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    process::report(match arguments.as_slice() {
        [reference, name] => process::child(listener(reference, name)).await,
        _ => chat().await,
    })
}

/// A guest that says good day, and repeats what it hears.
async fn listener(reference: &str, name: &str) -> Outcome {
    let mut guest = Guest::enter(reference, name).await?;
    println!("{}", guest.say("good day").await?);
    while let Some(text) = guest.heard.recv().await {
        println!("{text}");
    }
    Ok(())
}

async fn chat() -> Outcome {
    let host = Node::builder().listen(process::unix_endpoint().as_str()).start().await?;
    let reference = host.export(&Proxy::<dyn Room>::new(Lobby::default()))?.to_string();
    let mut ann = Guest::enter(&reference, "ann").await?;
    let mut cid = Guest::enter(&reference, "cid").await?;
    let mut bob = Process::start(&[&reference, "bob"]).await?;
    ann.hears("bob: good day").await?;
    cid.hears("bob: good day").await?;

    println!("ann is heard by {} others", ann.say("is anybody here?").await?);
    cid.hears("ann: is anybody here?").await?;
    check("bob", &bob.next_line().await?, "ann: is anybody here?")?;

    println!("cid is dropped");
    drop(cid);
    ann.hears("cid: (has left)").await?;
    check("bob", &bob.next_line().await?, "cid: (has left)")?;

    println!("kill -9 {}, which is bob", bob.id());
    bob.kill().await?;
    ann.hears("bob: (has left)").await?;
    println!("ann is heard by {} others, all have left the room", ann.say("good night").await?);
    Ok(())
}
