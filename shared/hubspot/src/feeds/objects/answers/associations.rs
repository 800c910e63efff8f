//! Answers that show associations: what of them is the record's, and what of an answer is missing.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Value, json};

use crate::error::Result;
use crate::json::{Body, Malformed, Scanner, parse_id};
use crate::paging::{Next, Paging};
use crate::parts::AnswerStatus;

/// HubSpot's type ids of a primary company, from a deal and from a contact.
const PRIMARY_TYPES: [u64; 2] = [5, 1];
/// The one category of errors that says that a record has none.
const NONE_FOUND: &str = "NO_ASSOCIATIONS_FOUND";

/// Types of links, with their labels, by the id at the other end, the category and the type id.
pub(in crate::feeds::objects) type Links = BTreeMap<(u64, String, u64), Option<String>>;

/// The links of some records with one object.
#[derive(Debug)]
pub(in crate::feeds::objects) struct LinkSets {
    pub(in crate::feeds::objects) other: &'static str,
    /// Of a record that is not in it there are none, unless they are unknown.
    pub(in crate::feeds::objects) by_record: HashMap<u64, Links>,
    /// Records whose links could not be read, and why.
    pub(in crate::feeds::objects) unknown: HashMap<u64, String>,
}

/// A record that is asked for, from the first page or from another one on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::feeds::objects) struct Input {
    pub(in crate::feeds::objects) id: u64,
    pub(in crate::feeds::objects) after: Option<String>,
    /// An answer has left it out before.
    pub(in crate::feeds::objects) is_second: bool,
}

impl Input {
    pub(in crate::feeds::objects) fn json(&self) -> Value {
        match &self.after {
            None => json!({ "id": self.id.to_string() }),
            Some(after) => json!({ "id": self.id.to_string(), "after": after }),
        }
    }
}

/// One record's associated ids of one object, in the making.
#[derive(Debug, Default)]
pub(in crate::feeds::objects) struct Ends {
    primary: Vec<u64>,
    others: Vec<u64>,
    /// Types of each, where an answer of the associations endpoint shows them.
    pub(in crate::feeds::objects) links: Links,
    /// One of them is no id.
    is_odd: bool,
}

impl Ends {
    fn add(&mut self, end: Option<u64>, is_primary: bool) {
        match end {
            Some(id) if is_primary => self.primary.push(id),
            Some(id) => self.others.push(id),
            None => self.is_odd = true,
        }
    }

    /// Takes in another page's. Answers whether it had any that are new.
    fn absorb(&mut self, page: Ends) -> bool {
        let before = (self.primary.len(), self.others.len(), self.links.len());
        self.primary.extend(page.primary);
        self.others.extend(page.others);
        for (link, label) in page.links {
            self.links.entry(link).or_insert(label);
        }
        for ids in [&mut self.primary, &mut self.others] {
            ids.sort_unstable();
            ids.dedup();
        }
        before != (self.primary.len(), self.others.len(), self.links.len())
    }

    /// An id comes once for each of its labels, and in any order: each once, in an order that does not change.
    pub(in crate::feeds::objects) fn ids(mut self) -> Vec<u64> {
        self.absorb(Ends::default());
        self.others.retain(|id| self.primary.binary_search(id).is_err());
        self.primary.append(&mut self.others);
        self.primary
    }
}

/// The associations of many records with one object.
#[derive(Debug, Default)]
pub(in crate::feeds::objects) struct Collected {
    pub(in crate::feeds::objects) by_record: HashMap<u64, Ends>,
    /// Records of which they could not be read, and why.
    pub(in crate::feeds::objects) unknown: HashMap<u64, String>,
}

impl Collected {
    pub(in crate::feeds::objects) fn give_up(&mut self, id: u64, reason: impl Into<String>) {
        self.by_record.remove(&id);
        self.unknown.insert(id, reason.into());
    }

    pub(in crate::feeds::objects) fn sets(&mut self, other: &'static str) -> LinkSets {
        let links = self.by_record.iter_mut().map(|(&id, ends)| (id, std::mem::take(&mut ends.links)));
        LinkSets { other, by_record: links.collect(), unknown: self.unknown.clone() }
    }
}

/// Result for one record in an answer of the associations endpoint.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::feeds::objects) enum Said {
    /// All of the page, and where the next one begins.
    Shown(Next),
    /// It has none.
    None,
    /// Nothing, in an answer that is whole.
    Nothing,
    LeftOut(String),
}

/// The associations with one object that a list call brings along.
#[derive(Debug, Default)]
pub(in crate::feeds::objects) struct Inline {
    pub(in crate::feeds::objects) by_record: HashMap<u64, Ends>,
    /// Records that have more, or of which it can't be told.
    pub(in crate::feeds::objects) again: Vec<u64>,
}

