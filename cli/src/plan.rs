//! `plan`: the estimated cost of a backfill: calls, share of the daily limit, minutes at the account's rate limit, and
//! dollars of Lambda; and of the runs behind it, by how fresh the data are to be. It asks HubSpot for counts, and writes nothing. Where nobody named collections, it recommends some.

mod cost;
mod freshness;
mod recommended;

use std::collections::BTreeMap;

use comfy_table::{Cell, CellAlignment};
use extract::{CollectionNames, window};
use hubspot::feeds::{Estimate, Lookback, PROPERTY_HISTORY, Session};
use hubspot::{Budget, Client, DailyUsage, RecordCounts};
use serde::Serialize;

use crate::args::{Plan, ReportFormat};
use crate::credential::credential;
use crate::print::{print, say, wrapped};
use crate::report::{new_table, number};

use cost::{Cost, History, estimate, number_text};
use freshness::{Freshness, freshness};
use recommended::{Recommended, recommended};

#[derive(Debug, Serialize)]
struct Costs {
    feeds: BTreeMap<&'static str, Cost>,
    calls: u64,
    /// Share of the daily limit; `null` where HubSpot does not answer it.
    share_of_day: Option<f64>,
    daily_limit: Option<u64>,
    daily_used: Option<u64>,
    minutes: f64,
    gigabyte_seconds: f64,
    dollars: f64,
    /// Costs of the runs after the first one, by how often they come.
    freshness: Vec<Freshness>,
    /// For a new account; only where nobody named collections.
    #[serde(skip_serializing_if = "Option::is_none")]
    recommended: Option<Recommended>,
}

/// Prints the plan. `true`: every feed could be planned.
///
/// # Errors
/// For wrong use or configuration, such as a credential that HubSpot rejects.
pub(crate) async fn run(args: &Plan) -> anyhow::Result<bool> {
    let names = CollectionNames::new(args.collections.as_deref(), None)?;
    let names = match args.property_history {
        Some(_) => names.and(PROPERTY_HISTORY),
        None => names,
    };
    let window = window(("--since", args.since.as_deref()), ("--until", args.until.as_deref()))?;
    let reserve = f64::from(args.reserve) / 100.0;
    let client = Client::new(&args.hubspot_url, credential(&args.token).await?, Budget::new(reserve))?;
    let account = extract::account(&client).await?;
    let selection = names.of_account(&client, Vec::new()).await?;
    if let Some(note) = &selection.note {
        say(note);
    }
    let session = Session {
        client: client.clone(),
        account_id: account.id,
        run_id: extract::new_run_id(),
        lookback: Lookback::default(),
        address_calls: 0,
        accepts_removals: false,
        collections: None,
        associated: selection.associated(),
        histories: selection.histories(args.property_history.as_ref())?,
        wanted: None,
        counts: RecordCounts::read(&client).await,
    };
    let (mut feeds, mut estimates, mut is_whole) = (BTreeMap::new(), Vec::new(), true);
    for feed in &selection.feeds {
        match estimate(*feed, &session, window).await {
            Ok(mut estimate) => {
                if session.counts.is_off(feed.name()) {
                    estimate.note =
                        Some("it is not activated in the account: its table stays empty until it is");
                }
                let mut cost = Cost::new(&estimate, &client, reserve, args.memory);
                let properties = session.histories.iter().flat_map(|histories| histories.of(feed.name()));
                cost.history = History::of(properties, estimate.of_history);
                feeds.insert(feed.name(), cost);
                estimates.push((*feed, estimate));
            }
            Err(error) => {
                is_whole &= selection.if_available.contains(feed.name()) && error.is_unavailable();
                let name = feed.name();
                match session.counts.is_off(name) {
                    true => say(&format!("{name} is not activated in the account: {error:#}")),
                    false => say(&format!("{name}: {error:#}")),
                }
            }
        }
    }
    let cost = |estimate: &Estimate| Cost::new(estimate, &client, reserve, args.memory);
    let recommended = match &args.collections {
        None if window.is_whole() => {
            let recommended = recommended(&session, cost).await;
            recommended.inspect_err(|error| say(&format!("nothing can be recommended: {error:#}"))).ok()
        }
        _ => None,
    };
    let daily = DailyUsage::of(&client).await;
    let calls: u64 = feeds.values().map(|cost| cost.calls).sum();
    let sum = |of: fn(&Cost) -> f64| feeds.values().map(of).sum::<f64>();
    let costs = Costs {
        calls,
        share_of_day: daily.filter(|daily| daily.limit > 0).map(|daily| calls as f64 / daily.limit as f64),
        freshness: freshness(&estimates, args.memory, daily.map(|daily| daily.limit)),
        daily_limit: daily.map(|daily| daily.limit),
        daily_used: daily.map(|daily| daily.used),
        minutes: sum(|cost| cost.minutes),
        gigabyte_seconds: sum(|cost| cost.gigabyte_seconds),
        dollars: sum(|cost| cost.dollars),
        feeds,
        recommended,
    };
    print(&match args.report {
        ReportFormat::Json => serde_json::to_string(&costs)?,
        ReportFormat::Text => text(&costs, args.memory),
    });
    Ok(is_whole)
}

