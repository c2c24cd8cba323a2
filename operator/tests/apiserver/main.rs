//! The operator as a process, with the rights of its chart, on a real API server and etcd.
//!
//! Nothing else runs there: stand-ins play Strimzi, the Deployment controller and the services. The API
//! server is that of `KBNT_APISERVER_KUBECONFIG`, or one that this suite starts and ends itself. With
//! `KBNT_SCALE=N` the suite measures instead of testing: see `scale`.

// Kinds appear in the docs as plain words, not as code.
#![allow(clippy::doc_markdown)]

mod admission;
mod autoscaling;
mod checkpoints;
mod conflicts;
mod deletion;
mod direct;
mod drift;
mod faults;
mod harness;
mod lifecycle;
mod log;
mod names;
mod ordering;
mod pods;
mod reporting;
mod rules;
mod scale;
mod users;
mod volumes;

use std::process::ExitCode;
use std::sync::Arc;

use harness::{ApiServer, Suite, Verdict};
use libtest_mimic::{Arguments, Failed, Trial};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    if arguments.list {
        return libtest_mimic::run(&arguments, trials(None)).exit_code();
    }
    if let Some(pairs) = scale::wanted() {
        let verdict = scale::measure(pairs);
        harness::tidy(verdict.is_err());
        return verdict.map_or_else(|failure| give_up(&failure), |()| ExitCode::SUCCESS);
    }
    let runtime = match harness::runtime() {
        Ok(runtime) => Arc::new(runtime),
        Err(error) => return give_up(&error),
    };
    let server = match ApiServer::start() {
        Ok(server) => Arc::new(server),
        Err(error) => return give_up(&error),
    };
    let suite = match runtime.block_on(Suite::begin(Arc::clone(&server))) {
        Ok(suite) => Arc::new(suite),
        Err(error) => {
            server.stop();
            return give_up(&error);
        }
    };
    let conclusion =
        libtest_mimic::run(&arguments, trials(Some(&(Arc::clone(&runtime), Arc::clone(&suite)))));
    let failed = conclusion.has_failed() || !runtime.block_on(last(&suite, &arguments));
    suite.end();
    harness::tidy(failed);
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// The tests that end the process under test run after all others, one by one.
async fn last(suite: &Suite, arguments: &Arguments) -> bool {
    let mut passed = true;
    macro_rules! one_by_one {
        ($($module:ident::$name:ident),* $(,)?) => {$({
            let name = concat!(stringify!($module), "::", stringify!($name));
            if arguments.filter.as_ref().is_none_or(|filter| name.contains(filter)) {
                let verdict = $module::$name(suite).await;
                passed &= verdict.is_ok();
                println!("test {name} ... {}", verdict.map_or_else(|why| format!("FAILED\n{why}"), |()| "ok".into()));
            }
        })*};
    }
    one_by_one![
        lifecycle::a_restart_converges_without_a_write,
        lifecycle::a_leader_that_hangs_is_replaced,
        lifecycle::an_operator_of_one_namespace_stays_there,
    ];
    // Even if a filter left these tests out: the following ones run their own operators.
    suite.operator.kill();
    one_by_one![
        faults::an_interrupted_reconcile_comes_to_the_same_end,
        faults::an_interrupted_reconcile_has_its_topics_made_all_the_same,
        faults::an_interrupted_reconcile_has_its_users_made_all_the_same,
        faults::a_step_that_keeps_failing_is_told,
    ];
    passed
}

fn give_up(error: &harness::Failure) -> ExitCode {
    eprintln!("{error}");
    ExitCode::FAILURE
}

type Running = (Arc<tokio::runtime::Runtime>, Arc<Suite>);

macro_rules! trials {
    ($running:expr, $($module:ident::$name:ident),* $(,)?) => {
        vec![$({
            let running: Option<Running> = $running.cloned();
            Trial::test(concat!(stringify!($module), "::", stringify!($name)), move || {
                let Some((runtime, suite)) = running else { return Err(Failed::from("not running")) };
                let verdict: Verdict = runtime.block_on($module::$name(&suite));
                verdict.map_err(Failed::from)
            })
        }),*]
    };
}

