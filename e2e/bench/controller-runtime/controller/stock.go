package controller

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
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

// atOnce are the reconciles under way at a time, of each kind.
const atOnce = 16

// StockReconciler reconciles VirtualStocks.
type StockReconciler struct {
	common
	services *services.Client
	ledgers  *services.Observers[services.StockSummary]
	logs     *services.Observers[services.LogReport]
}

// SetupStocks adds it to the manager.
func SetupStocks(mgr ctrl.Manager, image string, calls *services.Client) error {
	changed := make(chan event.TypedGenericEvent[types.NamespacedName], 1024)
	version := func(summary *services.StockSummary) string { return summary.Version }
	r := &StockReconciler{
		common: commonOf(mgr, image), services: calls,
		ledgers: services.NewObservers(calls, version, wake(changed)), logs: newLogs(calls, wake(changed)),
	}
	return owning(ctrl.NewControllerManagedBy(mgr).
		For(&api.VirtualStock{}, builder.WithPredicates(predicate.GenerationChangedPredicate{}))).
		Watches(&api.KafkaTopic{}, handler.EnqueueRequestsFromMapFunc(ownerOfTopic("VirtualStock"))).
		WatchesRawSource(source.TypedChannel(changed, named())).
		Named("virtualstock").
		WithOptions(controller.Options{MaxConcurrentReconciles: atOnce}).
		Complete(r)
}

func commonOf(mgr ctrl.Manager, image string) common {
	return common{
		Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Recorder: mgr.GetEventRecorder(Manager), Image: image,
	}
}

// owning watches all kinds of objects that are made.
func owning(b *ctrl.Builder) *ctrl.Builder {
	return b.Owns(&appsv1.Deployment{}).Owns(&corev1.Service{}).Owns(&corev1.ServiceAccount{}).
		Owns(&corev1.ConfigMap{}).Owns(&policyv1.PodDisruptionBudget{}).Owns(&rbacv1.Role{}).Owns(&rbacv1.RoleBinding{})
}

func wake(changed chan<- event.TypedGenericEvent[types.NamespacedName]) func(types.NamespacedName) {
	return func(name types.NamespacedName) {
		changed <- event.TypedGenericEvent[types.NamespacedName]{Object: name}
	}
}

func named() handler.TypedEventHandler[types.NamespacedName, reconcile.Request] {
	return handler.TypedEnqueueRequestsFromMapFunc(func(_ context.Context, name types.NamespacedName) []reconcile.Request {
		return []reconcile.Request{{NamespacedName: name}}
	})
}

// ownerOfTopic finds the resource of this kind that is written on a topic.
func ownerOfTopic(kind string) handler.MapFunc {
	return func(_ context.Context, topic client.Object) []reconcile.Request {
		parts := strings.SplitN(topic.GetAnnotations()[ownerAnnotation], "/", 3)
		if len(parts) != 3 || parts[0] != kind {
			return nil
		}
		return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: parts[1], Name: parts[2]}}}
	}
}

// Reconcile brings the cluster nearer to what a VirtualStock says.
func (r *StockReconciler) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	stock := &api.VirtualStock{}
	if err := r.Get(ctx, request.NamespacedName, stock); err != nil {
		if apierrors.IsNotFound(err) {
			r.ledgers.Forget(request.NamespacedName)
			r.logs.Forget(types.NamespacedName{Namespace: request.Namespace, Name: request.Name + "-inventory-service"})
		}
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	if stock.DeletionTimestamp != nil {
		return reconcile.Result{}, nil
	}
	o := owner{stock, "VirtualStock"}
	at, err := kafkaOf(stock)
	if err != nil {
		return reconcile.Result{}, reconcile.TerminalError(err)
	}
	p := plan{role: "inventory", spec: stock.Spec.Inventory, writer: true, window: stock.Spec.ClosedOrders.Window, env: []corev1.EnvVar{
		{Name: "KBNT_RESERVATION_TTL", Value: stock.Spec.Reservation.TTL},
		{Name: "KBNT_LOW_STOCK_THRESHOLD", Value: strconv.FormatInt(stock.Spec.LowStockThreshold, 10)},
	}}
	topics := buildTopics(o, at, topicsOfStock)
	ids := r.idsOf(ctx, topics, at.prefix, stock.Status.Topics)
	p.env = append(p.env, ids.env(nil)...)
	turns, err := inTurn(o, p.component())
	if err != nil {
		return reconcile.Result{}, reconcile.TerminalError(err)
	}
	p.env = append(p.env, turns...)
	seen := r.carryOut(ctx, o, topics, []workload{buildWorkload(o, at, r.Image, p)},
		stock.Spec.Paused, func() bool { return len(ids) == len(topics) })
	told := r.declare(ctx, o, stock, seen)
	log := logIntact(r.services, r.logs, stock.Namespace, seen.services, ids, stock.Status.Conditions)
	status := r.status(stock, seen, told, log)
	status.Topics = ids.record(status.Topics, at.prefix)
	same := equality.Semantic.DeepEqual(stock.Status, *status)
	after, err := r.writeStatus(ctx, o, stock.Status.Conditions, status.Conditions, same, status)
	return reconcile.Result{RequeueAfter: after}, errors.Join(seen.topicFailure, seen.workloadFailure, told.failure, err)
}

