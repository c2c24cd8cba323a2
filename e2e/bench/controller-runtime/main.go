// This controller does for VirtualStocks and OrderWorkflows what the operator does in the scenario of `make scale`, written with
// controller-runtime as a Go engineer would, to compare what the two take. It is no part of the product.
package main

import (
	"os"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"kbnt.dev/bench/controller-runtime/api"
	"kbnt.dev/bench/controller-runtime/controller"
	"kbnt.dev/bench/controller-runtime/services"
)

// The settings of the operator, by the same variables.
type settings struct{ listen, image, services, namespace string }

func main() {
	// Where the operator logs, too.
	ctrl.SetLogger(zap.New(zap.WriteTo(os.Stdout)))
	if err := run(settings{
		listen:    os.Getenv("KBNT_LISTEN"),
		image:     os.Getenv("KBNT_SERVICES_IMAGE"),
		services:  os.Getenv("KBNT_SERVICE_URL"),
		namespace: os.Getenv("KBNT_NAMESPACE"),
	}); err != nil {
		ctrl.Log.Error(err, "stopped")
		os.Exit(1)
	}
}

func run(given settings) error {
	scheme := runtime.NewScheme()
	utilruntime.Must(clientgoscheme.AddToScheme(scheme))
	utilruntime.Must(api.AddToScheme(scheme))
	utilruntime.Must(api.AddKafkaToScheme(scheme))

	// Only what is ours is kept, and of that no managed fields.
	ours := cache.ByObject{Label: labels.SelectorFromSet(labels.Set{controller.ManagedBy: controller.Manager})}
	mgr, err := ctrl.NewManager(ctrl.GetConfigOrDie(), ctrl.Options{
		Scheme:                        scheme,
		Metrics:                       metricsserver.Options{BindAddress: given.listen},
		HealthProbeBindAddress:        "0",
		LeaderElection:                true,
		LeaderElectionID:              "kbnt-bench",
		LeaderElectionNamespace:       given.namespace,
		LeaderElectionReleaseOnCancel: true,
		Cache: cache.Options{
			DefaultTransform: cache.TransformStripManagedFields(),
			ByObject: map[client.Object]cache.ByObject{
				&appsv1.Deployment{}: ours, &corev1.Service{}: ours, &corev1.ServiceAccount{}: ours,
				&corev1.ConfigMap{}: ours, &policyv1.PodDisruptionBudget{}: ours, &rbacv1.Role{}: ours, &rbacv1.RoleBinding{}: ours, &api.KafkaTopic{}: ours,
			},
		},
	})
	if err != nil {
		return err
	}
	if err := mgr.AddHealthzCheck("healthz", healthz.Ping); err != nil {
		return err
	}
	ctx, calls := ctrl.SetupSignalHandler(), services.NewClient(given.services)
	if err := controller.SetupStocks(mgr, given.image, calls); err != nil {
		return err
	}
	if err := controller.SetupWorkflows(ctx, mgr, given.image, calls); err != nil {
		return err
	}
	return mgr.Start(ctx)
}
