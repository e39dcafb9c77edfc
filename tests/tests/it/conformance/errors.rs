//! Group EXC.

use rmi_core::{ErrorKind, Executed, Fault, ObjectRef, Proxy};

use super::probe::{Probe, ProbeError, own_probe, setting};

#[tokio::test]
async fn a_declared_error_arrives_with_its_fields() {
    let setting = setting().await;
    let error = setting.probe.bad("käse", -7).await.unwrap_err();
    assert!(matches!(&error, ProbeError::Bad { what, code: -7 } if what == "käse"));
    assert_eq!(error.to_string(), "bad käse: -7");
}

#[tokio::test]
async fn a_panic_fails_its_own_call_alone_and_keeps_its_text() {
    let setting = setting().await;
    let error = setting.probe.panic().await.unwrap_err().remote();
    assert_eq!((error.kind(), error.executed(), error.fault()), (ErrorKind::Panicked, Executed::Yes, Fault::Servant));
    assert!(!error.to_string().contains("secret"), "{error}");
    setting.probe.nothing().await.unwrap();
    assert_eq!(setting.host.connections(), 1);
}

#[tokio::test]
async fn an_error_does_not_grow_from_hop_to_hop() {
    let setting = setting().await;
    let direct = setting.probe.panic().await.unwrap_err().remote();
    let (_, own) = own_probe();
    // The host calls back, and passes on what it gets.
    let relayed = setting.probe.relay_bad(own).await.unwrap_err().remote();
    assert_eq!((relayed.kind(), relayed.message()), (direct.kind(), direct.message()));
    assert!(relayed.is_relayed() && !direct.is_relayed());
    assert!(!relayed.retry_is_safe(true));
}

#[tokio::test]
async fn an_error_can_carry_a_reference() {
    let setting = setting().await;
    let (servant, own) = own_probe();
    let Err(ProbeError::AskAnother(other)) = setting.probe.refuse(own).await else { panic!("it refuses") };
    // It came home: it is the object itself.
    assert!(other.is_local());
    other.note(1).await.unwrap();
    assert_eq!(*servant.notes.lock().unwrap(), [1]);
}

#[tokio::test]
async fn a_lost_connection_says_that_the_call_may_have_run_and_why() {
    let setting = setting().await;
    let (probe, servant) = (setting.probe.clone(), setting.servant.clone());
    let call = tokio::spawn(async move { probe.hang().await.unwrap_err().remote() });
    servant.until(|servant| servant.running.load(std::sync::atomic::Ordering::SeqCst) == 1).await;
    drop(setting.host);
    let error = call.await.unwrap();
    assert_eq!((error.kind(), error.executed()), (ErrorKind::Disconnected, Executed::Maybe));
    assert!(error.message().contains("the node is gone"), "{error}");
}

#[tokio::test]
async fn a_failure_before_the_request_is_sent_says_that_it_did_not_run() {
    let setting = setting().await;
    let endpoints = vec!["tcp://127.0.0.1:1".parse().unwrap()];
    let ObjectRef { node, object, interfaces, .. } = setting.reference.clone();
    let nowhere: Proxy<dyn Probe> = setting.caller.proxy(&ObjectRef::new(node, object, interfaces, endpoints)).unwrap();
    let error = nowhere.nothing().await.unwrap_err().remote();
    assert_eq!((error.kind(), error.executed(), error.fault()), (ErrorKind::Unreachable, Executed::No, Fault::Network));
    assert!(error.message().contains("tcp://127.0.0.1:1: Connection refused"), "{error}");
}

#[tokio::test]
async fn a_kept_error_keeps_nothing_alive() {
    let setting = setting().await;
    let error = setting.probe.panic().await.unwrap_err();
    drop(setting.probe);
    super::connections::until_no_connections(&setting.host).await;
    drop(error);
}
