//! The function's configuration: read once, when the process starts.

use extract::{CollectionNames, FURTHER, Scheduled};
use hubspot::feeds::{FEEDS, Feed, HistoryProperties, PROPERTY_HISTORY};
use lambda::{Environment, list};
use staging::Codec;

const DEFAULT_RESERVE_PERCENT: u8 = 10;
const DEFAULT_MAX_CONTINUATIONS: u32 = 100;

#[derive(Debug)]
pub(super) struct Config {
    pub(super) stack: String,
    /// The function's name in the stack: its feed's, or [`FURTHER`].
    pub(super) name: String,
    /// The feed that it reads; `None`: all that are beyond Segment's, each in an invocation of its own.
    pub(super) feed: Option<&'static dyn Feed>,
    /// All functions of the stack that read HubSpot on a schedule; this one alone where nobody says.
    pub(super) scheduled: Scheduled,
    /// The collections that somebody wants.
    pub(super) names: CollectionNames,
    /// The properties whose history is read, where somebody has listed some.
    pub(super) histories: Option<HistoryProperties>,
    pub(super) state_table: String,
    pub(super) bucket: String,
    pub(super) schema: String,
    pub(super) hubspot_url: String,
    pub(super) hubspot_secret_arn: String,
    /// The share, 0 to 1, of HubSpot's limits that is left to the account's other apps.
    pub(super) reserve: f64,
    /// The codec of staged files.
    pub(super) codec: Codec,
    /// Minutes after which the schedule starts again what is read as a whole; 0: each time.
    pub(super) full_refresh_minutes: u32,
    /// Invocations of itself after which the rest is left to the next schedule.
    pub(super) max_continuations: u32,
}

impl Config {
    pub(super) fn of_process() -> anyhow::Result<Config> {
        Config::read(Environment::of_process())
    }

