//! Programs that a node starts, and the process that started this one: connections that nobody dialled.

use std::fmt;
use std::io;
use std::pin::pin;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use tokio::process::Child as Process;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::call::Target;
use crate::error::{ErrorKind, Executed, RemoteError};
use crate::id::ObjectId;
use crate::interface::Interface;
use crate::limits;
use crate::node::connection::Connection;
use crate::node::{Node, NodeError, accept, now};
use crate::object::Pin;
use crate::proto::code;
use crate::proxy::{AnyProxy, Proxy};
use crate::reference::ObjectRef;
use crate::transport::Channel;
use crate::transport::exec::{self, Program, Started};

/// How long what a process started may go on writing to our log after it has ended.
const LOG_GRACE: Duration = Duration::from_secs(1);
/// How long a process that did not greet may take to end by itself before it is killed.
const ENDING: Duration = Duration::from_millis(200);

/// A process that [`Node::spawn`] started, and its root object.
///
/// Dropping it lets the process go: the connection is closed with a goodbye, the pipes with it, and a process that has not
/// ended two seconds later is killed. It is reaped in any case. The proxies that came from it are of no use then.
pub struct Child<T: ?Sized> {
    proxy: Proxy<T>,
    life: Life,
}

impl<T: ?Sized + Interface> Child<T> {
    /// The child's root object.
    #[must_use]
    pub fn proxy(&self) -> &Proxy<T> {
        &self.proxy
    }

    /// The process id. It may be another process's when this one has ended.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.life.id
    }

    /// Waits until the process has ended, and gives its status as often as it is asked. Cancellation: nothing is lost.
    ///
    /// # Errors
    /// The runtime that looked after the process has ended.
    pub async fn wait(&self) -> io::Result<ExitStatus> {
        ended(self.life.ended.clone()).await
    }

    /// `kill -9`. Does not wait.
    pub fn kill(&self) {
        self.life.kill.send_replace(true);
    }

    /// Lets the process go, as a drop does, and waits until it has ended. Takes two seconds at most. Cancellation: it is let
    /// go nevertheless.
    ///
    /// # Errors
    /// The runtime that looked after the process has ended.
    pub async fn end(self) -> io::Result<ExitStatus> {
        let status = self.life.ended.clone();
        drop(self);
        ended(status).await
    }
}

impl<T: ?Sized> fmt::Debug for Child<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Child").field("id", &self.life.id).finish_non_exhaustive()
    }
}

/// Our hold of a process and of the connection to it.
struct Life {
    id: u32,
    kill: watch::Sender<bool>,
    ended: watch::Receiver<Option<ExitStatus>>,
    connection: Option<Arc<Connection>>,
}

impl Drop for Life {
    fn drop(&mut self) {
        match &self.connection {
            Some(connection) => connection.locked(|session| session.goodbye(code::DONE, "the child is let go")),
            // Nothing was agreed on with it.
            None => _ = self.kill.send_replace(true),
        }
    }
}

async fn ended(mut status: watch::Receiver<Option<ExitStatus>>) -> io::Result<ExitStatus> {
    let known = status.wait_for(Option::is_some).await.ok().and_then(|status| *status);
    known.ok_or_else(|| io::Error::other("the runtime that looked after the process has ended"))
}

/// Waits for the process to end, kills it when that is wished or when it does not go, and reaps it.
async fn live(mut process: Process, mut kill: watch::Receiver<bool>, ended: watch::Sender<Option<ExitStatus>>) {
    let told = async {
        // An error says that whoever could wish it has let the process go.
        if kill.wait_for(|kill| *kill).await.is_err() {
            tokio::time::sleep(limits::CHILD_GRACE).await;
        }
    };
    tokio::select! {
        // The status is asked for below, of a process that has ended already.
        _ = process.wait() => {}
        () = told => {
            // It fails when the process has just ended.
            let _ = process.start_kill();
        }
    }
    match process.wait().await {
        Ok(status) => _ = ended.send_replace(Some(status)),
        Err(error) => tracing::error!(%error, "cannot wait for a child"),
    }
}