/// `results[].associations.<object>.{results[].{id,type}, paging}` of a list call.
pub(in crate::feeds::objects) fn inline(body: &str) -> Result<HashMap<String, Inline>> {
    let mut by_object: HashMap<String, Inline> = HashMap::new();
    Scanner::new(body).each_field(|key, value| match key.raw() {
        // An entry that is no record has no associations.
        "results" => value.each_item(|record| {
            let mut entry = record.clone();
            if inline_record(record, &mut by_object).is_err() {
                entry.skip()?;
                *record = entry;
            }
            Ok(())
        }),
        _ => value.skip(),
    })?;
    Ok(by_object)
}

fn inline_record(record: &mut Scanner<'_>, by_object: &mut HashMap<String, Inline>) -> Result<(), Malformed> {
    // The id may stand behind the associations.
    let mut whole = record.clone();
    let mut id = None;
    whole.each_field(|key, value| match key.raw() {
        "id" => {
            id = Some(value.id()?);
            Ok(())
        }
        _ => value.skip(),
    })?;
    record.each_field(|key, value| {
        let (Some(id), "associations", true) = (id, key.raw(), value.is_object()) else {
            return value.skip();
        };
        value.each_field(|other, value| {
            let inline = by_object.entry(other.text().into_owned()).or_default();
            let page = inline_page(value)?;
            if page.is_whole() {
                inline.by_record.entry(id).or_default().absorb(page.ends);
            } else {
                inline.again.push(id);
            }
            Ok::<_, Malformed>(())
        })
    })
}

/// A page of one record's associations.
#[derive(Debug, Default)]
struct EndsPage {
    ends: Ends,
    paging: Paging,
    has_ends: bool,
}

impl EndsPage {
    fn is_whole(&self) -> bool {
        self.has_ends && !self.ends.is_odd && matches!(self.next(), Next::End | Next::Full)
    }

    /// No number of them makes a page full: only words tell of another one.
    fn next(&self) -> Next {
        self.paging.next(0, 0)
    }
}

fn inline_page(value: &mut Scanner<'_>) -> Result<EndsPage, Malformed> {
    let mut page = EndsPage::default();
    if !value.is_object() {
        return value.skip().map(|()| page);
    }
    value.each_field(|key, value| match key.raw() {
        "results" if value.is_nested() && !value.is_object() => {
            page.has_ends = true;
            value.each_item(|end| {
                let (end, is_primary) = inline_end(end)?;
                page.ends.add(end, is_primary);
                Ok(())
            })
        }
        "results" => value.skip(),
        _ => page.paging.field(key, value),
    })?;
    Ok(page)
}

/// `{id, type}`; the primary company's type is `deal_to_company`, any other's ends in `_unlabeled` or a label.
fn inline_end(end: &mut Scanner<'_>) -> Result<(Option<u64>, bool), Malformed> {
    let (mut id, mut is_primary) = (None, false);
    if !end.is_object() {
        return end.skip().map(|()| (None, false));
    }
    end.each_field(|key, value| {
        match key.raw() {
            "id" => id = id_or_none(value)?,
            "type" if !value.is_nested() => {
                let label = value.scalar()?;
                is_primary = label
                    .is_some_and(|label| matches!(label.raw(), "deal_to_company" | "contact_to_company"));
            }
            _ => value.skip()?,
        }
        Ok::<_, Malformed>(())
    })?;
    Ok((id, is_primary))
}

fn id_or_none(value: &mut Scanner<'_>) -> Result<Option<u64>, Malformed> {
    if value.is_nested() {
        return value.skip().map(|()| None);
    }
    Ok(value.scalar()?.and_then(|id| parse_id(id.raw())))
}

/// Takes in an answer of the associations endpoint: the result for each record that it was asked for.
pub(in crate::feeds::objects) fn collect(
    inputs: &[Input],
    body: &Body,
    collected: &mut Collected,
) -> Result<Vec<(Input, Said)>> {
    let told = AnswerStatus::of(body)?;
    let (mut pages, mut has_odd) = (HashMap::new(), false);
    if body.has_list("results") {
        Scanner::new(body).each_field(|key, value| match key.raw() {
            "results" => value.each_item(|result| {
                match result_of(result)? {
                    (Some(from), page) => _ = pages.insert(from, page),
                    (None, _) => has_odd = true,
                }
                Ok::<_, Malformed>(())
            }),
            _ => value.skip(),
        })?;
    }
    let missing: Vec<u64> =
        inputs.iter().map(|input| input.id).filter(|id| !pages.contains_key(id)).collect();
    let none = told.benign(&missing, NONE_FOUND);
    let said = |input: &Input| {
        let id = input.id;
        let is_good = told.is_complete() && !told.is_about(id, Some(NONE_FOUND));
        match pages.remove(&id) {
            Some(page) if is_good && page.has_ends && !page.ends.is_odd => {
                let next = page.next();
                let is_new = collected.by_record.entry(id).or_default().absorb(page.ends);
                match (&next, is_new, &input.after) {
                    (Next::At(_), false, Some(after)) => Said::Shown(Next::At(after.clone())),
                    _ => Said::Shown(next),
                }
            }
            Some(page) if is_good && page.ends.is_odd => {
                Said::LeftOut("an associated id is no number".to_owned())
            }
            None if none.contains(&id) => Said::None,
            None if told.is_whole() && !has_odd => Said::Nothing,
            _ => Said::LeftOut(told.text()),
        }
    };
    Ok(inputs.iter().cloned().zip(inputs.iter().map(said).collect::<Vec<_>>()).collect())
}

