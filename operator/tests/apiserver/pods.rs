//! The pods of a resource: restricted Pod Security admits them, and users can change them within limits.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::authorization::v1::SubjectAccessReview;
use k8s_openapi::api::core::v1::{Pod, PodTemplateSpec};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kbnt_crds::{OrderWorkflow, VirtualStock};
use kube::Api;
use kube::api::{ListParams, ObjectMeta, Patch, PatchParams, PostParams};
use serde_json::json;

use crate::harness::{Failure, Shop, Suite, Verdict, apply_manifest, expect, until};

/// Creates a pod of this template in a dry run.
async fn try_out(shop: &Shop, name: &str, template: &PodTemplateSpec) -> Result<(), kube::Error> {
    let metadata =
        ObjectMeta { name: Some(name.to_owned()), ..template.metadata.clone().unwrap_or_default() };
    let pod = Pod { metadata, spec: template.spec.clone(), status: None };
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    shop.api::<Pod>().create(&dry, &pod).await.map(drop)
}

pub(crate) async fn restricted_pod_security_admits_every_pod(suite: &Suite) -> Verdict {
    let restricted = "apiVersion: v1\nkind: Namespace\nmetadata: {name: restricted, labels: {pod-security.kubernetes.io/enforce: restricted}}";
    apply_manifest(&suite.client, restricted).await?;
    let shop = Shop { client: suite.client.clone(), namespace: "restricted".into() };
    shop.open().await?;
    // With every setting that changes pods.
    let access = json!({"tls": {}, "authentication": {"mtls": {"secretName": "shop"}}});
    shop.patch::<VirtualStock>(&json!({"spec": {"kafka": access}})).await?;
    let hook =
        json!({"log": null, "webhook": {"url": "https://hook.example", "secretRef": {"name": "hook"}}});
    shop.patch::<OrderWorkflow>(&json!({"spec": {"notification": hook}})).await?;
    let read_model = json!({"volumeClaim": {"size": "1Gi"}});
    shop.patch::<OrderWorkflow>(&json!({"spec": {"readModel": read_model}})).await?;
    let closed_orders = json!({"volumeClaim": {"size": "1Gi"}});
    shop.patch::<VirtualStock>(&json!({"spec": {"closedOrders": closed_orders}})).await?;
    let checkpoints = json!({"spec": {"checkpoints": {"volumeClaim": {"size": "1Gi"}}}});
    shop.patch::<VirtualStock>(&checkpoints).await?;
    shop.patch::<OrderWorkflow>(&checkpoints).await?;
    until("the volumes", || async {
        for (service, count) in
            [("main-notification-service", 3), ("main-order-service", 4), ("main-inventory-service", 5)]
        {
            let live = shop.api::<Deployment>().get(service).await?;
            let volumes = live.spec.template.spec.and_then(|pod| pod.volumes).unwrap_or_default();
            expect(volumes.len() == count, || format!("{volumes:?}"))?;
        }
        Ok(())
    })
    .await?;
    let deployments = shop.api::<Deployment>().list(&ListParams::default()).await?.items;
    expect(deployments.len() == 6, || format!("{} Deployments", deployments.len()))?;
    for deployment in &deployments {
        try_out(&shop, "pod", &deployment.spec.template).await?;
    }
    // The admission plugin is active.
    let mut root = deployments[0].spec.template.clone();
    if let Some(security) = root.spec.as_mut().and_then(|pod| pod.containers[0].security_context.as_mut()) {
        security.allow_privilege_escalation = Some(true);
    }
    let said = try_out(&shop, "root", &root).await;
    let refused =
        matches!(&said, Err(kube::Error::Api(status)) if status.message.contains("restricted:latest"));
    expect(refused, || format!("{said:?}"))
}

