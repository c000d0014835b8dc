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

    /// Whether some certificate makes this name of it.
    pub(super) fn may_make(&self, name: &str) -> bool {
        may_make(&self.parts, name)
    }

    /// Its field, and what that has to be for this name; `None` where it has none or several.
    pub(super) fn only_field<'n>(&self, name: &'n str) -> Option<(FieldName, &'n str)> {
        match self.parts.as_slice() {
            [Part::Field(field)] => Some((*field, name)),
            [Part::Text(before), Part::Field(field)] => Some((*field, name.strip_prefix(before.as_str())?)),
            [Part::Field(field), Part::Text(after)] => Some((*field, name.strip_suffix(after.as_str())?)),
            [Part::Text(before), Part::Field(field), Part::Text(after)] => {
                Some((*field, name.strip_prefix(before.as_str())?.strip_suffix(after.as_str())?))
            }
            _ => None,
        }
    }
}

/// A field is never empty.
fn may_make(parts: &[Part], name: &str) -> bool {
    match parts {
        [] => name.is_empty(),
        [Part::Text(text), following @ ..] => {
            name.strip_prefix(text.as_str()).is_some_and(|rest| may_make(following, rest))
        }
        [Part::Field(_), following @ ..] => {
            let ends = name.char_indices().map(|(at, c)| at + c.len_utf8());
            ends.into_iter().any(|end| may_make(following, &name[end..]))
        }
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
    fn a_name_is_made_by_what_has_its_text_and_something_in_each_field() {
        for (template, name, may) in [
            ("%{cn}", "shop", true),
            ("app-%{cn}", "app-shop", true),
            ("app-%{cn}", "shop", false),
            ("app-%{cn}", "app-", false),
            ("%{ou}-%{cn}-x", "a-b-x", true),
            ("%{ou}-%{cn}-x", "a-x", false),
            ("shop", "shop", true),
            ("shop", "shops", false),
        ] {
            assert_eq!(Template::parse(template).unwrap().may_make(name), may, "{template} {name}");
        }
        let only = |template: &str| Template::parse(template).unwrap().only_field("a-b-x").map(|(_, value)| value);
        assert_eq!([only("%{cn}"), only("a-%{cn}"), only("%{cn}-x")], [Some("a-b-x"), Some("b-x"), Some("a-b")]);
        assert_eq!([only("a-%{cn}-x"), only("%{ou}-%{cn}"), only("a-b-x")], [Some("b"), None, None]);
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
