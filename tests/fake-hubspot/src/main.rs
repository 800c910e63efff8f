//! `fake-hubspot`: the fake account as a program, for tests in other languages and for a look by hand.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use clap::{Parser, ValueEnum};
use fake_hubspot::{
    Account, Behaviour, Churn, Faults, Further, IndexLag, Limits, Marketing, MarketingChurn, ObjectType,
    PerType, Server, Settings,
};

const EXAMPLES: &str = r#"Examples:
  A small account on a free port; the first line says where:
    fake-hubspot

  Read it, and read the truth about it:
    fake-hubspot --port 8080 &
    url=http://127.0.0.1:8080
    curl -H 'Authorization: Bearer pat-na1-fake' $url/crm/objects/2026-09/contacts?limit=2
    curl $url/_fake/truth/contacts

  A large account at 100 ms, as a benchmark meets it:
    fake-hubspot --contacts 200000 --deals 50000 --latency-ms 100 --jitter-ms 20

  A bad day, with people at work in the account:
    fake-hubspot --faults mixed --index-lag-ms 3000 --short-pages 0.05 --churn 20

  Change a record, change the weather, see what was asked:
    curl $url/_fake/mutate -d '{"do":"archive","object":"contacts","id":51}'
    curl $url/_fake/behaviour -d '{"faults":{"internal_error":0.2},"latency":250}'
    curl $url/_fake/requests"#;

/// A HubSpot account in memory that behaves like the real one, and knows the truth.
#[derive(Debug, Parser)]
#[command(name = "fake-hubspot", version, after_help = EXAMPLES)]
struct Arguments {
    /// Port to listen on; 0 takes a free one
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Interface to listen on
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    bind: IpAddr,
    #[arg(long, default_value_t = 1_200)]
    contacts: usize,
    #[arg(long, default_value_t = 300)]
    companies: usize,
    #[arg(long, default_value_t = 400)]
    deals: usize,
    /// Records of further types, such as tickets=500,notes=2000,2-3444025=100
    #[arg(long, value_name = "TYPE=RECORDS,...", value_delimiter = ',', value_parser = records_of)]
    objects: Vec<(ObjectType, usize)>,
    /// Custom properties of each object type
    #[arg(long, default_value_t = 8)]
    custom_properties: usize,
    /// Further contacts, all created and modified in one millisecond
    #[arg(long, default_value_t = 0)]
    bulk_import: usize,
    #[arg(long, default_value_t = 1_500)]
    email_events: usize,
    /// Further e-mail events, all created in one millisecond
    #[arg(long, default_value_t = 0)]
    email_burst: usize,
    /// Seed of the account, the faults and the churn
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The moment that generated dates are counted back from (RFC 3339); the last midnight (UTC) by default
    #[arg(long)]
    start: Option<DateTime<Utc>>,
    /// Accepted token
    #[arg(long, default_value = "pat-na1-fake")]
    token: String,
    #[arg(long, value_enum, default_value_t = Switch::On)]
    limits: Switch,
    #[arg(long, default_value_t = 0)]
    latency_ms: u64,
    /// The most that is added to or taken from the latency
    #[arg(long, default_value_t = 0)]
    jitter_ms: u64,
    /// Greatest lag of the search index
    #[arg(long, default_value_t = 0)]
    index_lag_ms: u64,
    /// Share of the pages that have fewer rows than the limit though more follow, 0 to 1
    #[arg(long, default_value_t = 0.0)]
    short_pages: f64,
    #[arg(long, value_enum, default_value_t = FaultLevel::None)]
    faults: FaultLevel,
    #[arg(long, value_enum, default_value_t = Switch::On)]
    gzip: Switch,
    /// Changes a second to records
    #[arg(long, default_value_t = 0.0)]
    churn: f64,
    /// Changes a second to lists, forms, e-mails and subscriptions
    #[arg(long, default_value_t = 0.0)]
    marketing_churn: f64,
}

fn records_of(text: &str) -> Result<(ObjectType, usize), String> {
    let (object, records) = text.split_once('=').ok_or("write TYPE=RECORDS, such as tickets=500")?;
    let object = object.parse::<ObjectType>().map_err(|error| error.to_string())?;
    Ok((object, records.parse().map_err(|_| format!("{records:?} is no number of records"))?))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Switch {
    On,
    Off,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FaultLevel {
    None,
    Mixed,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let account = Arc::new(Account::generate(&settings(&arguments)));
    let address = SocketAddr::new(arguments.bind, arguments.port);
    let server = Server::start_on(address, Arc::clone(&account), behaviour(&arguments))
        .await
        .with_context(|| format!("can't listen on {address}"))?;
    writeln!(std::io::stdout(), "listening on {}", server.url())?;

    let (seed, marketing) = (arguments.seed, arguments.marketing_churn);
    let marketing_churn =
        (marketing > 0.0).then(|| MarketingChurn { per_second: marketing, seed }.start(Arc::clone(&account)));
    let churn = (arguments.churn > 0.0).then(|| Churn { per_second: arguments.churn, seed }.start(account));
    tokio::signal::ctrl_c().await.context("can't wait for an interrupt")?;
    drop((churn, marketing_churn));
    server.stop().await;
    Ok(())
}

fn settings(arguments: &Arguments) -> Settings {
    let custom = arguments.custom_properties;
    let defaults = Settings::default();
    let further =
        |&(object, records): &(ObjectType, usize)| (object, Further { records, custom_properties: custom });
    Settings {
        seed: arguments.seed,
        records: PerType {
            contacts: arguments.contacts,
            companies: arguments.companies,
            deals: arguments.deals,
        },
        custom_properties: PerType { contacts: custom, companies: custom, deals: custom },
        further: arguments.objects.iter().map(further).collect(),
        bulk_import: PerType { contacts: arguments.bulk_import, ..PerType::default() },
        marketing: Marketing {
            email_events: arguments.email_events,
            burst_in_one_ms: arguments.email_burst,
            ..Marketing::default()
        },
        tokens: vec![arguments.token.clone()],
        start: arguments.start.unwrap_or(defaults.start),
        ..defaults
    }
}

fn behaviour(arguments: &Arguments) -> Behaviour {
    Behaviour {
        seed: arguments.seed,
        limits: Limits { enabled: arguments.limits == Switch::On, ..Limits::default() },
        faults: if arguments.faults == FaultLevel::Mixed { Faults::mixed() } else { Faults::none() },
        latency: Duration::from_millis(arguments.latency_ms),
        jitter: Duration::from_millis(arguments.jitter_ms),
        index_lag: IndexLag::up_to(Duration::from_millis(arguments.index_lag_ms)),
        short_pages: arguments.short_pages,
        gzip: arguments.gzip == Switch::On,
        ..Behaviour::default()
    }
}
