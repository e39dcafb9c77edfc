//! Two traits of one name in one program. Each test has a name of its own: the whole program shares what is taken.

use std::sync::Arc;

use rmi_core::naming::{Balance, NamingError};
use rmi_core::{
    AnyProxy, Descriptor, Dispatch, Dispatched, ErrorKind, Executed, Incoming, Interface, Node, ObjectId, Proxy,
    Registry, RemoteError, remote,
};
use rmi_registry::Running;
use rmi_registry::store::Memory;

/// Two traits called `$name` on the wire, and an office that implements both.
macro_rules! offices {
    ($name:literal) => {
        mod billing {
            #[rmi_core::remote(name = $name)]
            pub(super) trait Service {
                async fn close(&self) -> Result<String, rmi_core::RemoteError>;
            }
        }

        mod audit {
            #[rmi_core::remote(name = $name)]
            pub(super) trait Service {
                async fn close(&self) -> Result<String, rmi_core::RemoteError>;
            }
        }

        struct Office;

        #[remote]
        impl billing::Service for Office {
            async fn close(&self) -> Result<String, RemoteError> {
                Ok("billing".into())
            }
        }

        #[remote]
        impl audit::Service for Office {
            async fn close(&self) -> Result<String, RemoteError> {
                Ok("audit".into())
            }
        }

        #[allow(dead_code, reason = "not every test has use for both")]
        fn both() -> (Proxy<dyn billing::Service>, Proxy<dyn audit::Service>) {
            (Proxy::new(Office), Proxy::new(Office))
        }
    };
}

/// Takes and gives references of any interface.
#[remote(name = "names.Post")]
trait Post {
    async fn keep(&self, object: AnyProxy) -> Result<(), RemoteError>;
    async fn kept(&self) -> Result<AnyProxy, RemoteError>;
}

#[derive(Default)]
struct Letterbox(std::sync::Mutex<Option<AnyProxy>>);

#[remote]
impl Post for Letterbox {
    async fn keep(&self, object: AnyProxy) -> Result<(), RemoteError> {
        *self.0.lock().unwrap() = Some(object);
        Ok(())
    }
    async fn kept(&self) -> Result<AnyProxy, RemoteError> {
        Ok(self.0.lock().unwrap().clone().unwrap())
    }
}

async fn nodes() -> (Node, Node) {
    let host = Node::builder().listen("tcp://127.0.0.1:0").start().await.unwrap();
    (host, Node::builder().start().await.unwrap())
}

/// The error is about the two traits of that name.
#[track_caller]
fn assert_same_name(error: &RemoteError, kind: ErrorKind, name: &str) {
    assert_eq!((error.kind(), error.executed()), (kind, Executed::No), "{error}");
    let text =
        format!("Service` are both called \"{name}\" on the wire; give one of them another name: #[remote(name = \"");
    assert!(error.message().contains(&text), "{error}");
}

#[test]
fn an_object_has_no_two_traits_of_one_name() {
    offices!("names.And");
    let office = Arc::new(Office);
    let error = Proxy::<dyn billing::Service>::from_arc(office.clone()).and::<dyn audit::Service>(office).unwrap_err();
    assert_eq!((error.kind(), error.executed()), (ErrorKind::Misuse, Executed::No));
    let here = "it::names::one_program::an_object_has_no_two_traits_of_one_name";
    let text = format!(
        "`{here}::audit::Service` and `{here}::billing::Service` are both called \"names.And\" on the wire; \
         give one of them another name: #[remote(name = \"billing.Service\")]"
    );
    assert_eq!(error.message(), text);
}

#[tokio::test]
async fn a_reference_to_the_one_is_not_typed_as_the_other() {
    const NAME: &str = "names.Typed";
    offices!("names.Typed");
    let (host, caller) = nodes().await;
    let (billing, _) = both();
    let reference = host.export(&billing).unwrap();
    let refused = |error: &RemoteError| assert_same_name(error, ErrorKind::Misuse, NAME);
    refused(&caller.proxy::<dyn audit::Service>(&reference).unwrap_err());
    let known = caller.at::<dyn audit::Service>(&host.endpoints()[0], ObjectId::random());
    refused(&audit::Service::close(&known).await.unwrap_err());
    let far: Proxy<dyn billing::Service> = caller.proxy(&reference).unwrap();
    refused(&far.cast::<dyn audit::Service>().unwrap_err());
    refused(&far.checked_cast::<dyn audit::Service>().await.unwrap_err());
    refused(&far.to_any().checked_cast::<dyn audit::Service>().await.unwrap_err());
    assert_eq!(billing::Service::close(&far).await.unwrap(), "billing");
}

