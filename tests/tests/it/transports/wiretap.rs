//! Somebody at the broker who reads everything and may publish everywhere: the text protocol of NATS over a socket.

use std::str;

use rmi_tests::Broker;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// What was published.
#[derive(Debug, Clone)]
pub(super) struct Heard {
    pub(super) subject: String,
    pub(super) reply: Option<String>,
    pub(super) payload: Vec<u8>,
}

/// A connection to the broker that does as it likes.
pub(super) struct Wiretap(BufReader<TcpStream>);

impl Wiretap {
    /// Hears what matches `subject`, but not what it publishes itself.
    pub(super) async fn at(broker: &Broker, subject: &str) -> Self {
        let stream = TcpStream::connect(format!("127.0.0.1:{}", broker.port())).await.unwrap();
        let mut tap = Self(BufReader::new(stream));
        tap.send(format!("CONNECT {{\"verbose\":false,\"echo\":false}}\r\nSUB {subject} 1\r\nPING\r\n").as_bytes())
            .await;
        while tap.line().await != "PONG" {}
        tap
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.0.get_mut().write_all(bytes).await.unwrap();
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        assert!(self.0.read_line(&mut line).await.unwrap() > 0, "the broker has hung up");
        line.truncate(line.trim_end().len());
        line
    }

    pub(super) async fn hear(&mut self) -> Heard {
        loop {
            let line = self.line().await;
            let words: Vec<&str> = line.split(' ').collect();
            let (subject, reply, length) = match *words {
                ["MSG", subject, _, length] => (subject, None, length),
                ["MSG", subject, _, reply, length] => (subject, Some(reply.to_owned()), length),
                ["PING"] => {
                    self.send(b"PONG\r\n").await;
                    continue;
                }
                _ => continue,
            };
            let mut payload = vec![0; length.parse::<usize>().unwrap() + 2];
            self.0.read_exact(&mut payload).await.unwrap();
            payload.truncate(payload.len() - 2);
            return Heard { subject: subject.to_owned(), reply, payload };
        }
    }

    /// The inbox that the next answer of a listener names.
    pub(super) async fn inbox(&mut self) -> String {
        loop {
            if let Some(inbox) = self.hear().await.reply {
                return inbox;
            }
        }
    }

    pub(super) async fn publish_raw(&mut self, bytes: &[u8]) {
        self.send(bytes).await;
    }

    pub(super) async fn publish(&mut self, subject: &str, reply: &str, payload: &[u8]) {
        let head = format!("PUB {subject} {reply} {}\r\n", payload.len()).replace("  ", " ");
        self.send(&[head.as_bytes(), payload, b"\r\n"].concat()).await;
    }
}

/// A message of a channel: kinds are 1 for an opening, 2 for an answer, 3 for a piece, 4 for a sign, 5 for the end of a side.
pub(super) fn message(kind: u8, number: u64, bytes: &[u8]) -> Vec<u8> {
    [&[1, kind][..], &number.to_le_bytes(), &[0; 16], bytes].concat()
}
