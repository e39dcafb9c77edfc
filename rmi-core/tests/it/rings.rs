//! The rings of shared memory, modelled: every order in which two sides can meet that differs, within a bound.

/// What `ring.rs` is made of here.
mod atomic {
    pub(super) use loom::sync::atomic::{AtomicU64, Ordering, fence};
}

#[path = "../../src/transport/shm/ring.rs"]
mod ring;

use std::sync::Arc;

use loom::sync::{Condvar, Mutex};
use loom::thread;

use ring::{Consumer, Producer, Ring};

/// One word: eight bytes.
type Small = Ring<1>;

/// What a doorbell is to whoever sleeps: a ring before somebody waits is not lost.
struct Bell {
    rung: Mutex<bool>,
    woken: Condvar,
}

impl Bell {
    fn new() -> Self {
        Self { rung: Mutex::new(false), woken: Condvar::new() }
    }

    fn ring(&self) {
        *self.rung.lock().unwrap() = true;
        self.woken.notify_one();
    }

    fn wait(&self) {
        let mut rung = self.rung.lock().unwrap();
        while !std::mem::take(&mut *rung) {
            rung = self.woken.wait(rung).unwrap();
        }
    }
}

struct Meeting {
    ring: Arc<Small>,
    wake_consumer: Bell,
    wake_producer: Bell,
}

impl Meeting {
    fn new() -> Self {
        Self { ring: Arc::default(), wake_consumer: Bell::new(), wake_producer: Bell::new() }
    }

    /// Writes everything and closes; sleeps where there is no room.
    fn write(&self, pieces: &[&[u8]]) {
        let mut producer = Producer::new(self.ring.clone());
        for piece in pieces {
            let mut left = *piece;
            while !left.is_empty() {
                let room = producer.room().unwrap().min(left.len());
                if room > 0 {
                    let (now, later) = left.split_at(room);
                    producer.put(now);
                    self.ring_if(producer.publish(), &self.wake_consumer);
                    left = later;
                } else if !producer.sleep() {
                    self.wake_producer.wait();
                    producer.wake();
                }
            }
        }
        self.ring_if(producer.close(), &self.wake_consumer);
        assert!(producer.is_closed());
    }

    /// Reads to the end, at most so much at once; sleeps where there is nothing. One that is awake in between takes back that it
    /// sleeps.
    fn read(&self, most: usize, awake: bool) -> Vec<u8> {
        let mut consumer = Consumer::new(self.ring.clone());
        let mut read = Vec::new();
        let mut awake = awake;
        loop {
            let ready = consumer.look().unwrap().min(most);
            if ready > 0 {
                let mut bytes = vec![0; ready];
                self.ring_if(consumer.take(&mut bytes), &self.wake_producer);
                read.extend(bytes);
            } else if consumer.is_ended() {
                return read;
            } else if !consumer.sleep() {
                if std::mem::take(&mut awake) {
                    consumer.wake();
                } else {
                    self.wake_consumer.wait();
                    consumer.wake();
                }
            }
        }
    }

    fn ring_if(&self, wake: bool, bell: &Bell) {
        if wake {
            bell.ring();
        }
    }
}

fn model(check: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(check);
}

/// A wake-up that is lost shows as two threads that wait for each other, which the model reports.
fn passes(pieces: &'static [&'static [u8]], most: usize, awake: bool) {
    model(move || {
        let meeting = Arc::new(Meeting::new());
        let other = meeting.clone();
        let writing = thread::spawn(move || other.write(pieces));
        assert_eq!(meeting.read(most, awake), pieces.concat());
        writing.join().unwrap();
    });
}

#[test]
fn bytes_arrive_in_order_then_the_end_and_no_wake_up_is_lost() {
    passes(&[b"abc", b"de"], 8, false);
}

#[test]
fn a_writer_that_waits_for_room_is_woken() {
    passes(&[b"abcdefghij"], 8, false);
}

#[test]
fn bytes_beside_each_other_in_a_word_do_not_disturb_each_other() {
    passes(&[b"abcde", b"fghi"], 8, false);
}

#[test]
fn a_reader_that_takes_its_sleep_back_is_woken_the_next_time() {
    passes(&[b"ab"], 8, true);
}

#[test]
fn a_cursor_that_cannot_be_is_noticed() {
    loom::model(|| {
        let ring: Arc<Small> = Arc::default();
        let mut producer = Producer::new(ring.clone());
        producer.put(b"12345678");
        producer.publish();
        // A second producer and a second consumer, where there is one of each, say what the first did not.
        let mut early = Consumer::new(ring.clone());
        early.look().unwrap();
        early.take(&mut [0; 8]);
        let text = Producer::new(ring.clone()).room().unwrap_err().to_string();
        assert_eq!(text, "the peer's cursor 8 is more than 8 bytes from ours, 0");
        producer.put(b"9");
        producer.publish();
        let text = Consumer::new(ring).look().unwrap_err().to_string();
        assert_eq!(text, "the peer's cursor 9 is more than 8 bytes from ours, 0");
    });
}
