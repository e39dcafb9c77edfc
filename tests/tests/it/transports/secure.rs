//! What the transports with certificates share: who is believed, who is refused, and what the program learns about a peer.

use std::sync::{Arc, Mutex};

use rmi_core::transport::{Credentials, Quic, Tls, Transport};
use rmi_core::{
    Access, Authorizer, CallContext, Endpoint, ErrorKind, Executed, Identity, Node, ObjectRef, Peer, Proxy,
    RemoteError, remote,
};
use rmi_tests::{Authority, Echo, Repeater};

use super::Subject;

/// A transport with certificates.
#[derive(Clone, Copy)]
pub(super) struct Kind {
    scheme: &'static str,
    make: fn(Credentials) -> Arc<dyn Transport>,
}

pub(super) const TLS: Kind = Kind { scheme: "tls", make: |credentials| Arc::new(Tls::new(credentials)) };
pub(super) const QUIC: Kind = Kind { scheme: "quic", make: |credentials| Arc::new(Quic::new(credentials)) };

impl Kind {
    pub(super) fn subject(self) -> Subject {
        let transport = (self.make)(Authority::new().credentials(&["bank", "127.0.0.1"]));
        let [place, nowhere] = [0, 1].map(|port| format!("{}://127.0.0.1:{port}", self.scheme));
        Subject::at(transport, &place, &nowhere, |identity| is(identity, "bank"))
    }

    /// A node that proves with these and exports an echo.
    async fn host(self, credentials: Credentials) -> (Node, ObjectRef) {
        let builder = Node::builder().transport((self.make)(credentials));
        let host = builder.listen(format!("{}://127.0.0.1:0", self.scheme)).start().await.unwrap();
        let reference = host.export(&Proxy::<dyn Echo>::new(Repeater)).unwrap();
        (host, reference)
    }

    async fn caller(self, credentials: Credentials) -> Node {
        Node::builder().transport((self.make)(credentials)).start().await.unwrap()
    }

    /// Why a call from one to the other fails; it must not have run.
    async fn refusal(self, host: Credentials, caller: Credentials, place: fn(&Endpoint) -> String) -> String {
        let (_host, mut reference) = self.host(host).await;
        reference.endpoints = vec![place(&reference.endpoints[0]).parse().unwrap()].into();
        let caller = self.caller(caller).await;
        let error = caller.proxy::<dyn Echo>(&reference).unwrap().echo("hello").await.unwrap_err();
        assert_eq!((error.kind(), error.executed()), (ErrorKind::Unreachable, Executed::No), "{error}");
        error.message().to_owned()
    }
}

fn is(identity: &Identity, name: &str) -> bool {
    matches!(identity, Identity::Certificate { names, .. } if *names == [name])
}

/// The endpoint as somebody writes it who does not know the host's key.
fn without_key(endpoint: &Endpoint) -> String {
    format!("{}://{}", endpoint.scheme(), endpoint.address())
}

fn with_key(endpoint: &Endpoint) -> String {
    endpoint.to_string()
}

fn with_another_key(endpoint: &Endpoint) -> String {
    format!("{}?key={}", without_key(endpoint), "0".repeat(64))
}

const HOST: &[&str] = &["bank", "127.0.0.1"];

async fn a_host_of_another_authority_is_refused(kind: Kind) {
    let (ours, theirs) = (Authority::new(), Authority::new());
    // It believes us; we do not believe it.
    let host = theirs.issue(HOST, |_| ()).believing(&ours);
    let text = kind.refusal(host, ours.credentials(&["alice"]), without_key).await;
    assert!(text.contains("its certificate is not signed by our authority"), "{text}");
}

async fn a_host_whose_certificate_has_expired_is_refused(kind: Kind) {
    let ours = Authority::new();
    let text = kind.refusal(ours.expired(HOST), ours.credentials(&["alice"]), without_key).await;
    assert!(text.contains("its certificate has expired"), "{text}");
}

async fn a_host_with_another_name_is_refused(kind: Kind) {
    let ours = Authority::new();
    let text = kind.refusal(ours.credentials(&["mint"]), ours.credentials(&["alice"]), without_key).await;
    assert!(text.contains("its certificate is for mint, not for 127.0.0.1"), "{text}");
    let caller = ours.credentials(&["alice"]).expect_name("bank");
    let text = kind.refusal(ours.credentials(&["mint", "127.0.0.1"]), caller, without_key).await;
    assert!(text.contains("its certificate is for mint, not for bank"), "{text}");
}

async fn a_host_with_another_key_than_the_reference_says_is_refused(kind: Kind) {
    let ours = Authority::new();
    let host = ours.credentials(HOST);
    let expected = format!("its key is {}, not {}", host.key(), "0".repeat(64));
    let text = kind.refusal(host, ours.credentials(&["alice"]), with_another_key).await;
    assert!(text.contains(&expected), "{text}");
}

async fn a_caller_of_another_authority_learns_it_when_it_dials(kind: Kind) {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let caller = theirs.issue(&["alice"], |_| ()).believing(&ours);
    let text = kind.refusal(ours.credentials(HOST), caller, with_key).await;
    assert!(text.contains("refused by the other side: our certificate is not signed by its authority"), "{text}");
}

async fn a_caller_whose_certificate_has_expired_learns_it_when_it_dials(kind: Kind) {
    let ours = Authority::new();
    let text = kind.refusal(ours.credentials(HOST), ours.expired(&["alice"]), with_key).await;
    assert!(text.contains("refused by the other side: our certificate has expired"), "{text}");
}

