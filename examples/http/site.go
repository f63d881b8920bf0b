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
	root     *os.Root // what is outside cannot be reached, not even by a link
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

// files are those of a directory. The server is given an *os.File, which it has
// the listener's connection send.
type files struct{ root *os.Root }

func (f files) Open(name string) (http.File, error) {
	name = cmp.Or(strings.Trim(name, "/"), ".")
	info, err := f.root.Stat(name)
	switch {
	case err != nil:
		return nil, refusal(err)
	case !info.IsDir() && !info.Mode().IsRegular():
		// To open a FIFO would wait for its writer, and a device may act.
		return nil, fs.ErrPermission
	}
	// A file that has become a FIFO meanwhile is not waited for.
	return f.root.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
}

// refusal is an error that http.FileServer answers as it should: 404 where no
// such file can be, and 403 where a link leads to nothing that is served. Other
// errors are the server's own, a 500.
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

// Close gives the directory back.
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

// mostJSON is how many bytes a request's document may have.
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
		slog.Info("answer not sent", "err", err) // the client is gone
	}
}
