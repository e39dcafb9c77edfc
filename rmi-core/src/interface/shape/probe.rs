//! The deserializer that notes what a type asks for.

use std::cell::{Cell, RefCell};

use serde::de::Expected;

use super::sample;

/// The depth of a sample: types may hold themselves.
const SAMPLE_DEPTH_MAX: usize = 16;

/// One step down into a type. A number says which sample stands in the place of a value.
#[derive(Clone)]
pub(super) enum Step {
    /// The value of an option or a newtype.
    Inside,
    /// The element behind as many as there are samples.
    Element(Vec<usize>),
    /// A key of a map.
    Key,
    /// A value of a map.
    Value(usize),
    Field(&'static str),
    Variant(&'static str),
}

/// A type's request.
pub(super) enum Asked {
    /// A value with nothing inside that counts.
    Plain(String),
    Option,
    List,
    Map,
    Tuple(usize),
    /// The fields of a variant.
    Fields(&'static [&'static str]),
    /// A type with a name in serde, and more of it when it is generic.
    Named(&'static str, Option<Generic>),
}

/// A generic type.
pub(super) struct Generic {
    /// The compiler's name of it: good for telling types of this program apart, and nothing else.
    pub(super) rust: &'static str,
    pub(super) inside: Inside,
}

/// The inside of a type with a name.
pub(super) enum Inside {
    Nothing,
    Newtype,
    Elements(usize),
    Fields(&'static [&'static str]),
    Variants(&'static [&'static str]),
}

/// A path, and what is asked for at its end.
pub(super) struct Question {
    pub(super) path: Vec<Step>,
    pub(super) asked: RefCell<Option<Asked>>,
    at: Cell<usize>,
}

impl Question {
    pub(super) fn new(path: Vec<Step>) -> Self {
        Self { path, asked: RefCell::default(), at: Cell::new(0) }
    }

    /// The next step of the path; at its end what is asked for is noted, once.
    fn step(&self, asked: impl FnOnce() -> Asked) -> Option<&Step> {
        let step = self.path.get(self.at.get());
        match step {
            Some(_) => self.at.set(self.at.get() + 1),
            None => drop(self.asked.borrow_mut().get_or_insert_with(asked)),
        }
        step
    }
}

/// The content of a place, for the type that reads it.
#[derive(Clone, Copy)]
enum Place {
    /// It is on the path.
    Path,
    /// A sample, and how many are around it.
    Sample(usize, usize),
    /// The name of a field or a variant.
    Name(&'static str),
}

/// A deserializer of nothing.
#[derive(Clone, Copy)]
pub(super) struct Probe<'q> {
    question: &'q Question,
    place: Place,
    /// The compiler's name of the type of the place.
    rust: &'static str,
}