#[tokio::test]
async fn a_name_does_not_lead_to_the_other() {
    const NAME: &str = "names.Bound";
    offices!("names.Bound");
    let (host, caller) = nodes().await;
    let running = Running::start(&["tcp://127.0.0.1:0".parse().unwrap()], Memory).await.unwrap();
    let registry = Registry::connect(&host, &running.endpoints()[0]).await.unwrap();
    let (billing, audit) = both();
    registry.bind("office", &billing).await.unwrap();
    registry.enlist("offices", &billing).await.unwrap();
    let refused = |error: NamingError| match error {
        NamingError::Remote(error) => assert_same_name(&error, ErrorKind::Misuse, NAME),
        other => panic!("{other}"),
    };
    refused(registry.bind("other", &audit).await.unwrap_err());
    let found = Registry::connect(&caller, &running.endpoints()[0]).await.unwrap();
    refused(found.lookup::<dyn audit::Service>("office").await.unwrap_err());
    refused(found.group::<dyn audit::Service>("offices", Balance::RoundRobin).await.unwrap_err());
    let office: Proxy<dyn billing::Service> = found.lookup("office").await.unwrap();
    assert_eq!(billing::Service::close(&office).await.unwrap(), "billing");
    running.shutdown().await;
}

#[tokio::test]
async fn a_reference_among_arguments_or_results_is_not_decoded_as_the_other() {
    offices!("names.Decoded");
    #[remote(name = "names.Decoder")]
    trait Decoder {
        async fn keep(&self, object: Proxy<dyn audit::Service>) -> Result<(), RemoteError>;
        async fn kept(&self) -> Result<Proxy<dyn audit::Service>, RemoteError>;
    }
    struct Never;
    #[remote]
    impl Decoder for Never {
        async fn keep(&self, _: Proxy<dyn audit::Service>) -> Result<(), RemoteError> {
            unreachable!("its argument is refused")
        }
        async fn kept(&self) -> Result<Proxy<dyn audit::Service>, RemoteError> {
            unreachable!("it is not called")
        }
    }
    let (host, caller) = nodes().await;
    let (billing, _) = both();

    let never = rmi_tests::renamed(Proxy::<dyn Decoder>::new(Never), "names.Decoder", "names.Post");
    let never: Proxy<dyn Post> = caller.proxy(&host.export(&never.cast::<dyn Post>().unwrap()).unwrap()).unwrap();
    let taken = caller.proxy::<dyn billing::Service>(&host.export(&billing).unwrap()).unwrap();
    let foreign = Proxy::<dyn billing::Service>::new(Office);
    let error = never.keep(foreign.into()).await.unwrap_err();
    assert_same_name(&error, ErrorKind::BadArguments, "names.Decoded");

    let post = Proxy::<dyn Post>::new(Letterbox(Some(billing.into()).into()));
    let post: Proxy<dyn Post> = caller.proxy(&host.export(&post).unwrap()).unwrap();
    let decoder: Proxy<dyn Decoder> = rmi_tests::renamed(&post, "names.Post", "names.Decoder").cast().unwrap();
    let error = decoder.kept().await.map(drop).unwrap_err();
    assert_eq!((error.kind(), error.executed()), (ErrorKind::BadReply, Executed::Yes));
    assert!(error.message().contains("are both called \"names.Decoded\""), "{error}");
    drop(taken);
}

#[tokio::test]
async fn an_object_of_the_second_is_not_sent() {
    const NAME: &str = "names.Sent";
    offices!("names.Sent");
    let (host, caller) = nodes().await;
    let (billing, audit) = both();
    host.export(&billing).unwrap();
    assert_same_name(&host.export(&audit).unwrap_err(), ErrorKind::Misuse, NAME);
    assert_same_name(&host.export_at(ObjectId::random(), &audit).unwrap_err(), ErrorKind::Misuse, NAME);
    let post = Arc::new(Letterbox::default());
    let far: Proxy<dyn Post> = caller.proxy(&host.export(&Proxy::<dyn Post>::from_arc(post.clone())).unwrap()).unwrap();
    assert_same_name(&far.keep(audit.to_any()).await.unwrap_err(), ErrorKind::Misuse, NAME);
    assert!(post.0.lock().unwrap().is_none(), "the method did not run");
    post.keep(audit.to_any()).await.unwrap();
    let error = far.kept().await.unwrap_err();
    assert_eq!((error.kind(), error.executed()), (ErrorKind::Misuse, Executed::Yes));
    assert!(error.message().contains("are both called \"names.Sent\""), "{error}");
    far.keep(billing.to_any()).await.unwrap();
}

