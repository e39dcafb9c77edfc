//! One number, for people and for programs.

/// What was measured, and what it came to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Figure {
    what: &'static str,
    value: f64,
}

impl Figure {
    pub(crate) fn new(what: &'static str, value: f64) -> Self {
        Self { what, value }
    }

    pub(crate) fn line(&self) -> String {
        format!("{:<28} {:>16.2}", self.what, self.value)
    }

    pub(crate) fn json(&self) -> String {
        format!(r#"{{"what": "{}", "value": {}}}"#, self.what, (self.value * 1000.0).round() / 1000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_one_object_on_a_line() {
        assert_eq!(Figure::new("references_per_s", 2.0004).json(), r#"{"what": "references_per_s", "value": 2}"#);
    }
}
