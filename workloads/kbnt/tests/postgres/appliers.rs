//! Of the processes that share a history one applies the log, and the others show the same.

use std::time::Duration;

use kbnt_application::history::Search;
use kbnt_application::ports::{History as _, HistoryError};
use kbnt_domain::Span;
use kbnt_testkit::{eventually, order};

use crate::server::Server;
use crate::{Running, append, log, ready, shows, start};

/// Which of them applies the log.
async fn applier(running: &[Running]) -> usize {
    eventually("one has the turn", || async { running.iter().any(|one| one.reports.has("turn true")) }).await;
    running.iter().position(|one| one.reports.has("turn true")).unwrap()
}

#[tokio::test]
#[ignore = "starts a database"]
async fn of_three_processes_one_applies_and_the_others_show_the_same() {
    let (server, log) = (Server::start(), log(3_000).await);
    let mut running: Vec<Running> = (0..3).map(|_| start(&log, &server.url, None)).collect();
    for one in &running {
        ready(one).await;
        assert!(shows(one, 3_000).await);
    }
    let applier_of_all = applier(&running).await;
    for n in 5_000..5_020 {
        let positions = append(&log, n).await;
        for one in &running {
            // Somebody who has placed an order finds it in the list within a moment, at whichever process.
            tokio::time::timeout(Duration::from_secs(10), one.view.reached(&positions)).await.unwrap();
            assert!(one.view.get(order(n)).await.unwrap().is_some());
        }
    }
    let standing = running.iter().map(|one| one.view.standing());
    assert!(standing.into_iter().all(|standing| standing.ready && standing.as_of.is_some()));
    for (number, one) in running.iter().enumerate() {
        assert_eq!(one.reports.count("applied") > 0, number == applier_of_all, "all batches are one's");
        assert_eq!(
            (one.reports.count("failed"), one.reports.count("rebuilt")),
            (0, 0),
            "{:?}",
            one.reports.0
        );
    }
    let as_of: Vec<_> = running.iter().map(|one| one.view.standing().as_of).collect();
    for (one, before) in running.iter().zip(as_of) {
        eventually("it has come further", || async { one.view.standing().as_of > before }).await;
    }

    // When it ends, another one goes on.
    drop(running.remove(applier_of_all));
    let next = applier(&running).await;
    let positions = append(&log, 6_000).await;
    for one in &running {
        one.view.reached(&positions).await;
        assert!(one.view.get(order(6_000)).await.unwrap().is_some());
        assert_eq!(one.view.size().await.unwrap().orders, 3_021);
        assert_eq!(one.reports.count("failed"), 0, "{:?}", one.reports.0);
    }
    assert!(running[next].reports.count("applied") > 0);
}

#[tokio::test]
#[ignore = "starts a database"]
async fn a_process_with_another_log_shows_nothing_and_destroys_nothing() {
    let server = Server::start();
    let (first, second) = (log(300).await, log(10).await);
    let ours = start(&first, &server.url, None);
    ready(&ours).await;
    let other = start(&second, &server.url, None);
    eventually("it is refused", || async {
        other
            .reports
            .has("failed: the history is not this program's of this log: order-events is another topic")
    })
    .await;
    let read = other.view.get(order(1)).await;
    assert!(matches!(read, Err(HistoryError::Unavailable(_))), "{read:?}");
    assert!(!other.view.standing().ready && other.view.standing().as_of.is_none());
    // It does not take the turn either, when that is free.
    drop(ours);
    let failures = other.reports.count("failed");
    eventually("it goes on refusing", || async { other.reports.count("failed") > failures + 3 }).await;
    let schema = server.schema();
    assert_eq!(server.execute(&format!("SELECT orders FROM {schema}.progress")), "300");
    let ours = start(&first, &server.url, None);
    ready(&ours).await;
    assert!(shows(&ours, 300).await && ours.reports.count("rebuilt") == 0);
    drop(ours);
    // Whoever knows that it is of no use drops it.
    server.execute(&format!("DROP SCHEMA {schema} CASCADE"));
    ready(&other).await;
    assert!(shows(&other, 10).await);
    assert_eq!(other.view.size().await.unwrap().orders, 10);
}

#[tokio::test]
#[ignore = "starts a database"]
async fn damage_that_any_of_them_meets_is_mended_by_the_one_that_applies() {
    let (server, log) = (Server::start(), log(300).await);
    let running: Vec<Running> = (0..2).map(|_| start(&log, &server.url, None)).collect();
    for one in &running {
        ready(one).await;
    }
    let applier = applier(&running).await;
    let schema = server.schema();
    server.execute(&format!(
        "UPDATE {schema}.orders SET content = set_byte(content, 20, get_byte(content, 20) # 4)"
    ));
    let follower = &running[1 - applier];
    let read = follower.view.get(order(1)).await;
    assert!(matches!(read, Err(HistoryError::Damaged(_))), "{read:?}");
    eventually("it leaves that to the other", || async { follower.reports.has("another process's turn") })
        .await;
    let read = running[applier].view.get(order(1)).await;
    assert!(matches!(read, Err(HistoryError::Damaged(_))), "{read:?}");
    for one in &running {
        eventually("it is built anew", || async {
            one.view.standing().ready
                && one.view.search(Search { limit: 200, ..Search::default() }).await.is_ok()
        })
        .await;
        assert!(shows(one, 300).await);
    }
    assert_eq!((running[applier].reports.count("rebuilt"), follower.reports.count("rebuilt")), (1, 0));
}

#[tokio::test]
#[ignore = "starts a database"]
async fn orders_are_dropped_by_the_one_that_applies() {
    let (server, log) = (Server::start(), log(1_300).await);
    let retention = Some(Span::from_secs(1));
    let running: Vec<Running> = (0..2).map(|_| start(&log, &server.url, retention)).collect();
    for one in &running {
        ready(one).await;
        eventually("those that have ended are dropped", || async {
            one.view.size().await.is_ok_and(|size| size.orders == 650)
        })
        .await;
    }
    let applier = applier(&running).await;
    assert!(running[applier].reports.count("expired") > 0);
    assert_eq!(running[1 - applier].reports.count("expired"), 0);
}
