//! What is left on the books when connections and claims come to nothing.

use super::*;

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

#[tokio::test]
async fn an_object_that_is_not_held_keeps_no_connection() {
    let (host, caller) = (host("tcp://127.0.0.1:0").await, Node::builder().start().await.unwrap());
    let endpoints = host.node.endpoints().to_vec();
    let none = rmi_core::ObjectRef::new(host.node.id(), rmi_core::ObjectId::random(), vec!["Thing".into()], endpoints);
    let thing: Proxy<dyn Thing> = caller.proxy(&none).unwrap();
    assert_eq!(thing.number().await.unwrap_err().executed(), Executed::No);
    drop(thing);
    until("the connection is closed", || caller.connections() == 0).await;
}

#[tokio::test]
async fn a_reference_that_comes_again_after_its_object_was_gone() {
    let node = Node::builder().listen("tcp://127.0.0.1:0").limits(short(400)).start().await.unwrap();
    let works = Arc::new(Works::default());
    works.keep(Proxy::new(Numbered::new(1, &works.living))).await.unwrap();
    let id = rmi_core::ObjectId::random();
    node.export_at(id, &Proxy::<dyn Factory>::from_arc(works.clone())).unwrap();
    let (plan, caller) = cuttable().await;
    let factory: Proxy<dyn Factory> = caller.at(&node.endpoints()[0], id);
    let thing = factory.kept().await.unwrap().unwrap();
    plan.cut_for_good();
    tokio::time::timeout(Duration::from_secs(3), thing.closed()).await.unwrap();
    plan.forbidden.store(false, Ordering::SeqCst);
    assert_eq!(thing.number().await.unwrap_err().kind(), ErrorKind::Gone);
    let again = factory.kept().await.unwrap().unwrap();
    assert_eq!(again.number().await, Ok(1));
    works.forget().await.unwrap();
    drop(thing);
    assert_eq!(again.number().await, Ok(1));
    drop(again);
    works.living.are(0).await;
}

/// The host's two proxies of one object of the caller's: one that went on after a loss, and one that came before it did.
async fn twins() -> (Host, Arc<Cuttable>, Proxy<dyn Factory>, Arc<Living>, [Proxy<dyn Thing>; 2], Node) {
    let host = host("tcp://127.0.0.1:0").await;
    let (plan, caller) = cuttable().await;
    let factory = host.seen_by(&caller);
    let living = Arc::new(Living::default());
    let own = Proxy::<dyn Thing>::new(Numbered::new(3, &living));
    factory.keep(own.clone()).await.unwrap();
    let first = host.works.held().unwrap();
    plan.cut_for_good();
    until("lost", || host.node.connections() == 0).await;
    plan.forbidden.store(false, Ordering::SeqCst);
    factory.keep(own.clone()).await.unwrap();
    let second = host.works.held().unwrap();
    drop(own);
    drop(host.works.kept.lock().unwrap().take());
    tokio::time::sleep(ms(300)).await;
    (host, plan, factory, living, [first, second], caller)
}

#[tokio::test]
async fn what_went_on_is_held_without_what_came_before() {
    let (_host, _plan, _factory, living, [first, second], _caller) = twins().await;
    drop(second);
    tokio::time::sleep(ms(300)).await;
    assert_eq!(first.number().await, Ok(3));
    drop(first);
    living.are(0).await;
}

#[tokio::test]
async fn what_came_before_going_on_goes_on_itself() {
    let (host, plan, _factory, living, [first, second], _caller) = twins().await;
    let _host = host;
    plan.cut();
    tokio::time::sleep(ms(300)).await;
    assert_eq!((first.number().await, second.number().await), (Ok(3), Ok(3)));
    drop(first);
    tokio::time::sleep(ms(300)).await;
    assert_eq!(second.number().await, Ok(3));
    drop(second);
    living.are(0).await;
}

#[tokio::test]
async fn a_callback_that_dials_holds_its_object() {
    let host = leasing(600).await;
    let plan = Arc::new(rmi_core_faults());
    let builder = Node::builder().transport(plan.clone()).limits(short(600));
    let caller = builder.listen("tcp://127.0.0.1:0").start().await.unwrap();
    let living = Arc::new(Living::default());
    let factory = host.seen_by(&caller);
    factory.keep(Proxy::new(Numbered::new(3, &living))).await.unwrap();
    plan.cut_for_good();
    until("lost", || host.node.connections() == 0).await;
    for _ in 0..15 {
        assert_eq!(host.works.ask().await, Ok(3));
        tokio::time::sleep(ms(100)).await;
    }
    host.works.forget().await.unwrap();
    living.are(0).await;
}

#[tokio::test]
async fn closed_of_a_callback_waits_for_who_dialled() {
    let host = host("tcp://127.0.0.1:0").await;
    let (plan, caller) = cuttable().await;
    let living = Arc::new(Living::default());
    host.seen_by(&caller).keep(Proxy::new(Numbered::new(3, &living))).await.unwrap();
    plan.cut_for_good();
    until("lost", || host.node.connections() == 0).await;
    let thing = host.works.held().unwrap();
    assert!(tokio::time::timeout(ms(100), thing.closed()).await.is_err());
    plan.forbidden.store(false, Ordering::SeqCst);
    until("back", || host.node.connections() == 1).await;
    tokio::time::sleep(ms(200)).await;
    assert_eq!(thing.number().await, Ok(3));
}

