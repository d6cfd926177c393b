// Package kubernetes: the collector's targets are static; only the type is asked for. Nothing registers it, so that a
// configuration with kubernetes_sd_configs is refused.
package kubernetes

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/config"

	"github.com/prometheus/prometheus/discovery"
)

// SDConfig is a configuration that no discovery can be made of.
type SDConfig struct{ HTTPClientConfig config.HTTPClientConfig }

// Name is what the discovery would be called.
func (*SDConfig) Name() string { return "kubernetes" }

// NewDiscoverer refuses.
func (*SDConfig) NewDiscoverer(discovery.DiscovererOptions) (discovery.Discoverer, error) {
	return nil, errors.New("this collector does not discover targets in Kubernetes")
}

// NewDiscovererMetrics has none.
func (*SDConfig) NewDiscovererMetrics(prometheus.Registerer, discovery.RefreshMetricsInstantiator) discovery.DiscovererMetrics {
	return nil
}