fn text(costs: &Costs, memory_mb: u32) -> String {
    let mut table = new_table(&["feed", "records", "calls", "minutes", "dollars"]);
    let right = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
    for (name, cost) in &costs.feeds {
        table.add_row(vec![
            Cell::new(name),
            cost.records.map_or_else(|| right("not counted".to_owned()), number),
            number(cost.calls),
            right(format!("{:.1}", cost.minutes)),
            right(format!("{:.4}", cost.dollars)),
        ]);
    }
    let mut text = format!("{table}\n");
    let mut notes: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (name, cost) in &costs.feeds {
        let history = cost.history.as_ref().map(History::text);
        for note in cost.note.map(str::to_owned).into_iter().chain(history) {
            notes.entry(note).or_default().push(name);
        }
    }
    for (note, names) in notes {
        text.push_str(&format!("{}\n", wrapped(&format!("{}: {note}", names.join(", ")), 2)));
    }
    let day = match (costs.share_of_day, costs.daily_limit, costs.daily_used) {
        (Some(share), Some(limit), Some(used)) => {
            format!(
                "{:.1} % of the {} calls of a day ({} are used today)",
                share * 100.0,
                number_text(limit),
                number_text(used)
            )
        }
        _ => "HubSpot does not tell the calls of a day".to_owned(),
    };
    let all = format!(
        "{} calls, {day}; {:.0} minutes at the account's limit; {:.4} dollars of Lambda at {memory_mb} MB",
        number_text(costs.calls),
        costs.minutes,
        costs.dollars
    );
    text.push_str(&wrapped(&all, 2));
    text.push_str(&format!(
        "\n\nEach run after it, by the parameter Freshness of a stack:\n{}",
        freshness_text(costs)
    ));
    if let Some(recommended) = &costs.recommended {
        text.push_str(&format!("\n\n{}", recommended.text()));
    }
    text
}

fn freshness_text(costs: &Costs) -> String {
    let mut table = new_table(&["Freshness", "calls a day", "of the day", "dollars a month", "loads a day"]);
    let right = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
    for cost in &costs.freshness {
        let share = cost.share_of_day.map(|share| format!("{:.1} %", share * 100.0));
        table.add_row(vec![
            Cell::new(cost.every),
            number(cost.calls_a_day),
            right(share.unwrap_or_else(|| "-".to_owned())),
            right(format!("{:.2}", cost.dollars_a_month)),
            number(cost.loads_a_day),
        ]);
    }
    let hours = costs.freshness.last().map_or(0.0, |cost| cost.warehouse_hours_a_day);
    let more = format!(
        "without changes. More for each run: a few calls for changes, up to 16 for each object with many archived \
         records, one for each 1,000 e-mail events of the last day, and one for each form where contacts' v1 API is gone. \
         A warehouse that sleeps between loads is billed up to {hours:.1} hours a day at {}",
        costs.freshness.last().map_or("", |cost| cost.every)
    );
    format!("{table}\n{}", wrapped(&more, 0))
}
