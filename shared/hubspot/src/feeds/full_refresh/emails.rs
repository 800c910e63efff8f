//! Marketing e-mails with their statistics. Where statistics are asked for, HubSpot leaves e-mails out: the list without
//! statistics shows those too, and each of them that was published is asked for by itself.

use std::collections::{BTreeMap, BTreeSet};

use super::source::RESULTS;
use crate::call::Call;
use crate::client::Client;
use crate::error::Result;
use crate::json::{Body, Malformed, Scanner, parse_id};
use crate::retry::Patience;
use crate::version;

/// E-mails in a page, as of the other lists.
const PAGE: usize = super::source::PAGE;
/// Fields that are most of an e-mail, and that no table has.
const LEFT_OUT: [&str; 2] = ["content", "rssData"];
/// Most e-mails that a run asks for by themselves.
const MOST_ASKED: usize = 200;

/// All e-mails, archived ones too. Of two answers about an e-mail, the first one has statistics.
#[derive(Debug, Default)]
pub(in crate::feeds) struct Emails {
    pub(in crate::feeds) answers: Vec<Body>,
    /// Number of published e-mails of which HubSpot shows no statistics.
    pub(in crate::feeds) uncounted: usize,
}

/// An e-mail without the fields that are left out.
#[derive(Debug, Default)]
struct Item {
    json: String,
    id: Option<u64>,
    has_statistics: bool,
    is_published: bool,
}

/// Reads the e-mails.
pub(in crate::feeds) async fn marketing_emails(client: &Client) -> Result<Emails> {
    let path = format!("/marketing/emails/{}", version::EMAILS);
    let mut emails = Emails::default();
    let (mut shown, mut uncounted) = (BTreeSet::new(), BTreeMap::new());
    for is_archived in [false, true] {
        for statistics in ["&includeStats=true", ""] {
            let list = format!("{path}?archived={is_archived}{statistics}");
            let call = |limit: usize, after: &str| Call::get(format!("{list}&limit={limit}{after}"));
            let add = |body: Body| {
                let mut page = Vec::new();
                for item in items(&body)? {
                    if item.id.is_some_and(|id| !shown.insert(id)) {
                        continue;
                    }
                    if let Some(id) = item.id.filter(|_| item.is_published && !item.has_statistics) {
                        uncounted.insert(id, is_archived);
                    }
                    page.push(item.json);
                }
                emails.answers.push(answer(&page)?);
                Ok(())
            };
            client.each_page(call, PAGE, RESULTS, "marketing e-mails", add).await?;
        }
    }
    let mut counted = Vec::new();
    for (&id, is_archived) in uncounted.iter().take(MOST_ASKED) {
        let call = Call::get(format!("{path}/{id}?includeStats=true&archived={is_archived}"));
        match client.send(&call.with(Patience::Little)).await {
            Ok(body) => {
                let item = item(&mut Scanner::new(&body))?;
                if item.id == Some(id) && item.has_statistics {
                    counted.push(item.json);
                }
            }
            Err(refused) if refused.may_be_of_one_thing() => {}
            Err(failed) => return Err(failed),
        }
    }
    emails.uncounted = uncounted.len() - counted.len();
    emails.answers.insert(0, answer(&counted)?);
    Ok(emails)
}

/// Makes an answer of these items.
fn answer(items: &[String]) -> Result<Body> {
    Ok(Body::new(format!("{{\"{RESULTS}\":[{}]}}", items.join(",")).into())?)
}

fn items(body: &Body) -> Result<Vec<Item>, Malformed> {
    let mut items = Vec::new();
    Scanner::new(body).each_field(|key, value| match key.raw() == RESULTS && value.is_nested() {
        true => value.each_item(|entry| {
            items.push(item(entry)?);
            Ok::<_, Malformed>(())
        }),
        false => value.skip(),
    })?;
    Ok(items)
}

fn item(entry: &mut Scanner<'_>) -> Result<Item, Malformed> {
    let mut item = Item::default();
    if !entry.is_object() {
        item.json.push_str(entry.raw()?);
        return Ok(item);
    }
    let mut fields = Vec::new();
    entry.each_field(|key, value| {
        let json = value.raw()?;
        match key.raw() {
            "id" => item.id = parse_id(json.trim_matches('"')),
            "stats" => item.has_statistics = json.starts_with('{'),
            "isPublished" => item.is_published = json == "true",
            _ => {}
        }
        if !LEFT_OUT.contains(&key.raw()) {
            fields.push(format!("\"{}\":{json}", key.raw()));
        }
        Ok::<_, Malformed>(())
    })?;
    item.json = format!("{{{}}}", fields.join(","));
    Ok(item)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_is_what_hubspot_sent_but_for_its_content() {
        let json = r#"{"results":[{"id":"7","content":{"a":[1]},"na\"me":"x","stats":{"counters":{}},"isPublished":true},
            null,{},{"id":8,"rssData":null,"stats":null}],"paging":{}}"#;
        let items = items(&Body::new(json.to_owned().into()).unwrap()).unwrap();
        let texts: Vec<&str> = items.iter().map(|item| &*item.json).collect();
        let seven = r#"{"id":"7","na\"me":"x","stats":{"counters":{}},"isPublished":true}"#;
        assert_eq!(texts, [seven, "null", "{}", r#"{"id":8,"stats":null}"#]);
        let told = |item: &Item| (item.id, item.has_statistics, item.is_published);
        assert_eq!(told(&items[0]), (Some(7), true, true));
        assert_eq!(told(&items[3]), (Some(8), false, false));
        assert!(answer(&[]).unwrap().has_list("results"));
    }
}
