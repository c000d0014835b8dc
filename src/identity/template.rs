//! User names made from certificate fields: `%{cn}`, `redis-%{ou}`.

use super::field::FieldName;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    Text(String),
    Field(FieldName),
}

/// A user name, literal or with fields to fill in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template {
    parts: Vec<Part>,
}

impl Template {
    /// Parses `user = "…"` of a rule; the error says what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Template, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(start) = rest.find("%{") {
            let (before, from_field) = rest.split_at(start);
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            let (name, after) =
                from_field[2..].split_once('}').ok_or_else(|| format!("`{from_field}` has no closing brace"))?;
            let field = FieldName::from_key(name).ok_or_else(|| {
                let known: Vec<_> = FieldName::ALL.iter().map(|field| field.key()).collect();
                format!("`%{{{name}}}` names no certificate field; known are {}", known.join(", "))
            })?;
            parts.push(Part::Field(field));
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        if parts.is_empty() {
            return Err("is empty".to_owned());
        }
        let literal = parts.iter().filter_map(|part| match part {
            Part::Text(text) => Some(text.as_str()),
            Part::Field(_) => None,
        });
        if literal.flat_map(str::chars).any(|c| c.is_whitespace() || c.is_control()) {
            return Err("holds a blank or control character, which no user name can".to_owned());
        }
        Ok(Template { parts })
    }

    pub(super) fn parts(&self) -> &[Part] {
        &self.parts
    }

    pub(super) fn fields(&self) -> impl Iterator<Item = FieldName> + '_ {
        self.parts.iter().filter_map(|part| match part {
            Part::Field(field) => Some(*field),
            Part::Text(_) => None,
        })
    }

    pub(super) fn is_literal(&self) -> bool {
        self.fields().next().is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_fields_alternate() {
        let template = Template::parse("app-%{ou}-%{cn}").expect("a good template");
        assert_eq!(
            template.parts(),
            [Part::Text("app-".into()), Part::Field(FieldName::Ou), Part::Text("-".into()), Part::Field(FieldName::Cn)]
        );
        assert!(!template.is_literal());
    }

    #[test]
    fn a_lone_percent_sign_is_text() {
        let template = Template::parse("100%").expect("a good template");
        assert!(template.is_literal());
    }

    #[test]
    fn bad_templates_are_refused() {
        for bad in ["", "%{cn", "%{CN}", "%{}", "two words", "tab\there"] {
            assert!(Template::parse(bad).is_err(), "{bad:?}");
        }
    }
}
