//! A host whose shared memory hostile processes rewrite, with an honest one beside them.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rmi_core::transport::{Channel, Shm, Transport};
use rmi_core::{CallOptions, Endpoint, Node, ObjectRef, Proxy};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::{Result, left_behind, nothing_more_than, start};
use crate::{Echo, Repeater};

/// How long anything that an honest process asks for may take meanwhile.
const SOON: Duration = Duration::from_secs(5);

/// What the attack came to.
#[derive(Debug, Default)]
struct Ends {
    /// How many channels came to an end.
    count: u64,
    /// Ends that are none a channel may have.
    wrong: Vec<String>,
}

/// Lets hostile processes (`program hostile PATH`) attack a node and a bare echo for a while, and an honest one (`program caller
/// REFERENCE`) call the node. Says what happened.
///
/// # Errors
/// A call failed or took too long, a channel ended in a way that has no name, something was left behind.
pub async fn attack(program: &Path, time: Duration) -> Result<String> {
    let before = left_behind()?;
    let said = attacked(program, time).await?;
    nothing_more_than(&before).await?;
    Ok(said)
}

async fn attacked(program: &Path, time: Duration) -> Result<String> {
    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name).display().to_string();
    let ends = Arc::new(Mutex::new(Ends::default()));
    let bare = tokio::spawn(echo_all(format!("shm:{}", path("bare")).parse()?, ends.clone()));
    let node = Node::builder().listen(format!("shm:{}", path("node"))).start().await?;
    let reference = node.export(&Proxy::<dyn Echo>::new(Repeater))?.to_string();
    let mut caller = start(program, &["caller", &reference])?;
    let mut hostile = vec![start(program, &["hostile", &path("node")])?];
    until_listening(Path::new(&path("bare"))).await;
    hostile.push(start(program, &["hostile", &path("bare")])?);

    tokio::time::sleep(time).await;

    for peer in &mut hostile {
        if let Some(status) = peer.try_wait()? {
            return Err(format!("a hostile peer gave up: {status}").into());
        }
    }
    call_anew(&reference).await?;
    for mut peer in hostile {
        peer.kill().await?;
    }
    drop(caller.stdin.take());
    let caller = timeout(SOON, caller.wait_with_output()).await??;
    let calls: u64 = String::from_utf8_lossy(&caller.stdout).trim().parse()?;
    if !caller.status.success() || calls < 10 {
        return Err(format!("the honest peer ended with {} after {calls} calls", caller.status).into());
    }
    call_anew(&reference).await?;
    timeout(SOON, node.shutdown()).await?;
    bare.abort();
    let _ = bare.await;
    let ends = ends.lock().map_err(|_| "a channel panicked")?;
    if ends.count < 3 || !ends.wrong.is_empty() {
        return Err(format!("{} channels ended, some wrongly: {:?}", ends.count, ends.wrong).into());
    }
    Ok(format!("{calls} honest calls, {} hostile channels ended as they should", ends.count))
}

async fn until_listening(path: &Path) {
    while !path.exists() {
        tokio::task::yield_now().await;
    }
}

async fn call_anew(reference: &str) -> Result<()> {
    let node = Node::builder().start().await?;
    let echo: Proxy<dyn Echo> = node.proxy(&reference.parse::<ObjectRef>()?)?;
    timeout(SOON, echo.echo("still there?")).await??;
    timeout(SOON, node.shutdown()).await?;
    Ok(())
}

/// Takes every channel and writes back what it reads.
async fn echo_all(place: Endpoint, ends: Arc<Mutex<Ends>>) -> Result<()> {
    let mut listener = Shm::new().listen(&place).await?;
    let mut channels = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                channels.spawn(echo(accepted?));
            }
            Some(end) = channels.join_next() => {
                let mut ends = ends.lock().map_err(|_| "a channel panicked")?;
                ends.count += 1;
                match end {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) if is_typed(&error) => {}
                    other => ends.wrong.push(format!("{other:?}")),
                }
            }
        }
    }
}

async fn echo(mut channel: Channel) -> io::Result<()> {
    let mut bytes = vec![0; 16 * 1024];
    loop {
        let count = channel.stream.read(&mut bytes).await?;
        if count == 0 {
            return Ok(());
        }
        channel.stream.write_all(&bytes[..count]).await?;
    }
}

/// The peer broke the rules, or is gone.
fn is_typed(error: &io::Error) -> bool {
    let broke = error.kind() == io::ErrorKind::InvalidData && error.to_string().starts_with("the peer's cursor ");
    broke || error.kind() == io::ErrorKind::BrokenPipe
}

/// The honest peer: calls until its input ends and prints how often.
///
/// # Errors
/// A call failed or took too long.
pub async fn call_until_input_ends(reference: &str) -> Result<()> {
    let node = Node::builder().start().await?;
    let echo: Proxy<dyn Echo> = node.proxy(&reference.parse::<ObjectRef>()?)?;
    let echo = echo.with(CallOptions::new().timeout(SOON));
    let mut input = tokio::spawn(async { tokio::io::stdin().read_to_end(&mut Vec::new()).await });
    for calls in 0u64.. {
        if input.is_finished() {
            println!("{calls}");
            break;
        }
        let text = format!("{calls} {}", "x".repeat(usize::try_from(calls % 5000)?));
        if echo.echo(&text).await? != text {
            return Err("another text came back".into());
        }
    }
    (&mut input).await??;
    node.shutdown().await;
    Ok(())
}
