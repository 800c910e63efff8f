//! `template.yaml`: the text of `template.yaml.in`, in which blanks such as `{{feed}}` are filled from
//! [`hubspot::feeds::FEEDS`]; and in the same way the jobs of Kubernetes.
//!
//! Lines between `#: each feed` (or `#: each compared feed`) and `#: end each` stand there once for each feed; among
//! them, those between `#: if compared` and `#: end if` only for feeds whose records are compared with HubSpot's. The
//! function of all further feeds is one of them; what it fills is a matter of the parameter `Collections`.

use hubspot::feeds::person_columns;

use super::feeds::{FeedParts, of_metadata, spoken};

const SOURCE: &str = include_str!("template.yaml.in");
const KUBERNETES: &str = include_str!("kubernetes.yaml.in");
/// The feed that reads the most, and has a parameter of its own for its function's memory.
const LARGEST_FEED: &str = "contacts";

/// Contents of the function of all further feeds.
const FURTHER_FILLS: &str = "further objects and metadata, as far as Collections names them";
/// A condition can't search a text: what it sees is that nothing was named.
const FURTHER_IS_ON: &str = "!And [!Equals [!Ref Objects, \"on\"], !Not [!Equals [!Ref Collections, \"\"]], \
                             !Not [!Equals [!Ref Collections, segment]]]";

/// Returns the template of a stack with these feeds.
pub(super) fn template(feeds: &[FeedParts]) -> String {
    filled(SOURCE, feeds)
}

/// Returns the jobs that read these feeds where there is no Lambda.
pub(super) fn kubernetes(feeds: &[FeedParts]) -> String {
    filled(KUBERNETES, feeds)
}

fn filled(source: &str, feeds: &[FeedParts]) -> String {
    let mut text = String::new();
    let mut lines = source.lines();
    while let Some(line) = lines.next() {
        let only_compared = match line.trim_start() {
            "#: each feed" => false,
            "#: each compared feed" => true,
            _ => {
                text.push_str(&fill_for_all(line, feeds));
                text.push('\n');
                continue;
            }
        };
        let block: Vec<&str> = lines.by_ref().take_while(|line| line.trim_start() != "#: end each").collect();
        for feed in feeds.iter().filter(|feed| feed.is_compared || !only_compared) {
            push_block(&mut text, &block, feed);
        }
    }
    text
}

fn push_block(text: &mut String, block: &[&str], feed: &FeedParts) {
    let mut is_wanted = true;
    for line in block {
        match line.trim_start() {
            "#: if compared" => is_wanted = feed.is_compared,
            "#: end if" => is_wanted = true,
            _ if is_wanted => {
                text.push_str(&fill_for_one(line, feed));
                text.push('\n');
            }
            _ => {}
        }
    }
}

fn fill_for_one(line: &str, feed: &FeedParts) -> String {
    let memory = if feed.name == LARGEST_FEED { "ContactsMemory" } else { "ExtractMemory" };
    let (fills, is_on) = match feed.is_further() {
        true => (FURTHER_FILLS.to_owned(), FURTHER_IS_ON.to_owned()),
        false => (feed.collections.join(", "), format!("!Equals [!Ref {}, \"on\"]", feed.logical_name())),
    };
    let schedule = if feed.is_full_refresh { "rate(3 hours)" } else { "!Sub \"rate(${Freshness})\"" };
    line.replace("{{feed}}", feed.name)
        .replace("{{feed-name}}", &feed.name.replace('_', "-"))
        .replace("{{schedule}}", schedule)
        .replace("{{Feed}}", &feed.logical_name())
        .replace("{{collections}}", &fills)
        .replace("{{is on}}", &is_on)
        .replace("{{Memory}}", memory)
}

