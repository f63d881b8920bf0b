package main

import (
	"bytes"
	"errors"
	"sync/atomic"
)

// A worker executes the requests of one loop's connections.
type worker struct {
	srv      *service
	db       *store
	maxReply int // bytes of one reply

	commands atomic.Uint64 // executed so far
	args     [][]byte      // of the present request
	out      []byte        // replies that are not written yet
	quit     bool          // the present request is the connection's last
}

var errQuit = errors.New("the client has quit")

// burst is the least number of bytes of replies that are gathered before they are
// written, while there are requests.
const burst = 16 << 10

// run executes requests from the start of the input, until it has a burst of
// replies. It returns how many bytes of input they had: 0 if no request is
// complete. An error ends the connection; run has replied it to the client.
func (w *worker) run(p *parser, in []byte) (used int, err error) {
	for len(w.out) < burst {
		args, n, err := p.next(in[used:], w.args[:0])
		if err != nil {
			w.fail("ERR " + err.Error())
			return used, err
		}
		if n == 0 {
			break
		}
		used += n
		w.args = args
		if len(args) == 0 {
			continue
		}
		w.execute(args)
		if w.quit {
			w.quit = false
			return used, errQuit
		}
	}
	clear(w.args) // they may be slices of an input that is no longer used
	if cap(w.args) > keptSpans {
		w.args = nil
	}
	return used, nil
}

func (w *worker) execute(args [][]byte) {
	w.commands.Add(1)
	name := args[0]
	var buf [maxName]byte
	var c *command
	if len(name) <= maxName {
		for i, b := range name {
			buf[i] = lower(b)
		}
		c = commands[string(buf[:len(name)])]
	}
	switch {
	case c == nil && isHTTP(name):
		w.fail("ERR this is not an HTTP server")
		w.quit = true
	case c == nil:
		w.unknown(args)
	case c.arity > 0 && len(args) != c.arity, len(args) < -c.arity:
		w.wrongCount(c.name)
	default:
		c.run(w, args)
	}
}

// isHTTP reports whether a request is a line of HTTP. A web page can make the
// reader's browser send HTTP requests to any port of this machine, with commands in
// their bodies. So a line that only HTTP has ends the connection, as it does with
// Redis.
func isHTTP(name []byte) bool {
	return bytes.EqualFold(name, []byte("post")) || bytes.EqualFold(name, []byte("host:"))
}

func (w *worker) wrongCount(name string) {
	w.fail("ERR wrong number of arguments for '" + name + "' command")
}

// unknown names the command and the beginning of its arguments, as Redis does.
func (w *worker) unknown(args [][]byte) {
	const most = 128
	cut := func(p []byte, n int) string { return string(p[:min(len(p), n)]) }
	var list string
	for _, arg := range args[1:] {
		if len(list) >= most {
			break
		}
		list += "'" + cut(arg, most-len(list)) + "' "
	}
	w.fail("ERR unknown command '" + cut(args[0], most) + "', with args beginning with: " + list)
}

const (
	errNotInteger = "ERR value is not an integer or out of range"
	errSyntax     = "ERR syntax error"
	errMemory     = "OOM command not allowed when used memory > 'maxmemory'."
	errReply      = "ERR the reply would be longer than the server queues for a client"
)
