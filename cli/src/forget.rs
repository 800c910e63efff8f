//! `forget`: removes a person from the warehouse, the staged files and the state, and keeps them out.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use anyhow::{Context, bail};
use hubspot::feeds::person_columns;
use indicatif::HumanCount;
use lambda::Aws;
use load::{Asked, Event, ForgetOptions, ForgetReport, Lifted, Places};
use staging::{Bucket, Person, State};
use warehouse::{Reads, Warehouse};

use crate::args::{Forget, ReportFormat};
use crate::connect;
use crate::print::{print, say, wrapped};
use crate::report::{new_table, number};

/// Time for which a run that is under way is waited for.
const PATIENCE: Duration = Duration::from_secs(60);
const OLD_STACK: &str = "the function's answer is no report: deploy the stack in this version";

/// Forgets, and prints what was removed. `true`: nothing is left.
///
/// # Errors
/// For wrong use, and when a place can't be reached; another run of the same command goes on.
pub(crate) async fn run(args: &Forget) -> anyhow::Result<bool> {
    let asked = asked(args)?;
    if args.lift {
        lift(&asked, args).await?;
        return Ok(true);
    }
    if let Some(stack) = &args.stack {
        if !confirmed(args, stack)? {
            bail!("nothing was removed")
        }
        return end(args, &in_stack(stack, &asked, args).await?);
    }
    let place = args.warehouse.as_deref().zip(args.state.as_deref());
    let Some((url, folder)) = place else {
        bail!(
            "name the places that the person is in: --warehouse URL (or none) and --state DIR, as of sync, or --stack NAME"
        )
    };
    if !folder.exists() {
        bail!("there is no folder {}: give the --state of a sync", folder.display());
    }
    let warehouse = connect(url, args).await?;
    let state = State::open_folder(folder)?;
    if let Some(warehouse) = &warehouse {
        check_account(&state, &**warehouse).await?;
    }
    if !confirmed(args, url)? {
        bail!("nothing was removed")
    }
    let bucket = Bucket::open_folder(&folder.join("files"), &args.schema)?;
    let places = Places { state: &state, bucket: &bucket, warehouse: warehouse.as_deref() };
    let options = ForgetOptions {
        columns: person_columns(),
        is_dry_run: args.dry_run,
        pseudonymise: args.pseudonymise.unwrap_or(false),
        vacuum_full: args.vacuum_full,
        patience: PATIENCE,
        deadline: None,
    };
    end(args, &load::forget(&asked, places, options).await?)
}

/// Lets persons back in.
async fn lift(asked: &Person, args: &Forget) -> anyhow::Result<()> {
    let lifted: Lifted = match (&args.stack, &args.state) {
        (Some(stack), _) => {
            let aws = Aws::connect().await;
            let event = event(asked, args);
            serde_json::from_value(lambda::call(&aws.lambda, &format!("{stack}-load"), &event).await?)
                .context(OLD_STACK)?
        }
        (None, Some(folder)) if folder.exists() => {
            load::lift(asked, &State::open_folder(folder)?, PATIENCE).await?
        }
        _ => bail!("name the place that keeps them out: --state DIR, as of sync, or --stack NAME"),
    };
    print(&match args.report {
        ReportFormat::Json => serde_json::to_string(&lifted)?,
        ReportFormat::Text => wrapped(
            &format!(
                "{} of {} ids and addresses were kept out, and are not any more. A run with `--mode reconcile` reads the \
             contacts that HubSpot shows of them, one with `--mode backfill` whatever else it shows.",
                lifted.lifted, lifted.named
            ),
            0,
        ),
    });
    Ok(())
}

/// The event for a stack's load function.
fn event(asked: &Person, args: &Forget) -> Event {
    let forget = Asked {
        emails: asked.addresses.iter().cloned().collect(),
        contacts: asked.ids.iter().copied().collect(),
        dry_run: args.dry_run,
        pseudonymise: args.pseudonymise,
        vacuum_full: args.vacuum_full,
        lift: args.lift,
    };
    Event { trigger: Some("forget".to_owned()), forget: Some(forget), ..Event::default() }
}

/// Prints the report. `true`: nothing is left.
fn end(args: &Forget, report: &ForgetReport) -> anyhow::Result<bool> {
    print(&match args.report {
        ReportFormat::Json => serde_json::to_string(report)?,
        ReportFormat::Text => text(report),
    });
    Ok(report.left.is_empty())
}

/// Has the stack's load function forget, in as many invocations as it takes.
async fn in_stack(stack: &str, asked: &Person, args: &Forget) -> anyhow::Result<ForgetReport> {
    let aws = Aws::connect().await;
    let event = event(asked, args);
    let function = format!("{stack}-load");
    loop {
        let report: ForgetReport =
            serde_json::from_value(lambda::call(&aws.lambda, &function, &event).await?).context(OLD_STACK)?;
        // A count begins anew with each invocation.
        if !report.goes_on || args.dry_run {
            return Ok(report);
        }
        say(&format!("{} collections are done, and it goes on", report.collections.len()));
    }
}

fn asked(args: &Forget) -> anyhow::Result<Person> {
    let mut asked =
        Person { ids: args.contact.iter().copied().filter(|id| *id > 0).collect(), ..Person::default() };
    for (place, address) in args.email.iter().enumerate() {
        if !asked.add_address(address) && !asked.addresses.contains(&address.trim().to_lowercase()) {
            // It may be a part of one.
            bail!("--email number {} is no address: it has no @", place + 1);
        }
    }
    if asked.is_empty() {
        bail!("say who is to be forgotten: --email ADDRESS or --contact ID, several of each if need be");
    }
    Ok(asked)
}

