package server

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/seed-2334f180/weir/socket"
	"golang.org/x/sys/unix"
)

// ownPath makes the listener remove the file of its unix socket when it ends.
func (l *listener) ownPath() {
	path := l.addr.Path()
	if path == "" {
		return
	}
	if file, err := os.Lstat(path); err == nil {
		l.path, l.file = path, file
	}
}

// removePath removes the file of the listener's unix socket, unless another process,
// such as a successor, has put a file of its own there. Where possible, call it before
// the socket is closed: while the socket is open, no other file can have the same inode
// number.
func (l *listener) removePath() {
	s := l.eng.srv
	s.mu.Lock()
	path := l.path
	l.path = ""
	s.mu.Unlock()
	if path == "" {
		return
	}
	now, err := os.Lstat(path)
	if err == nil && os.SameFile(l.file, now) && now.ModTime().Equal(l.file.ModTime()) {
		_ = os.Remove(path) // another process may have removed it meanwhile
	}
}

// listenReplacing calls listen for a unix address. If the path exists, but refuses
// connects because its server was killed, listenReplacing removes the path and calls
// listen again.
//
// Two servers may do so at the same time. A lock on the directory keeps one of them
// from removing the path that the other has just made.
func listenReplacing(address string, listen func() (*socket.Socket, error)) (*socket.Socket, error) {
	if address == "" || address[0] == '@' {
		return listen()
	}
	unlock, err := lockDirectory(filepath.Dir(address))
	if err != nil {
		return nil, err
	}
	defer unlock()
	s, err := listen()
	if !errors.Is(err, unix.EADDRINUSE) || !isStale(address) {
		return s, err
	}
	if err := os.Remove(address); err != nil {
		return nil, err
	}
	return listen()
}

// longestLock is how long lockDirectory waits for the lock at most.
const longestLock = 5 * time.Second

// lockDirectory locks a directory by flock(2) against other servers that replace a path
// in it. When the process ends, the kernel releases the lock.
func lockDirectory(name string) (unlock func(), err error) {
	dir, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	for begin := time.Now(); ; time.Sleep(time.Millisecond) {
		err := unix.Flock(int(dir.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { dir.Close() }, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) || time.Since(begin) > longestLock {
			dir.Close()
			return nil, fmt.Errorf("lock %s: %w", name, err)
		}
	}
}

// isStale reports whether a path is a unix socket at which no process listens.
func isStale(path string) bool {
	info, err := os.Lstat(path)
	if err != nil || info.Mode().Type() != os.ModeSocket {
		return false
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	return errors.Is(unix.Connect(fd, &unix.SockaddrUnix{Name: path}), unix.ECONNREFUSED)
}