pub(crate) async fn an_overlay_reaches_the_pods_that_it_concerns(suite: &Suite) -> Verdict {
    let shop = suite.shop("overlay").await?;
    shop.open().await?;
    let deployments = shop.api::<Deployment>();
    let before = deployments.list(&ListParams::default()).await?.items;
    let overlay = json!({"labels": {"team": "shop"}, "env": [{"name": "KBNT_LOG", "value": "debug"}],
        "tolerations": [{"key": "spot", "operator": "Exists"}], "priorityClassName": "high",
        "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution":
            {"nodeSelectorTerms": [{"matchExpressions": [{"key": "disk", "operator": "In", "values": ["ssd"]}]}]}}}});
    shop.patch::<OrderWorkflow>(&json!({"spec": {"services": {"order": {"podTemplate": overlay}}}})).await?;
    shop.workflow_is("Ready", "True", "Ready").await?;
    for old in before {
        let name = old.metadata.name.unwrap_or_default();
        let new = deployments.get(&name).await?;
        let concerned = name == "main-order-service";
        expect((new.metadata.generation != old.metadata.generation) == concerned, || {
            format!("{name} changed")
        })?;
        if concerned {
            let pod = new.spec.template.spec.unwrap_or_default();
            expect(pod.affinity.is_some() && pod.priority_class_name.is_some(), || format!("{pod:?}"))?;
        }
    }
    // A field that Kubernetes does not know is reported, and the pods stay as they are.
    let wrong = json!({"affinity": {"nodeAfinity": {"required": true}}});
    shop.patch::<OrderWorkflow>(&json!({"spec": {"services": {"user": {"podTemplate": wrong}}}})).await?;
    let condition = shop.workflow_is("WorkloadsAvailable", "Unknown", "InvalidSpec").await?;
    expect(condition.message.contains("podTemplate.affinity"), || condition.message.clone())
}

pub(crate) async fn several_pods_have_a_budget_and_one_has_none(suite: &Suite) -> Verdict {
    let shop = suite.shop("budgets").await?;
    shop.open().await?;
    let budgets = shop.api::<PodDisruptionBudget>();
    for (replicas, wanted) in [(2, true), (1, false)] {
        shop.patch::<OrderWorkflow>(&json!({"spec": {"services": {"user": {"replicas": replicas}}}})).await?;
        until("the budget", || async {
            let budget = budgets.get_opt("main-user-service").await?.and_then(|budget| budget.spec);
            let unhealthy = budget.and_then(|spec| spec.unhealthy_pod_eviction_policy);
            expect(unhealthy.as_deref() == wanted.then_some("AlwaysAllow"), || format!("{unhealthy:?}"))
        })
        .await?;
    }
    shop.workflow_is("Ready", "True", "Ready").await.map(drop)
}

pub(crate) async fn pods_that_take_turns_may_hold_a_lease(suite: &Suite) -> Verdict {
    let shop = suite.shop("turns").await?;
    shop.open().await?;
    let bindings = shop.api::<RoleBinding>();
    for replicas in [1, 2] {
        shop.patch::<VirtualStock>(&json!({"spec": {"inventory": {"replicas": replicas}}})).await?;
        until("the right", || async {
            let bound = bindings.get("main-inventory-service-lease").await?.role_ref;
            expect((bound.kind.as_str(), bound.name.as_str()) == ("Role", "main-inventory-service"), || {
                format!("{bound:?}")
            })?;
            let live = shop.api::<Deployment>().get("main-inventory-service").await?.spec;
            let token = live.template.spec.and_then(|pod| pod.automount_service_account_token);
            expect((live.replicas, token) == (Some(replicas), Some(true)), || format!("{token:?}"))
        })
        .await?;
    }
    shop.stock_is("Ready", "True", "Ready").await?;
    // Its own lease, and no other of the namespace.
    let account = "system:serviceaccount:turns:main-inventory-service";
    for (verb, lease, allowed) in [
        ("get", "main-inventory-service", true),
        ("patch", "main-inventory-service", true),
        ("watch", "main-inventory-service", true),
        ("create", "", true),
        ("get", "other", false),
        ("patch", "other", false),
        ("update", "main-inventory-service", false),
        ("delete", "main-inventory-service", false),
        ("list", "", false),
    ] {
        let may = may(suite, account, &shop.namespace, verb, lease).await?;
        expect(may == allowed, || format!("{verb} {lease:?}: {may}"))?;
    }
    // A binding of an earlier version of the operator is removed.
    let old = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": "main-inventory-service", "namespace": "turns",
            "labels": bindings.get("main-inventory-service-lease").await?.metadata.labels,
            "ownerReferences": bindings.get("main-inventory-service-lease").await?.metadata.owner_references},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "kbnt-standby"}});
    apply_manifest(&suite.client, &old.to_string()).await?;
    until("the old binding's end", || async {
        expect(bindings.get_opt("main-inventory-service").await?.is_none(), || "still there".into())
    })
    .await
}