impl Node {
    /// Starts a program that serves its parent, and gives its root object: `exec:./worker --flag`, `exec:ssh host worker`, or
    /// a `Command`. What the program writes to its standard output and error comes into the log, line by line. Whoever has a
    /// say in the text can run anything: it is not for text from a peer.
    ///
    /// Takes [`Limits::dial_timeout`](crate::Limits::dial_timeout) at most until the program greets, then as long as a
    /// connection and one call may. Cancellation: the process is killed.
    ///
    /// # Errors
    /// `Misuse`: the command line does not parse. `Unreachable`: the program cannot be started, ends, prints something that
    /// is no greeting, or takes too long; the process is killed then. `NoSuchInterface`: its root object is no `T`.
    pub async fn spawn<T: ?Sized + Interface>(
        &self,
        program: impl TryInto<Program, Error: Into<RemoteError>>,
    ) -> Result<Child<T>, RemoteError> {
        let program = program.try_into().map_err(Into::into)?;
        let name = program.name();
        let started = {
            let _entered = self.shared().runtime.enter();
            program.start()
        };
        let started = started.map_err(|error| unreachable(format!("cannot start {name}: {error}")))?;
        let (mut life, talk) = self.look_after(started);
        let greeted = tokio::select! {
            greeted = talk.greet(format!("exec:{name}")) => greeted.map_err(|error| error.to_string()),
            () = self.shared().sleep_until(now() + self.limits().dial_timeout) => {
                Err(format!("did not greet within {:?}", self.limits().dial_timeout))
            }
        };
        let (channel, root) = match greeted {
            Ok(greeted) => greeted,
            Err(text) => return Err(unreachable(format!("{name} {text}{}", self.how_it_ended(&life).await))),
        };
        let connection = self.open(channel).await.map_err(|text| unreachable(format!("{name} {text}")))?;
        life.connection = Some(connection.clone());
        let proxy = object::<T>(&connection, root)?.checked_cast().await?;
        Ok(Child { proxy, life })
    }

    /// Begins to wait for the process and to read what it prints.
    fn look_after(&self, started: Started) -> (Life, exec::Talk) {
        let Started { process, errors, log, talk } = started;
        let id = process.id().unwrap_or_default();
        let ((kill, wished), (tell, ended)) = (watch::channel(false), watch::channel(None));
        self.shared().runtime.spawn(async move {
            let (mut log, mut life) = (pin!(log.follow(errors)), pin!(live(process, wished, tell)));
            tokio::select! {
                // What it started may hold its standard error for ever.
                () = &mut life => {
                    let _ = timeout(LOG_GRACE, log).await;
                }
                () = &mut log => life.await,
            }
        });
        (Life { id, kill, ended, connection: None }, talk)
    }

    async fn open(&self, channel: Channel) -> Result<Arc<Connection>, String> {
        let connection = accept::take(self.shared(), channel);
        connection.until(|| connection.peer().is_some() || connection.is_over()).await;
        match connection.why_over() {
            Some(error) => Err(format!("greeted, and then there was no session: {}", error.message())),
            None => Ok(connection),
        }
    }

    /// A process that closed its pipes is about to end: that says more than the pipes.
    async fn how_it_ended(&self, life: &Life) -> String {
        tokio::select! {
            status = ended(life.ended.clone()) => status.map_or(String::new(), |status| format!("; it ended: {status}")),
            () = self.shared().sleep_until(now() + ENDING) => String::new(),
        }
    }

    /// Takes the pipes of this process, greets the parent with `root` and takes its calls.
    pub(super) async fn serve_parent(&self, root: &AnyProxy) -> Result<(), NodeError> {
        let reference = self.export_any(root, None, Pin::Exported)?;
        if reference.node != self.id() {
            let text = "the root object of a child is an object of its own";
            return Err(NodeError::Export(RemoteError::new(ErrorKind::Misuse, Executed::No, text)));
        }
        let time = self.limits().handshake_timeout;
        let silent = || io::Error::new(io::ErrorKind::TimedOut, format!("did not answer within {time:?}"));
        let greeted = timeout(time, exec::serve(reference.object)).await.unwrap_or_else(|_| Err(silent()));
        let connection = accept::take(self.shared(), greeted.map_err(NodeError::Parent)?);
        // A node is started once.
        let _ = self.0.parent.set(connection);
        Ok(())
    }

    /// Waits until the process that started this one is gone or has let it go: the program has nothing to live for then. For
    /// a node that serves no parent it waits for ever. Cancellation: nothing is lost.
    pub async fn parent_gone(&self) {
        match self.0.parent.get() {
            Some(connection) => connection.until(|| connection.is_over()).await,
            None => std::future::pending().await,
        }
    }
}

/// An object of the peer's.
fn object<T: ?Sized + Interface>(connection: &Arc<Connection>, object: ObjectId) -> Result<Proxy<T>, RemoteError> {
    let Some((peer, endpoints)) = connection.known() else { return Err(unreachable("the child has gone".into())) };
    let reference = ObjectRef::new(peer.node, object, vec![T::descriptor().name.into()], endpoints.clone());
    AnyProxy::new(Target::Remote(connection.route().object(reference)), None).cast()
}

fn unreachable(text: String) -> RemoteError {
    RemoteError::new(ErrorKind::Unreachable, Executed::No, text)
}
