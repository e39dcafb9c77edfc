//! Objects with several interfaces, interfaces that extend those of another crate, and objects that say what they are.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rmi_core::{
    Access, AnyProxy, Authorizer, Bytes, Call, ErrorKind, Executed, Interface, InterfaceId, MethodId, Node, ObjectRef,
    Peer, Proxy, RemoteError, Request, remote,
};
use rmi_tests::{Coloured, Shape};

/// The other side of the diamond.
#[remote(name = "tests.Measured")]
trait Measured: Shape {
    async fn area(&self) -> Result<u64, RemoteError>;
}

#[remote(name = "tests.Tile")]
trait Tile: Coloured + Measured {
    async fn turn(&self) -> Result<u64, RemoteError>;
}

#[remote(name = "tests.Audit")]
trait Audit {
    async fn entries(&self) -> Result<u64, RemoteError>;
}

#[remote(name = "tests.Exchange")]
trait Exchange {
    async fn shape_of(&self, audit: Proxy<dyn Audit>) -> Result<Proxy<dyn Shape>, RemoteError>;
}

#[derive(Default)]
struct Red(AtomicU64);

#[remote]
impl Shape for Red {
    async fn name(&self) -> Result<String, RemoteError> {
        Ok("tile".into())
    }
}

#[remote]
impl Coloured for Red {
    async fn colour(&self) -> Result<String, RemoteError> {
        Ok("red".into())
    }
}

#[remote]
impl Measured for Red {
    async fn area(&self) -> Result<u64, RemoteError> {
        Ok(4)
    }
}

