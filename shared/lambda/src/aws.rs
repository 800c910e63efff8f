//! The SDK's clients, with one HTTP client and one TLS provider among them.

use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_s3::config::SharedHttpClient;
use aws_smithy_http_client::{Builder, tls};

/// A write that DynamoDB throttles for a moment must not end a run.
const MAX_ATTEMPTS: u32 = 8;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(60);

/// Built once; clones share connections and credentials. Region, credentials and endpoints come from where every AWS
/// program takes them: environment, profile, or the function's role.
#[derive(Debug, Clone)]
pub struct Aws {
    pub dynamodb: aws_sdk_dynamodb::Client,
    pub s3: aws_sdk_s3::Client,
    pub secrets: aws_sdk_secretsmanager::Client,
    pub lambda: aws_sdk_lambda::Client,
    /// For other services.
    pub config: SdkConfig,
}

impl Aws {
    pub async fn connect() -> Aws {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .operation_attempt_timeout(ATTEMPT_TIMEOUT)
            .build();
        let config = aws_config::defaults(BehaviorVersion::latest())
            .http_client(http_client())
            .retry_config(RetryConfig::standard().with_max_attempts(MAX_ATTEMPTS))
            .timeout_config(timeouts)
            .load()
            .await;
        Aws::with(config)
    }

    /// With a configuration of one's own.
    pub fn with(config: SdkConfig) -> Aws {
        Aws {
            dynamodb: aws_sdk_dynamodb::Client::new(&config),
            s3: s3(&config),
            secrets: aws_sdk_secretsmanager::Client::new(&config),
            lambda: aws_sdk_lambda::Client::new(&config),
            config,
        }
    }
}

/// The SDK's HTTP client, with the TLS provider that HubSpot's client has.
pub fn http_client() -> SharedHttpClient {
    Builder::new().tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring)).build_https()
}

/// Buckets are addressed in the path where the endpoint is a stand-in: its host has no subdomains.
fn s3(config: &SdkConfig) -> aws_sdk_s3::Client {
    let is_stand_in = config.endpoint_url().is_some();
    let config = aws_sdk_s3::config::Builder::from(config).force_path_style(is_stand_in).build();
    aws_sdk_s3::Client::from_conf(config)
}
