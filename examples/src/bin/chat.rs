//! Callbacks: a room calls its members, over the connections that they made.

use std::sync::{Mutex, PoisonError};

use rmi_core::{CallContext, Node, Proxy, RemoteError, remote};
use tokio::sync::mpsc;

#[remote]
trait Room {
    async fn enter(&self, name: &str, member: Proxy<dyn Member>) -> Result<(), RemoteError>;
    async fn say(&self, name: &str, text: &str) -> Result<usize, RemoteError>;
}

#[remote]
trait Member {
    #[remote(oneway)]
    async fn hear(&self, name: &str, text: &str) -> Result<(), RemoteError>;
}

#[derive(Default)]
struct Lobby(Mutex<Vec<Proxy<dyn Member>>>);

impl Lobby {
    fn members(&self) -> Vec<Proxy<dyn Member>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[remote]
impl Room for Lobby {
    async fn enter(&self, name: &str, member: Proxy<dyn Member>) -> Result<(), RemoteError> {
        if let Some(peer) = CallContext::current().and_then(|context| context.peer().cloned()) {
            println!("{name} enters over connection {}", peer.connection);
        }
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(member);
        Ok(())
    }

    async fn say(&self, name: &str, text: &str) -> Result<usize, RemoteError> {
        let members = self.members();
        for member in &members {
            // Who has left does not hear it.
            let _ = member.hear(name, text).await;
        }
        Ok(members.len())
    }
}

struct Ear(mpsc::UnboundedSender<String>);

#[remote]
impl Member for Ear {
    async fn hear(&self, name: &str, text: &str) -> Result<(), RemoteError> {
        // The program may be at its end.
        let _ = self.0.send(format!("{name}: {text}"));
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let host = Node::builder().listen("tcp://127.0.0.1:0").start().await?;
    let reference = host.export(&Proxy::<dyn Room>::new(Lobby::default()))?;
    let mut ears = Vec::new();
    let mut rooms = Vec::new();
    for name in ["ann", "bob"] {
        // The members listen nowhere: they are called back over their own connection.
        let node = Node::builder().start().await?;
        let room: Proxy<dyn Room> = node.proxy(&reference)?;
        let (sender, ear) = mpsc::unbounded_channel();
        room.enter(name, Proxy::new(Ear(sender))).await?;
        ears.push((name, ear));
        rooms.push((node, room));
    }
    let heard = rooms[0].1.say("ann", "is anybody here?").await?;
    for (name, ear) in &mut ears {
        println!("{name} hears: {}", ear.recv().await.ok_or("nothing was heard")?);
    }
    println!("{heard} members heard it");
    Ok(())
}
