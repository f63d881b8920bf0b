package server

import (
	"bytes"
	"path"
	"runtime"
	"strconv"
	"strings"
)

// goroutine returns the number of the calling goroutine, as stacks show it.
func goroutine() uint64 {
	var buf [64]byte
	fields := bytes.Fields(buf[:runtime.Stack(buf[:], false)])
	if len(fields) < 2 {
		return 0
	}
	id, _ := strconv.ParseUint(string(fields[1]), 10, 64)
	return id
}

// mostStack bounds the memory for the stacks of all goroutines.
const mostStack = 16 << 20

// stackOf returns the stack of one goroutine in one line: see frames.
func stackOf(id uint64) string {
	head := []byte("goroutine " + strconv.FormatUint(id, 10) + " ")
	for size := 64 << 10; ; size *= 4 {
		buf := make([]byte, size)
		n := runtime.Stack(buf, true)
		for stack := range bytes.SplitSeq(buf[:n], []byte("\n\n")) {
			if bytes.HasPrefix(stack, head) {
				return frames(stack)
			}
		}
		if n < size || size >= mostStack {
			return "unknown"
		}
	}
}

// mostFrames bounds the length of a stack in the log.
const mostFrames = 24

// frames returns the functions of a stack, the innermost first, in one line that
// a person can read in a log: "time.Sleep (time.go:363) < main.slow (main.go:12)".
// log/slog would write the line breaks of a stack as \n. frames leaves out what a
// panic has called: the deferred functions.
func frames(stack []byte) string {
	var names []string
	lines := strings.Split(strings.TrimSpace(string(stack)), "\n")
	for i := 1; i+1 < len(lines); i += 2 { // the first line names the goroutine
		function, created := strings.CutPrefix(lines[i], "created by ")
		if strings.HasPrefix(function, "panic(") {
			names = nil
			continue
		}
		if end := strings.LastIndexByte(function, '('); end > 0 && !created {
			function = function[:end] // without the arguments
		}
		name := path.Base(function)
		if created {
			name = "created by " + name
		}
		place, _, _ := strings.Cut(strings.TrimSpace(lines[i+1]), " ")
		names = append(names, name+" ("+path.Base(place)+")")
	}
	if len(names) > mostFrames {
		names = append(names[:mostFrames], "...")
	}
	return strings.Join(names, " < ")
}