// told is what the ledger told, and what came of declaring stock to it.
type told struct {
	services.Observed[services.StockSummary]
	refused []string
	failure error
}

func (r *StockReconciler) declare(ctx context.Context, o owner, stock *api.VirtualStock, seen sight) told {
	if !seen.services[0].available() {
		return told{}
	}
	address := r.services.Address(o.GetNamespace(), seen.services[0].name)
	now := told{Observed: r.ledgers.Observe(client.ObjectKeyFromObject(o), address+"/v1/stock/summary")}
	if now.Seen == nil || stock.Spec.Paused {
		return now
	}
	known := map[string]services.ProductSummary{}
	for _, product := range now.Seen.Products {
		known[product.ProductID] = product
	}
	for _, product := range stock.Spec.Products {
		declaration := services.Declaration{
			ID: product.ID, Name: product.Name, UnitPrice: product.UnitPrice, Received: product.Received,
			LowStockThreshold: stock.Spec.LowStockThreshold,
		}
		if product.LowStockThreshold != nil {
			declaration.LowStockThreshold = *product.LowStockThreshold
		}
		if current, ok := known[product.ID]; ok && declaration.IsMetBy(current) {
			continue
		}
		err := r.services.Declare(ctx, address, declaration)
		var refused *services.Refused
		switch {
		case errors.As(err, &refused) && refused.Code == "write_off_would_oversell":
			now.refused = append(now.refused, fmt.Sprintf("%s: %s", product.ID, refused.Detail))
		case err != nil:
			now.failure = fmt.Errorf("cannot declare %s: %w", product.ID, err)
		}
	}
	return now
}

func (r *StockReconciler) status(stock *api.VirtualStock, seen sight, now told, log metav1.Condition) *api.VirtualStockStatus {
	before := stock.Status
	topics := topicsReady(seen.topics, seen.topicFailure)
	awaited := "their Deployments to be made"
	if topics.Status != metav1.ConditionTrue {
		awaited = "the topics to be ready"
	}
	workloads := workloadsAvailable(seen.services, awaited, seen.workloadFailure)
	declared, balanced, low := r.ofLedger(stock, workloads, now)
	message := fmt.Sprintf("orders can reserve from %d products", len(stock.Spec.Products))
	status := &api.VirtualStockStatus{
		ObservedGeneration: stock.Generation,
		Conditions: conditionsOf(stock.Generation, before.Conditions, topics, log, workloads, declared, balanced, low,
			ready(stock.Spec.Paused, message, topics, workloads, declared, balanced)),
		Totals: before.Totals, Products: before.Products,
		Topics: topicStates(seen.topics), Services: serviceStates(seen.services),
		Replicas: ptr.To(seen.services[0].ready),
		Selector: labels.Set(owner{stock, "VirtualStock"}.selector("inventory-service")).String(),
		Endpoint: fmt.Sprintf("http://%s.%s.svc:%d", seen.services[0].name, stock.Namespace, servicePort),
	}
	if now.Seen != nil {
		totals := api.Totals(now.Seen.Totals)
		status.Totals, status.Products = &totals, nil
		for _, product := range now.Seen.Products[:min(len(now.Seen.Products), 1000)] {
			status.Products = append(status.Products, api.ProductLevel{
				ID: product.ProductID, Real: product.Real, Reserved: product.Reserved, Available: product.Available,
			})
		}
	}
	return status
}

