//! The fake account, in a process of its own, so that its CPU is not counted with the client's. It takes commands as
//! lines on its standard input, and answers each with one line.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use clap::Args;
use fake_hubspot::{
    Account, Behaviour, Limits, Marketing, ObjectType, PerType, Server, Settings, V1Contacts,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tempfile::NamedTempFile;
use tokio::net::{TcpListener, TcpStream};

/// Properties that HubSpot defines of contacts, the sensitive one included.
const OF_HUBSPOT: usize = 52;
/// Properties that a narrow account keeps.
const NARROW: [&str; 12] = [
    "hs_object_id",
    "createdate",
    "lastmodifieddate",
    "hs_merged_object_ids",
    "email",
    "hs_additional_emails",
    "firstname",
    "lastname",
    "phone",
    "company",
    "jobtitle",
    "lifecyclestage",
];

#[derive(Debug, Clone, Args)]
pub(crate) struct Described {
    #[arg(long, default_value_t = 0)]
    pub(crate) contacts: usize,
    #[arg(long, default_value_t = 0)]
    pub(crate) deals: usize,
    #[arg(long, default_value_t = 0)]
    pub(crate) email_events: usize,
    /// Number of properties of each contact: 12, or 60 and more
    #[arg(long, default_value_t = 60)]
    pub(crate) properties: usize,
    /// Contacts alone: no contacts v1, no lists, no forms
    #[arg(long)]
    pub(crate) records_only: bool,
    #[arg(long)]
    pub(crate) gzip: bool,
    /// Answer over TLS
    #[arg(long)]
    pub(crate) tls: bool,
    /// Apply HubSpot's rate limits; without it they are too wide to matter
    #[arg(long)]
    pub(crate) limits: bool,
    #[arg(long, default_value_t = 0)]
    pub(crate) latency_ms: u64,
    #[arg(long, default_value_t = 0)]
    pub(crate) jitter_ms: u64,
}

impl Described {
    fn arguments(&self) -> Vec<String> {
        let mut arguments = vec!["serve".to_owned()];
        let numbers = [
            ("contacts", self.contacts as u64),
            ("deals", self.deals as u64),
            ("email-events", self.email_events as u64),
            ("properties", self.properties as u64),
            ("latency-ms", self.latency_ms),
            ("jitter-ms", self.jitter_ms),
        ];
        arguments
            .extend(numbers.into_iter().flat_map(|(name, number)| [format!("--{name}"), number.to_string()]));
        let switches = [
            ("records-only", self.records_only),
            ("gzip", self.gzip),
            ("tls", self.tls),
            ("limits", self.limits),
        ];
        arguments
            .extend(switches.into_iter().filter(|(_, is_on)| *is_on).map(|(name, _)| format!("--{name}")));
        arguments
    }

    fn settings(&self) -> Settings {
        let settings = Settings {
            records: PerType { contacts: self.contacts, companies: self.deals / 4, deals: self.deals },
            custom_properties: PerType {
                contacts: self.properties.saturating_sub(OF_HUBSPOT),
                ..Settings::default().custom_properties
            },
            // All of it within the month that a first run reads.
            marketing: Marketing { email_events: self.email_events, days: 29, ..Marketing::default() },
            ..Settings::default()
        };
        if self.records_only { settings.without_scope("crm.lists").without_scope("forms") } else { settings }
    }

    fn behaviour(&self) -> Behaviour {
        let usual = Limits::default();
        let wide = Limits { general: 50_000, search: 5_000, associations: 50_000, ..usual };
        Behaviour {
            limits: if self.limits { usual } else { wide },
            latency: Duration::from_millis(self.latency_ms),
            jitter: Duration::from_millis(self.jitter_ms),
            gzip: self.gzip,
            v1_contacts: if self.records_only { V1Contacts::Gone } else { V1Contacts::Alive },
            ..Behaviour::default()
        }
    }
}

/// Use of a rate limit, as the account counted it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct LimitUse {
    /// Used share of the general limit, from the first call to ten seconds before the last.
    pub(crate) share: f64,
    /// Used share of the general limit without the first minute.
    pub(crate) later_share: f64,
    pub(crate) refused_share: f64,
    pub(crate) seconds: f64,
    /// Calls in each ten seconds.
    pub(crate) windows: Vec<u32>,
}

/// Runs `bench serve`.
pub(crate) async fn serve(described: Described) -> anyhow::Result<()> {
    let account = Arc::new(Account::generate(&described.settings()));
    let server =
        Server::start_on(SocketAddr::from(([127, 0, 0, 1], 0)), account, described.behaviour()).await?;
    if described.properties < OF_HUBSPOT {
        narrow(&server).await?;
    }
    server.reset_counters();
    // Held until the end: it holds the certificate.
    let tls = if described.tls { Some(Tls::before(&server).await?) } else { None };
    say(&match &tls {
        Some(tls) => format!("{} {}", tls.url, tls.certificate.path().display()),
        None => server.url().to_owned(),
    })?;
    let (lines, mut asked) = tokio::sync::mpsc::channel(1);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if lines.blocking_send(line).is_err() {
                return;
            }
        }
    });
    while let Some(line) = asked.recv().await {
        match line.split_once(' ').unwrap_or((&line, "")) {
            ("log", path) => {
                let lines: Vec<u8> = server
                    .log()
                    .iter()
                    .filter(|request| matches!(request.status, 200 | 207))
                    .fold(Vec::new(), |mut lines, request| {
                        lines.extend_from_slice(
                            format!("{}\t{}\t", request.method, request.target).as_bytes(),
                        );
                        lines.extend_from_slice(&request.body);
                        lines.push(b'\n');
                        lines
                    });
                std::fs::write(path, lines)?;
                say("done")?;
            }
            ("reset", _) => {
                server.reset_counters();
                say("done")?;
            }
            ("touch", count) => {
                let count = count.parse()?;
                server.account().touch_many_in_one_ms(ObjectType::Contacts, count);
                say("done")?;
            }
            ("limit", _) => say(&serde_json::to_string(&limit_use(&server))?)?,
            _ => say("what?")?,
        }
    }
    server.stop().await;
    Ok(())
}

