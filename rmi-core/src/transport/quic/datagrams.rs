//! Datagrams of a QUIC connection, for calls that may be lost.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use quinn::{Connection, ConnectionError};

use crate::transport::Datagrams;

type Next = Pin<Box<dyn Future<Output = Result<Bytes, ConnectionError>> + Send>>;

pub(super) struct QuicDatagrams {
    connection: Connection,
    next: Option<Next>,
}

impl QuicDatagrams {
    pub(super) fn new(connection: Connection) -> Self {
        Self { connection, next: None }
    }
}

impl Datagrams for QuicDatagrams {
    /// What fits into a packet on the path as it is known now.
    fn bytes_max(&self) -> usize {
        self.connection.max_datagram_size().unwrap_or(0)
    }

    fn send(&mut self, message: Bytes) {
        // One that is too long for a path that has just become narrower is lost, like one that the network drops.
        let _ = self.connection.send_datagram(message);
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let connection = &self.connection;
        let next = self.next.get_or_insert_with(|| {
            let connection = connection.clone();
            Box::pin(async move { connection.read_datagram().await })
        });
        let received = ready!(next.as_mut().poll(cx));
        self.next = None;
        Poll::Ready(received.ok())
    }
}
