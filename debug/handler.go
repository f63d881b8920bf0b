package debug

import (
	"crypto/sha256"
	_ "embed" // for the page
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/seed-2334f180/weir/loop"
	"github.com/seed-2334f180/weir/server"
)

// A Handler serves the page. Make one with New. It is concurrency-safe.
type Handler struct {
	started time.Time
	quit    chan struct{}
	over    chan struct{}
	close   func()

	looking sync.Mutex // one request at a time looks at connections

	mu      sync.Mutex // guards the rest
	names   map[string]bool
	servers []*watchedServer
	groups  []namedGroup
	loops   []*watchedLoop // of all servers and groups, as of the last sample
	samples uint64         // how many samples were taken
}

type namedGroup struct {
	name  string
	group *loop.Group
}

// every is the time between two samples.
const every = time.Second

// New returns a Handler, and starts the goroutine that takes samples. Close ends it.
func New() *Handler {
	h := &Handler{started: time.Now(), quit: make(chan struct{}), over: make(chan struct{}), names: make(map[string]bool)}
	h.close = sync.OnceFunc(func() { close(h.quit) })
	go h.run()
	return h
}

// Close ends the goroutine that takes samples. The page goes on to show connections. A
// second Close does nothing.
func (h *Handler) Close() {
	h.close()
	<-h.over
}

// AddServer shows a server on the page, and its loops if it has made them itself. The
// error is that of a name which is used already, or is empty.
func (h *Handler) AddServer(name string, s *server.Server) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.take(name); err != nil {
		return err
	}
	h.servers = append(h.servers, &watchedServer{name: name, server: s})
	return nil
}

// AddGroup shows the loops of a group on the page. The error is that of a name which is
// used already, or is empty.
func (h *Handler) AddGroup(name string, g *loop.Group) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.take(name); err != nil {
		return err
	}
	h.groups = append(h.groups, namedGroup{name, g})
	return nil
}

func (h *Handler) take(name string) error {
	if name == "" {
		return fmt.Errorf("debug: add to the page: the name is empty")
	}
	if h.names[name] {
		return fmt.Errorf("debug: add %q to the page: the name is used already", name)
	}
	h.names[name] = true
	return nil
}

// run takes samples until Close.
func (h *Handler) run() {
	defer close(h.over)
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	h.sample(time.Now())
	for {
		select {
		case <-h.quit:
			return
		case now := <-ticker.C:
			h.sample(now)
		}
	}
}

var (
	//go:embed page.html
	pageHTML string
	//go:embed page.css
	pageCSS string
	//go:embed page.js
	pageJS string

	page = strings.NewReplacer("/*style*/", pageCSS, "/*script*/", pageJS).Replace(pageHTML)

	// policy lets a browser run the page's own script and use its own style, by their
	// hashes, and load nothing else: what a peer controls cannot become code.
	policy = "default-src 'none'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; " +
		"style-src " + hashOf(pageCSS) + "; script-src " + hashOf(pageJS)
)

func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// ServeHTTP answers with the page, or with the data that its script asks for by the
// query parameter data. It works under every path.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Cache-Control", "no-store")
	header.Set("Content-Security-Policy", policy)
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("X-Content-Type-Options", "nosniff")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		header.Set("Allow", "GET, HEAD")
		http.Error(w, "debug: "+r.Method+" is not allowed", http.StatusMethodNotAllowed)
		return
	}
	query := r.URL.Query()
	switch data := query.Get("data"); data {
	case "":
		header.Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write([]byte(page)) // an error means that the browser has gone
	case "overview":
		since, _ := strconv.ParseUint(query.Get("since"), 10, 64) // without a number: all
		answer(w, h.overview(since))
	case "conns":
		answer(w, h.conns(query))
	case "conn":
		if one, open := h.conn(query.Get("server"), query.Get("id")); open {
			answer(w, one)
			return
		}
		http.Error(w, "debug: the connection has ended", http.StatusNotFound)
	default:
		http.Error(w, fmt.Sprintf("debug: there is no data %q", data), http.StatusBadRequest)
	}
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // an error means that the browser has gone
}
