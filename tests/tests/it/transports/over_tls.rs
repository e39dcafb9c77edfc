//! TLS beside what is no TLS, and its handshake with those who do not do their part.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use rmi_core::limits::LISTENER_HANDSHAKE_TIMEOUT;
use rmi_core::transport::{Channel, Credentials, Listener, Tls, Transport, TransportError};
use rmi_core::{Endpoint, ErrorKind, Executed, Node, Proxy};
use rmi_tests::{Authority, Echo, Issued, Repeater};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, HandshakeKind, RootCertStore};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::SOON;

const HOST: &[&str] = &["bank", "127.0.0.1"];

async fn listen(credentials: Credentials) -> Box<dyn Listener> {
    Tls::new(credentials).listen(&"tls://127.0.0.1:0".parse().unwrap()).await.unwrap()
}

/// Why a call to what listens at `place` fails; it must not have run.
async fn failure(transport: Arc<dyn Transport>, place: String) -> String {
    let caller = Node::builder().transport(transport).start().await.unwrap();
    let mut reference = caller.export(&Proxy::<dyn Echo>::new(Repeater)).unwrap();
    reference.node = rmi_core::NodeId::random();
    reference.endpoints = vec![place.parse().unwrap()].into();
    let error = caller.proxy::<dyn Echo>(&reference).unwrap().echo("hello").await.unwrap_err();
    assert_eq!((error.kind(), error.executed()), (ErrorKind::Unreachable, Executed::No), "{error}");
    error.message().to_owned()
}

#[tokio::test]
async fn plain_tcp_against_a_tls_port_says_so() {
    let credentials = Authority::new().credentials(HOST);
    let builder = Node::builder().transport(Arc::new(Tls::new(credentials.clone())));
    let host = builder.listen("tls://127.0.0.1:0").start().await.unwrap();
    let place = format!("tcp://{}", host.endpoints()[0].address());
    let text = failure(Arc::new(Tls::new(credentials)), place).await;
    assert!(text.contains("it speaks TLS, and this is a connection without"), "{text}");
}

#[tokio::test]
async fn tls_against_a_plain_port_says_so() {
    let host = Node::builder().listen("tcp://127.0.0.1:0").start().await.unwrap();
    let address = host.endpoints()[0].address().to_owned();
    let transport = Tls::new(Authority::new().credentials(&["alice"]));
    let text = failure(Arc::new(transport), format!("tls://{address}")).await;
    assert!(
        text.contains(&format!("does not speak TLS; a listener without it is dialled as tcp://{address}")),
        "{text}"
    );
}

/// A dialler of the TLS library alone, which shows what it is told to show.
pub(super) fn raw(authority: &Authority, shown: Option<&Issued>) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(ring::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build().unwrap();
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_webpki_verifier(verifier);
    let Some(shown) = shown else { return config.with_no_client_auth() };
    let chain = vec![CertificateDer::from_pem_slice(shown.certificate.as_bytes()).unwrap()];
    config.with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(shown.key.as_bytes()).unwrap()).unwrap()
}

async fn connect(config: &Arc<ClientConfig>, place: &Endpoint) -> io::Result<TlsStream<TcpStream>> {
    let tcp = TcpStream::connect(place.address()).await?;
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let mut stream = TlsConnector::from(config.clone()).connect(name, tcp).await?;
    // The welcome.
    stream.read_u8().await?;
    Ok(stream)
}

/// A transport that shows no certificate.
struct Anonymous(Arc<ClientConfig>);

#[async_trait::async_trait]
impl Transport for Anonymous {
    fn scheme(&self) -> &'static str {
        "tls"
    }

    async fn dial(&self, endpoint: &Endpoint) -> Result<Channel, TransportError> {
        let io = |source| TransportError::Io { endpoint: endpoint.clone(), source };
        let stream = connect(&self.0, endpoint).await.map_err(io)?;
        Ok(Channel::new(stream, rmi_core::Identity::Unproven, endpoint.to_string()))
    }

    async fn listen(&self, endpoint: &Endpoint) -> Result<Box<dyn Listener>, TransportError> {
        Err(TransportError::InUse(endpoint.clone()))
    }
}

