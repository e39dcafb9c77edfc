//! What a peer may make a QUIC connection hold, and when a connection is over.

use std::sync::Arc;

use quinn::crypto::rustls::{NoInitialCipherSuite, QuicClientConfig, QuicServerConfig};
use quinn::{ClientConfig, IdleTimeout, ServerConfig, TransportConfig, VarInt, rustls};

use crate::limits::{
    ASIDES_MAX, LISTENER_HANDSHAKES_MAX, QUIC_DATAGRAMS_BYTES_MAX, QUIC_IDLE, QUIC_INCOMING_BYTES_MAX, QUIC_KEEP_ALIVE,
    QUIC_STREAM_WINDOW, QUIC_WINDOW,
};

pub(super) fn dialling(config: rustls::ClientConfig) -> Result<ClientConfig, NoInitialCipherSuite> {
    let mut config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(config)?));
    config.transport_config(Arc::new(transport()));
    Ok(config)
}

pub(super) fn listening(config: Arc<rustls::ServerConfig>) -> Result<ServerConfig, NoInitialCipherSuite> {
    let mut config = ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(config)?));
    config.transport_config(Arc::new(transport()));
    config.migration(true);
    config.max_incoming(LISTENER_HANDSHAKES_MAX);
    config.incoming_buffer_size(QUIC_INCOMING_BYTES_MAX);
    config.incoming_buffer_size_total(16 * QUIC_INCOMING_BYTES_MAX);
    Ok(config)
}

fn transport() -> TransportConfig {
    let mut config = TransportConfig::default();
    config.max_concurrent_bidi_streams(VarInt::from_u32(1));
    config.max_concurrent_uni_streams(VarInt::from_u32(u32::try_from(ASIDES_MAX).unwrap_or(0)));
    config.stream_receive_window(VarInt::from_u32(QUIC_STREAM_WINDOW));
    config.receive_window(VarInt::from_u32(QUIC_WINDOW));
    config.send_window(QUIC_WINDOW.into());
    config.max_idle_timeout(IdleTimeout::try_from(QUIC_IDLE).ok());
    config.keep_alive_interval(Some(QUIC_KEEP_ALIVE));
    config.datagram_receive_buffer_size(Some(QUIC_DATAGRAMS_BYTES_MAX));
    config.datagram_send_buffer_size(QUIC_DATAGRAMS_BYTES_MAX);
    config
}
