//! The syntax of an argument: by value, or borrowed. All else is decided by its type.

use proc_macro2::Span;
use syn::visit::{self, Visit};
use syn::visit_mut::{self, VisitMut};
use syn::{Ident, Lifetime, Type, TypeReference};

/// An argument of a remote method.
pub(crate) struct Argument {
    pub(crate) ident: Ident,
    pub(crate) ty: Type,
    /// Set when it borrows.
    pub(crate) borrowed: bool,
    /// Set when a default stands for it in the calls of older callers.
    pub(crate) defaulted: bool,
}

impl Argument {
    pub(crate) fn new(ident: Ident, ty: Type, defaulted: bool) -> Self {
        let mut references = References(false);
        references.visit_type(&ty);
        Self { ident, ty, borrowed: references.0, defaulted }
    }

    /// The type with `'static` for each lifetime that is not named: what it is in a call that is not made yet.
    pub(crate) fn static_type(&self) -> Type {
        let mut ty = self.ty.clone();
        Static.visit_type_mut(&mut ty);
        ty
    }
}

/// The `T` that `&T` lends. A type that comes through a macro is in a group.
pub(crate) fn lent(ty: &Type) -> Option<&Type> {
    match ty {
        Type::Reference(reference) => Some(&reference.elem),
        Type::Group(group) => lent(&group.elem),
        Type::Paren(paren) => lent(&paren.elem),
        _ => None,
    }
}

/// Looks for references.
struct References(bool);

impl Visit<'_> for References {
    fn visit_type_reference(&mut self, reference: &TypeReference) {
        self.0 = true;
        visit::visit_type_reference(self, reference);
    }
}

struct Static;

impl VisitMut for Static {
    fn visit_type_reference_mut(&mut self, reference: &mut TypeReference) {
        reference.lifetime.get_or_insert_with(lifetime);
        visit_mut::visit_type_reference_mut(self, reference);
    }

    fn visit_lifetime_mut(&mut self, found: &mut Lifetime) {
        if found.ident == "_" {
            *found = lifetime();
        }
    }
}

fn lifetime() -> Lifetime {
    Lifetime::new("'static", Span::mixed_site())
}
