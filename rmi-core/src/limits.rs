//! Every bound of this crate, with its reason. One test exceeds each: `tests/tests/it/limits.rs`.
//!
//! The constants hold for every node; the fields of [`Limits`] can be set per node with
//! [`NodeBuilder::limits`](crate::NodeBuilder::limits). Sizes are bytes.

use std::time::Duration;

/// The longest endpoint text. Stops references that are mostly endpoints.
pub const ENDPOINT_BYTES_MAX: usize = 256;
/// The most endpoints a reference or a hello may carry. Bounds what a poisonous reference can make us try.
pub const ENDPOINTS_MAX: usize = 8;
/// The most interfaces a reference may name.
pub const INTERFACES_MAX: usize = 32;
/// The longest interface name.
pub const INTERFACE_NAME_BYTES_MAX: usize = 255;
/// The longest name in a registry, as in most file systems.
pub const NAME_BYTES_MAX: usize = 255;
/// The most bindings of a registry: at 5 KiB each, half a gigabyte. A caller listens to no more, so that a registry that
/// lists without end does not fill its memory.
pub const BINDINGS_MAX: usize = 100_000;
/// The most bytes of arguments or result in a call that the framework makes by itself: renewals and lists of a registry, batches
/// of a stream. More is cut into several calls, so that a node with small [`Limits`] takes them, too; one with a
/// `body_bytes_max` below this may refuse some.
pub const OWN_BODY_BYTES_MAX: usize = 64 * 1024;
/// The most members of a group that its proxy calls. Bounds what a registry can make a caller hold.
pub const GROUP_MEMBERS_MAX: usize = 1024;
/// The most announcements that one search of the local network looks at. Stops a stranger that announces without end.
pub const DISCOVERED_MAX: usize = 64;
/// The longest time that one search takes. What strangers announce is kept meanwhile.
pub const DISCOVERY_TIME_MAX: Duration = Duration::from_secs(60);
/// The longest text an error may carry over the wire; longer ones are cut. Bounds what a peer can put into our logs.
pub const ERROR_TEXT_BYTES_MAX: usize = 4096;
/// The most key/value pairs of metadata on a call.
pub const METADATA_ENTRIES_MAX: usize = 16;
/// The most bytes of metadata on a call, keys and values together.
pub const METADATA_BYTES_MAX: usize = 4096;
/// The deepest nesting of a value: arrays, maps and variants, and options and newtypes, which take no byte on the wire. Stops a
/// recursive type from overflowing the stack of whoever reads it. The writer counts alike and refuses first.
pub const DEPTH_MAX: usize = 128;
/// The most bytes of the stack that writing or reading a value may take before it goes another level down. A level of a wide type
/// takes more than 100 KB of it in a build without optimization, so that the depth alone would not keep it within the 2 MiB of
/// a thread.
pub const STACK_BYTES_MAX: usize = 3 << 19;
/// The most references beside a body in one frame; of a value with more they travel at the front of the body. Every node must accept
/// so many in a body.
pub const REFERENCES_PER_FRAME_MAX: usize = 1024;
/// The most bytes that the references beside a body may take: they are not cut into chunks as bodies are.
pub const REFERENCES_BYTES_MAX: usize = 256 * 1024;
/// The frame that every node must accept: one with the most references, the most metadata and a chunk of body.
pub const FRAME_BYTES_LEAST: usize = 512 * 1024;
/// The most objects in one frame that releases, claims or answers a claim.
pub const OBJECTS_PER_FRAME_MAX: usize = 1024;
/// How many objects are let go before the peer is told at once; fewer wait for [`RELEASE_DELAY`].
pub const RELEASES_TOGETHER: usize = 64;
/// How long a release waits for others.
pub const RELEASE_DELAY: Duration = Duration::from_millis(10);
/// The most objects that a node claims at once because who introduced them goes away. Bounds the dials that one frame can cause.
pub const CLAIMS_AT_ONCE_MAX: usize = 256;
/// The shortest lease that a node may grant or be granted. Stops a peer that makes us renew without end.
pub const LEASE_LEAST: Duration = Duration::from_millis(300);
/// How long objects outlive a connection that the kernel says is dead (Unix sockets, shared memory, pipes, queues), or the
/// lease if that is less: the time to come back after a fault.
pub const LOCAL_LEASE: Duration = Duration::from_secs(1);
/// The most calls inside calls (A calls B calls A …). Stops endless ping-pong.
pub const HOPS_MAX: u8 = 16;
/// The largest first frame. Before the hello nobody is known, so nothing more is buffered.
pub const HELLO_BYTES_MAX: usize = 4096;
/// The largest piece of a body in one frame; larger bodies are cut, so that a small call never waits for a large one.
pub const CHUNK_BYTES: usize = 64 * 1024;
/// The most bytes in the outgoing buffer before the chunks of large bodies are held back.
pub const OUTGOING_BYTES_HIGH: usize = 256 * 1024;
/// The most attempts at one call. Promise P3.
pub const ATTEMPTS_MAX: u32 = 3;
/// The most control frames (pings, cancels, credits) a peer may send at once; the budget fills again within a second.
pub const CONTROL_FRAMES_PER_SECOND_MAX: u32 = 20_000;
/// The most methods called on objects that do not exist before the peer is taken for a guesser; fills again at 1/s.
pub const UNKNOWN_OBJECTS_MAX: u32 = 10_000;
/// The streams beside its bytes that a channel has at a time, in each direction; further large bodies wait for one. What has
/// come on them and is not read takes memory.
pub const ASIDES_MAX: usize = 4;
/// The longest datagram: no UDP packet is longer.
pub const DATAGRAM_BYTES_MAX: usize = 65_535;
/// The datagrams that wait for the channel to send them; more are lost. A thousand of what a packet carries.
pub const DATAGRAMS_WAITING_MAX: usize = 1024;
/// The unreliable calls of one peer that may run at once; more are lost. They take no place, and nothing holds their caller
/// back.
pub const UNRELIABLE_CALLS_MAX: usize = 64;
/// The most callers that may wait for one semaphore, of all peers together. Bounds what a crowd that never gets its turn
/// makes the host remember.
pub const SEMAPHORE_WAITING_MAX: usize = 10_000;
/// The most bytes that a program may print before it greets its parent: a shell's profile, a banner of `ssh`. One that prints
/// more is not what was meant to be started.
pub const CHILD_PREAMBLE_BYTES_MAX: usize = 1 << 20;
/// The longest line of a child that the parent's log takes whole; of longer ones the rest is counted.
pub const CHILD_LINE_BYTES_MAX: usize = 4096;
/// The most bytes of a child's lines that the parent's log takes in a second. Stops a child from filling the disk at full speed.
pub const CHILD_LOG_BYTES_PER_SECOND_MAX: usize = 4 << 20;
/// How long a child that was let go may take to end before it is killed.
pub const CHILD_GRACE: Duration = Duration::from_secs(2);
/// The most bytes of announcements that a listener at a named pipe has read and not answered. Whoever may write there can do so
/// without an end of a line.
pub const ANNOUNCED_BYTES_MAX: usize = 4096;
/// The most messages in one direction of a channel over message queues, and with the next bound a compromise: a pair takes 66 KiB
/// of the 800 KiB that a user has for all of its queues.
pub const QUEUE_MESSAGES_MAX: usize = 8;
/// The longest message of a queue. A reader has room for one; a peer's queue with longer ones is refused.
pub const QUEUE_MESSAGE_BYTES_MAX: usize = 4096;

