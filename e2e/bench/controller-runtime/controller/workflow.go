package controller

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"kbnt.dev/bench/controller-runtime/api"
	"kbnt.dev/bench/controller-runtime/services"
)

// WorkflowReconciler reconciles OrderWorkflows.
type WorkflowReconciler struct {
	common
	services *services.Client
	orders   *services.Observers[services.OrderSummary]
	logs     *services.Observers[services.LogReport]
}

// stockIndex finds OrderWorkflows by their VirtualStock.
const stockIndex = "spec.virtualStockRef.name"

// SetupWorkflows adds it to the manager.
func SetupWorkflows(ctx context.Context, mgr ctrl.Manager, image string, calls *services.Client) error {
	changed := make(chan event.TypedGenericEvent[types.NamespacedName], 1024)
	version := func(summary *services.OrderSummary) string { return summary.Version }
	r := &WorkflowReconciler{
		common: commonOf(mgr, image), services: calls,
		orders: services.NewObservers(calls, version, wake(changed)), logs: newLogs(calls, wake(changed)),
	}
	byStock := func(object client.Object) []string {
		return []string{object.(*api.OrderWorkflow).Spec.VirtualStockRef.Name}
	}
	if err := mgr.GetFieldIndexer().IndexField(ctx, &api.OrderWorkflow{}, stockIndex, byStock); err != nil {
		return err
	}
	return owning(ctrl.NewControllerManagedBy(mgr).
		For(&api.OrderWorkflow{}, builder.WithPredicates(predicate.GenerationChangedPredicate{}))).
		Watches(&api.KafkaTopic{}, handler.EnqueueRequestsFromMapFunc(ownerOfTopic("OrderWorkflow"))).
		Watches(&api.VirtualStock{}, handler.EnqueueRequestsFromMapFunc(r.ofStock)).
		WatchesRawSource(source.TypedChannel(changed, named())).
		Named("orderworkflow").
		WithOptions(controller.Options{MaxConcurrentReconciles: atOnce}).
		Complete(r)
}

func (r *WorkflowReconciler) ofStock(ctx context.Context, stock client.Object) []reconcile.Request {
	var workflows api.OrderWorkflowList
	err := r.List(ctx, &workflows, client.InNamespace(stock.GetNamespace()), client.MatchingFields{stockIndex: stock.GetName()})
	if err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "cannot find the OrderWorkflows of a VirtualStock")
		return nil
	}
	requests := make([]reconcile.Request, 0, len(workflows.Items))
	for i := range workflows.Items {
		requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&workflows.Items[i])})
	}
	return requests
}

// Reconcile brings the cluster nearer to what an OrderWorkflow says.
func (r *WorkflowReconciler) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	workflow := &api.OrderWorkflow{}
	if err := r.Get(ctx, request.NamespacedName, workflow); err != nil {
		if apierrors.IsNotFound(err) {
			r.orders.Forget(request.NamespacedName)
			for _, role := range []string{"user", "payment", "order", "notification", "audit"} {
				r.logs.Forget(types.NamespacedName{Namespace: request.Namespace, Name: request.Name + "-" + role + "-service"})
			}
		}
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	if workflow.DeletionTimestamp != nil {
		return reconcile.Result{}, nil
	}
	o := owner{workflow, "OrderWorkflow"}
	stock := &api.VirtualStock{}
	key := types.NamespacedName{Namespace: workflow.Namespace, Name: workflow.Spec.VirtualStockRef.Name}
	if err := r.Get(ctx, key, stock); apierrors.IsNotFound(err) {
		stock = nil
	} else if err != nil {
		return reconcile.Result{}, err
	}
	var seen sight
	var ids topicIDs
	prefix := ""
	log := unknown("LogIntact", "WaitingForStock", "the VirtualStock names the Kafka cluster")
	if stock != nil {
		at, err := kafkaOf(stock)
		if err != nil {
			return reconcile.Result{}, reconcile.TerminalError(err)
		}
		topics := buildTopics(o, at, topicsOfWorkflow)
		prefix, ids = at.prefix, r.idsOf(ctx, topics, at.prefix, workflow.Status.Topics)
		workloads, err := r.workloads(o, at, stock, workflow, ids.env(recordedIDs(prefix, stock.Status.Topics)))
		if err != nil {
			return reconcile.Result{}, reconcile.TerminalError(err)
		}
		stockHasTopics := func() bool {
			return len(ids) == len(topics) && meta.IsStatusConditionTrue(stock.Status.Conditions, "TopicsReady")
		}
		seen = r.carryOut(ctx, o, topics, workloads, workflow.Spec.Paused, stockHasTopics)
		log = logIntact(r.services, r.logs, workflow.Namespace, seen.services, ids, workflow.Status.Conditions)
	}
	status := r.status(o, workflow, stock, seen, log)
	status.Topics = ids.record(status.Topics, prefix)
	same := equality.Semantic.DeepEqual(workflow.Status, *status)
	after, err := r.writeStatus(ctx, o, workflow.Status.Conditions, status.Conditions, same, status)
	return reconcile.Result{RequeueAfter: after}, errors.Join(seen.topicFailure, seen.workloadFailure, err)
}

