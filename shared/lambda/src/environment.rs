//! The function's variables.

use std::fmt::Display;
use std::str::FromStr;

use anyhow::bail;

/// Reads variables one by one, and complains once, of all that is missing or wrong.
#[derive(Debug)]
pub struct Environment<V> {
    variable: V,
    missing: Vec<&'static str>,
    wrong: Vec<String>,
}

impl Environment<fn(&str) -> Option<String>> {
    pub fn of_process() -> Self {
        Environment::new(|name| std::env::var(name).ok())
    }
}

impl<V: Fn(&str) -> Option<String>> Environment<V> {
    pub fn new(variable: V) -> Environment<V> {
        Environment { variable, missing: Vec::new(), wrong: Vec::new() }
    }

    /// `None` where it is not set, or empty.
    pub fn optional(&self, name: &'static str) -> Option<String> {
        (self.variable)(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    pub fn required(&mut self, name: &'static str) -> String {
        self.optional(name).unwrap_or_else(|| {
            self.missing.push(name);
            String::new()
        })
    }

    /// The variable as a value, or the default where it is not set.
    pub fn parsed<T: FromStr>(&mut self, name: &'static str, default: T) -> T
    where
        T::Err: Display,
    {
        match self.optional(name).map(|text| text.parse::<T>().map_err(|error| (text, error))) {
            None => default,
            Some(Ok(value)) => value,
            Some(Err((text, error))) => {
                self.wrong(name, format!("{text:?}: {error}"));
                default
            }
        }
    }

    /// Notes that a variable's value can't be used.
    pub fn wrong(&mut self, name: &'static str, why: impl Display) {
        self.wrong.push(format!("{name} can't be used ({why})"));
    }

    /// # Errors
    /// When something was missing or wrong; the message names all of it.
    pub fn check(self) -> anyhow::Result<()> {
        let missing = match self.missing.as_slice() {
            [] => None,
            names => Some(format!("{} not set", names.join(", "))),
        };
        let problems: Vec<String> = missing.into_iter().chain(self.wrong).collect();
        if !problems.is_empty() {
            bail!("the function's environment is not whole: {}: see docs/deploy.md", problems.join("; "));
        }
        Ok(())
    }
}

/// The names in a list that commas separate; `None` where there is none.
pub fn list(text: Option<String>) -> Option<Vec<String>> {
    let names = text?.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect();
    Some(names).filter(|names: &Vec<String>| !names.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_missing_or_wrong_is_named_together() {
        let mut environment = Environment::new(|name: &str| match name {
            "RESERVE_PERCENT" => Some("many".to_owned()),
            "SCHEMA" => Some("  ".to_owned()),
            _ => None,
        });
        environment.required("BUCKET");
        environment.required("SCHEMA");
        assert_eq!(environment.parsed("RESERVE_PERCENT", 10_u8), 10);
        assert_eq!(environment.parsed("MAX_CONTINUATIONS", 7_u32), 7);
        let error = environment.check().unwrap_err().to_string();
        assert!(error.contains("BUCKET, SCHEMA not set") && error.contains("RESERVE_PERCENT"), "{error}");
    }

    #[test]
    fn an_empty_list_is_none() {
        assert_eq!(list(Some(" , ".to_owned())), None);
        assert_eq!(list(Some("a, b,".to_owned())), Some(vec!["a".to_owned(), "b".to_owned()]));
    }
}