#[tokio::test]
async fn inside_of_the_program_each_is_itself() {
    offices!("names.Inside");
    let (billing, audit) = both();
    let (host, caller) = nodes().await;
    let far: Proxy<dyn audit::Service> = caller.proxy(&host.export(&audit).unwrap()).unwrap();
    assert_eq!(billing::Service::close(&billing).await.unwrap(), "billing");
    assert_eq!(audit::Service::close(&audit).await.unwrap(), "audit");
    assert_eq!(audit::Service::close(&far).await.unwrap(), "audit");
    assert_same_name(&billing.cast::<dyn audit::Service>().unwrap_err(), ErrorKind::NoSuchInterface, "names.Inside");
    let error = billing.checked_cast::<dyn audit::Service>().await.unwrap_err();
    assert_same_name(&error, ErrorKind::NoSuchInterface, "names.Inside");
    billing.to_any().cast::<dyn billing::Service>().unwrap();
}

#[tokio::test]
async fn an_attempt_that_fails_for_another_reason_takes_no_name() {
    offices!("names.Failed");
    let (host, caller) = nodes().await;
    let post = host.export(&Proxy::<dyn Post>::new(Letterbox::default())).unwrap();
    let error = caller.proxy::<dyn audit::Service>(&post).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoSuchInterface);
    caller.proxy::<dyn billing::Service>(&host.export(&both().0).unwrap()).unwrap();
}

#[tokio::test]
async fn what_an_interface_extends_counts() {
    offices!("names.Extended");
    #[remote(name = "names.Late")]
    trait Late: audit::Service {
        async fn reopen(&self) -> Result<(), RemoteError>;
    }
    #[remote]
    impl Late for Office {
        async fn reopen(&self) -> Result<(), RemoteError> {
            Ok(())
        }
    }
    let (host, _) = nodes().await;
    let late = Proxy::<dyn Late>::new(Office);
    let office = Proxy::<dyn billing::Service>::new(Office);
    let error = office.and::<dyn Late>(Arc::new(Office)).unwrap_err();
    assert_same_name(&error, ErrorKind::Misuse, "names.Extended");
    host.export(&both().0).unwrap();
    assert_same_name(&host.export(&late).unwrap_err(), ErrorKind::Misuse, "names.Extended");
    late.reopen().await.unwrap();
}

#[tokio::test]
async fn an_object_that_was_sent_gets_no_interface_that_cannot_be_sent() {
    offices!("names.Later");
    let (host, _) = nodes().await;
    let (billing, _) = both();
    host.export(&billing).unwrap();
    let post = Proxy::<dyn Post>::new(Letterbox::default());
    host.export(&post).unwrap();
    let error = post.and::<dyn audit::Service>(Arc::new(Office)).unwrap_err();
    assert_same_name(&error, ErrorKind::Misuse, "names.Later");
}

/// Answers every call itself.
struct Recorder(&'static Descriptor);

impl Dispatch for Recorder {
    fn descriptor(&self) -> &'static Descriptor {
        self.0
    }

    fn dispatch(&self, _: Incoming) -> Dispatched {
        let reply = rmi_core::Reply::new(rmi_core::Status::Ok, rmi_core::Bytes::from_static(b"\xa8recorded"));
        Dispatched::Serve { future: Box::pin(std::future::ready(Ok(reply))), spawn: false }
    }
}

#[tokio::test]
async fn a_servant_without_types_stands_for_whatever_it_describes() {
    offices!("names.Recorded");
    static BY_HAND: Descriptor = Descriptor::new("names.Recorded");
    let (host, caller) = nodes().await;
    host.export(&both().0).unwrap();
    // One that was written by hand has the name without being of a type.
    let by_hand = AnyProxy::from_dispatch(Recorder(&BY_HAND));
    let audit: Proxy<dyn audit::Service> = by_hand.cast().unwrap();
    assert_eq!(audit::Service::close(&audit).await.unwrap(), "recorded");
    let far: Proxy<dyn billing::Service> = caller.proxy(&host.export(&audit).unwrap()).unwrap();
    assert_eq!(billing::Service::close(&far).await.unwrap(), "recorded");
    // One that is a trait's own stands for that trait.
    let recorder = AnyProxy::from_dispatch(Recorder(<dyn billing::Service>::descriptor()));
    let error = recorder.cast::<dyn audit::Service>().unwrap_err();
    assert_same_name(&error, ErrorKind::NoSuchInterface, "names.Recorded");
    host.export(&recorder.cast::<dyn billing::Service>().unwrap()).unwrap();
}
