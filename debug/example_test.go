package debug_test

import (
	"crypto/subtle"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/seed-2334f180/weir/debug"
	"github.com/seed-2334f180/weir/server"
)

// A program shows its server on a page, which asks for a password.
func Example() {
	srv := &server.Server{Loops: 1, Events: server.Events{Data: func(c *server.Conn) error {
		_, err := c.Write(c.Next(-1))
		return err
	}}}
	defer srv.Close()
	page := debug.New()
	defer page.Close()
	if err := page.AddServer("echo", srv); err != nil {
		log.Fatal(err)
	}
	const secret = "from the configuration"
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/weir/", func(w http.ResponseWriter, r *http.Request) {
		_, password, _ := r.BasicAuth()
		if subtle.ConstantTimeCompare([]byte(password), []byte(secret)) != 1 {
			w.Header().Set("WWW-Authenticate", `Basic realm="weir"`)
			http.Error(w, "a password is needed", http.StatusUnauthorized)
			return
		}
		page.ServeHTTP(w, r)
	})

	request := httptest.NewRequest("GET", "/debug/weir/", nil)
	answer := httptest.NewRecorder()
	mux.ServeHTTP(answer, request)
	fmt.Println(answer.Code)
	request.SetBasicAuth("admin", secret)
	answer = httptest.NewRecorder()
	mux.ServeHTTP(answer, request)
	fmt.Println(answer.Code)
	// Output:
	// 401
	// 200
}
