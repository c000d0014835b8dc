//! Redis's ACL language: users, rules, selectors, and the decision. Pure.
