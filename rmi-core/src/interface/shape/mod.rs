//! The name of a type by the shape of its values, the same in every program: what its own `Deserialize` asks for.
//!
//! A [`Probe`](probe::Probe) is a deserializer that notes the first thing it is asked for and then fails, so that nothing is
//! decoded. What is inside of a list, a tuple or a generic type is found by asking again, further down a path.

mod known;
mod probe;
mod read;
mod sample;
#[cfg(test)]
mod tests;

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::de::DeserializeOwned;

use probe::{Asked, Inside, Probe, Question, Step};

/// Names what cannot be found out.
pub(crate) const UNKNOWN: &str = "_";

/// Begins what a reference says that it expects, in the other form of the text (`{:#}`), before the name of what it refers to.
pub(crate) const REFERENCE: &str = "a reference to ";

/// The depth to which types are looked into.
const DEPTH_MAX: usize = 16;
/// The number of questions for one type; it bounds the work for types that are wide and deep.
const QUESTIONS_MAX: usize = 4096;

/// The name of `T`: `u64`, `string`, `list<Entry>`, `(u8,map<string,bytes>)`.
pub(crate) fn name<T: DeserializeOwned>() -> String {
    let ask = |question: &Question| drop(T::deserialize(Probe::new(question, std::any::type_name::<T>())));
    Shape { ask: &ask, path: Vec::new(), within: Vec::new(), left: QUESTIONS_MAX }.name()
}

/// A walk over the shape of one type.
struct Shape<'s> {
    /// Has the type ask for its value.
    ask: &'s dyn Fn(&Question),
    /// The way to the place that is looked at.
    path: Vec<Step>,
    /// The generic types around that place, by the names that the compiler has for them.
    within: Vec<&'static str>,
    left: usize,
}

impl Shape<'_> {
    /// Returns what the type asks for at the end of the path; nothing when it does not come so far.
    fn asked(&mut self) -> Option<Asked> {
        self.left = self.left.checked_sub(1)?;
        let question = Question::new(std::mem::take(&mut self.path));
        // The type's code is not ours, and is asked oddly. A panic of it says as much as an error.
        let _ = catch_unwind(AssertUnwindSafe(|| (self.ask)(&question)));
        let asked = question.asked.take();
        self.path = question.path;
        asked
    }

    /// The name of what stands at the end of the path.
    fn name(&mut self) -> String {
        match self.asked() {
            Some(asked) => self.describe(asked),
            None => UNKNOWN.to_owned(),
        }
    }

    fn describe(&mut self, asked: Asked) -> String {
        if self.path.len() >= DEPTH_MAX {
            return UNKNOWN.to_owned();
        }
        match asked {
            Asked::Plain(name) => name,
            Asked::Option => format!("option<{}>", self.below(Step::Inside)),
            Asked::List => format!("list<{}>", self.below(Step::Element(Vec::new()))),
            Asked::Map => format!("map<{},{}>", self.below(Step::Key), self.value()),
            Asked::Tuple(count) => format!("({})", self.elements(count)),
            Asked::Fields(fields) => format!("({})", self.fields(fields)),
            Asked::Named(name, None) => name.to_owned(),
            Asked::Named(name, Some(generic)) => self.generic(name, generic.rust, &generic.inside),
        }
    }

    /// A generic type: its name is that of many types, so what is inside of it counts.
    fn generic(&mut self, name: &str, rust: &'static str, inside: &Inside) -> String {
        if self.within.contains(&rust) {
            return name.to_owned();
        }
        self.within.push(rust);
        let inside = match inside {
            Inside::Nothing => String::new(),
            Inside::Newtype => self.below(Step::Inside),
            Inside::Elements(count) => self.elements(*count),
            Inside::Fields(fields) => self.fields(fields),
            Inside::Variants(variants) => self.each(variants, Step::Variant),
        };
        self.within.pop();
        format!("{name}<{inside}>")
    }

    fn below(&mut self, step: Step) -> String {
        self.path.push(step);
        let name = self.name();
        self.path.pop();
        name
    }

    fn fields(&mut self, fields: &'static [&'static str]) -> String {
        self.each(fields, Step::Field)
    }

    fn each(&mut self, names: &'static [&'static str], step: fn(&'static str) -> Step) -> String {
        let names: Vec<_> = names.iter().map(|name| self.below(step(name))).collect();
        names.join(",")
    }

    /// The values of a map: some are read only behind a key.
    fn value(&mut self) -> String {
        self.first(Step::Value).map_or_else(|| UNKNOWN.to_owned(), |(_, name)| name)
    }

    /// The elements of a tuple. A type reads one only behind those before it, so for these there must be samples that it
    /// takes; behind one that takes none the others stay unknown.
    fn elements(&mut self, count: usize) -> String {
        // There are types that ask for more elements than there can be, and end where their values do.
        if count > QUESTIONS_MAX {
            return format!("{UNKNOWN};{count}");
        }
        let (mut names, mut samples) = (Vec::new(), Vec::new());
        for at in 0..count {
            let before = samples.clone();
            let with = |sample| Step::Element(before.iter().copied().chain([sample]).collect());
            let found = match at {
                0 => Some((None, self.below(Step::Element(Vec::new())))),
                _ => self.first(with).map(|(sample, name)| (Some(sample), name)),
            };
            let Some((sample, name)) = found else {
                names.resize(count, UNKNOWN.to_owned());
                break;
            };
            samples.extend(sample);
            names.push(name);
        }
        names.join(",")
    }

    /// The first sample behind which the type asks for more, and the name of what it asks for.
    fn first(&mut self, step: impl Fn(usize) -> Step) -> Option<(usize, String)> {
        (0..sample::COUNT).find_map(|sample| {
            self.path.push(step(sample));
            let name = self.asked().map(|asked| self.describe(asked));
            self.path.pop();
            Some((sample, name?))
        })
    }
}
