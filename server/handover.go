package server

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"github.com/seed-2334f180/weir/internal/sys"
	"github.com/seed-2334f180/weir/socket"
	"golang.org/x/sys/unix"
)

// The environment variables of sd_listen_fds(3) describe the descriptors that a process
// inherits. envReady is Weir's own: the descriptor of a pipe to which the successor
// writes a byte when it is about to serve.
const (
	envFds   = "LISTEN_FDS"
	envPid   = "LISTEN_PID"
	envNames = "LISTEN_FDNAMES"
	envReady = "WEIR_READY_FD"

	firstInherited = 3

	// The names of listeners in envNames: nameOwned if the server removes the
	// listener's path in the end, otherwise nameOther.
	nameOwned, nameOther = "owned", "other"
)

// Inherit serves the listeners that systemd's socket activation (sd_listen_fds(3)) or
// Handover has given to the process. It returns their number; if that is 0, the program
// opens its own listeners. Inherit removes the variables that describe the listeners
// from the environment, so only the first call finds any. ServiceOf chooses the Service
// of each.
//
// If Inherit cannot serve one of the listeners, it serves none: it closes all of them
// and returns an error. The process that has made them still has them, with the clients
// in their backlogs. Only if the server is closed meanwhile, or its loops fail, n
// together with the error says how many are served. If the server cannot start, Inherit
// leaves the listeners and the environment as they are.
func (s *Server) Inherit() (n int, err error) {
	if err := s.start(); err != nil {
		return 0, err
	}
	count, pid := os.Getenv(envFds), os.Getenv(envPid)
	ready, hasReady := os.LookupEnv(envReady)
	names := strings.Split(os.Getenv(envNames), ":")
	for _, name := range []string{envFds, envPid, envNames, envReady} {
		_ = os.Unsetenv(name) // it fails only for an invalid name
	}
	if count == "" || pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return 0, nil
	}
	total, err := strconv.Atoi(count)
	if err != nil || total < 0 || total > math.MaxInt32 {
		return 0, fmt.Errorf("server: inherit: %s is %q, not a number of descriptors", envFds, count)
	}
	var taken []*socket.Socket // sockets of the first descriptors, not served yet
	rest := firstInherited     // the first descriptor without a socket
	defer func() {
		if err != nil {
			closeInherited(rest, firstInherited+total)
		}
		for _, ls := range taken {
			ls.Close()
		}
	}()
	var pipe *os.File
	if hasReady {
		fd, err := strconv.Atoi(ready)
		if err != nil || fd < firstInherited {
			return 0, fmt.Errorf("server: inherit: %s is %q, not a descriptor", envReady, ready)
		}
		unix.CloseOnExec(fd)
		pipe = os.NewFile(uintptr(fd), "ready")
		defer pipe.Close() // if nothing was written before, the predecessor reports a failure
	}
	for rest < firstInherited+total {
		fd := rest
		ls, err := socket.Config{Group: s.group}.Adopt(fd)
		if err == nil {
			taken = append(taken, ls)
			rest++
			_, err = s.checkOther(ls)
		}
		if err != nil {
			return 0, fmt.Errorf("server: inherit: descriptor %d: %w", fd, err)
		}
	}
	// Inherit writes before it serves: if the write fails, the predecessor goes on
	// alone.
	if hasReady {
		if _, err := pipe.Write([]byte{1}); err != nil {
			return 0, fmt.Errorf("server: inherit: %w", err)
		}
	}
	for n < total {
		// A path that systemd has made stays: systemd removes it.
		owned := hasReady && n < len(names) && names[n] == nameOwned
		if err := s.addOther(taken[0], origin{path: owned && !s.KeepPath}); err != nil {
			return n, fmt.Errorf("server: inherit: descriptor %d: %w", firstInherited+n, err)
		}
		taken = taken[1:]
		n++
	}
	return n, nil
}