// ofLedger has StockDeclared, LedgerBalanced and LowStock.
func (r *StockReconciler) ofLedger(stock *api.VirtualStock, workloads metav1.Condition, now told) (declared, balanced, low metav1.Condition) {
	if now.Seen == nil {
		untold := func(kind string) metav1.Condition {
			if now.Lost != nil {
				return unknown(kind, "ServiceUnreachable", now.Lost.Error())
			}
			if workloads.Status != metav1.ConditionTrue {
				return unknown(kind, "WaitingForWorkloads", "inventory-service does not run yet")
			}
			// Another process has just begun: what the last one found still holds.
			for _, old := range stock.Status.Conditions {
				if old.Type == kind && old.ObservedGeneration == stock.Generation && !strings.HasPrefix(old.Reason, "Waiting") {
					return old
				}
			}
			return unknown(kind, "WaitingForService", "inventory-service is being asked")
		}
		return untold("StockDeclared"), untold("LedgerBalanced"), untold("LowStock")
	}
	declared = yes("StockDeclared", "Declared",
		fmt.Sprintf("%d products are in the ledger as declared", len(stock.Spec.Products)))
	if now.failure != nil {
		declared = no("StockDeclared", "DeclarationFailed", now.failure.Error())
	} else if len(now.refused) > 0 {
		declared = no("StockDeclared", "WriteOffRefused", list(now.refused))
	}
	balanced = yes("LedgerBalanced", "Balanced", "available is never negative, and the books agree")
	if !now.Seen.Invariants.Balanced {
		balanced = no("LedgerBalanced", "InvariantViolated", list(now.Seen.Invariants.Violations))
	}
	var below []string
	for _, product := range now.Seen.Products {
		if product.LowStock {
			below = append(below, fmt.Sprintf("%s (%d of %d)", product.ProductID, product.Available, product.LowStockThreshold))
		}
	}
	low = no("LowStock", "EnoughStock", "no product is below its threshold")
	if len(below) > 0 {
		low = yes("LowStock", "BelowThreshold", "below the threshold: "+list(below))
	}
	return declared, balanced, low
}

// sight is what was seen of topics and services, and what failed.
type sight struct {
	topics                        []seenTopic
	services                      []seenService
	topicFailure, workloadFailure error
}

// carryOut makes topics and, once those and whatever else they need can be used, services; and looks at both.
func (c *common) carryOut(ctx context.Context, o owner, topics []*api.KafkaTopic, workloads []workload, paused bool, mayRun func() bool) sight {
	var seen sight
	for _, topic := range topics {
		view := seenTopic{name: topic.Name}
		if !paused && seen.topicFailure == nil {
			var held *heldError
			if err := c.ensure(ctx, o, topic); errors.As(err, &held) {
				view.holder = held.holder
			} else if err != nil {
				seen.topicFailure = err
			}
		}
		if view.holder == "" {
			live := &api.KafkaTopic{}
			if err := c.Get(ctx, client.ObjectKeyFromObject(topic), live); client.IgnoreNotFound(err) != nil {
				seen.topicFailure = err
			}
			live.Name = topic.Name
			view = seeTopic(live)
		}
		seen.topics = append(seen.topics, view)
	}
	live := make([]appsv1.Deployment, len(workloads))
	look := func() (exists bool) {
		for i, workload := range workloads {
			err := c.Get(ctx, client.ObjectKeyFromObject(workload.deployment), &live[i])
			exists = exists || err == nil
		}
		return exists
	}
	run := !paused && seen.topicFailure == nil && ((allUsable(seen.topics) && mayRun()) || look())
	for _, workload := range workloads {
		for _, object := range workload.objects() {
			if run && seen.workloadFailure == nil {
				seen.workloadFailure = c.ensure(ctx, o, object)
			}
		}
	}
	look()
	for i, workload := range workloads {
		seen.services = append(seen.services, seeService(workload.deployment, &live[i]))
	}
	return seen
}