/// The most promises that a caller may have at a node and not have let go of: four times the calls that may be under way by
/// default, as those whose call was answered may still be named. A caller with more makes ordinary calls.
pub const PROMISES_PER_SESSION_MAX: usize = 4096;

/// The items that a stream's reader lets come before it has read them, unless it says otherwise. Should each come in a batch
/// of its own, the book-keeping takes about as much as [`STREAM_WINDOW_BYTES`]; with less, small items come in so few at once
/// that waking up costs more than they do.
pub const STREAM_WINDOW_ITEMS: u32 = 4096;
/// The bytes that a stream's reader lets come before it has read them, unless it says otherwise.
pub const STREAM_WINDOW_BYTES: u32 = 1 << 20;
/// The most items in a window. Each may be a batch of its own, which takes some hundred bytes of book-keeping.
pub const STREAM_WINDOW_ITEMS_MAX: u32 = 65_536;
/// The most bytes in a window.
pub const STREAM_WINDOW_BYTES_MAX: u32 = 64 << 20;
/// The bytes after which a batch of a stream is sent although there is more. With a last item that does not go alone, and
/// what a call has beside the items, it stays below [`OWN_BODY_BYTES_MAX`].
pub const STREAM_BATCH_BYTES: u64 = 44 * 1024;
/// The bytes of an item that goes alone.
pub const STREAM_LARGE_ITEM_BYTES: u64 = 16 * 1024;
/// The most items in one batch of a stream.
pub const STREAM_BATCH_ITEMS: u64 = 1024;
/// The batches of one stream that may be under way at once. Bounds what a reader that grants much and takes nothing can
/// make its producer hold.
pub const STREAM_BATCHES_UNDER_WAY: usize = 4;
/// What a reference in a stream's items counts in a window: about as much as most take in memory.
pub const STREAM_REFERENCE_BYTES: u64 = 1024;