// closeInherited closes the inherited descriptors from, ..., to-1. It leaves those with
// close-on-exec, which cannot be inherited: the number in the environment is wrong, or
// another part of the program has made them.
func closeInherited(from, to int) {
	for fd := from; fd < to; fd++ {
		flags, err := sys.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if err != nil { // inherited numbers have no gaps, so there are no more
			return
		}
		if flags&unix.FD_CLOEXEC == 0 {
			sys.Close(fd)
		}
	}
}

// Handover starts cmd, a successor of this process, gives it the listeners, and waits
// until it has called Inherit. Meanwhile this server goes on accepting, so no client is
// refused. After Handover has returned nil, the program calls Shutdown, and cmd.Wait
// when it likes. The command gets the listeners as its first extra files, and must have
// no extra files of its own. If the command ends before it has called Inherit, or if ctx
// is done, Handover kills it, waits for its end and returns an error. This server then
// goes on as before.
func (s *Server) Handover(ctx context.Context, cmd *exec.Cmd) error {
	if cmd == nil {
		return errors.New("server: handover: the command is nil")
	}
	if ctx == nil {
		ctx = context.Background()
	}
	if len(cmd.ExtraFiles) > 0 {
		return fmt.Errorf("server: handover: the command has %d extra files already", len(cmd.ExtraFiles))
	}
	files, names, err := s.files()
	defer func() {
		for _, f := range files {
			f.Close()
		}
	}()
	if err != nil {
		return fmt.Errorf("server: handover: %w", err)
	}
	reader, writer, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("server: handover: %w", err)
	}
	defer reader.Close()
	cmd.ExtraFiles = append(files[:len(files):len(files)], writer)
	cmd.Env = append(without(cmd.Environ(), envFds, envPid, envNames, envReady),
		fmt.Sprintf("%s=%d", envFds, len(files)),
		fmt.Sprintf("%s=%s", envNames, strings.Join(names, ":")),
		fmt.Sprintf("%s=%d", envReady, firstInherited+len(files)))
	err = cmd.Start()
	writer.Close()
	if err != nil {
		return fmt.Errorf("server: handover: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { reader.Close() })
	defer stop()
	if n, err := reader.Read(make([]byte, 1)); n != 1 {
		_ = cmd.Process.Kill() // an error says that the command has ended already
		_ = cmd.Wait()
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return fmt.Errorf("server: handover: the successor did not serve: %w", err)
	}
	s.mu.Lock()
	s.handed = true
	for _, l := range s.listeners {
		l.path = "" // the successor removes the file
	}
	s.mu.Unlock()
	return nil
}

// files returns duplicates of the listeners, and their names for the environment.
func (s *Server) files() (files []*os.File, names []string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != serving {
		return nil, nil, ErrClosed
	}
	add := func(name string, use func() error, fd func() int, done func()) {
		if err != nil {
			return
		}
		if err = use(); err != nil {
			return
		}
		defer done()
		var dup int
		if dup, err = sys.FcntlInt(uintptr(fd()), unix.F_DUPFD_CLOEXEC, 0); err == nil {
			files = append(files, os.NewFile(uintptr(dup), name))
		}
	}
	for _, l := range s.listeners {
		l.own = false // the successor may have it, even if Handover fails: see Server.Shutdown
		if l.path == "" {
			names = append(names, nameOther)
		} else {
			names = append(names, nameOwned)
		}
		add(l.addr.String(), l.reg.Use, l.reg.FD, l.reg.Done)
	}
	for _, p := range s.packets {
		if p.dialed {
			continue
		}
		names = append(names, nameOther)
		r := p.sock.Registration()
		add(p.LocalAddr().String(), r.Use, r.FD, r.Done)
	}
	return files, names, err
}

// without returns the environment env without the named variables.
func without(env []string, names ...string) (rest []string) {
	for _, e := range env {
		name, _, _ := strings.Cut(e, "=")
		keep := true
		for _, n := range names {
			keep = keep && name != n
		}
		if keep {
			rest = append(rest, e)
		}
	}
	return rest
}
