package expvar_test

import (
	"encoding/json"
	"expvar"
	"fmt"
	"log"

	weirvar "github.com/seed-2334f180/weir/metrics/expvar"
	"github.com/seed-2334f180/weir/server"
)

// A program publishes the numbers of its server under /debug/vars.
func Example() {
	srv := &server.Server{Events: server.Events{Data: func(c *server.Conn) error {
		_, err := c.Write(c.Next(-1))
		return err
	}}}
	defer srv.Close()
	if _, err := srv.Listen("tcp", "127.0.0.1:0"); err != nil {
		log.Fatal(err)
	}
	weirvar.PublishServer("echo", srv)

	var values weirvar.Server
	if err := json.Unmarshal([]byte(expvar.Get("echo").String()), &values); err != nil {
		log.Fatal(err)
	}
	fmt.Println("accepted:", values.Accepted, "listeners:", len(values.Listeners))
	// Output: accepted: 0 listeners: 1
}
