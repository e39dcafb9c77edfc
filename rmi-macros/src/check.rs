//! Mistakes that are found before any code is written.

use std::collections::HashMap;

use syn::visit::{self, Visit};
use syn::{GenericParam, Lifetime, PathArguments, Type, TypeParamBound};

use crate::messages;
use crate::model::{Errors, Interface, Method};

/// The methods that `Proxy` has of its own, and those that it will have.
const PROXY_METHODS: &[&str] = &[
    "new",
    "from_arc",
    "with",
    "and",
    "cast",
    "checked_cast",
    "to_any",
    "reference",
    "is_local",
    "clone",
    "closed",
    "downgrade",
    "pipelined",
];

/// The longest name of a generic trait, in bytes: behind it stand its arguments, or their hash.
const GENERIC_NAME_MAX: usize = 240;

/// The interface that every object has.
const RESERVED_NAME: &str = "rmi.Object";

/// The interfaces of the framework: a program that had one of these names could not send streams, say.
const RESERVED_PREFIX: &str = "rmi.";

/// Says whether this is compiled as a part of the framework.
fn is_framework() -> bool {
    std::env::var("CARGO_PKG_NAME").is_ok_and(|package| package == "rmi-core")
}

pub(crate) fn interface(interface: &Interface, errors: &mut Errors) {
    if interface.name == RESERVED_NAME {
        errors.add(&interface.item.ident, messages::RESERVED_NAME);
    } else if interface.name.starts_with(RESERVED_PREFIX) && !is_framework() {
        errors.add(&interface.item.ident, messages::RESERVED_PREFIX);
    }
    if interface.name.len() > GENERIC_NAME_MAX && !interface.item.generics.params.is_empty() {
        errors.add(&interface.item.ident, messages::LONG_GENERIC_NAME);
    }
    for parameter in &interface.item.generics.params {
        if let GenericParam::Lifetime(lifetime) = parameter {
            errors.add(lifetime, messages::LIFETIME);
        }
    }
    for method in &interface.methods {
        signature(method, errors);
        if let Some(at) = method.options.unreliable.filter(|_| !method.options.oneway) {
            errors.add_at(at, messages::UNRELIABLE_RESULT);
        }
        for argument in &method.arguments {
            Types { errors, result: false }.visit_type(&argument.ty);
        }
        returns(method, errors);
    }
    ids(interface, errors);
}

fn signature(method: &Method, errors: &mut Errors) {
    let sig = &method.sig;
    if sig.asyncness.is_none() {
        errors.add(sig.fn_token, messages::NOT_ASYNC);
    }
    match sig.receiver() {
        None => errors.add(&sig.ident, messages::NO_SELF),
        Some(receiver) if receiver.reference.is_none() => errors.add(receiver, messages::OWNED_SELF),
        Some(receiver) if receiver.mutability.is_some() => errors.add(receiver, messages::MUT_SELF),
        Some(_) => {}
    }
    if !sig.generics.params.is_empty() {
        errors.add(&sig.generics.params, messages::GENERIC_METHOD);
    }
    let name = method.ident.to_string();
    if PROXY_METHODS.contains(&name.as_str()) {
        errors.add(&method.ident, messages::proxy_method(&name));
    }
}

fn returns(method: &Method, errors: &mut Errors) {
    match method.return_type() {
        None => errors.add(&method.ident, messages::NO_RESULT),
        Some(ty) => Types { errors, result: true }.visit_type(ty),
    }
}

/// Looks at a type and everything inside it.
struct Types<'e> {
    errors: &'e mut Errors,
    result: bool,
}

impl Visit<'_> for Types<'_> {
    fn visit_type(&mut self, ty: &Type) {
        match ty {
            Type::ImplTrait(_) => self.errors.add(ty, messages::IMPL_TRAIT),
            Type::BareFn(_) => self.errors.add(ty, messages::CLOSURE),
            Type::TraitObject(object) if object.bounds.iter().any(is_function) => {
                self.errors.add(ty, messages::CLOSURE);
            }
            Type::Reference(_) if self.result => self.errors.add(ty, messages::BORROWED_RESULT),
            Type::Reference(reference) if reference.mutability.is_some() => {
                self.errors.add(ty, messages::MUT_REFERENCE);
            }
            Type::Reference(reference) if reference.lifetime.as_ref().is_some_and(|named| named.ident != "_") => {
                self.errors.add(ty, messages::STATIC_REFERENCE);
            }
            _ => visit::visit_type(self, ty),
        }
    }

    fn visit_lifetime(&mut self, lifetime: &Lifetime) {
        if self.result && lifetime.ident != "static" {
            self.errors.add(lifetime, messages::BORROWED_RESULT);
        }
    }
}

/// Only `Fn` and the like have their arguments in parentheses.
fn is_function(bound: &TypeParamBound) -> bool {
    let TypeParamBound::Trait(bound) = bound else { return false };
    bound.path.segments.last().is_some_and(|last| matches!(last.arguments, PathArguments::Parenthesized(_)))
}

/// No two names of one interface may have the same hash.
fn ids(interface: &Interface, errors: &mut Errors) {
    let mut known: HashMap<u32, String> = HashMap::new();
    for method in &interface.methods {
        for (name, span) in method.names() {
            match known.get(&hash(&name)) {
                // Of two methods with conditions, one may be there at a time.
                Some(other) if *other == name && !method.cfgs.is_empty() => {}
                Some(other) => errors.add_at(span, messages::same_id(&name, other)),
                None => {
                    known.insert(hash(&name), name);
                }
            }
        }
    }
}

/// FNV-1a, as in `rmi_core`.
fn hash(name: &str) -> u32 {
    name.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hash_is_fnv_1a() {
        assert_eq!(hash("foobar"), 0xbf9c_f968);
    }
}