fn trials(running: Option<&Running>) -> Vec<Trial> {
    trials![
        running,
        admission::what_is_right_is_admitted,
        admission::what_is_wrong_is_refused_with_advice,
        admission::what_cannot_change_cannot_be_changed,
        admission::what_is_there_stays_what_it_is,
        rules::every_rule_is_tried_both_ways,
        autoscaling::a_service_is_scaled_by_one_of_the_two_and_only_if_asked,
        checkpoints::pods_get_the_keys_of_the_secret_that_the_program_reads_and_no_others,
        checkpoints::a_resource_has_one_volume_that_outlives_its_pods,
        checkpoints::order_service_keeps_them_of_its_history,
        checkpoints::a_claim_that_somebody_changes_or_takes_away_is_put_right,
        checkpoints::a_claim_grows_and_what_is_refused_holds_up_no_service,
        checkpoints::a_claim_of_somebody_else_is_reported_and_left_alone,
        checkpoints::a_restart_by_hand_and_an_identity_of_the_account_are_left_alone,
        conflicts::a_topic_of_somebody_else_is_reported_and_left_alone,
        conflicts::two_stocks_cannot_share_a_topic,
        conflicts::a_deployment_of_somebody_else_is_reported_and_left_alone,
        conflicts::a_spec_that_cannot_be_carried_out_says_why,
        deletion::retained_topics_stay_and_are_taken_up_again,
        deletion::topics_go_with_their_owner_where_that_is_asked_for,
        deletion::a_finalizer_that_cannot_be_set_is_told_as_itself,
        direct::a_job_makes_the_topics_and_the_services_follow,
        direct::what_a_job_could_not_do_is_told_and_tried_again,
        direct::another_wish_is_another_job,
        direct::of_several_that_want_the_same_topics_the_oldest_has_them,
        drift::what_is_changed_or_deleted_is_put_right,
        drift::a_paused_resource_is_left_alone,
        drift::a_changed_spec_reaches_the_objects_that_it_concerns,
        log::a_topic_that_was_made_again_is_adopted_by_its_exact_id_alone,
        log::a_stock_learns_of_topics_that_its_workflow_adopts,
        log::what_a_service_finds_in_its_log_is_said_with_numbers,
        log::a_pod_that_is_not_ready_is_asked_itself,
        names::the_api_server_and_the_program_have_the_same_rules,
        ordering::workloads_wait_for_topics_of_the_present_generation,
        ordering::a_workflow_waits_for_its_stock,
        ordering::topics_have_the_documented_shape,
        pods::restricted_pod_security_admits_every_pod,
        pods::an_overlay_reaches_the_pods_that_it_concerns,
        pods::a_service_that_is_refused_holds_up_no_other,
        pods::several_pods_have_a_budget_and_one_has_none,
        pods::pods_that_take_turns_may_hold_a_lease,
        pods::a_stock_is_scaled_as_a_deployment_is,
        reporting::the_words_of_strimzi_reach_the_condition,
        reporting::the_ledger_reaches_the_status,
        reporting::a_refused_write_off_is_told_in_numbers,
        reporting::each_change_of_a_condition_is_one_event,
        reporting::a_status_is_written_only_when_it_differs,
        users::users_go_when_nobody_asks_for_them_any_more,
        users::a_user_of_somebody_else_is_reported_and_left_alone,
        users::a_namespace_beyond_its_rights_is_told_and_not_tried,
        volumes::order_service_gets_a_volume_for_each_pod_and_no_other_service_changes,
        volumes::order_service_reads_the_address_of_a_database_in_a_file_and_claims_nothing,
        volumes::inventory_service_has_a_volume_with_a_claim_and_without,
        volumes::the_window_of_a_stock_reaches_the_user_service_of_its_workflow,
        volumes::a_volume_that_somebody_takes_away_is_put_back,
        volumes::a_volume_that_cannot_be_had_is_reported_while_earlier_pods_serve,
        lifecycle::health_and_metrics_are_served,
    ]
}
