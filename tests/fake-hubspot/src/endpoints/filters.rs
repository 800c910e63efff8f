//! Filters of a search. Numbers and dates are compared as numbers, all else as text without regard to case.

use serde::Deserialize;

use crate::account::{Catalog, Kind, Origin, Property, PropertyIndex, Record};
use crate::http::problem::Problem;
use crate::time;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Filter {
    pub(super) property_name: String,
    pub(super) operator: Operator,
    pub(super) value: Option<Operand>,
    #[serde(default)]
    pub(super) values: Vec<Operand>,
    pub(super) high_value: Option<Operand>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum Operator {
    Between,
    ContainsToken,
    Eq,
    Gt,
    Gte,
    HasProperty,
    In,
    Lt,
    Lte,
    Neq,
    NotContainsToken,
    NotHasProperty,
    NotIn,
}

/// A value in a filter: a text, or a number, which counts as its text.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum Operand {
    Text(String),
    Number(serde_json::Number),
}

impl Operand {
    fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Number(number) => number.to_string(),
        }
    }
}

/// A filter with its property.
pub(super) struct Condition<'a> {
    operator: Operator,
    index: PropertyIndex,
    property: &'a Property,
    operands: Vec<Comparable>,
}

#[derive(Debug, Clone, PartialEq, PartialOrd)]
pub(super) enum Comparable {
    Number(f64),
    /// A text in lower case.
    Text(String),
}

impl<'a> Condition<'a> {
    pub(super) fn new(filter: &Filter, catalog: &'a Catalog) -> Result<Self, Problem> {
        let name = &filter.property_name;
        let (index, property) = catalog
            .find(name)
            .ok_or_else(|| Problem::validation(format!("There is no property named {name}")))?;
        let given: Vec<&Operand> = match filter.operator {
            Operator::In | Operator::NotIn => filter.values.iter().collect(),
            Operator::Between => filter.value.iter().chain(&filter.high_value).collect(),
            Operator::HasProperty | Operator::NotHasProperty => Vec::new(),
            _ => filter.value.iter().collect(),
        };
        let needed = match filter.operator {
            Operator::HasProperty | Operator::NotHasProperty => 0,
            Operator::Between => 2,
            _ => 1,
        };
        if given.len() < needed {
            return Err(Problem::validation(format!("Missing value in the filter on {name}")));
        }
        let operands = given.into_iter().map(|operand| {
            let text = operand.text();
            comparable(property, &text)
                .ok_or_else(|| Problem::validation(format!("{text} is not a valid value of {name}")))
        });
        Ok(Self { operator: filter.operator, index, property, operands: operands.collect::<Result<_, _>>()? })
    }

    /// `true`: the condition matches everything modified since 1970.
    pub(super) fn starts_at_zero(&self) -> bool {
        let from = [Operator::Gt, Operator::Gte, Operator::Between].contains(&self.operator);
        self.property.origin == Origin::UpdatedAt
            && from
            && matches!(self.operands.first(), Some(Comparable::Number(number)) if *number <= 0.0)
    }

    pub(super) fn matches(&self, record: &Record) -> bool {
        let value = value(self.property, self.index, record);
        match self.operator {
            Operator::HasProperty => value.is_some(),
            Operator::NotHasProperty => value.is_none(),
            Operator::Neq => value.is_none_or(|value| value != self.operands[0]),
            Operator::NotIn => value.is_none_or(|value| !self.operands.contains(&value)),
            Operator::NotContainsToken => {
                !value.is_some_and(|value| contains_token(&value, &self.operands[0]))
            }
            _ => value.is_some_and(|value| self.matches_value(&value)),
        }
    }

    fn matches_value(&self, value: &Comparable) -> bool {
        let first = &self.operands[0];
        match self.operator {
            Operator::Eq => value == first,
            Operator::Gt => value > first,
            Operator::Gte => value >= first,
            Operator::Lt => value < first,
            Operator::Lte => value <= first,
            Operator::In => self.operands.contains(value),
            Operator::Between => value >= first && *value <= self.operands[1],
            Operator::ContainsToken => contains_token(value, first),
            _ => false,
        }
    }
}

/// Returns the value by which a record is compared and sorted; `None` if it is empty or does not parse.
pub(super) fn value(property: &Property, index: PropertyIndex, record: &Record) -> Option<Comparable> {
    match property.origin {
        Origin::Id => Some(Comparable::Number(record.id as f64)),
        Origin::CreatedAt => Some(Comparable::Number(record.created_at.timestamp_millis() as f64)),
        Origin::UpdatedAt => Some(Comparable::Number(record.updated_at.timestamp_millis() as f64)),
        Origin::Stored => record
            .values
            .get(index)
            .filter(|text| !text.is_empty())
            .and_then(|text| comparable(property, text)),
    }
}

fn comparable(property: &Property, text: &str) -> Option<Comparable> {
    match property.kind {
        Kind::Number => text.trim().parse().ok().map(Comparable::Number),
        Kind::Date | Kind::Datetime => time::milliseconds(text).map(Comparable::Number),
        _ => Some(Comparable::Text(text.to_lowercase())),
    }
}

/// `true`: the value has the token as a whole word. `*` at either end of the token stands for any characters.
fn contains_token(value: &Comparable, token: &Comparable) -> bool {
    let (Comparable::Text(value), Comparable::Text(token)) = (value, token) else { return value == token };
    let bare = token.trim_matches('*');
    value.split(|character: char| !character.is_alphanumeric()).any(|word| {
        match (token.starts_with('*'), token.ends_with('*')) {
            (true, true) => word.contains(bare),
            (true, false) => word.ends_with(bare),
            (false, true) => word.starts_with(bare),
            (false, false) => word == bare,
        }
    })
}
