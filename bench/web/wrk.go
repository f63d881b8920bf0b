package web

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/seed-2334f180/weir/bench/load"
	"github.com/seed-2334f180/weir/bench/machine"
)

// wrkScript has wrk print what it counted as one JSON line.
//
//go:embed wrk.lua
var wrkScript string

// FindWrk returns the path of the program wrk.
func FindWrk() (string, error) { return exec.LookPath("wrk") }

// Wrk has wrk ask the server, with one thread. wrk knows no warm-up and whole seconds only: its
// time begins with the first connection.
func Wrk(ctx context.Context, path string, v Visit) (load.Result, error) {
	dir, err := os.MkdirTemp("", "weir-bench-")
	if err != nil {
		return load.Result{}, err
	}
	defer os.RemoveAll(dir)
	script := filepath.Join(dir, "report.lua")
	if err := os.WriteFile(script, []byte(wrkScript), 0o600); err != nil {
		return load.Result{}, err
	}
	scheme := "http"
	if v.TLS {
		scheme = "https"
	}
	args := []string{"-t1", "-c" + strconv.Itoa(v.Conns),
		"--timeout", strconv.Itoa(int(v.Patience/time.Second)) + "s", "-s", script}
	if !v.KeepAlive {
		args = append(args, "-H", "Connection: close")
	}
	args = append(args, scheme+"://"+v.Addr+"/")
	seconds := v.seconds()
	for range 3 {
		result, err := runWrk(ctx, path, v, append([]string{"-d" + strconv.Itoa(seconds) + "s"}, args...))
		if !errors.Is(err, errNoAnswer) {
			return result, err
		}
		seconds *= 2 // on a busy machine all of them went into opening the connections
	}
	return load.Result{}, errNoAnswer
}

// seconds returns how long wrk is to ask. Over TLS that contains a handshake for each connection
// first, which takes a server and its client about a millisecond.
func (v Visit) seconds() int {
	const handshakes = 250 // in a second, so that they are the smaller part of the time
	seconds := int((v.Window + time.Second - 1) / time.Second)
	if v.TLS {
		seconds += v.Conns / handshakes
	}
	return seconds
}

// runWrk runs wrk once, and takes the server's processor time meanwhile.
func runWrk(ctx context.Context, path string, v Visit, args []string) (load.Result, error) {
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	epoch := time.Now()
	begin, err := machine.Read(v.ServerPID, epoch)
	if err != nil {
		return load.Result{}, err
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return load.Result{}, fmt.Errorf("wrk: %w: %s", err, strings.TrimSpace(string(out)))
	}
	end, err := machine.Read(v.ServerPID, epoch)
	if err != nil {
		return load.Result{}, err
	}
	result, err := parseWrk(out, v.Size)
	result.ServerCPU = begin.Until(end).ServerCPU
	return result, err
}

var errNoAnswer = errors.New("wrk: no answer came")

// parseWrk finds the script's line in what wrk printed.
func parseWrk(out []byte, size int) (load.Result, error) {
	at := bytes.IndexByte(out, '{')
	if at < 0 {
		return load.Result{}, fmt.Errorf("wrk printed no result: %q", out)
	}
	var said struct {
		Requests, Bytes, Micros int64
		Errors                  string // how many requests failed, by kind
		P50, P99, P999          int64  // µs
	}
	if err := json.NewDecoder(bytes.NewReader(out[at:])).Decode(&said); err != nil {
		return load.Result{}, fmt.Errorf("wrk: %w", err)
	}
	switch {
	case said.Errors != "":
		return load.Result{}, fmt.Errorf("wrk: requests failed: %s", said.Errors)
	case said.Requests == 0 || said.Micros == 0:
		return load.Result{}, errNoAnswer
	case said.Bytes < said.Requests*int64(size):
		return load.Result{}, fmt.Errorf("wrk: %d answers of %d bytes had %d bytes in all", said.Requests, size, said.Bytes)
	}
	return load.Result{
		Requests: said.Requests,
		Usage:    machine.Usage{Elapsed: time.Duration(said.Micros) * time.Microsecond},
		P50:      time.Duration(said.P50) * time.Microsecond,
		P99:      time.Duration(said.P99) * time.Microsecond,
		P999:     time.Duration(said.P999) * time.Microsecond,
	}, nil
}