#[tokio::test]
async fn claims_that_are_lost_while_both_sides_hold() {
    let host = leasing(4000).await;
    let (plan, caller) = cuttable().await;
    let factory = host.seen_by(&caller);
    let (thing, other) = (factory.make(1).await.unwrap(), factory.make(2).await.unwrap());
    let living = Arc::new(Living::default());
    factory.keep(Proxy::new(Numbered::new(3, &living))).await.unwrap();
    plan.deaf.store(1, Ordering::SeqCst);
    plan.cut();
    until("the caller has come back", || plan.deaf.load(Ordering::SeqCst) == 0).await;
    // After two seconds the caller gives it up, and has another one for its goodbye.
    tokio::time::sleep(ms(2500)).await;
    drop(other);
    tokio::time::sleep(ms(1200)).await;
    assert_eq!((thing.number().await, factory.ask().await), (Ok(1), Ok(3)));
    host.works.living.are(1).await;
}

#[tokio::test]
async fn claims_of_relayed_objects_that_are_lost() {
    let host = leasing(4000).await;
    let silent = Node::builder().start().await.unwrap();
    let living = Arc::new(Living::default());
    let factory = host.seen_by(&silent);
    factory.keep(Proxy::new(Numbered::new(11, &living))).await.unwrap();
    let (plan, caller) = cuttable().await;
    let factory = host.seen_by(&caller);
    let thing = factory.kept().await.unwrap().unwrap();
    factory.forget().await.unwrap();
    assert_eq!(thing.number().await, Ok(11));
    plan.deaf.store(4, Ordering::SeqCst);
    for left in [3, 2, 1, 0] {
        plan.cut();
        until("the caller has come back", || plan.deaf.load(Ordering::SeqCst) == left).await;
        // It says what it held, to nobody.
        tokio::time::sleep(ms(100)).await;
    }
    tokio::time::sleep(ms(4500)).await;
    assert_eq!(living.now(), 1);
    assert_eq!(thing.number().await, Ok(11));
    drop(thing);
    living.are(0).await;
}

#[tokio::test]
async fn shutting_down_while_what_is_held_is_lost() {
    let host = host("tcp://127.0.0.1:0").await;
    let (plan, caller) = cuttable().await;
    let factory = host.seen_by(&caller);
    let thing = factory.make(1).await.unwrap();
    let living = Arc::new(Living::default());
    factory.keep(Proxy::new(Numbered::new(3, &living))).await.unwrap();
    plan.cut_for_good();
    until("lost", || host.node.connections() == 0).await;
    tokio::time::timeout(ms(1000), host.node.shutdown()).await.unwrap();
    assert_eq!(host.living.now(), 0);
    let closed = thing.closed();
    tokio::time::timeout(ms(3000), caller.shutdown()).await.unwrap();
    assert_eq!(living.now(), 0);
    tokio::time::timeout(ms(1000), closed).await.unwrap();
}

#[tokio::test]
async fn what_is_dropped_during_a_claim_that_is_lost_is_not_dialled_for() {
    let host = leasing(4000).await;
    let (plan, caller) = cuttable().await;
    let factory = host.seen_by(&caller);
    let thing = factory.make(1).await.unwrap();
    plan.deaf.store(1, Ordering::SeqCst);
    plan.cut();
    until("the caller has come back", || plan.deaf.load(Ordering::SeqCst) == 0).await;
    tokio::time::sleep(ms(100)).await;
    drop((thing, factory));
    plan.forbidden.store(true, Ordering::SeqCst);
    tokio::time::sleep(ms(3500)).await;
    assert_eq!(caller.connections(), 0);
}

#[tokio::test]
async fn a_callback_that_dials_holds_what_its_peer_passes_calls_on_to() {
    // The holder listens; the introducer dials it, listens too, and passes on what a silent node gave it.
    let holder = Node::builder().listen("tcp://127.0.0.1:0").limits(short(600)).start().await.unwrap();
    let works = Arc::new(Works::default());
    let reference = holder.export(&Proxy::<dyn Factory>::from_arc(works.clone())).unwrap();
    let plan = Arc::new(rmi_core_faults());
    let builder = Node::builder().transport(plan.clone()).limits(short(600));
    let between = builder.listen("tcp://127.0.0.1:0").start().await.unwrap();
    let theirs = Arc::new(Works::default());
    let at = between.export(&Proxy::<dyn Factory>::from_arc(theirs.clone())).unwrap();
    let silent = Node::builder().start().await.unwrap();
    let living = Arc::new(Living::default());
    let to_between: Proxy<dyn Factory> = silent.proxy(&at).unwrap();
    to_between.keep(Proxy::new(Numbered::new(11, &living))).await.unwrap();
    let to_holder: Proxy<dyn Factory> = between.proxy(&reference).unwrap();
    to_holder.keep(theirs.held().unwrap()).await.unwrap();
    assert_eq!(works.ask().await, Ok(11));
    plan.cut_for_good();
    until("lost", || holder.connections() == 0).await;
    theirs.forget().await.unwrap();
    for _ in 0..15 {
        assert_eq!(works.ask().await, Ok(11));
        tokio::time::sleep(ms(100)).await;
    }
    works.forget().await.unwrap();
    living.are(0).await;
}