async fn a_key_in_the_endpoint_is_enough_and_proves_no_name(kind: Kind) {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let host = theirs.issue(HOST, |_| ()).believing(&ours);
    let key = host.key();
    let transport = (kind.make)(host);
    let mut listener = transport.listen(&format!("{}://127.0.0.1:0", kind.scheme).parse().unwrap()).await.unwrap();
    let caller = (kind.make)(ours.credentials(&["alice"]));
    let place = listener.endpoint().clone();
    assert_eq!(place.option("key"), Some(&*key.to_string()));
    let (near, far) = tokio::join!(caller.dial(&place), listener.accept());
    assert_eq!(near.unwrap().identity, Identity::Certificate { names: Vec::new(), key });
    assert!(is(&far.unwrap().identity, "alice"));
}

async fn a_listener_does_not_take_the_key_of_another(kind: Kind) {
    let place = format!("{}://127.0.0.1:0?key={}", kind.scheme, "0".repeat(64)).parse().unwrap();
    let error = (kind.make)(Authority::new().credentials(HOST)).listen(&place).await.err().unwrap();
    assert!(error.to_string().contains("our key is"), "{error}");
    let short = format!("{}://127.0.0.1:1?key=12", kind.scheme).parse().unwrap();
    let error = (kind.make)(Authority::new().credentials(HOST)).dial(&short).await.err().unwrap();
    assert!(error.to_string().contains("\"12\" is not a fingerprint"), "{error}");
}

#[remote]
trait Desk {
    async fn call_back(&self, echo: Proxy<dyn Echo>) -> Result<String, RemoteError>;
}

/// Remembers who called.
#[derive(Default)]
struct Reception(Mutex<Vec<Identity>>);

impl Reception {
    fn note(&self) {
        let context = CallContext::current().unwrap();
        self.0.lock().unwrap().push(context.peer().unwrap().identity.clone());
    }
}

#[remote]
impl Desk for Reception {
    async fn call_back(&self, echo: Proxy<dyn Echo>) -> Result<String, RemoteError> {
        self.note();
        echo.echo("back").await
    }
}

#[derive(Default)]
struct Callers(Reception);

#[remote]
impl Echo for Callers {
    async fn echo(&self, text: &str) -> Result<String, RemoteError> {
        self.0.note();
        Ok(text.to_owned())
    }
}

async fn each_side_learns_in_its_calls_who_the_other_is(kind: Kind) {
    let authority = Authority::new();
    let (reception, callers) = (Arc::new(Reception::default()), Arc::new(Callers::default()));
    let builder = Node::builder().transport((kind.make)(authority.credentials(HOST)));
    let host = builder.listen(format!("{}://127.0.0.1:0", kind.scheme)).start().await.unwrap();
    let reference = host.export(&Proxy::<dyn Desk>::from_arc(reception.clone())).unwrap();
    let caller = kind.caller(authority.credentials(&["alice"])).await;
    let desk = caller.proxy::<dyn Desk>(&reference).unwrap();
    assert_eq!(desk.call_back(Proxy::from_arc(callers.clone())).await.unwrap(), "back");
    assert!(is(&reception.0.lock().unwrap()[0], "alice"));
    assert!(is(&callers.0.0.lock().unwrap()[0], "bank"));
}

/// Admits one name.
struct Only(&'static str);

impl Authorizer for Only {
    fn admit(&self, peer: &Peer) -> Access {
        if is(&peer.identity, self.0) { Access::Allow } else { Access::Deny(format!("{} is not known", peer.identity)) }
    }
}

async fn an_authorizer_can_admit_by_name(kind: Kind) {
    let authority = Authority::new();
    let builder = Node::builder().transport((kind.make)(authority.credentials(HOST))).authorizer(Only("alice"));
    let host = builder.listen(format!("{}://127.0.0.1:0", kind.scheme)).start().await.unwrap();
    let reference = host.export(&Proxy::<dyn Echo>::new(Repeater)).unwrap();
    for (name, expected) in [("alice", None), ("mallory", Some(ErrorKind::Denied))] {
        let caller = kind.caller(authority.credentials(&[name])).await;
        let answered = caller.proxy::<dyn Echo>(&reference).unwrap().echo("hello").await;
        assert_eq!(answered.err().map(|error| error.kind()), expected, "{name}");
    }
}

macro_rules! each {
    ($($kind:ident $named:expr; )* : $tests:tt) => {
        $(each!(@ $kind $named; $tests);)*
    };
    (@ $kind:ident $named:expr; { $($test:ident)* }) => {
        mod $kind {
            $(#[tokio::test]
            async fn $test() {
                super::$test($named).await;
            })*
        }
    };
}

each! {
    tls super::TLS;
    quic super::QUIC; : {
        a_host_of_another_authority_is_refused
        a_host_whose_certificate_has_expired_is_refused
        a_host_with_another_name_is_refused
        a_host_with_another_key_than_the_reference_says_is_refused
        a_caller_of_another_authority_learns_it_when_it_dials
        a_caller_whose_certificate_has_expired_learns_it_when_it_dials
        a_key_in_the_endpoint_is_enough_and_proves_no_name
        a_listener_does_not_take_the_key_of_another
        each_side_learns_in_its_calls_who_the_other_is
        an_authorizer_can_admit_by_name
    }
}