/// Whether this account may use this verb on a lease.
async fn may(suite: &Suite, user: &str, namespace: &str, verb: &str, lease: &str) -> Result<bool, Failure> {
    let review: SubjectAccessReview = serde_json::from_value(
        json!({"spec": {"user": user, "resourceAttributes": {
        "group": "coordination.k8s.io", "resource": "leases", "namespace": namespace, "verb": verb, "name": lease}}}),
    )?;
    let reviews: Api<SubjectAccessReview> = Api::all(suite.client.clone());
    let review = reviews.create(&PostParams::default(), &review).await?;
    Ok(review.status.is_some_and(|status| status.allowed))
}

pub(crate) async fn a_stock_is_scaled_as_a_deployment_is(suite: &Suite) -> Verdict {
    let shop = suite.shop("scaled-by-hand").await?;
    shop.open().await?;
    let stocks = shop.api::<VirtualStock>();
    let to = |replicas: i32| Patch::Merge(json!({"spec": {"replicas": replicas}}));
    stocks.patch_scale("main", &PatchParams::default(), &to(2)).await?;
    until("two pods", || async {
        let live = shop.api::<Deployment>().get("main-inventory-service").await?.spec;
        let scale = stocks.get_scale("main").await?;
        let (asked, seen) = (scale.spec.and_then(|spec| spec.replicas), scale.status.unwrap_or_default());
        expect((live.replicas, asked, seen.replicas) == (Some(2), Some(2), 2), || format!("{seen:?}"))?;
        let selected = live.selector.match_labels.into_iter().flatten();
        let selector: Vec<_> = selected.map(|(key, value)| format!("{key}={value}")).collect();
        expect(seen.selector.as_ref() == Some(&selector.join(",")), || format!("{:?}", seen.selector))
    })
    .await?;
    match stocks.patch_scale("main", &PatchParams::default(), &to(4)).await {
        Err(kube::Error::Api(refused)) => {
            expect(refused.message.contains("replicas must be 1 to 3"), || refused.message.clone())
        }
        other => Err(Failure::new(format!("{other:?}"))),
    }
}

pub(crate) async fn a_service_that_is_refused_holds_up_no_other(suite: &Suite) -> Verdict {
    let shop = suite.shop("one-refused").await?;
    shop.open().await?;
    let strange = json!({"resources": {"requests": {"foo": 1}}});
    let above = json!({"resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}});
    let marked = json!({"podTemplate": {"annotations": {"example.com/note": "x"}}});
    let services = json!({"user": strange, "payment": above, "audit": marked});
    shop.patch::<OrderWorkflow>(&json!({"spec": {"services": services}})).await?;
    let condition = shop.workflow_is("WorkloadsAvailable", "False", "Refused").await?;
    let both =
        condition.message.contains("main-user-service") && condition.message.contains("main-payment-service");
    expect(both, || condition.message.clone())?;
    until("the service that comes last", || async {
        let live = shop.api::<Deployment>().get("main-audit-service").await?;
        let annotations = live.spec.template.metadata.and_then(|meta| meta.annotations).unwrap_or_default();
        expect(annotations.contains_key("example.com/note"), || format!("{annotations:?}"))
    })
    .await?;
    // A refused request is repeated, and a later test would count it as a write.
    let given = json!({"resources": null});
    shop.patch::<OrderWorkflow>(&json!({"spec": {"services": {"user": given, "payment": given}}})).await?;
    shop.workflow_is("Ready", "True", "Ready").await.map(drop)
}
