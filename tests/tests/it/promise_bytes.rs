//! Peers that do with promises what no peer should.

use rmi_core::{Node, ObjectId, Proxy};
use rmi_tests::{Echo, Repeater};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::hostile::{framed, hello};

/// A peer that says what it is told.
struct Liar {
    _host: Node,
    object: [u8; 16],
    stream: TcpStream,
    heard: Vec<u8>,
}

/// What a call of a liar's names and makes.
#[derive(Clone, Copy, Default)]
struct Lie {
    slot: u32,
    object: [u8; 16],
    promise: Option<[u8; 16]>,
    beside: Option<[u8; 16]>,
}

impl Lie {
    /// The call as protocol §3 has it; its interface and method are those of `Echo::echo`.
    fn frame(self) -> Vec<u8> {
        let echo = rmi_core::MethodId::of("Echo", "echo");
        let mut frame =
            vec![2, if self.promise.is_some() { 16 } else { 0 } | if self.beside.is_some() { 2 } else { 0 }];
        frame.extend(self.slot.to_le_bytes());
        frame.extend(1u32.to_le_bytes());
        frame.push(0);
        frame.extend(self.object);
        frame.extend(echo.interface.0.to_le_bytes());
        frame.extend(echo.method.to_le_bytes());
        frame.extend(1000u32.to_le_bytes());
        frame.extend(self.promise.into_iter().flatten());
        if let Some(beside) = self.beside {
            frame.extend([1, 0, 2]);
            frame.extend(beside);
        }
        frame.extend(b"\x91\xa5hello");
        framed(&frame)
    }
}

impl Liar {
    async fn new() -> Self {
        let host = Node::builder().listen("tcp://127.0.0.1:0").start().await.unwrap();
        let reference = host.export(&Proxy::<dyn Echo>::new(Repeater)).unwrap();
        let mut stream = TcpStream::connect(host.endpoints()[0].address()).await.unwrap();
        stream.write_all(&hello()).await.unwrap();
        Self { _host: host, object: reference.object.to_bytes(), stream, heard: Vec::new() }
    }

    async fn say(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// Reads until `text` was heard `times` times.
    async fn hears(&mut self, text: &str, times: usize) {
        while String::from_utf8_lossy(&self.heard).matches(text).count() < times {
            let read = self.stream.read_buf(&mut self.heard).await.unwrap();
            assert!(read > 0, "{text} was not heard, but {:?}", String::from_utf8_lossy(&self.heard));
        }
    }
}

#[tokio::test]
async fn what_was_never_promised_is_an_object_that_does_not_exist() {
    let mut liar = Liar::new().await;
    let unknown = [9; 16];
    let object = liar.object;
    let lies = [
        Lie { slot: 0, object: unknown, ..Lie::default() },
        Lie { slot: 1, object, beside: Some(unknown), ..Lie::default() },
        // A promise that nothing keeps, and what follows from it.
        Lie { slot: 2, object: unknown, promise: Some([1; 16]), ..Lie::default() },
        Lie { slot: 3, object: [1; 16], ..Lie::default() },
        // A call that needs itself.
        Lie { slot: 4, object: [2; 16], promise: Some([2; 16]), ..Lie::default() },
        Lie { slot: 5, object, promise: Some([3; 16]), beside: Some([3; 16]) },
    ];
    for lie in lies {
        liar.say(&lie.frame()).await;
    }
    liar.hears("the node exports no such object", lies.len()).await;
    // One that returns no reference breaks its promise, and is answered itself.
    liar.say(&Lie { slot: 6, object, promise: Some([4; 16]), ..Lie::default() }.frame()).await;
    liar.say(&Lie { slot: 7, object: [4; 16], ..Lie::default() }.frame()).await;
    liar.hears("the call that promised an object returned none", 1).await;
    liar.hears("hello", 1).await;
}

#[tokio::test]
async fn a_promise_of_another_connection_is_not_known() {
    let (mut one, object) = {
        let liar = Liar::new().await;
        let object = liar.object;
        (liar, object)
    };
    let mut stream = TcpStream::connect(one._host.endpoints()[0].address()).await.unwrap();
    stream.write_all(&hello()).await.unwrap();
    let promise = ObjectId::random().to_bytes();
    one.say(&Lie { slot: 0, object, promise: Some(promise), ..Lie::default() }.frame()).await;
    one.hears("hello", 1).await;
    let mut other = Liar { _host: one._host.clone(), object, stream, heard: Vec::new() };
    other.say(&Lie { slot: 0, object: promise, ..Lie::default() }.frame()).await;
    other.hears("the node exports no such object", 1).await;
}

#[tokio::test]
async fn a_flood_of_promises_ends_the_connection() {
    let mut liar = Liar::new().await;
    let object = liar.object;
    let mut number = 0u128;
    for round in 1..=5 {
        let frames: Vec<u8> = (0..1000)
            .flat_map(|slot| {
                number += 1;
                Lie { slot, object, promise: Some(number.to_le_bytes()), beside: None }.frame()
            })
            .collect();
        liar.say(&frames).await;
        if round < 5 {
            liar.hears("hello", round * 1000).await;
        }
    }
    liar.hears("promises that were not let go of: 4097 exceeds the limit of 4096", 1).await;
}

#[tokio::test]
async fn two_promises_with_one_id_end_the_connection() {
    let mut liar = Liar::new().await;
    let lie = Lie { slot: 0, object: liar.object, promise: Some([1; 16]), beside: None };
    liar.say(&lie.frame()).await;
    liar.hears("hello", 1).await;
    liar.say(&lie.frame()).await;
    liar.hears("a promise with the id of another one", 1).await;
}

#[tokio::test]
async fn letting_go_of_what_was_never_promised_does_no_harm() {
    let mut liar = Liar::new().await;
    let object = liar.object;
    let forget = framed(&[&[17, 2, 0][..], &[7; 16], &[8; 16]].concat());
    liar.say(&forget.repeat(100)).await;
    liar.say(&Lie { slot: 0, object, promise: Some([7; 16]), beside: None }.frame()).await;
    liar.hears("hello", 1).await;
    // It is gone with its id.
    liar.say(&framed(&[&[17, 1, 0][..], &[7; 16]].concat())).await;
    liar.say(&Lie { slot: 1, object: [7; 16], ..Lie::default() }.frame()).await;
    liar.hears("the node exports no such object", 1).await;
    liar.say(&forget.repeat(20_000)).await;
    liar.hears("more than 20000 control frames in a second", 1).await;
}