fn result_of(result: &mut Scanner<'_>) -> Result<(Option<u64>, EndsPage), Malformed> {
    let (mut from, mut page) = (None, EndsPage::default());
    if !result.is_object() {
        return result.skip().map(|()| (None, page));
    }
    result.each_field(|key, value| match key.raw() {
        "from" if value.is_object() => value.each_field(|key, value| match key.raw() {
            "id" => {
                from = id_or_none(value)?;
                Ok::<_, Malformed>(())
            }
            _ => value.skip(),
        }),
        "to" if value.is_nested() && !value.is_object() => {
            page.has_ends = true;
            value.each_item(|end| associated_end(end, &mut page.ends))
        }
        "from" | "to" => value.skip(),
        _ => page.paging.field(key, value),
    })?;
    Ok((from, page))
}

/// `{toObjectId, associationTypes: [{category, typeId, label}]}`; the id comes as text and as a number.
fn associated_end(end: &mut Scanner<'_>, ends: &mut Ends) -> Result<(), Malformed> {
    let (mut id, mut types) = (None, Vec::new());
    if !end.is_object() {
        ends.add(None, false);
        return end.skip();
    }
    end.each_field(|key, value| {
        match key.raw() {
            "toObjectId" | "id" => id = id_or_none(value)?,
            "associationTypes" if value.is_nested() && !value.is_object() => value.each_item(|kind| {
                types.extend(link_type(kind)?);
                Ok::<_, Malformed>(())
            })?,
            _ => value.skip()?,
        }
        Ok::<_, Malformed>(())
    })?;
    ends.add(id, types.iter().any(LinkType::is_primary));
    let Some(id) = id else { return Ok(()) };
    if types.is_empty() {
        types.push(LinkType::default());
    }
    for LinkType { type_id, category, label } in types {
        ends.links.entry((id, category, type_id.unwrap_or(0))).or_insert(label);
    }
    Ok(())
}

/// One type of a link.
#[derive(Debug, Default)]
struct LinkType {
    type_id: Option<u64>,
    category: String,
    label: Option<String>,
}

impl LinkType {
    fn is_primary(&self) -> bool {
        let is_hubspots = self.category.is_empty() || self.category == "HUBSPOT_DEFINED";
        is_hubspots && self.type_id.is_some_and(|id| PRIMARY_TYPES.contains(&id))
    }
}

fn link_type(kind: &mut Scanner<'_>) -> Result<Option<LinkType>, Malformed> {
    if !kind.is_object() {
        return kind.skip().map(|()| None);
    }
    let mut link = LinkType::default();
    kind.each_field(|key, value| {
        match key.raw() {
            "typeId" => link.type_id = id_or_none(value)?,
            "category" if !value.is_nested() => link.category = text_or_none(value)?.unwrap_or_default(),
            "label" if !value.is_nested() => link.label = text_or_none(value)?,
            _ => value.skip()?,
        }
        Ok::<_, Malformed>(())
    })?;
    Ok(Some(link))
}