#[tokio::test]
async fn a_caller_without_a_certificate_is_refused_before_it_calls() {
    let authority = Authority::new();
    let builder = Node::builder().transport(Arc::new(Tls::new(authority.credentials(HOST))));
    let host = builder.listen("tls://127.0.0.1:0").start().await.unwrap();
    let anonymous = Anonymous(Arc::new(raw(&authority, None)));
    let text = failure(Arc::new(anonymous), host.endpoints()[0].to_string()).await;
    assert!(text.contains("CertificateRequired"), "{text}");
    assert_eq!(host.connections(), 0);
}

#[tokio::test]
async fn nothing_is_resumed_and_nothing_comes_early() {
    let authority = Authority::new();
    let mut listener = listen(authority.credentials(HOST)).await;
    let mut config = raw(&authority, Some(&authority.issue(&["alice"], |_| ())));
    config.enable_early_data = true;
    let config = Arc::new(config);
    let place = listener.endpoint().clone();
    for _ in 0..2 {
        let (near, far) = tokio::join!(connect(&config, &place), listener.accept());
        let (near, _far) = (near.unwrap(), far.unwrap());
        assert_eq!(near.get_ref().1.handshake_kind(), Some(HandshakeKind::Full));
        assert!(!near.get_ref().1.is_early_data_accepted());
    }
    let name = ServerName::try_from("127.0.0.1").unwrap();
    assert!(ClientConnection::new(config, name).unwrap().early_data().is_none(), "no ticket was given that allows it");
}

#[tokio::test]
async fn mute_connections_do_not_hold_up_an_honest_one() {
    let authority = Authority::new();
    let mut listener = listen(authority.credentials(HOST)).await;
    let place = listener.endpoint().clone();
    let mut mute = Vec::new();
    let honest = async {
        for _ in 0..300 {
            mute.push(TcpStream::connect(place.address()).await.unwrap());
        }
        let begun = Instant::now();
        let near = Tls::new(authority.credentials(&["alice"])).dial(&place).await.unwrap();
        (near, begun.elapsed())
    };
    let ((_near, took), far) = timeout(SOON, async { tokio::join!(honest, listener.accept()) }).await.unwrap();
    assert!(far.is_ok() && took < LISTENER_HANDSHAKE_TIMEOUT / 4, "{took:?}");
}

#[tokio::test]
async fn a_stream_that_is_cut_is_no_end() {
    let authority = Authority::new();
    let mut listener = listen(authority.credentials(HOST)).await;
    let far = listener.endpoint().clone();
    let between = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let place = format!("tls://{}?key={}", between.local_addr().unwrap(), far.option("key").unwrap());
    let relay = tokio::spawn(async move {
        let (mut near, _) = between.accept().await.unwrap();
        let mut far = TcpStream::connect(far.address()).await.unwrap();
        copy_bidirectional(&mut near, &mut far).await
    });
    let dialler = Tls::new(authority.credentials(&["alice"]));
    let place = place.parse().unwrap();
    let (near, far) = tokio::join!(dialler.dial(&place), listener.accept());
    let (mut near, mut far) = (near.unwrap(), far.unwrap());
    near.stream.write_all(b"half a").await.unwrap();
    near.stream.flush().await.unwrap();
    far.stream.read_exact(&mut [0; 6]).await.unwrap();
    relay.abort();
    assert!(far.stream.read_u8().await.is_err_and(|error| error.kind() == io::ErrorKind::UnexpectedEof));
    let cut = far.stream.read(&mut [0; 8]).await;
    assert!(cut.is_err(), "{cut:?}");
}

#[tokio::test]
async fn credentials_that_cannot_be_used_name_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let (one, other) = (authority.issue(HOST, |_| ()), authority.issue(HOST, |_| ()));
    let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
    let failure = || Credentials::from_directory(directory.path()).unwrap_err().to_string();
    let path = |name: &str| directory.path().join(name).display().to_string();
    assert!(failure().starts_with(&path("authority.pem")), "{}", failure());
    write("authority.pem", &authority.pem());
    write("certificate.pem", "nothing");
    write("key.pem", &other.key);
    assert_eq!(failure(), format!("{}: no certificate in it", path("certificate.pem")));
    write("certificate.pem", &one.certificate);
    let expected = format!("{}: this is not the key of {}", path("key.pem"), path("certificate.pem"));
    assert_eq!(failure(), expected);
    write("key.pem", &one.certificate);
    assert!(failure().starts_with(&format!("{}: no private key", path("key.pem"))), "{}", failure());
    write("key.pem", &one.key);
    let credentials = Credentials::from_directory(directory.path()).unwrap();
    assert_eq!(format!("{credentials:?}"), format!("Credentials({})", credentials.key()));
}
