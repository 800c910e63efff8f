//! Incomplete answers: 207, errors beside results, a status that is not COMPLETE, a missing list. Things that such an
//! answer leaves out are asked for again, and those that stay out are named.

use std::collections::HashSet;

use crate::call::Call;
use crate::client::Client;
use crate::encoding::percent_encoded;
use crate::error::{Error, ErrorKind, Result};
use crate::json::{Body, COMPLETE, Malformed, Scanner, parse_id};
use crate::paging::{Next, Passed};

/// Category of the errors about records that don't exist.
pub(crate) const NOT_FOUND: &str = "OBJECT_NOT_FOUND";
/// Most errors of an answer that are kept one by one.
const MAX_COMPLAINTS: usize = 2_000;
/// Most categories that a text names.
const MAX_NAMED: usize = 3;

impl Client {
    /// Sends a call whose answer holds a list, and sends it once more if the answer is incomplete.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] when both answers are incomplete: the next page would skip the missing part.
    pub(crate) async fn send_for_list(&self, call: &Call, list: &'static str) -> Result<Body> {
        let is_whole = |body: &Body| body.has_list(list) && !body.is_in_part();
        let body = self.send(call).await?;
        if is_whole(&body) {
            return Ok(body);
        }
        tracing::warn!(call.name = call.name(), "an answer is incomplete: the call is sent once more");
        let body = self.send(call).await?;
        if is_whole(&body) {
            return Ok(body);
        }
        let why = match body.has_list(list) {
            true => AnswerStatus::of(&body)?.text(),
            false => format!("it has no {list}"),
        };
        let message = format!("HubSpot answers {} in part, time and again: {why}", call.name());
        Err(Error::new(ErrorKind::Malformed, message))
    }

    /// Returns the page token of the next page; `None` at the end. `call` makes the call of this page, with a limit.
    ///
    /// A full page without a page token is checked by a page with one item less, which must have one: if not, more
    /// items may follow.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] when more items may follow and no page token leads to them.
    pub(crate) async fn position_behind(
        &self,
        page: &Body,
        call: impl Fn(usize) -> Call + Send + Sync,
        limit: usize,
        list: &'static str,
    ) -> Result<Option<String>> {
        match page.next(limit) {
            Next::At(position) => return Ok(Some(position)),
            Next::End => return Ok(None),
            Next::Full if limit > 1 => {
                let smaller = self.send_for_list(&call(limit - 1), list).await?;
                if matches!(smaller.next(limit - 1), Next::At(_) | Next::End) {
                    return Ok(None);
                }
            }
            Next::Full | Next::Unsaid => {}
        }
        let message = format!("a full page of {} does not say where it goes on", call(limit).name());
        Err(Error::new(ErrorKind::Malformed, message))
    }
}

impl Client {
    /// Sends the calls of a list's pages, one after the other. `call` makes the call of a page, with a limit and, as the end
    /// of a query, the page token. `what` names the list in an error.
    ///
    /// # Errors
    /// As of [`Client::send_for_list`] and [`Client::position_behind`], and when the pages lead back.
    pub(crate) async fn each_page(
        &self,
        call: impl Fn(usize, &str) -> Call + Send + Sync,
        limit: usize,
        list: &'static str,
        what: &str,
        mut each: impl FnMut(Body) -> Result<()> + Send,
    ) -> Result<()> {
        let (mut after, mut passed) = (String::new(), Passed::default());
        loop {
            let call = |limit: usize| call(limit, &after);
            let body = self.send_for_list(&call(limit), list).await?;
            let next = self.position_behind(&body, call, limit, list).await?;
            each(body)?;
            let Some(next) = next else { return Ok(()) };
            passed.pass(&next, what)?;
            after = format!("&after={}", percent_encoded(&next));
        }
    }
}

/// The parts of a batch's answer other than its results.
#[derive(Debug, Default)]
pub(crate) struct AnswerStatus {
    status: Option<String>,
    has_results: bool,
    errors: u64,
    complaints: Vec<Complaint>,
}

/// One entry of an answer's `errors`.
#[derive(Debug, Default)]
struct Complaint {
    /// Category and subcategory as JSON, since they may be objects.
    category: String,
    ids: Vec<u64>,
}

impl AnswerStatus {
    pub(crate) fn of(body: &Body) -> Result<AnswerStatus, Malformed> {
        let mut status = AnswerStatus { has_results: body.has_list("results"), ..AnswerStatus::default() };
        if body.is_in_part() {
            Scanner::new(body).each_field(|key, value| match key.raw() {
                "status" | "errors" | "numErrors" => status.field(key.raw(), value),
                _ => value.skip(),
            })?;
        }
        Ok(status)
    }