/// The answer to a type's request.
pub(super) enum Answer<'q> {
    /// An error.
    Nothing,
    Number(u8),
    Text(&'static str),
    /// The value is absent: none, unit, an empty list or map.
    Absent,
    /// The value of an option or a newtype.
    Inside(Probe<'q>),
    /// The elements of a sequence, or keys and values in turn.
    Parts(Parts<'q>),
    Variant(Variant<'q>),
}

/// The parts of a sequence or a map. It ends: a type that passes over errors comes to an end, too.
pub(super) struct Parts<'q>(pub(super) std::vec::IntoIter<Probe<'q>>);

/// The variant that an enum is read as.
pub(super) struct Variant<'q> {
    pub(super) probe: Probe<'q>,
    pub(super) name: &'static str,
}

impl<'q> Probe<'q> {
    pub(super) fn new(question: &'q Question, rust: &'static str) -> Self {
        Self { question, place: Place::Path, rust }
    }

    /// The probe for a place of the type that the compiler calls `rust`.
    pub(super) fn of(self, rust: &'static str) -> Self {
        Self { rust, ..self }
    }

    /// The probe for the name of a field or a variant.
    pub(super) fn name_of(self, name: &'static str) -> Self {
        Self { place: Place::Name(name), ..self }
    }

    /// Answers outside of all generic code, of which there is a copy for every type.
    fn answer(self, asked: impl FnOnce() -> Asked, sample: impl FnOnce(usize) -> Answer<'q>) -> Answer<'q> {
        match self.place {
            Place::Path => self.question.step(asked).map_or(Answer::Nothing, |step| self.follow(step)),
            Place::Name(name) => Answer::Text(name),
            Place::Sample(_, depth) if depth > SAMPLE_DEPTH_MAX => Answer::Nothing,
            Place::Sample(number, _) => sample(number),
        }
    }

    fn follow(self, step: &Step) -> Answer<'q> {
        let at = |place| Self { place, ..self };
        match step {
            Step::Inside => Answer::Inside(self),
            Step::Element(samples) => {
                let samples = samples.iter().map(|sample| at(Place::Sample(*sample, 0)));
                self.parts(samples.chain([self]).collect())
            }
            Step::Key => self.parts(vec![self]),
            Step::Value(sample) => self.parts(vec![at(Place::Sample(*sample, 0)), self]),
            Step::Field(name) => self.parts(vec![self.name_of(name), self]),
            Step::Variant(name) => Answer::Variant(Variant { probe: self, name }),
        }
    }

    fn parts(self, parts: Vec<Self>) -> Answer<'q> {
        Answer::Parts(Parts(parts.into_iter()))
    }

    /// The probe for what is inside of a sample.
    fn deeper(self) -> Self {
        match self.place {
            Place::Sample(sample, depth) => Self { place: Place::Sample(sample, depth + 1), ..self },
            _ => self,
        }
    }

    fn many(self, count: usize) -> Answer<'q> {
        self.parts(vec![self.deeper(); count.min(super::QUESTIONS_MAX)])
    }

    fn record(self, fields: &'static [&'static str]) -> Answer<'q> {
        let pair = |name: &&'static str| [self.name_of(name), self.deeper()];
        self.parts(fields.iter().flat_map(pair).collect())
    }

    pub(super) fn plain(self, name: &str, answer: impl FnOnce(usize) -> Answer<'q>) -> Answer<'q> {
        self.answer(|| Asked::Plain(name.to_owned()), answer)
    }

    pub(super) fn number(self, name: &str, expected: &dyn Expected) -> Answer<'q> {
        // A reference travels as a number, and says what it refers to.
        let name = || match format!("{expected:#}").strip_prefix(super::REFERENCE) {
            Some(interface) => format!("proxy<{interface}>"),
            None => name.to_owned(),
        };
        self.answer(|| Asked::Plain(name()), |sample| Answer::Number(sample::number(sample)))
    }

    /// A type that reads a text. `value` is the compiler's name of what it makes of it.
    pub(super) fn text(self, name: &str, value: &'static str) -> Answer<'q> {
        let name = || super::known::name(value).unwrap_or(name).to_owned();
        self.answer(|| Asked::Plain(name()), |sample| Answer::Text(sample::text(sample)))
    }

    pub(super) fn option(self) -> Answer<'q> {
        self.answer(|| Asked::Option, |_| Answer::Absent)
    }

    pub(super) fn list(self) -> Answer<'q> {
        self.answer(|| Asked::List, |_| self.many(0))
    }

    pub(super) fn map(self) -> Answer<'q> {
        self.answer(|| Asked::Map, |_| self.many(0))
    }

    /// A struct that is read as a map.
    pub(super) fn record_of(self, name: &str) -> Answer<'q> {
        self.plain(name, |_| self.many(0))
    }

    pub(super) fn tuple(self, count: usize) -> Answer<'q> {
        self.answer(|| Asked::Tuple(count), |_| self.many(count))
    }

    pub(super) fn fields(self, fields: &'static [&'static str]) -> Answer<'q> {
        self.answer(|| Asked::Fields(fields), |_| self.record(fields))
    }

    /// A type with a name. `value` is what the compiler calls the value that is read.
    pub(super) fn named(self, name: &'static str, value: &'static str, inside: Inside) -> Answer<'q> {
        let sample = match inside {
            Inside::Nothing => Answer::Absent,
            Inside::Newtype => Answer::Inside(self.deeper()),
            Inside::Elements(count) => self.many(count),
            Inside::Fields(fields) => self.record(fields),
            Inside::Variants(variants) => self.variant(variants),
        };
        let rust = if is_generic(value) { Some(value) } else { Some(self.rust).filter(|rust| is(rust, name)) };
        let generic = rust.map(|rust| Generic { rust, inside });
        self.answer(|| Asked::Named(name, generic), |_| sample)
    }

    fn variant(self, variants: &'static [&'static str]) -> Answer<'q> {
        let Place::Sample(sample, _) = self.place else { return Answer::Nothing };
        let name = variants.get(sample).or(variants.first());
        name.map_or(Answer::Nothing, |name| Answer::Variant(Variant { probe: self.deeper(), name }))
    }
}

/// Says whether the compiler's name is that of a generic type, which it says by a `<`. One that only borrows is none.
fn is_generic(rust: &str) -> bool {
    rust.find('<').is_some_and(|at| is_arguments(&rust[at..]))
}

fn is_arguments(text: &str) -> bool {
    text.starts_with('<') && !text.starts_with("<'_>")
}

/// Says whether the compiler's name is that of a generic type called `name`, or of a box, an option or a newtype of one.
fn is(rust: &str, name: &str) -> bool {
    rust.match_indices(name).any(|(at, _)| rust[..at].ends_with("::") && is_arguments(&rust[at + name.len()..]))
}
