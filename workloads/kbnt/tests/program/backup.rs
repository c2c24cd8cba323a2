//! `kbnt backup` of a shop that is open, and a shop that goes on from it.

use std::process::Output;

use crate::support::{Running, basket, kbnt};

async fn run(arguments: &[&str]) -> Output {
    let mut command = kbnt(arguments);
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

async fn succeeds(arguments: &[&str]) -> String {
    let output = run(arguments).await;
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

async fn shop(directory: &str) -> Running {
    let shop = Running::start(&["serve", "--allow-unknown-users", "--data-dir", directory]);
    shop.until_ready().await;
    shop
}

#[tokio::test]
async fn a_shop_goes_on_from_the_backup_of_one_that_is_lost() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let (lost, place, new) = (path("lost"), path("backup"), path("new"));
    let mut first = shop(&lost).await;
    first.declare(100).await;
    for _ in 0..5 {
        assert_eq!(first.post("/v1/orders?wait=20s", &basket("USER-1", "tok_ok")).await.0, 200);
    }
    let said = succeeds(&["backup", "--to", &place, "--data-dir", &lost]).await;
    assert!(said.contains("which has 1 runs now"), "{said}");
    let kept = first.get("/v1/stock/PROD-001").await;
    first.signal("KILL");
    first.ended();
    std::fs::remove_dir_all(&lost).unwrap();

    let can = succeeds(&["restore", "--from", &place, "--dry-run"]).await;
    assert!(can.contains("can be restored"), "{can}");
    let said = succeeds(&["restore", "--from", &place, "--data-dir", &new]).await;
    assert!(said.contains("kbnt audit verify"), "{said}");
    let mut second = shop(&new).await;
    assert_eq!(second.get("/v1/stock/PROD-001").await, kept, "the units that were sold are sold");
    assert_eq!(second.post("/v1/orders?wait=20s", &basket("USER-1", "tok_ok")).await.0, 200);
    second.signal("TERM");
    assert_eq!(second.ended().code(), Some(0));
    succeeds(&["audit", "verify", "--data-dir", &new]).await;
    succeeds(&["log", "verify", "--data-dir", &new]).await;
    let refused = run(&["restore", "--from", &place, "--data-dir", &new]).await;
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("is not empty"), "{refused:?}");
}