async fn connect(url: &str, args: &Forget) -> anyhow::Result<Option<Box<dyn Warehouse>>> {
    if url == connect::NONE {
        return Ok(None);
    }
    let warehouse = connect::connect(url, &args.schema, &args.password).await?;
    if warehouse.reads() == Reads::S3 {
        bail!("this warehouse is filled by a stack, whose files are in S3: use --stack NAME");
    }
    Ok(Some(warehouse))
}

async fn check_account(state: &State, warehouse: &dyn Warehouse) -> anyhow::Result<()> {
    match (state.account().await?, warehouse.account().await?) {
        (Some(of_state), Some(of_warehouse)) if of_state != of_warehouse => bail!(
            "the state is of HubSpot account {of_state}, and the warehouse's schema of {of_warehouse}: name those that \
             belong together"
        ),
        _ => Ok(()),
    }
}

/// Asks on a terminal.
fn confirmed(args: &Forget, place: &str) -> anyhow::Result<bool> {
    if args.yes || args.dry_run {
        return Ok(true);
    }
    if !std::io::stdin().is_terminal() {
        bail!("rows and files are removed for good: confirm it with --yes, or look before with --dry-run");
    }
    let place = place.split(['?', '@']).next_back().unwrap_or_default();
    let but = if args.pseudonymise == Some(true) { ", but e-mail events, which get a pseudonym" } else { "" };
    eprint!(
        "Every row of {} and their other addresses and ids is removed from {place} and from staged files, for good{but}.\n\
         Type yes to go on: ",
        match args.email.len() + args.contact.len() {
            1 => "this person".to_owned(),
            many => format!("these {many} persons"),
        }
    );
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).context("no answer can be read")?;
    Ok(answer.trim().eq_ignore_ascii_case("yes"))
}

/// Returns the report for people: a line for each collection, within 80 columns.
fn text(report: &ForgetReport) -> String {
    let mut text = String::new();
    let is_counted = report.outcome == "counted";
    if report.collections.is_empty() {
        text.push_str("No row and no staged file is of the person.\n");
    } else {
        let mut table = new_table(&["collection", "rows", "changed", "files", "in files"]);
        for (name, of) in &report.collections {
            let [rows, changed, files, file_rows] =
                [of.rows(), of.changed_rows, of.files, of.file_rows].map(number);
            table.add_row([comfy_table::Cell::new(name), rows, changed, files, file_rows]);
        }
        text.push_str(&format!("{table}\n"));
    }
    let what = match (is_counted, report.left.is_empty()) {
        (true, _) => "Nothing was removed.",
        (false, true) => {
            "They are forgotten: keyed hashes keep out what comes late. If HubSpot still shows the contact, delete it \
             there, too; until then its rows are left out of each run, which counts them as forgotten."
        }
        (false, false) => "A part is left: run the same command again.",
    };
    let (ids, addresses) = (HumanCount(report.ids), HumanCount(report.addresses));
    text.push_str(&format!(
        "\n{}",
        wrapped(&format!("{ids} ids and {addresses} addresses are of the person. {what}"), 0)
    ));
    for (name, why) in &report.left {
        text.push_str(&format!("\n  {name}: {why}"));
    }
    if let Some(kept) = &report.kept {
        text.push_str(&format!("\n\n{}", wrapped(&format!("What stays: {kept}."), 0)));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use load::CollectionForgotten;

    use crate::args::PasswordFrom;

    use super::*;

    fn args(email: &[&str], contact: &[u64]) -> Forget {
        Forget {
            email: email.iter().map(|&address| address.to_owned()).collect(),
            contact: contact.to_vec(),
            warehouse: None,
            state: None,
            stack: None,
            schema: "hubspot".to_owned(),
            dry_run: false,
            pseudonymise: None,
            lift: false,
            yes: true,
            vacuum_full: false,
            password: PasswordFrom::default(),
            report: ReportFormat::Text,
        }
    }

    #[test]
    fn who_is_meant_is_never_in_an_error() {
        assert!(asked(&args(&[], &[])).is_err());
        let error = asked(&args(&["Ada@x.com", "ada.lovelace"], &[])).unwrap_err().to_string();
        assert!(error.contains("number 2") && !error.contains("lovelace"), "{error}");
        let person = asked(&args(&["Ada@x.com", "ada@x.com"], &[7])).unwrap();
        assert_eq!((person.ids.len(), person.addresses.len()), (1, 1));
    }

    #[test]
    fn the_report_fits_80_columns() {
        let of = |rows: u64| CollectionForgotten {
            tables: [("t".to_owned(), rows)].into(),
            changed_rows: 1_234_567,
            files: 12_345,
            file_rows: 12_345_678,
        };
        let names = ["email_subscription_event_changes", "contact_identity_profiles", "contacts"];
        let collections: BTreeMap<String, CollectionForgotten> =
            names.iter().map(|name| ((*name).to_owned(), of(1_000_000))).collect();
        let kept =
            "the DuckDB file is written anew; copies of it that somebody made are as they were".to_owned();
        let mut report = ForgetReport { collections, kept: Some(kept), ..ForgetReport::default() };
        for outcome in ["forgotten", "counted", "left"] {
            report.outcome = outcome.to_owned();
            let text = text(&report);
            assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
            assert!(text.contains("email_subscription_event_changes"), "{text}");
        }
        report.left.insert("contacts".to_owned(), "a run of contacts is under way".to_owned());
        assert!(text(&report).replace('\n', " ").contains("run the same command again"));
    }
}
