package metrics_test

import (
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/seed-2334f180/weir/metrics"
	"github.com/seed-2334f180/weir/server"
)

// A program serves the metrics of its server to Prometheus.
func Example() {
	srv := &server.Server{Loops: 1, Events: server.Events{Data: func(c *server.Conn) error {
		_, err := c.Write(c.Next(-1))
		return err
	}}}
	defer srv.Close()
	if _, err := srv.Listen("tcp", "127.0.0.1:0"); err != nil {
		log.Fatal(err)
	}

	c := metrics.New()
	if err := c.AddServer("echo", srv); err != nil {
		log.Fatal(err)
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(c)
	http.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))

	answer := httptest.NewRecorder()
	http.DefaultServeMux.ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
	fmt.Println(answer.Code)
	// Output: 200
}