/// The handshakes that a listener of TLS or QUIC has under way; with one more the oldest is ended. Keeps strangers that say
/// nothing from using up the process's descriptors.
pub const LISTENER_HANDSHAKES_MAX: usize = 1024;
/// The time that such a handshake may take.
pub const LISTENER_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// The handshakes of QUIC under way before a listener answers only who shows that it can be reached at the address it claims
/// (Retry). Stops floods from forged addresses, at the price of a round trip.
pub const QUIC_UNPROVEN_MAX: usize = 256;
/// What the first packets of a QUIC connection may hold before it is taken. All listeners' together: 16 times as much.
pub const QUIC_INCOMING_BYTES_MAX: u64 = 64 * 1024;
/// The bytes of a QUIC stream that may have come and not been read.
pub const QUIC_STREAM_WINDOW: u32 = 1 << 20;
/// The bytes of a QUIC connection, all streams together, that may have come and not been read; and those that may have been
/// written and not been acknowledged. The library's own default is without bound. As many as all streams have and one more, so
/// that the stream of the session never waits for the others.
pub const QUIC_WINDOW: u32 = 6 << 20;
/// The bytes of datagrams that wait in a QUIC connection, for each direction; of more the oldest are lost.
pub const QUIC_DATAGRAMS_BYTES_MAX: usize = 256 * 1024;
/// The silence after which a QUIC connection is over: longer than a session waits before it gives a silent peer up.
pub const QUIC_IDLE: Duration = Duration::from_secs(60);
/// The silence after which a QUIC connection says that it lives, as often as a session pings: address translations forget
/// a quiet one after about 30 s.
pub const QUIC_KEEP_ALIVE: Duration = Duration::from_secs(20);
/// How long what was written to a dropped TLS or QUIC channel may take to leave: as long as a peer may leave our bytes unread.
pub const LINGER: Duration = Duration::from_secs(10);
/// The most bytes of a stream in one message over a broker; less if the broker takes less. Far below what brokers take by
/// default (1 MiB), so that channels take turns.
pub const BROKER_PIECE_BYTES: usize = 32 * 1024;
/// The pieces that one side of a channel over a broker may send before the other has read them. With their size 2 MiB, of
/// the 64 MiB that a broker holds for a connection that is slow to take its messages.
pub const BROKER_WINDOW: u64 = 64;
/// The messages that wait here for a channel over a broker or for a listener: a window, its repetition, and signs of life.
/// Beyond, they are dropped as if the broker had lost them. Bounds what a flood at an inbox makes us hold.
pub const BROKER_WAITING: usize = 256;
/// The channels of one listener at a broker, those that are closing included: more than a node's connections by default.
/// Who asks for one more gets no answer. Bounds what a flood of openings makes us hold.
pub const BROKER_CHANNELS_MAX: usize = 16_384;
/// How often the sides of a channel over a broker give a sign of life: three within [`BROKER_SILENCE`].
pub const BROKER_BEAT: Duration = Duration::from_secs(3);
/// The silence after which the peer over a broker is taken for dead, as the broker does not say; and the time that last
/// words have to arrive. The time a broker has to come back.
pub const BROKER_SILENCE: Duration = Duration::from_secs(10);
/// How long an opening at a broker waits to be answered. Less than a dial may take, so that another endpoint can be tried.
pub const BROKER_ANSWER: Duration = Duration::from_secs(3);
/// After what time a message over a broker that nobody acknowledged is sent again, at first; a broker answers within
/// milliseconds, and one that restarts needs about this long.
pub const BROKER_RESEND: Duration = Duration::from_millis(500);
/// What a direction of a channel through shared memory holds before its writer waits: two chunks of bodies, so that one is
/// written while the other is read, and what the caches of a processor core hold. Each channel has two of these, in memory
/// that the side that accepted is charged for.
pub const SHM_RING_BYTES: usize = 128 * 1024;
/// How long a side of a channel through shared memory sleeps before it looks although nobody rang. A peer that should have
/// rung and did not delays itself by this much.
pub const SHM_LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The bounds that a node may set for itself. [`Limits::default`] states each default.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The largest frame accepted, default 1 MiB. Never below [`FRAME_BYTES_LEAST`].
    pub frame_bytes_max: usize,
    /// The largest body (arguments of one call, or one reply), default 16 MiB.
    pub body_bytes_max: usize,
    /// The bytes of bodies that a peer may have sent and that are not yet handed over, for calls and for replies
    /// each, default 32 MiB. Bounds what half-sent bodies take. Never below twice `body_bytes_max`.
    pub window_bytes: usize,
    /// The bytes of arguments that the running calls of one peer may hold, default 64 MiB; a call beyond is refused.
    pub arguments_bytes_max: usize,
    /// The calls of one peer that may run at once, default 1,024. A caller's further calls wait at the caller.
    pub calls_in_flight_max: usize,
    /// The own calls that may wait for a place or for a connection, per peer, default 65,536.
    pub calls_waiting_max: usize,
    /// The bytes of finished replies that wait for a peer to read them, default 64 MiB, and the most that are under way,
    /// whatever credit it gives; a reply beyond both is replaced by an error. One may always wait.
    pub replies_waiting_bytes_max: usize,
    /// The references that the arguments of one call, or one result, may have, default 65,536. Never below
    /// [`REFERENCES_PER_FRAME_MAX`].
    pub references_per_body_max: usize,
    /// The objects that one peer may hold, default 65,536.
    pub references_per_session_max: usize,
    /// The bytes that wait for a peer to read them while it goes on sending control frames and calls, default 128 MiB. Bounds
    /// what pings, claims and calls that are answered and not read can take. With less than `replies_waiting_bytes_max` and two
    /// bodies fewer replies are under way at once, so that a peer which reads slowly is not taken for one that does not read;
    /// with less than `replies_waiting_bytes_max` and one body it can be.
    pub unread_bytes_max: usize,
    /// The connections at once, default 10,000.
    pub connections_max: usize,
    /// The connections that have not finished their hello, default 1,024. Keeps strangers from using up all places.
    pub handshakes_max: usize,
    /// The time a handshake may take, default 10 s; a share of it where there are further endpoints to look for the node.
    pub handshake_timeout: Duration,
    /// The time one dial may take, at all endpoints of a node together, default 10 s. The handshake at each has its own.
    pub dial_timeout: Duration,
    /// The silence after which a peer is asked for a sign of life, default 20 s.
    pub ping_after: Duration,
    /// The time the peer has to answer, default 10 s.
    pub pong_timeout: Duration,
    /// The time a peer may leave our bytes unread, default 10 s.
    pub write_stall: Duration,
    /// The deadline of a call that sets none, default 30 s.
    pub call_timeout: Duration,
    /// How long objects are kept for a peer that is not heard of, default 60 s; peers renew three times within it. Never below
    /// [`LEASE_LEAST`].
    pub lease: Duration,
    /// The time that [`Node::shutdown`](crate::Node::shutdown) gives to accepted calls, default 30 s.
    pub drain_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            frame_bytes_max: 1 << 20,
            body_bytes_max: 16 << 20,
            window_bytes: 32 << 20,
            arguments_bytes_max: 64 << 20,
            calls_in_flight_max: 1024,
            calls_waiting_max: 65_536,
            replies_waiting_bytes_max: 64 << 20,
            references_per_body_max: 65_536,
            references_per_session_max: 65_536,
            unread_bytes_max: 128 << 20,
            connections_max: 10_000,
            handshakes_max: 1024,
            handshake_timeout: Duration::from_secs(10),
            dial_timeout: Duration::from_secs(10),
            ping_after: Duration::from_secs(20),
            pong_timeout: Duration::from_secs(10),
            write_stall: Duration::from_secs(10),
            call_timeout: Duration::from_secs(30),
            lease: Duration::from_secs(60),
            drain_timeout: Duration::from_secs(30),
        }
    }
}
