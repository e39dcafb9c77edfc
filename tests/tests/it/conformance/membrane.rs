//! A membrane: whatever crosses it is wrapped, what comes back is unwrapped, and all of it can be cut off at once. Built on the
//! public API, by moving bytes and looking at the references beside them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use rmi_core::{
    AnyProxy, Call, Descriptor, Dispatch, Dispatched, ErrorKind, Executed, Incoming, Interface, Outcome, Proxy,
    RemoteError, Target,
};

use super::references::{Guide, guide};

struct Membrane {
    /// The interfaces that may cross.
    known: Vec<&'static Descriptor>,
    /// What has crossed: the wrapper, and what is behind it.
    crossed: Mutex<Vec<(AnyProxy, AnyProxy)>>,
    cut: AtomicBool,
}

impl Membrane {
    fn new(known: &[&'static Descriptor]) -> Arc<Self> {
        Arc::new(Self { known: known.to_vec(), crossed: Mutex::default(), cut: AtomicBool::new(false) })
    }

    /// The reference as it is known on the other side.
    fn cross(self: &Arc<Self>, proxy: &AnyProxy) -> Result<AnyProxy, RemoteError> {
        let mut crossed = self.crossed.lock().unwrap();
        for (wrapper, behind) in crossed.iter() {
            if proxy == wrapper {
                return Ok(behind.clone());
            }
            if proxy == behind {
                return Ok(wrapper.clone());
            }
        }
        let names = proxy.interfaces();
        let descriptor = self.known.iter().find(|known| names.iter().any(|name| name == known.name));
        let refused = || RemoteError::new(ErrorKind::Denied, Executed::No, format!("{names:?} may not cross"));
        let descriptor = descriptor.ok_or_else(refused)?;
        let wrapper = Wrapper { membrane: self.clone(), behind: proxy.clone(), descriptor };
        let wrapper = AnyProxy::from_dispatch(wrapper);
        crossed.push((wrapper.clone(), proxy.clone()));
        Ok(wrapper)
    }

    fn cross_all(self: &Arc<Self>, references: Vec<Target>) -> Result<Vec<Target>, RemoteError> {
        references.into_iter().map(|target| Ok(self.cross(&target.into())?.into())).collect()
    }

    fn check(&self) -> Result<(), RemoteError> {
        match self.cut.load(Ordering::SeqCst) {
            true => Err(RemoteError::new(ErrorKind::Denied, Executed::No, "the membrane was cut")),
            false => Ok(()),
        }
    }

    /// Nothing crosses any more, and what is behind is let go.
    fn cut(&self) {
        self.cut.store(true, Ordering::SeqCst);
        drop(std::mem::take(&mut *self.crossed.lock().unwrap()));
    }
}

struct Wrapper {
    membrane: Arc<Membrane>,
    behind: AnyProxy,
    descriptor: &'static Descriptor,
}

async fn pass(membrane: Arc<Membrane>, behind: AnyProxy, incoming: Incoming) -> Outcome {
    membrane.check()?;
    let mut call = Call::new(incoming.method, incoming.body);
    call.references = membrane.cross_all(incoming.references)?;
    let mut reply = behind.invoke(call).await?;
    reply.references = membrane.cross_all(reply.references)?;
    Ok(reply)
}

impl Dispatch for Wrapper {
    fn descriptor(&self) -> &'static Descriptor {
        self.descriptor
    }

    fn dispatch(&self, call: Incoming) -> Dispatched {
        let future = Box::pin(pass(self.membrane.clone(), self.behind.clone(), call));
        Dispatched::Serve { future, spawn: false }
    }
}

#[tokio::test]
async fn a_membrane_wraps_what_crosses_it_unwraps_what_returns_and_is_cut_at_once() {
    let start = || super::WAY.host().start();
    let (inside, between, outside) = (start().await.unwrap(), start().await.unwrap(), start().await.unwrap());
    let hidden = guide();
    let behind: Proxy<dyn Guide> = between.proxy(&inside.export(&hidden).unwrap()).unwrap();
    let membrane = Membrane::new(&[<dyn Guide as Interface>::descriptor()]);
    let wrapper: Proxy<dyn Guide> = membrane.cross(&behind.into()).unwrap().cast().unwrap();
    let seen: Proxy<dyn Guide> = outside.proxy(&between.export(&wrapper).unwrap()).unwrap();

    // What is inside meets only the membrane, and does not know who is outside.
    let own = guide();
    seen.keep(own.clone()).await.unwrap();
    let inner = hidden.kept().await.unwrap().unwrap();
    assert_eq!(inner.reference().unwrap().node, between.id());
    assert_eq!(seen.caller().await.unwrap(), between.id().to_string());
    // What returns is itself, on both sides.
    assert!(seen.kept().await.unwrap().unwrap() == own);
    assert!(seen.this().await.unwrap() == seen);
    inner.keep(hidden.clone()).await.unwrap();
    assert!(inner.kept().await.unwrap().unwrap() == hidden);
    assert!(own.kept().await.unwrap().unwrap() == seen);
    assert_eq!(inner.caller().await.unwrap(), between.id().to_string());

    membrane.cut();
    for error in [seen.caller().await.unwrap_err(), inner.caller().await.unwrap_err()] {
        assert_eq!((error.kind(), error.message()), (ErrorKind::Denied, "the membrane was cut"));
    }
    hidden.caller().await.unwrap();
}