fn text_or_none(value: &mut Scanner<'_>) -> Result<Option<String>, Malformed> {
    let text = value.scalar()?.map(|text| text.text().into_owned());
    Ok(text.filter(|text| !text.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs(ids: &[u64]) -> Vec<Input> {
        ids.iter().map(|&id| Input { id, after: None, is_second: false }).collect()
    }

    /// Results for the records, and their associated ids.
    fn read(json: &str, ids: &[u64]) -> (Vec<Said>, HashMap<u64, Vec<u64>>) {
        let mut collected = Collected::default();
        let body = Body::new(json.to_owned().into()).unwrap();
        let said = collect(&inputs(ids), &body, &mut collected).unwrap();
        let ends = collected.by_record.into_iter().map(|(id, ends)| (id, ends.ids())).collect();
        (said.into_iter().map(|(_, said)| said).collect(), ends)
    }

    #[test]
    fn a_company_comes_once_and_the_primary_one_first() {
        let body = r#"{"results":[{"from":{"id":"7"},"to":[
            {"toObjectId":30,"associationTypes":[{"category":"HUBSPOT_DEFINED","typeId":341,"label":null}]},
            {"toObjectId":"40","associationTypes":[{"category":"HUBSPOT_DEFINED","typeId":341},
                                                   {"category":"HUBSPOT_DEFINED","typeId":5,"label":"Primary"}]},
            {"toObjectId":"30","associationTypes":[{"category":"USER_DEFINED","typeId":5,"label":"Partner"}]},
            {"toObjectId":"20","associationTypes":[]}],
            "paging":{"next":{"after":"3"}}}]}"#;
        let (said, ends) = read(body, &[7]);
        assert_eq!(said, [Said::Shown(Next::At("3".to_owned()))]);
        assert_eq!(ends[&7], [40, 20, 30]);
    }

    #[test]
    fn only_one_category_says_that_there_are_none() {
        let body = |category: &str, top: &str| {
            format!(
                r#"{{{top}"results":[{{"from":{{"id":"1"}},"to":[{{"toObjectId":"9"}}]}}],"numErrors":1,
                    "errors":[{{"status":"error",{category},"context":{{"fromObjectId":["2"]}}}}]}}"#
            )
        };
        let none = r#""category":"OBJECT_NOT_FOUND","subCategory":"crm.associations.NO_ASSOCIATIONS_FOUND""#;
        // No page size is known, so a page that does not say where it goes on may be a full one.
        let shown = || Said::Shown(Next::Full);
        assert_eq!(read(&body(none, ""), &[1, 2]).0, [shown(), Said::None]);
        let left_out = |said: &Said| matches!(said, Said::LeftOut(_));
        let (said, _) = read(&body(r#""category":"INTERNAL_ERROR""#, ""), &[1, 2]);
        assert!(said[0] == shown() && left_out(&said[1]), "{said:?}");
        // Of somebody that no error names, beside an error.
        assert!(left_out(&read(&body(none, ""), &[1, 2, 3]).0[2]));
        let (said, ends) = read(&body(none, r#""status":"PROCESSING","#), &[1, 2]);
        assert!(said.iter().all(left_out) && ends.is_empty(), "{said:?}");
        assert_eq!(read(r#"{"status":"COMPLETE","results":[]}"#, &[1]).0, [Said::Nothing]);
        for odd in [r#"{"status":"COMPLETE"}"#, r#"{"results":null}"#, r#"{"results":[null]}"#] {
            assert!(left_out(&read(odd, &[1]).0[0]), "{odd}");
        }
    }

    #[test]
    fn an_associated_id_that_is_none_leaves_its_record_out() {
        for odd in [r#"{"toObjectId":"x"}"#, "null", r#"{"toObjectId":{"id":"1"}}"#, "{}"] {
            let body = format!(
                r#"{{"results":[{{"from":{{"id":"1"}},"to":[{{"toObjectId":"9"}},{odd}]}},
                               {{"from":{{"id":"2"}},"to":[{{"toObjectId":"8"}}]}}]}}"#
            );
            let (said, ends) = read(&body, &[1, 2]);
            assert!(
                matches!(said[0], Said::LeftOut(_)) && said[1] == Said::Shown(Next::Full),
                "{odd}: {said:?}"
            );
            assert_eq!(ends, HashMap::from([(2, vec![8])]));
        }
    }

    #[test]
    fn a_list_call_brings_associations_along() {
        let body = r#"{"results":[{"associations":{"companies":{"results":[
            {"id":"9","type":"deal_to_company_unlabeled"},{"id":"8","type":"deal_to_company_unlabeled"},
            {"id":"9","type":"deal_to_company"}]}},"id":"1"},{"id":"2"}]}"#;
        let companies = inline(body).unwrap().remove("companies").unwrap();
        assert!(companies.again.is_empty());
        assert_eq!(
            companies.by_record.into_iter().map(|(id, ends)| (id, ends.ids())).collect::<Vec<_>>(),
            [(1, vec![9, 8])]
        );
    }

    #[test]
    fn what_a_list_call_does_not_show_whole_is_asked_for() {
        for ends in [
            r#"{"results":[{"id":"9"}],"paging":{"next":{"after":"x"}}}"#,
            r#"{"results":[{"id":"9"}],"paging":{"further":"x","nextPage":"7"}}"#,
            r#"{"results":[{"id":"x"}]}"#,
            r#"{"results":null}"#,
            "{}",
            "null",
        ] {
            let body = format!(r#"{{"results":[{{"id":"1","associations":{{"companies":{ends}}}}}]}}"#);
            let companies = inline(&body).unwrap().remove("companies").unwrap();
            assert!(companies.again == [1] && companies.by_record.is_empty(), "{ends}");
        }
    }
}