/// A proxy that terminates TLS before the account, which has none.
struct Tls {
    url: String,
    certificate: NamedTempFile,
}

impl Tls {
    async fn before(server: &Server) -> anyhow::Result<Tls> {
        let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()])?;
        let mut certificate = NamedTempFile::new()?;
        certificate.write_all(made.cert.pem().as_bytes())?;
        let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der())
            .map_err(|error| anyhow::anyhow!("the key: {error}"))?;
        let _ = rustls::crypto::ring::default_provider().install_default();
        let config = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)?;
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("https://{}", listener.local_addr()?);
        let account = server.url().trim_start_matches("http://").to_owned();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (acceptor, account) = (acceptor.clone(), account.clone());
                tokio::spawn(async move {
                    let mut plain = TcpStream::connect(account).await?;
                    client.set_nodelay(true)?;
                    plain.set_nodelay(true)?;
                    let mut client = acceptor.accept(client).await?;
                    tokio::io::copy_bidirectional_with_sizes(&mut client, &mut plain, 64 << 10, 64 << 10)
                        .await
                });
            }
        });
        Ok(Tls { url, certificate })
    }
}

fn say(line: &str) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{line}")?;
    Ok(stdout.flush()?)
}

/// Archives all properties of contacts but [`NARROW`].
async fn narrow(server: &Server) -> anyhow::Result<()> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http = reqwest::Client::new();
    for sensitivity in ["non_sensitive", "sensitive"] {
        let url = format!("{}/crm/properties/2026-09/contacts?dataSensitivity={sensitivity}", server.url());
        let answer =
            http.get(url).bearer_auth("pat-na1-fake").send().await?.error_for_status()?.bytes().await?;
        let properties: Value = serde_json::from_slice(&answer)?;
        let names =
            properties["results"].as_array().into_iter().flatten().filter_map(|of| of["name"].as_str());
        for name in names.filter(|name| !NARROW.contains(name)) {
            server.account().archive_property(ObjectType::Contacts, name)?;
        }
    }
    Ok(())
}

fn limit_use(server: &Server) -> LimitUse {
    let window_ms = 10_000;
    let is_general =
        |endpoint: &str| !endpoint.ends_with(".search") && !endpoint.starts_with("associations.");
    let log = server.log();
    let calls = log.iter().filter(|request| request.status != 429 && is_general(request.endpoint));
    let times: Vec<i64> = calls.map(|request| request.at.timestamp_millis()).collect();
    let first = times.first().copied().unwrap_or(0);
    // The last ten seconds are the run's end, not its course.
    let course_ms = times.last().copied().unwrap_or(0) - first - window_ms;
    let mut windows = vec![0_u32; (course_ms / window_ms).max(1) as usize];
    for time in &times {
        if let Some(window) = windows.get_mut(((time - first) / window_ms) as usize) {
            *window += 1;
        }
    }
    let limit = server.behaviour().limits.general as f64;
    let general = server.counters().general;
    let seconds = windows.len() as f64 * 10.0;
    let share_of =
        |windows: &[u32]| f64::from(windows.iter().sum::<u32>()) / (limit * windows.len().max(1) as f64);
    LimitUse {
        share: share_of(&windows),
        later_share: share_of(windows.get(6..).unwrap_or_default()),
        refused_share: general.refused as f64 / general.requests.max(1) as f64,
        seconds,
        windows,
    }
}

/// Handle of the account's process, which ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Served {
    process: Child,
    asks: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    pub(crate) url: String,
    /// Certificate of its TLS.
    pub(crate) certificate: Option<PathBuf>,
}

impl Served {
    pub(crate) fn start(described: &Described) -> anyhow::Result<Served> {
        let mut process = Command::new(std::env::current_exe()?)
            .args(described.arguments())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let asks = process.stdin.take();
        let answers = BufReader::new(process.stdout.take().context("the account has no output")?);
        let mut served = Served { process, asks, answers, url: String::new(), certificate: None };
        served.url = served.answer()?;
        if let Some((url, certificate)) = served.url.clone().split_once(' ') {
            (served.url, served.certificate) = (url.to_owned(), Some(certificate.into()));
        }
        Ok(served)
    }

    fn answer(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        ensure!(line.ends_with('\n'), "the account has ended");
        Ok(line.trim_end().to_owned())
    }

    fn ask(&mut self, line: &str) -> anyhow::Result<String> {
        writeln!(self.asks.as_mut().context("the account listens no more")?, "{line}")?;
        self.answer()
    }

    /// Forgets the requests so far.
    pub(crate) fn reset(&mut self) -> anyhow::Result<()> {
        self.ask("reset").map(drop)
    }

    /// Writes the latest 10,000 requests, for a [`crate::floor`].
    pub(crate) fn write_requests(&mut self, path: &Path) -> anyhow::Result<()> {
        self.ask(&format!("log {}", path.display())).map(drop)
    }

    /// Modifies so many contacts.
    pub(crate) fn touch(&mut self, contacts: usize) -> anyhow::Result<()> {
        self.ask(&format!("touch {contacts}")).map(drop)
    }

    pub(crate) fn limit_use(&mut self) -> anyhow::Result<LimitUse> {
        Ok(serde_json::from_str(&self.ask("limit")?)?)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // The end of its input tells it to stop.
        self.asks = None;
        let _ = self.process.wait();
    }
}