    fn field(&mut self, name: &str, value: &mut Scanner<'_>) -> Result<(), Malformed> {
        match name {
            "status" if !value.is_nested() => {
                let status = value.scalar()?.map(|status| status.text().into_owned());
                self.status = status.filter(|status| !status.eq_ignore_ascii_case(COMPLETE));
                Ok(())
            }
            "numErrors" if !value.is_nested() => {
                let count = value.scalar()?.and_then(|count| count.raw().parse().ok());
                self.errors = self.errors.max(count.unwrap_or(1));
                Ok(())
            }
            "errors" if value.is_nested() && !value.is_object() => {
                let mut count = 0;
                value.each_item(|error| {
                    count += 1;
                    let complaint = complaint(error)?;
                    if self.complaints.len() < MAX_COMPLAINTS {
                        self.complaints.push(complaint);
                    }
                    Ok::<_, Malformed>(())
                })?;
                self.errors = self.errors.max(count);
                Ok(())
            }
            _ => value.skip(),
        }
    }

    /// Returns the reasons for missing things as text: categories, without values.
    pub(crate) fn text(&self) -> String {
        if !self.has_results {
            return "the answer has no results".to_owned();
        }
        if let Some(status) = &self.status {
            return format!("the answer's status is {status:.40}");
        }
        let mut categories: Vec<&str> =
            self.complaints.iter().map(|complaint| complaint.category.as_str()).collect();
        categories.retain(|category| !category.is_empty());
        categories.sort_unstable();
        categories.dedup();
        categories.truncate(MAX_NAMED);
        match (categories.is_empty(), self.errors) {
            (true, 0) => "the answer leaves it out".to_owned(),
            (true, errors) => format!("the answer leaves it out, with {errors} errors that name nothing"),
            (false, _) => format!("the answer leaves it out: {:.200}", categories.join(", ")),
        }
    }
}

impl AnswerStatus {
    /// `true`: the answer is complete: by its status, with its list, and without errors.
    pub(crate) fn is_whole(&self) -> bool {
        self.is_complete() && self.errors == 0
    }

    /// `true`: an error names this id, in another category than the benign one.
    pub(crate) fn is_about(&self, id: u64, benign: Option<&str>) -> bool {
        let is_benign = |complaint: &Complaint| benign.is_some_and(|benign| complaint.is(benign));
        self.complaints.iter().any(|complaint| !is_benign(complaint) && complaint.ids.contains(&id))
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.status.is_none() && self.has_results
    }

    /// Returns those of the missing ids for which an error of the benign category says that there is nothing to show.
    ///
    /// An error without ids counts if there is no other one, and if there are as many as missing ids.
    pub(crate) fn benign(&self, missing: &[u64], benign: &str) -> HashSet<u64> {
        if !self.is_complete() {
            return HashSet::new();
        }
        let of_category = self.complaints.iter().filter(|complaint| complaint.is(benign));
        let named: HashSet<u64> = of_category.flat_map(|complaint| complaint.ids.iter().copied()).collect();
        let is_unnamed = |id: &&u64| !named.contains(id);
        let unnamed = missing.iter().filter(is_unnamed).count();
        let nameless = self.complaints.iter().filter(|complaint| complaint.ids.is_empty());
        let is_all_benign = self.complaints.iter().all(|complaint| complaint.is(benign))
            && self.errors == self.complaints.len() as u64;
        if unnamed > 0 && is_all_benign && nameless.count() == unnamed {
            return missing.iter().copied().collect();
        }
        missing.iter().copied().filter(|id| named.contains(id)).collect()
    }
}

impl Complaint {
    fn is(&self, category: &str) -> bool {
        self.category.contains(category)
    }
}

/// Reads an error: `{category, subCategory, context: {ids: [..]}}`, or a text.
fn complaint(error: &mut Scanner<'_>) -> Result<Complaint, Malformed> {
    let mut complaint = Complaint::default();
    if !error.is_object() {
        return error.skip().map(|()| complaint);
    }
    error.each_field(|key, value| {
        match key.raw() {
            "category" | "subCategory" => {
                let text = value.raw()?.trim_matches('"');
                if text != "null" {
                    let gap = if complaint.category.is_empty() { "" } else { "/" };
                    complaint.category = format!("{}{gap}{text:.150}", complaint.category);
                }
            }
            "context" if value.is_object() => value.each_field(|key, value| {
                if is_of_ids(key.raw()) {
                    ids(value.raw()?, &mut complaint.ids)
                } else {
                    value.skip()?
                };
                Ok::<_, Malformed>(())
            })?,
            _ => value.skip()?,
        }
        Ok::<_, Malformed>(())
    })?;
    Ok(complaint)
}

