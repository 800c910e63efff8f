//! Injected faults.

use fake_hubspot::{Behaviour, Faults};

use crate::client::{Fake, calm, small};

const LIST: &str = "/crm/objects/2026-09/contacts?limit=100";

fn only(faults: Faults) -> Behaviour {
    Behaviour { faults, ..calm() }
}

#[tokio::test]
async fn the_same_requests_fail_in_the_same_way() {
    let mut seen = Vec::new();
    for _ in 0..2 {
        let fake = Fake::start(&small(), only(Faults { slow: 0.0, ..Faults::mixed() })).await;
        let mut statuses = Vec::new();
        for _ in 0..300 {
            statuses.push(fake.try_get(LIST).await.map_or(0, |answer| answer.status));
        }
        assert!(statuses.iter().filter(|status| **status != 200).count() > 10);
        let logged: Vec<_> = fake.server.log().into_iter().map(|request| request.fault).collect();
        seen.push((statuses, logged));
    }
    assert_eq!(seen[0], seen[1]);
}

#[tokio::test]
async fn errors_come_as_json_or_as_html() {
    for (faults, status, is_html) in [
        (Faults { internal_error: 1.0, ..Faults::none() }, 500, false),
        (Faults { bad_gateway: 1.0, ..Faults::none() }, 502, true),
        (Faults { unavailable: 1.0, ..Faults::none() }, 503, false),
        (Faults { gateway_timeout: 1.0, ..Faults::none() }, 504, true),
        (Faults { origin_down: 1.0, ..Faults::none() }, 521, true),
        (Faults { locked: 1.0, ..Faults::none() }, 423, false),
        (Faults { migrating: 1.0, ..Faults::none() }, 477, false),
        (Faults { limit_burst: 1.0, ..Faults::none() }, 429, false),
    ] {
        let fake = Fake::start(&small(), only(faults)).await;
        let answer = fake.get(LIST).await;
        assert_eq!((answer.status, answer.text.starts_with("<!DOCTYPE html>")), (status, is_html));
        assert_eq!(answer.header("retry-after").is_some(), status == 477);
        assert_eq!(fake.server.counters().faults.values().sum::<u64>(), 1);
    }
}

#[tokio::test]
async fn bodies_break_off() {
    for faults in [Faults { reset: 1.0, ..Faults::none() }, Faults { truncated: 1.0, ..Faults::none() }] {
        let fake = Fake::start(&small(), only(faults)).await;
        for _ in 0..8 {
            assert!(fake.try_get(LIST).await.is_err());
        }
        fake.server.set_behaviour(calm());
        assert_eq!(fake.get(LIST).await.status, 200);
    }
}

#[tokio::test]
async fn a_dropped_server_answers_no_more() {
    let Fake { server, http, .. } = Fake::calm().await;
    let url = format!("{}{LIST}", server.url());
    assert_eq!(http.get(&url).send().await.unwrap().status(), 401);
    drop(server);
    tokio::task::yield_now().await;
    assert!(http.get(&url).send().await.is_err(), "the open connection is gone, too");
}

#[tokio::test]
async fn faults_spare_the_way_in_for_tests() {
    let fake = Fake::start(&small(), only(Faults { internal_error: 1.0, ..Faults::none() })).await;
    assert_eq!(fake.get("/_fake/requests").await.status, 200);
    assert_eq!(fake.get(LIST).await.status, 500);
}

#[tokio::test]
async fn a_client_that_goes_away_is_not_in_flight() {
    let latency = std::time::Duration::from_secs(5);
    let fake = Fake::start(&small(), Behaviour { latency, ..calm() }).await;
    let impatient = tokio::time::timeout(std::time::Duration::from_millis(100), fake.get(LIST)).await;
    assert!(impatient.is_err());
    let left = async {
        while fake.server.counters().in_flight > 0 {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(3), left).await.unwrap();
    assert_eq!(fake.server.counters().peak_in_flight, 1);
}

#[tokio::test]
async fn a_stopped_server_answers_no_more() {
    let fake = Fake::calm().await;
    assert_eq!(fake.get(LIST).await.status, 200);
    let Fake { server, http, .. } = fake;
    let url = format!("{}{LIST}", server.url());
    server.stop().await;
    assert!(http.get(url).send().await.is_err());
}
