package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// A site is what the server serves.
type site struct {
	mux      *http.ServeMux
	root     *os.Root // nothing outside can be reached, not even by a link
	begun    time.Time
	requests atomic.Int64
}

func newSite(directory string) (*site, error) {
	root, err := os.OpenRoot(directory)
	if err != nil {
		return nil, err
	}
	s := &site{mux: http.NewServeMux(), root: root, begun: time.Now()}
	s.mux.Handle("GET /", http.FileServer(files{root}))
	s.mux.HandleFunc("GET /api/status", s.status)
	s.mux.HandleFunc("POST /api/echo", s.echo)
	return s, nil
}

// files are the files of a directory. Open returns an *os.File, so that the listener's
// connection can send it by sendfile.
type files struct{ root *os.Root }

func (f files) Open(name string) (http.File, error) {
	name = cmp.Or(strings.Trim(name, "/"), ".")
	info, err := f.root.Stat(name)
	switch {
	case err != nil:
		return nil, refusal(err)
	case !info.IsDir() && !info.Mode().IsRegular():
		// Opening a FIFO waits for its writer, and opening a device may do something.
		return nil, fs.ErrPermission
	}
	// The flag is for a file that has become a FIFO meanwhile.
	return f.root.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
}

// refusal returns an error for which http.FileServer sends the right status: 404 if
// there can be no such file, 403 if a link leads out of the root. Other errors are
// the server's own, which is a 500.
func refusal(err error) error {
	var errno unix.Errno
	if !errors.As(err, &errno) { // a link out of the root is not the system's error
		return fs.ErrPermission
	}
	switch errno {
	case unix.ELOOP:
		return fs.ErrPermission
	case unix.EINVAL, unix.ENAMETOOLONG, unix.ENOTDIR: // EINVAL is a NUL in the name
		return fs.ErrNotExist
	}
	return err
}

// Close closes the directory.
func (s *site) Close() error { return s.root.Close() }

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.requests.Add(1)
	s.mux.ServeHTTP(w, r)
}

func (s *site) status(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, struct {
		Requests int64   `json:"requests"`
		Seconds  float64 `json:"seconds"`
	}{s.requests.Load(), time.Since(s.begun).Seconds()})
}

// mostJSON is the most bytes of a request's document.
const mostJSON = 1 << 20

func (s *site) echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, mostJSON))
	var tooBig *http.MaxBytesError
	switch {
	case errors.As(err, &tooBig):
		refuse(w, http.StatusRequestEntityTooLarge, err)
		return
	case err != nil:
		refuse(w, http.StatusBadRequest, err)
		return
	}
	var document json.RawMessage // its numbers may be greater or more exact than Go's
	if err := json.Unmarshal(body, &document); err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	answer(w, http.StatusOK, document)
}

func refuse(w http.ResponseWriter, code int, err error) {
	answer(w, code, struct {
		Error string `json:"error"`
	}{err.Error()})
}

func answer(w http.ResponseWriter, code int, document any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	if err := json.NewEncoder(w).Encode(document); err != nil {
		slog.Info("answer not sent", "error", err) // the client has gone
	}
}