#[remote]
impl Tile for Red {
    async fn turn(&self) -> Result<u64, RemoteError> {
        Ok(self.0.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

#[remote]
impl Audit for Red {
    async fn entries(&self) -> Result<u64, RemoteError> {
        Ok(self.0.load(Ordering::Relaxed))
    }
}

struct Caster;

#[remote]
impl Exchange for Caster {
    async fn shape_of(&self, audit: Proxy<dyn Audit>) -> Result<Proxy<dyn Shape>, RemoteError> {
        audit.cast()
    }
}

fn tile() -> Proxy<dyn Tile> {
    Proxy::new(Red::default())
}

/// A shape that is an audit, too: two interfaces of which neither extends the other.
fn audited() -> Proxy<dyn Shape> {
    let red = Arc::new(Red::default());
    Proxy::<dyn Shape>::from_arc(red.clone()).and::<dyn Audit>(red).unwrap()
}

struct Setting {
    host: Node,
    caller: Node,
}

async fn setting() -> Setting {
    let host = Node::builder().listen("tcp://127.0.0.1:0").start().await.unwrap();
    Setting { host, caller: Node::builder().start().await.unwrap() }
}

impl Setting {
    /// The caller's proxy for a reference to the object that names these interfaces only.
    fn far<T: ?Sized + Interface>(&self, proxy: &Proxy<T>, interfaces: &[&str]) -> AnyProxy {
        let mut reference = self.host.export(proxy).unwrap();
        reference.interfaces = interfaces.iter().map(|name| (*name).to_owned()).collect();
        self.caller.any_proxy(&reference.to_string().parse::<ObjectRef>().unwrap())
    }
}

#[tokio::test]
async fn a_derived_interface_calls_the_methods_of_its_bases_in_another_crate() {
    let setting = setting().await;
    let far: Proxy<dyn Tile> = setting.caller.proxy(&setting.host.export(&tile()).unwrap()).unwrap();
    assert_eq!(far.name().await.unwrap(), "tile");
    assert_eq!(far.colour().await.unwrap(), "red");
    assert_eq!((far.area().await.unwrap(), far.turn().await.unwrap()), (4, 1));
}

#[tokio::test]
async fn every_base_of_a_diamond_reaches_the_derived_servant_and_leads_back() {
    let setting = setting().await;
    let reference = setting.host.export(&tile()).unwrap();
    assert_eq!(*reference.interfaces, ["tests.Tile", "tests.Coloured", "tests.Shape", "tests.Measured"]);
    let shape: Proxy<dyn Shape> = setting.caller.proxy(&reference).unwrap();
    assert_eq!(shape.name().await.unwrap(), "tile");
    let measured: Proxy<dyn Measured> = shape.cast().unwrap();
    assert_eq!((measured.area().await.unwrap(), measured.name().await.unwrap()), (4, "tile".into()));
    let coloured: Proxy<dyn Coloured> = measured.cast().unwrap();
    assert_eq!(coloured.colour().await.unwrap(), "red");
    assert_eq!(coloured.cast::<dyn Tile>().unwrap().turn().await.unwrap(), 1);
}

#[tokio::test]
async fn unrelated_interfaces_of_one_object_lead_to_each_other_here() {
    let shape = audited();
    let audit: Proxy<dyn Audit> = shape.cast().unwrap();
    assert_eq!((audit.entries().await.unwrap(), shape.name().await.unwrap()), (0, "tile".into()));
    assert_eq!(audit.cast::<dyn Shape>().unwrap(), shape);
    assert_eq!(shape.cast::<dyn Tile>().unwrap_err().kind(), ErrorKind::NoSuchInterface);
}

#[tokio::test]
async fn unrelated_interfaces_of_one_object_lead_to_each_other_over_the_wire() {
    let setting = setting().await;
    let shape = audited();
    let reference = setting.host.export(&shape).unwrap();
    assert_eq!(*reference.interfaces, ["tests.Shape", "tests.Audit"]);
    assert_eq!(setting.host.export(&shape.cast::<dyn Audit>().unwrap()).unwrap(), reference, "it is one object");
    let shape: Proxy<dyn Shape> = setting.caller.proxy(&reference).unwrap();
    let audit: Proxy<dyn Audit> = shape.cast().unwrap();
    assert_eq!(audit.entries().await.unwrap(), 0);
    assert_eq!(audit.cast::<dyn Shape>().unwrap().name().await.unwrap(), "tile");
}

#[tokio::test]
async fn an_object_keeps_all_its_interfaces_when_it_travels_as_one_of_them() {
    let setting = setting().await;
    let reference = setting.host.export(&Proxy::<dyn Exchange>::new(Caster)).unwrap();
    let exchange: Proxy<dyn Exchange> = setting.caller.proxy(&reference).unwrap();
    let own = audited();
    let back = exchange.shape_of(own.cast().unwrap()).await.unwrap();
    assert!(back == own && back.is_local());
}

#[tokio::test]
async fn of_two_servants_of_one_interface_the_first_serves() {
    let first = Arc::new(Red::default());
    let audit = Proxy::<dyn Audit>::from_arc(first.clone()).and::<dyn Tile>(first).unwrap();
    let audit = audit.and::<dyn Audit>(Arc::new(Red::default())).unwrap();
    audit.cast::<dyn Tile>().unwrap().turn().await.unwrap();
    let setting = setting().await;
    let far: Proxy<dyn Audit> = setting.caller.proxy(&setting.host.export(&audit).unwrap()).unwrap();
    assert_eq!(far.entries().await.unwrap(), 1);
}

#[tokio::test]
async fn a_method_that_none_of_the_servants_has_is_told_apart_from_an_interface() {
    let setting = setting().await;
    let far = setting.far(&audited(), &[]);
    let fails = async |interface: &str| {
        let call = Call::new(MethodId::of(interface, "nothing"), Bytes::from_static(&[0x90]));
        far.invoke(call).await.err().unwrap()
    };
    assert_eq!(fails("tests.Audit").await.kind(), ErrorKind::NoSuchMethod);
    assert_eq!(fails("rmi.Object").await.kind(), ErrorKind::NoSuchMethod);
    let error = fails("tests.Tile").await;
    assert_eq!(error.kind(), ErrorKind::NoSuchInterface);
    let known = "; it implements tests.Shape (`rmi_tests::shapes::Shape`), tests.Audit (`it::interfaces::Audit`)";
    assert!(error.message().ends_with(known), "{error}");
}

#[tokio::test]
async fn an_object_of_another_node_gets_no_interface_here() {
    let setting = setting().await;
    let far: Proxy<dyn Shape> = setting.caller.proxy(&setting.host.export(&audited()).unwrap()).unwrap();
    let error = far.and::<dyn Audit>(Arc::new(Red::default())).unwrap_err();
    assert_eq!((error.kind(), error.executed()), (ErrorKind::Misuse, Executed::No));
}

/// Serves nothing, under names of its own.
struct Named(&'static rmi_core::Descriptor);

impl rmi_core::Dispatch for Named {
    fn descriptor(&self) -> &'static rmi_core::Descriptor {
        self.0
    }

    fn dispatch(&self, call: rmi_core::Incoming) -> rmi_core::Dispatched {
        rmi_core::Dispatched::Unknown(call)
    }
}

/// Interfaces with these numbers.
macro_rules! numbered {
    ($($number:literal)*) => { &[$(|| named(concat!("tests.Parent", $number))),*] };
}

fn named(name: &'static str) -> &'static rmi_core::Descriptor {
    Box::leak(Box::new(rmi_core::Descriptor::new(name)))
}

#[tokio::test]
async fn an_object_has_no_more_interfaces_than_a_reference_can_name() {
    let shape = <dyn Shape as Interface>::descriptor();
    let parents = numbered![0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30];
    let most = rmi_core::Descriptor { methods: shape.methods, parents, ..rmi_core::Descriptor::new(shape.name) };
    let object = AnyProxy::from_dispatch(Named(Box::leak(Box::new(most)))).cast::<dyn Shape>().unwrap();
    let error = object.and::<dyn Audit>(Arc::new(Red::default())).unwrap_err();
    assert_eq!(error.message(), "object of 33 interfaces exceeds the limit of 32");
}

/// Generic interfaces, each instance of which is one of its own.
mod instances {
    use super::*;
    use serde::{Serialize, de::DeserializeOwned};

    #[remote(name = "tests.Store")]
    trait Store<T: Serialize + DeserializeOwned + Clone + Send + Sync> {
        async fn get(&self) -> Result<T, RemoteError>;
        #[remote(alias = "set")]
        async fn put(&self, value: T) -> Result<(), RemoteError>;
    }

    #[remote(name = "tests.Ledger")]
    trait Ledger: Store<u64> {
        async fn doubled(&self) -> Result<u64, RemoteError>;
    }

    struct Shelf<T>(std::sync::Mutex<T>);

    #[remote]
    impl<T: Serialize + DeserializeOwned + Clone + Send + Sync + 'static> Store<T> for Shelf<T> {
        async fn get(&self) -> Result<T, RemoteError> {
            Ok(self.0.lock().unwrap().clone())
        }

        async fn put(&self, value: T) -> Result<(), RemoteError> {
            *self.0.lock().unwrap() = value;
            Ok(())
        }
    }

    #[remote]
    impl Ledger for Shelf<u64> {
        async fn doubled(&self) -> Result<u64, RemoteError> {
            Ok(2 * self.get().await?)
        }
    }

    fn shelf<T>(value: T) -> Shelf<T> {
        Shelf(std::sync::Mutex::new(value))
    }

    #[tokio::test]
    async fn an_instance_is_not_taken_for_another_of_the_same_trait() {
        let setting = setting().await;
        let reference = setting.host.export(&Proxy::<dyn Store<u64>>::new(shelf(7))).unwrap();
        assert_eq!(*reference.interfaces, ["tests.Store<u64>"]);
        let far: Proxy<dyn Store<u64>> = setting.caller.proxy(&reference).unwrap();
        assert_eq!(far.get().await.unwrap(), 7);
        let text = "the object does not implement tests.Store<string>; it implements tests.Store<u64>";
        for refused in [setting.caller.proxy::<dyn Store<String>>(&reference), far.cast(), far.checked_cast().await] {
            let error = refused.unwrap_err();
            assert_eq!((error.kind(), error.message()), (ErrorKind::NoSuchInterface, text));
        }
    }

    #[tokio::test]
    async fn a_call_as_another_instance_does_not_run() {
        let setting = setting().await;
        let far = setting.far(&Proxy::<dyn Store<Vec<u8>>>::new(shelf(vec![1])), &[]);
        let error = far.cast::<dyn Store<Vec<u16>>>().unwrap().put(vec![2]).await.unwrap_err();
        assert_eq!((error.kind(), error.executed()), (ErrorKind::NoSuchInterface, Executed::No));
        assert!(error.message().contains("tests.Store<list<u8>>"), "{error}");
        assert_eq!(far.cast::<dyn Store<Vec<u8>>>().unwrap().get().await.unwrap(), [1]);
    }

    #[tokio::test]
    async fn the_earlier_name_of_a_method_is_understood_by_an_instance() {
        let setting = setting().await;
        let far = setting.far(&Proxy::<dyn Store<u8>>::new(shelf(1)), &[]);
        let call = Call::new(MethodId::of("tests.Store<u8>", "set"), Bytes::from_static(&[0x91, 9]));
        far.invoke(call).await.unwrap();
        assert_eq!(far.cast::<dyn Store<u8>>().unwrap().get().await.unwrap(), 9);
    }

    #[tokio::test]
    async fn an_interface_inherits_the_methods_of_an_instance() {
        let setting = setting().await;
        let reference = setting.host.export(&Proxy::<dyn Ledger>::new(shelf(4))).unwrap();
        assert_eq!(*reference.interfaces, ["tests.Ledger", "tests.Store<u64>"]);
        let far: Proxy<dyn Ledger> = setting.caller.proxy(&reference).unwrap();
        far.put(5).await.unwrap();
        assert_eq!((far.get().await.unwrap(), far.doubled().await.unwrap()), (5, 10));
        let store: Proxy<dyn Store<u64>> = far.cast().unwrap();
        assert_eq!(store.get().await.unwrap(), 5);
        assert_eq!(far.cast::<dyn Store<u32>>().unwrap_err().kind(), ErrorKind::NoSuchInterface);
    }
}

#[tokio::test]
async fn an_object_is_asked_what_its_reference_does_not_tell() {
    let setting = setting().await;
    let shape = audited();
    for known in [&[][..], &["tests.Shape"]] {
        let far = setting.far(&shape, known);
        let audit: Proxy<dyn Audit> = far.checked_cast().await.unwrap();
        assert_eq!(audit.entries().await.unwrap(), 0);
        assert_eq!(*audit.reference().unwrap().interfaces, ["tests.Shape", "tests.Audit"]);
        assert_eq!(audit.cast::<dyn Shape>().unwrap().checked_cast::<dyn Audit>().await.unwrap(), audit);
    }
    assert_eq!(shape.checked_cast::<dyn Audit>().await.unwrap().entries().await.unwrap(), 0);
}

#[tokio::test]
async fn an_object_denies_what_a_cast_believes() {
    let setting = setting().await;
    let far = setting.far(&audited(), &[]);
    let believed: Proxy<dyn Tile> = far.cast().expect("nothing is known, and nothing was asked");
    let error = believed.turn().await.unwrap_err();
    assert_eq!((error.kind(), error.executed()), (ErrorKind::NoSuchInterface, Executed::No));
    let text = "tests.Tile/turn of `it::interfaces::Tile` is not there: the object does not implement interface ";
    assert!(error.message().starts_with(text), "{error}");
    let error = far.checked_cast::<dyn Tile>().await.unwrap_err();
    assert_eq!((error.kind(), error.executed()), (ErrorKind::NoSuchInterface, Executed::No));
    let text = "the object does not implement tests.Tile; it implements tests.Shape, tests.Audit";
    assert_eq!(error.message(), text);
}

#[tokio::test]
async fn an_interface_that_an_object_gained_later_is_found_by_asking() {
    let setting = setting().await;
    let red = Arc::new(Red::default());
    let shape = Proxy::<dyn Shape>::from_arc(red.clone());
    let far: Proxy<dyn Shape> = setting.caller.proxy(&setting.host.export(&shape).unwrap()).unwrap();
    assert!(far.checked_cast::<dyn Audit>().await.is_err());
    shape.and::<dyn Audit>(red).unwrap();
    assert!(far.cast::<dyn Audit>().is_err());
    assert_eq!(far.checked_cast::<dyn Audit>().await.unwrap().entries().await.unwrap(), 0);
}

/// Lets nobody ask what an object is, and notes what was called.
struct Secretive;

impl Authorizer for Secretive {
    fn authorize(&self, _peer: &Peer, request: &Request<'_>) -> Access {
        match request.method {
            "interfaces" if request.declared_by == InterfaceId::of("rmi.Object") => Access::Deny("guess".into()),
            "entries" if request.interface != "tests.Audit" => Access::Deny(request.interface.to_owned()),
            _ => Access::Allow,
        }
    }
}

#[tokio::test]
async fn the_authorizer_may_forbid_the_question_and_sees_the_interface_of_a_method() {
    let host = Node::builder().listen("tcp://127.0.0.1:0").authorizer(Secretive).start().await.unwrap();
    let setting = Setting { host, ..setting().await };
    let far = setting.far(&audited(), &[]);
    let error = far.checked_cast::<dyn Audit>().await.unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::Denied, "guess"));
    assert_eq!(far.cast::<dyn Audit>().unwrap().entries().await.unwrap(), 0);
}
