// Package metrics exports what loops and servers count to Prometheus.
//
//	c := metrics.New()
//	c.AddServer("kv", srv)
//	prometheus.MustRegister(c)
//	http.Handle("/metrics", promhttp.Handler())
//
// All functions are concurrency-safe. A scrape reads the counters. It runs on the goroutine of the scrape, takes about a
// microsecond for each loop and server, and does not wait for a loop.
//
// dashboard.json, in the directory of this package, is a dashboard for Grafana.
// Dashboard returns it. Package metrics/expvar is for programs that do not use
// Prometheus: it has no dependency.
package metrics