    fn read<V: Fn(&str) -> Option<String>>(mut environment: Environment<V>) -> anyhow::Result<Config> {
        let name = environment.required("FEED");
        let feed = FEEDS.iter().copied().find(|feed| feed.name() == name);
        if feed.is_none() && !name.is_empty() && name != FURTHER {
            let known: Vec<&str> = FEEDS.iter().map(|feed| feed.name()).collect();
            environment
                .wrong("FEED", format!("{name:?} is no feed: one of {}, or {FURTHER}", known.join(", ")));
        }
        let scheduled = list(environment.optional("SCHEDULED_FEEDS")).unwrap_or_else(|| vec![name.clone()]);
        let wanted = list(environment.optional("COLLECTIONS"));
        let names = CollectionNames::new(wanted.as_deref(), None).unwrap_or_else(|why| {
            environment.wrong("COLLECTIONS", why);
            CollectionNames::default()
        });
        let histories = environment.optional("PROPERTY_HISTORY").and_then(|listed| match listed.parse() {
            Ok(_) if !names.select(PROPERTY_HISTORY) => {
                let why = format!("Collections does not name {PROPERTY_HISTORY}, so it is not read");
                environment.wrong("PROPERTY_HISTORY", why);
                None
            }
            Ok(histories) => Some(histories),
            Err(why) => {
                environment.wrong("PROPERTY_HISTORY", why);
                None
            }
        });
        let reserve = environment.parsed("RESERVE_PERCENT", DEFAULT_RESERVE_PERCENT);
        if reserve > 90 {
            environment.wrong("RESERVE_PERCENT", "more than 90 leaves too little to read with");
        }
        let hubspot_url = environment.optional("HUBSPOT_URL");
        let config = Config {
            stack: environment.required("STACK"),
            name,
            feed,
            scheduled: scheduled.into_iter().collect(),
            names,
            histories,
            state_table: environment.required("STATE_TABLE"),
            bucket: environment.required("BUCKET"),
            schema: environment.required("SCHEMA"),
            hubspot_url: hubspot_url.unwrap_or_else(|| hubspot::DEFAULT_BASE_URL.to_owned()),
            hubspot_secret_arn: environment.required("HUBSPOT_SECRET_ARN"),
            reserve: f64::from(reserve) / 100.0,
            codec: environment.parsed("STAGED_CODEC", Codec::default()),
            full_refresh_minutes: environment.parsed("FULL_REFRESH_MINUTES", 0),
            max_continuations: environment.parsed("MAX_CONTINUATIONS", DEFAULT_MAX_CONTINUATIONS),
        };
        environment.check()?;
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> anyhow::Result<Config> {
        let variable =
            |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        Config::read(Environment::new(variable))
    }

    const WHOLE: [(&str, &str); 6] = [
        ("STACK", "hubspot"),
        ("FEED", "contacts"),
        ("STATE_TABLE", "hubspot-state"),
        ("BUCKET", "staged"),
        ("SCHEMA", "hubspot"),
        ("HUBSPOT_SECRET_ARN", "arn:aws:secretsmanager:eu-west-1:1:secret:x"),
    ];

    #[test]
    fn a_whole_environment_is_a_configuration() {
        let config = read(&[&WHOLE[..], &[("COLLECTIONS", "contacts,deals")]].concat()).unwrap();
        assert_eq!(config.feed.map(Feed::name), Some("contacts"));
        assert!(config.names.select("deals") && !config.names.select("form_submissions"));
        assert_eq!((config.reserve, config.hubspot_url.as_str()), (0.1, hubspot::DEFAULT_BASE_URL));
        assert_eq!((&config.scheduled.feeds[..], config.scheduled.has_further), (&["contacts"][..], false));
        let scheduled =
            read(&[&WHOLE[..], &[("SCHEDULED_FEEDS", ",deals,,objects")]].concat()).unwrap().scheduled;
        assert_eq!((&scheduled.feeds[..], scheduled.has_further), (&["deals"][..], true));
        let names = read(&WHOLE).unwrap().names;
        assert!(names.select("form_submissions") && !names.select("tickets"));
        let further =
            read(&[&[("FEED", "objects"), ("COLLECTIONS", "all,-notes")], &WHOLE[..]].concat()).unwrap();
        assert!(further.feed.is_none() && further.names.select("tickets") && !further.names.select("notes"));
        let listed = [("COLLECTIONS", "segment,property_history"), ("PROPERTY_HISTORY", "deals:amount")];
        let listed = read(&[&WHOLE[..], &listed].concat()).unwrap().histories.unwrap();
        assert_eq!(listed.of("deals").collect::<Vec<_>>(), ["amount"]);
        let snappy = read(&[&WHOLE[..], &[("STAGED_CODEC", "snappy")]].concat()).unwrap();
        assert_eq!([config.codec, snappy.codec], [Codec::Zstd, Codec::Snappy]);
    }

    #[test]
    fn what_is_missing_and_wrong_is_named_together() {
        let error = read(&[
            ("FEED", "contact"),
            ("RESERVE_PERCENT", "95"),
            ("STAGED_CODEC", "gzip"),
            ("COLLECTIONS", "all,-segment"),
            ("PROPERTY_HISTORY", "deals"),
        ])
        .unwrap_err()
        .to_string();
        for named in [
            "STACK",
            "STATE_TABLE",
            "BUCKET",
            "SCHEMA",
            "HUBSPOT_SECRET_ARN",
            "\"contact\"",
            "RESERVE",
            "\"gzip\"",
            "segment can't be left out",
            "deals:dealstage,amount",
        ] {
            assert!(error.contains(named), "{named} is not in {error}");
        }
    }
    #[test]
    fn a_list_of_properties_that_nobody_reads_is_refused() {
        let error = read(&[&WHOLE[..], &[("PROPERTY_HISTORY", "deals:amount")]].concat()).unwrap_err();
        assert!(error.to_string().contains("Collections does not name property_history"), "{error}");
    }
}