fn fill_for_all(line: &str, feeds: &[FeedParts]) -> String {
    if !line.contains("{{") {
        return line.to_owned();
    }
    let names: Vec<String> = feeds.iter().map(FeedParts::logical_name).collect();
    let collections: Vec<&str> = feeds.iter().flat_map(|feed| &feed.collections).copied().collect();
    let without_history: Vec<&str> = feeds.iter().flat_map(|feed| &feed.sets).copied().collect();
    let compared: Vec<&str> = feeds.iter().filter(|feed| feed.is_compared).map(|feed| feed.name).collect();
    let persons: Vec<String> = person_columns().iter().map(ToString::to_string).collect();
    let feed_names: Vec<&str> = feeds.iter().map(|feed| feed.name).collect();
    line.replace("{{Feeds}}", &names.join(", "))
        .replace("{{feeds}}", &feed_names.join(","))
        .replace("{{collections of Segment}}", &collections.join(", "))
        .replace("{{collections of metadata}}", &of_metadata().join(", "))
        .replace("{{columns of persons}}", &persons.join(", "))
        .replace("{{any collection without a history}}", &without_history.join("|"))
        .replace("{{collections without a history}}", &without_history.join(", "))
        .replace("{{compared feeds}}", &spoken(&compared))
        .replace("{{sums of rows}}", &sums_of_rows(&collections))
        .replace("{{log groups}}", &log_groups(feeds))
}

/// Returns the part of a query that sums up the rows of these collections.
fn sums_of_rows(collections: &[&str]) -> String {
    let sums: Vec<String> =
        collections.iter().map(|collection| format!("sum(RowsOf.{collection}) as {collection}")).collect();
    sums.join(", ")
}

/// Returns the part of a query in the dashboard that names the logs of all functions.
fn log_groups(feeds: &[FeedParts]) -> String {
    let functions = feeds.iter().map(|feed| feed.name).chain(["load"]);
    let sources: Vec<String> =
        functions.map(|name| format!("SOURCE '/aws/lambda/${{AWS::StackName}}-{name}'")).collect();
    sources.join(" | ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::feeds::of_this_source;

    #[test]
    fn no_blank_and_no_directive_is_left() {
        let feeds = of_this_source();
        for text in [template(&feeds), kubernetes(&feeds)] {
            assert!(!text.contains("{{") && !text.contains("#:"));
        }
    }

    #[test]
    fn a_further_feed_is_in_every_part_of_the_template() {
        let mut feeds = of_this_source();
        let before = template(&feeds);
        feeds.push(FeedParts::compared("support_tickets"));
        let after = template(&feeds);
        for part in [
            "SupportTickets, Collections, PropertyHistory]",
            "  SupportTickets:\n    Type: String",
            "  SupportTicketsIsOn: !Equals",
            "  SupportTicketsRefreshIsOn: !And",
            "  ExtractSupportTickets:\n",
            "MemorySize: !Ref ExtractMemory",
            "${AWS::StackName}-support_tickets-reconcile\n",
            "  SupportTicketsLog:\n",
            "function:${AWS::StackName}-support_tickets\n",
            "- !GetAtt SupportTicketsLog.Arn\n",
            "- !GetAtt ExtractSupportTickets.Arn\n",
            "- !Condition SupportTicketsRefreshIsOn\n",
            "- !If [SupportTicketsIsOn, support_tickets, !Ref AWS::NoValue]\n",
            "- !Ref SupportTicketsLog\n",
            "sum(RowsOf.support_tickets) as support_tickets",
            "SOURCE '/aws/lambda/${AWS::StackName}-support_tickets'",
            ", support_tickets\"\n",
            " and support_tickets are compared",
        ] {
            assert!(after.matches(part).count() > before.matches(part).count(), "{part}");
        }
    }

    #[test]
    fn a_feed_that_is_not_compared_has_neither_schedules_nor_alarms_for_it() {
        let feed = FeedParts { is_compared: false, ..FeedParts::compared("forms") };
        let text = template(&[feed]);
        assert!(
            text.contains("- !Condition FormsIsOn\n")
                && text.contains("Name: !Sub ${AWS::StackName}-forms\n")
        );
        for part in ["FormsReconcileIsOn", "forms-refresh"] {
            assert!(!text.contains(part), "{part}");
        }
    }
}