/// `true`: an error has its ids in a field of this name, such as `ids`, `fromObjectId`, `recordId`, `vid`.
fn is_of_ids(name: &str) -> bool {
    let name = name.to_lowercase();
    let is_id = name.ends_with("id") || name.ends_with("ids") || name == "from";
    is_id
        && !["to", "portal", "account", "hub", "type", "request", "correlation"]
            .iter()
            .any(|other| name.starts_with(other) || name.contains("type"))
}

/// Reads ids from a list, a number, or a text with numbers in it.
fn ids(json: &str, ids: &mut Vec<u64>) {
    let numbers = json.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').filter_map(parse_id);
    ids.extend(numbers);
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: &str = "NO_ASSOCIATIONS_FOUND";

    fn status(json: &str) -> AnswerStatus {
        AnswerStatus::of(&Body::new(json.to_owned().into()).unwrap()).unwrap()
    }

    fn benign(json: &str, missing: &[u64]) -> Vec<u64> {
        let mut ids: Vec<u64> = status(json).benign(missing, NONE).into_iter().collect();
        ids.sort_unstable();
        ids
    }

    #[test]
    fn whom_a_complaint_is_about_is_told_in_many_shapes() {
        for ids in [r#"["2"]"#, "[2]", "2", r#""2""#, r#""[2, 3]""#] {
            for key in ["fromObjectId", "ids", "recordId", "objectIds", "vid"] {
                for category in [
                    r#""category":"OBJECT_NOT_FOUND","subCategory":"crm.associations.NO_ASSOCIATIONS_FOUND""#,
                    r#""subCategory":{"name":"crm.associations.NO_ASSOCIATIONS_FOUND"},"category":"X""#,
                    r#""category":"crm.associations.NO_ASSOCIATIONS_FOUND","subCategory":null"#,
                ] {
                    let json = format!(
                        r#"{{"results":[],"errors":[{{{category},"context":{{"{key}":{ids},"toObjectId":["9"]}}}}]}}"#
                    );
                    assert_eq!(benign(&json, &[2, 9]), [2], "{json}");
                }
            }
        }
    }

    #[test]
    fn a_complaint_of_another_kind_says_nothing() {
        for category in ["INTERNAL_ERROR", "of the future", ""] {
            let json = format!(
                r#"{{"status":"COMPLETE","results":[],"numErrors":1,
                    "errors":[{{"category":"{category}","context":{{"ids":["2"]}}}}]}}"#
            );
            assert!(benign(&json, &[2]).is_empty());
            assert!(status(&json).is_about(2, Some(NONE)) && !status(&json).is_about(3, None));
        }
        let pending = r#"{"status":"PENDING","results":[],"errors":[{"category":"NO_ASSOCIATIONS_FOUND","context":{"ids":[2]}}]}"#;
        assert!(benign(pending, &[2]).is_empty());
    }

    #[test]
    fn complaints_that_name_nobody_count_when_there_are_as_many_as_missing() {
        let two = r#"{"results":[],"errors":[{"category":"NO_ASSOCIATIONS_FOUND"},{"category":"NO_ASSOCIATIONS_FOUND"}]}"#;
        assert_eq!(benign(two, &[2, 3]), [2, 3]);
        assert!(benign(two, &[2, 3, 4]).is_empty());
        let mixed = r#"{"results":[],"errors":[{"category":"NO_ASSOCIATIONS_FOUND"},"odd"]}"#;
        assert!(benign(mixed, &[2]).is_empty());
        let counted = r#"{"results":[],"numErrors":2,"errors":[{"category":"NO_ASSOCIATIONS_FOUND"}]}"#;
        assert!(benign(counted, &[2]).is_empty());
    }

    #[test]
    fn a_reason_has_categories_and_no_values() {
        let odd =
            r#"{"results":[],"errors":[{"category":"A","subCategory":{"x":1},"message":"a@b.c"},"a@b.c"]}"#;
        assert_eq!(status(odd).text(), r#"the answer leaves it out: A/{"x":1}"#);
        assert_eq!(status(r#"{"status":"COMPLETE"}"#).text(), "the answer has no results");
        assert_eq!(status(r#"{"results":[],"status":"PENDING"}"#).text(), "the answer's status is PENDING");
        let silent = r#"{"results":[],"numErrors":3}"#;
        assert_eq!(status(silent).text(), "the answer leaves it out, with 3 errors that name nothing");
    }
}
