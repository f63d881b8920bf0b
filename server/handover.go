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

	"github.com/seed-2334f180/weir/socket"
	"golang.org/x/sys/unix"
)

// The names that sd_listen_fds(3) gives to what a process inherits, and one
// for the pipe by which it says that it serves.
const (
	envFds   = "LISTEN_FDS"
	envPid   = "LISTEN_PID"
	envNames = "LISTEN_FDNAMES"
	envReady = "WEIR_READY_FD"

	firstInherited = 3

	// The names of listeners whose path the last process removes, and of others.
	nameOwned, nameOther = "owned", "other"
)

// Inherit serves the listeners that the process was started with: by systemd's
// socket activation (sd_listen_fds(3)), or by Handover. It says how many there
// are; with none the program opens its own. The environment is cleared of what
// told of them, so that only the first call finds any.
//
// When one of them cannot be served, none is: with the error all are closed, for
// nobody in this process could find them any more. Who made them still has them,
// and the clients that wait in their backlogs. Only if the server itself is closed
// meanwhile, or its loops fail, n may be more than 0 with an error: so many are
// served. A server that cannot start leaves them, and the environment, alone.
func (s *Server) Inherit() (n int, err error) {
	if err := s.start(); err != nil {
		return 0, err
	}
	count, pid := os.Getenv(envFds), os.Getenv(envPid)
	ready, hasReady := os.LookupEnv(envReady)
	names := strings.Split(os.Getenv(envNames), ":")
	for _, name := range []string{envFds, envPid, envNames, envReady} {
		_ = os.Unsetenv(name) // only a name that cannot be fails
	}
	if count == "" || pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return 0, nil
	}
	total, err := strconv.Atoi(count)
	if err != nil || total < 0 || total > math.MaxInt32 {
		return 0, fmt.Errorf("server: inherit: %s is %q, not a number of descriptors", envFds, count)
	}
	var taken []*socket.Socket // and not served yet
	rest := firstInherited     // the first that is not taken
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
		defer pipe.Close() // which tells of a failure
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
	// Before they are served: when it fails, the predecessor goes on alone.
	if hasReady {
		if _, err := pipe.Write([]byte{1}); err != nil {
			return 0, fmt.Errorf("server: inherit: %w", err)
		}
	}
	for n < total {
		// What systemd has made, it keeps, and it is its to remove.
		owned := hasReady && n < len(names) && names[n] == nameOwned
		if err := s.addOther(taken[0], origin{path: owned && !s.KeepPath}); err != nil {
			return n, fmt.Errorf("server: inherit: descriptor %d: %w", firstInherited+n, err)
		}
		taken = taken[1:]
		n++
	}
	return n, nil
}

// closeInherited closes descriptors that the process was started with. One that
// is closed on exec was not: the number of descriptors was wrong, or somebody
// else has taken it.
func closeInherited(from, to int) {
	for fd := from; fd < to; fd++ {
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if err != nil { // they come one after the other, so this is no more of them
			return
		}
		if flags&unix.FD_CLOEXEC == 0 {
			unix.Close(fd)
		}
	}
}

// Handover starts a successor of this process, which serves the same listeners
// as soon as it calls Inherit: then Handover returns nil, and this server, which
// has accepted meanwhile, may Shutdown; cmd.Wait is the caller's. No connection is refused in between. The
// command gets the listeners as its first extra files, and must have none of its
// own. When it ends before it has called Inherit, or ctx is done, it is killed,
// and Handover returns an error; this server then goes on as before.
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
	listener, told, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("server: handover: %w", err)
	}
	defer listener.Close()
	cmd.ExtraFiles = append(files[:len(files):len(files)], told)
	cmd.Env = append(without(cmd.Environ(), envFds, envPid, envNames, envReady),
		fmt.Sprintf("%s=%d", envFds, len(files)),
		fmt.Sprintf("%s=%s", envNames, strings.Join(names, ":")),
		fmt.Sprintf("%s=%d", envReady, firstInherited+len(files)))
	err = cmd.Start()
	told.Close()
	if err != nil {
		return fmt.Errorf("server: handover: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { listener.Close() })
	defer stop()
	if n, err := listener.Read(make([]byte, 1)); n != 1 {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return fmt.Errorf("server: handover: the successor did not serve: %w", err)
	}
	s.mu.Lock()
	s.handed = true
	for _, l := range s.listeners {
		l.path = "" // it is the successor's now
	}
	s.mu.Unlock()
	return nil
}

// files are duplicates of the listeners, and their names in the environment.
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
		if dup, err = unix.FcntlInt(uintptr(fd()), unix.F_DUPFD_CLOEXEC, 0); err == nil {
			files = append(files, os.NewFile(uintptr(dup), name))
		}
	}
	for _, l := range s.listeners {
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

// without is an environment that lacks some names.
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