func (r *WorkflowReconciler) workloads(o owner, at kafka, stock *api.VirtualStock, workflow *api.OrderWorkflow, ids []corev1.EnvVar) ([]workload, error) {
	spec := workflow.Spec
	users, err := usersJSON(spec.Users.Declared)
	if err != nil {
		return nil, err
	}
	var payment []corev1.EnvVar
	if spec.Payment.Simulated == nil {
		return nil, errors.New("this controller only knows payment.simulated")
	} else if amount := spec.Payment.Simulated.DeclineAbove; amount != "" {
		payment = []corev1.EnvVar{{Name: "KBNT_PAYMENT_DECLINE_ABOVE", Value: amount}}
	}
	tokens := strconv.FormatBool(spec.Payment.Simulated.TestTokens)
	payment = append(payment, corev1.EnvVar{Name: "KBNT_PAYMENT_TEST_TOKENS", Value: tokens})
	plans := []plan{
		{role: "user", spec: spec.Services.User, users: users, env: []corev1.EnvVar{
			{Name: "KBNT_ALLOW_UNKNOWN_USERS", Value: strconv.FormatBool(spec.Users.AllowUnknown)},
			closedOrderWindow(stock.Spec.ClosedOrders.Window),
			{Name: "KBNT_USERS_FILE", Value: "/etc/kbnt/users/" + usersKey},
		}},
		{role: "payment", spec: spec.Services.Payment, env: payment},
		{role: "order", spec: spec.Services.Order},
		{role: "notification", spec: spec.Services.Notification},
		{role: "audit", spec: spec.Services.Audit},
	}
	made := make([]workload, 0, len(plans))
	for _, plan := range plans {
		if plan.users == "" {
			plan.env = append(plan.env, ids...)
		} else {
			// The file comes last.
			last := len(plan.env) - 1
			plan.env = append(append(plan.env[:last:last], ids...), plan.env[last])
		}
		made = append(made, buildWorkload(o, at, r.Image, plan))
	}
	return made, nil
}

func (r *WorkflowReconciler) status(o owner, workflow *api.OrderWorkflow, stock *api.VirtualStock, seen sight, log metav1.Condition) *api.OrderWorkflowStatus {
	before := workflow.Status
	orderService := workflow.Name + "-order-service"
	stockReady := r.stockReady(workflow, stock)
	var topics, workloads metav1.Condition
	if stock == nil {
		topics = unknown("TopicsReady", "WaitingForStock", "the VirtualStock names the Kafka cluster")
		workloads = unknown("WorkloadsAvailable", "WaitingForStock", "the VirtualStock names the Kafka cluster")
	} else {
		topics = topicsReady(seen.topics, seen.topicFailure)
		awaited := "the topics to be ready"
		if topics.Status == metav1.ConditionTrue {
			awaited = "the topic of the VirtualStock to be ready"
		}
		workloads = workloadsAvailable(seen.services, awaited, seen.workloadFailure)
	}
	status := &api.OrderWorkflowStatus{
		ObservedGeneration: workflow.Generation,
		Conditions: conditionsOf(workflow.Generation, before.Conditions, stockReady, topics, log, workloads,
			yes("UsersDeclared", "Declared", fmt.Sprintf("%d users are given to user-service", len(workflow.Spec.Users.Declared))),
			ready(workflow.Spec.Paused, "orders are processed", stockReady, topics, workloads)),
		Services: serviceStates(seen.services), Topics: topicStates(seen.topics),
		Endpoint: fmt.Sprintf("http://%s.%s.svc:%d", orderService, workflow.Namespace, servicePort),
		Orders:   before.Orders,
	}
	for _, service := range seen.services {
		if service.name != orderService || !service.available() {
			continue
		}
		url := r.services.Address(workflow.Namespace, orderService) + "/v1/orders/summary"
		if told := r.orders.Observe(client.ObjectKeyFromObject(o), url); told.Seen != nil {
			status.Orders = &api.OrderCounts{
				Pending: told.Seen.Pending, Confirmed: told.Seen.Confirmed,
				Rejected: told.Seen.Rejected, Cancelled: told.Seen.Cancelled,
			}
		}
	}
	return status
}

func (r *WorkflowReconciler) stockReady(workflow *api.OrderWorkflow, stock *api.VirtualStock) metav1.Condition {
	const kind = "StockReady"
	name := workflow.Spec.VirtualStockRef.Name
	if stock == nil {
		return no(kind, "StockNotFound",
			fmt.Sprintf("there is no VirtualStock %s in this namespace: create it, or correct virtualStockRef", name))
	}
	switch ready := meta.FindStatusCondition(stock.Status.Conditions, "Ready"); {
	case ready == nil:
		return no(kind, "WaitingForStock", fmt.Sprintf("VirtualStock %s has no status yet", name))
	case ready.Status != metav1.ConditionTrue:
		return no(kind, "WaitingForStock", fmt.Sprintf("VirtualStock %s is not ready: %s", name, ready.Message))
	}
	return yes(kind, "StockReady", fmt.Sprintf("VirtualStock %s is ready", name))
}
