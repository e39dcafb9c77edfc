//! What the machine can do at best: a length and so many bytes over a bare tokio socket, or the bare channel of another
//! transport, and the same back.

use std::process::Stdio;

use bytes::{Bytes, BytesMut};
use rmi_core::transport::Stream;
use rmi_tests::Way;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::Result;
use crate::contender::Caller;

/// With the four bytes of its length a message of 64 bytes, about what the framework sends for a call of `add`.
const SMALL: usize = 60;

pub(super) trait Socket: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> Socket for S {}

pub(super) async fn serve(way: &Way, endpoint: &str) -> Result<()> {
    if !matches!(way.scheme(), "tcp" | "unix") {
        let mut listener = way.transport().listen(&endpoint.parse()?).await?;
        crate::child::announce(listener.endpoint().as_str());
        loop {
            tokio::spawn(answer(listener.accept().await?.stream));
        }
    }
    if let Some(path) = endpoint.strip_prefix("unix:") {
        let listener = UnixListener::bind(path)?;
        crate::child::announce(endpoint);
        loop {
            tokio::spawn(answer(listener.accept().await?.0));
        }
    }
    let listener = TcpListener::bind(endpoint.trim_start_matches("tcp://")).await?;
    crate::child::announce(&format!("tcp://{}", listener.local_addr()?));
    loop {
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        tokio::spawn(answer(socket));
    }
}

/// Sends every message back once it is whole, until the caller is gone. A read takes all that the kernel has.
async fn answer(mut socket: impl Socket) -> Result<()> {
    let mut message = BytesMut::new();
    loop {
        let mut length = 4;
        while message.len() < length {
            message.reserve(length.max(4 + SMALL) - message.len());
            if socket.read_buf(&mut message).await? == 0 {
                return Ok(());
            }
            if let Some(prefix) = message.first_chunk::<4>() {
                length = 4 + u32::from_le_bytes(*prefix) as usize;
            }
        }
        socket.write_all(&message).await?;
        socket.flush().await?;
        message.clear();
    }
}

pub(super) async fn serve_parent() -> Result<()> {
    answer(tokio::io::join(tokio::io::stdin(), tokio::io::stdout())).await
}

/// The two pipes of a child.
type Pipes = tokio::io::Join<ChildStdout, ChildStdin>;

pub(super) fn start(mut program: Command) -> Result<(Floor, Child)> {
    let mut child = program.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
    let (Some(reads), Some(writes)) = (child.stdout.take(), child.stdin.take()) else {
        return Err("the child has no pipes".into());
    };
    Ok((Floor::Pipes(Line::new(tokio::io::join(reads, writes))), child))
}

pub(super) enum Floor {
    Tcp(Line<TcpStream>),
    Unix(Line<UnixStream>),
    Channel(Line<Box<dyn Stream>>),
    Pipes(Line<Pipes>),
}

/// A socket with room for one message.
pub(super) struct Line<S> {
    socket: S,
    message: Vec<u8>,
}

impl<S: Socket> Line<S> {
    fn new(socket: S) -> Self {
        Self { socket, message: Vec::new() }
    }

    /// One message there and back. One write carries the length and the bytes, and one read takes the answer, as far as
    /// the kernel has it whole.
    async fn exchange(&mut self, payload: &[u8]) -> Result<usize> {
        let Self { socket, message } = self;
        message.clear();
        message.extend_from_slice(&u32::try_from(payload.len())?.to_le_bytes());
        message.extend_from_slice(payload);
        socket.write_all(message).await?;
        socket.flush().await?;
        socket.read_exact(message).await?;
        Ok(message.len() - 4)
    }
}

pub(super) async fn connect(way: &Way, address: &str) -> Result<Floor> {
    if !matches!(way.scheme(), "tcp" | "unix") {
        return Ok(Floor::Channel(Line::new(way.transport().dial(&address.parse()?).await?.stream)));
    }
    if let Some(path) = address.strip_prefix("unix:") {
        return Ok(Floor::Unix(Line::new(UnixStream::connect(path).await?)));
    }
    let socket = TcpStream::connect(address.trim_start_matches("tcp://")).await?;
    socket.set_nodelay(true)?;
    Ok(Floor::Tcp(Line::new(socket)))
}

impl Floor {
    async fn exchange(&mut self, payload: &[u8]) -> Result<usize> {
        match self {
            Self::Tcp(line) => line.exchange(payload).await,
            Self::Unix(line) => line.exchange(payload).await,
            Self::Channel(line) => line.exchange(payload).await,
            Self::Pipes(line) => line.exchange(payload).await,
        }
    }
}

impl Caller for Floor {
    async fn add(&mut self, a: i64, b: i64) -> Result<i64> {
        self.exchange(&[0; SMALL]).await?;
        Ok(a + b)
    }

    async fn echo(&mut self, bytes: &Bytes) -> Result<usize> {
        self.exchange(bytes).await
    }

    fn fork(&self) -> Option<Self> {
        None
    }
}
