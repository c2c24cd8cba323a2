//! A database that is away, dies and comes back, or is not the one that it says it is.

use kbnt_adapters::history::{PostgresAddress, PostgresHistory};
use kbnt_application::history::Progress;
use kbnt_application::ports::{History as _, HistoryError, HistoryStore as _};
use kbnt_testkit::{eventually, order};

use crate::server::Server;
use crate::{append, log, ready, shows, start};

const ORDERS: u32 = 40_000;

#[tokio::test]
#[ignore = "starts a database"]
async fn a_database_that_dies_in_the_middle_and_comes_back_has_everything_in_the_end() {
    let (server, log) = (Server::start(), log(ORDERS).await);
    let running = [start(&log, &server.url, None), start(&log, &server.url, None)];
    let applied = || running.iter().map(|one| one.reports.count("applied")).sum::<usize>();
    for round in 1..=3 {
        let before = applied();
        eventually("a few more batches are applied", || async { applied() > before + 2 }).await;
        server.kill();
        for one in &running {
            eventually("it is noticed", || async { one.reports.count("failed") >= round }).await;
            let read = one.view.get(order(1)).await;
            assert!(matches!(read, Err(HistoryError::Unavailable(_))), "{read:?}");
        }
        server.start_again();
    }
    for one in &running {
        ready(one).await;
        assert_eq!(one.view.size().await.unwrap().orders, u64::from(ORDERS));
        assert_eq!(one.reports.count("rebuilt"), 0, "{:?}", one.reports.0);
    }
    assert!(shows(&running[0], ORDERS).await);

    // Nor is anything wrong if it was idle.
    let positions = append(&log, ORDERS + 1).await;
    for one in &running {
        one.view.reached(&positions).await;
    }
    server.kill();
    server.start_again();
    let positions = append(&log, ORDERS + 2).await;
    for one in &running {
        one.view.reached(&positions).await;
        eventually("it is read again", || async {
            matches!(one.view.get(order(ORDERS + 2)).await, Ok(Some(_)))
        })
        .await;
    }
}

#[tokio::test]
#[ignore = "starts a database"]
async fn a_database_that_is_not_there_yet_is_waited_for() {
    let (server, log) = (Server::start(), log(10).await);
    server.kill();
    let running = start(&log, &server.url, None);
    eventually("it has failed", || async { running.reports.count("failed") > 1 }).await;
    assert!(running.view.get(order(1)).await.is_err() && !running.view.standing().ready);
    server.start_again();
    ready(&running).await;
    assert!(shows(&running, 10).await);
}

#[tokio::test]
#[ignore = "starts a database"]
async fn a_server_is_known_by_its_certificate_if_that_is_asked_for() {
    let (server, other) = (Server::start(), Server::start());
    let opened = |parameters: String| {
        let store = PostgresHistory::new(PostgresAddress::Text(format!("{}?{parameters}", server.url)), "");
        async move { store.progress().await }
    };
    for parameters in ["sslmode=disable".into(), "sslmode=require".into(), strict(&server)] {
        assert_eq!(opened(parameters.clone()).await, Ok(Progress::default()), "{parameters}");
    }
    for parameters in ["sslmode=verify-full".into(), strict(&other)] {
        let refused = opened(parameters).await;
        let Err(HistoryError::Unavailable(why)) = refused else { panic!("{refused:?}") };
        assert!(why.to_lowercase().contains("certificate"), "{why}");
    }
}

fn strict(server: &Server) -> String {
    format!("sslmode=verify-full&sslrootcert={}", server.authority())
}
