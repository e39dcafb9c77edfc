//! Processes for the tests of channels between processes.
//!
//! - `worker serve [SOCKET]`: serves its parent, and holds a connection to the Unix socket until it dies.
//! - `worker late`: prints before it serves its parent.
//! - `worker deaf`: serves its parent and does not end when that is gone.
//! - `worker parent SOCKET`: the parent of a `serve SOCKET`, until it is killed.
//! - `worker noise LINES`: the parent of a child that prints so many lines; its own standard error is the log.
//! - `worker listen ENDPOINT`: a host there, until it is killed; says so. A host that cannot listen says why and fails.
//! - `worker write ENDPOINT BYTES`: makes a channel to there and writes so many bytes into it; says so, and waits to be killed.
//! - `worker count`: starts, ends and kills children, and prints what is left of descriptors and processes.

use std::error::Error;
use std::fs;

use rmi_core::{Endpoint, Node, Proxy, transport};
use rmi_tests::{Desk, Echo, Repeater, Worker};
use tokio::io::AsyncWriteExt;

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["serve"] => serve().await?.parent_gone().await,
        ["serve", socket] => {
            let _held = std::os::unix::net::UnixStream::connect(socket)?;
            serve().await?.parent_gone().await;
        }
        ["late"] => {
            println!("welcome\nto this host");
            serve().await?.parent_gone().await;
        }
        ["deaf"] => {
            let _node = serve().await?;
            std::future::pending().await
        }
        ["parent", socket] => {
            let node = Node::builder().start().await?;
            let _child = node.spawn::<dyn Worker>(format!("exec:{} serve {socket}", own()?)).await?;
            std::future::pending().await
        }
        ["noise", lines] => noise(lines.parse()?).await?,
        ["count"] => count().await?,
        ["listen", endpoint] => {
            let repeater = Proxy::<dyn Echo>::new(Repeater);
            let _node = Node::builder().listen(endpoint).export_at(Repeater::KNOWN, &repeater).start().await?;
            println!("listening");
            std::future::pending().await
        }
        ["write", endpoint, bytes] => {
            let endpoint: Endpoint = endpoint.parse()?;
            let transports = transport::defaults();
            let transport = transports.iter().find(|one| one.scheme() == endpoint.scheme()).ok_or("a transport")?;
            let mut channel = transport.dial(&endpoint).await?;
            channel.stream.write_all(&vec![7; bytes.parse()?]).await?;
            channel.stream.flush().await?;
            println!("written");
            std::future::pending().await
        }
        _ => return Err("usage: see the source".into()),
    }
    Ok(())
}

async fn serve() -> Outcome<Node> {
    Ok(Node::builder().serve_parent(&Proxy::<dyn Worker>::new(Desk)).start().await?)
}

fn own() -> Outcome<String> {
    Ok(std::env::current_exe()?.to_str().ok_or("a path that is text")?.to_owned())
}

async fn noise(lines: u32) -> Outcome {
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).init();
    let node = Node::builder().start().await?;
    let child = node.spawn::<dyn Worker>(format!("exec:{} late", own()?)).await?;
    child.proxy().print(lines).await?;
    let bytes = vec![7; 1 << 20].into();
    if child.proxy().echo(bytes).await?.len() != 1 << 20 {
        return Err("the noise got among the frames".into());
    }
    child.end().await?;
    // The log has what the child printed when its process is gone; what is still in the pipe is read meanwhile.
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    Ok(())
}

async fn count() -> Outcome {
    let node = Node::builder().start().await?;
    let descriptors = || fs::read_dir("/proc/self/fd").map(Iterator::count);
    let mut ids = Vec::new();
    let mut before = 0;
    for round in 0..6 {
        let child = node.spawn::<dyn Worker>(format!("exec:{} serve", own()?)).await?;
        ids.push(child.id());
        if round % 2 == 0 {
            child.kill();
            child.wait().await?;
        } else {
            child.end().await?;
        }
        assert!(node.spawn::<dyn Worker>("exec:false").await.is_err());
        assert!(node.spawn::<dyn Worker>("exec:/no/such/program").await.is_err());
        // The tasks of the first round open what the runtime needs.
        while node.connections() > 0 || round > 0 && descriptors()? > before {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        before = if round == 0 { settled(descriptors).await? } else { before };
    }
    let left = ids.iter().filter(|id| fs::exists(format!("/proc/{id}")).unwrap_or(true)).count();
    println!("descriptors {} processes {left}", descriptors()? - before);
    Ok(())
}

/// A number, once it has stayed the same for a while.
async fn settled(number: impl Fn() -> std::io::Result<usize>) -> Outcome<usize> {
    let (mut known, mut times) = (number()?, 0);
    while times < 20 {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        let next = number()?;
        (known, times) = if next == known { (known, times + 1) } else { (next, 0) };
    }
    Ok(known)
}
