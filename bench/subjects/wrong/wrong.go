// Package wrong has subjects for tests, which do what no server may. The load generators must
// notice each of them.
package wrong

import (
	"errors"
	"net"
	"slices"
	"sync/atomic"
	"time"

	"github.com/seed-2334f180/weir/bench/subjects"
	"golang.org/x/sys/unix"
)

var all = []subjects.Subject{
	corruptSubject, forgetfulSubject, unframedSubject, hoardingSubject, duplicatingSubject, hastySubject, babblingSubject, stallingSubject,
}

// Register adds the wrong subjects to subjects.All. A TestMain calls it before anything else.
func Register() { subjects.All = append(subjects.All, all...) }

// Real returns the names of all subjects but the wrong ones.
func Real() []string {
	return slices.DeleteFunc(subjects.Names(), func(name string) bool {
		return slices.ContainsFunc(all, func(s subjects.Subject) bool { return s.Name == name })
	})
}

// corruptSubject changes the fifth answer of each connection; over UDP, the fifth of all.
var corruptSubject = subjects.Subject{
	Name:  "corrupt",
	About: "a test's server that changes a byte",
	ServeUDP: func(size int, ready func(string) error) error {
		return serveTestUDP(ready, func(conn *net.UDPConn, answer int, p []byte, from *net.UDPAddr) error {
			if answer == 5 {
				p[len(p)-1] ^= 1
			}
			_, err := conn.WriteToUDP(p, from)
			return err
		})
	},
	ServeEcho: func(size int, ready func(string) error) error {
		return serveTest(ready, func(conn net.Conn, answer int, p []byte) bool {
			if answer == 5 {
				p[len(p)-1] ^= 1
			}
			_, err := conn.Write(p)
			return err == nil
		})
	},
}

// forgetfulSubject gives a few answers on each connection, or over UDP in all, and then no more.
var forgetfulSubject = subjects.Subject{
	Name:  "forgetful",
	About: "a test's server that forgets answers",
	ServeUDP: func(size int, ready func(string) error) error {
		return serveTestUDP(ready, func(conn *net.UDPConn, answer int, p []byte, from *net.UDPAddr) error {
			if answer > 5 {
				return nil
			}
			_, err := conn.WriteToUDP(p, from)
			return err
		})
	},
	ServeEcho: func(size int, ready func(string) error) error {
		return serveTest(ready, func(conn net.Conn, answer int, p []byte) bool {
			if answer > 5 {
				return true
			}
			_, err := conn.Write(p)
			return err == nil
		})
	},
}

// unframedSubject sends requests back as they are.
var unframedSubject = subjects.Subject{
	Name:          "unframed",
	About:         "a test's server that does not look at frames",
	ServePipeline: subjects.ServeEchoNet,
}

// hoards is how many descriptors the subject "hoarding" keeps: so many are noticed, and a process
// may have more.
const hoards = 50

// hoardingSubject keeps a duplicate of the descriptor of its first connections.
var hoardingSubject = subjects.Subject{
	Name:  "hoarding",
	About: "a test's server that does not close",
	ServeEcho: func(size int, ready func(string) error) error {
		var kept atomic.Int32
		return serveTest(ready, func(conn net.Conn, answer int, p []byte) bool {
			_, err := conn.Write(p)
			if answer > 1 || err != nil || kept.Add(1) > hoards {
				return err == nil
			}
			raw, err := conn.(*net.TCPConn).SyscallConn()
			if err != nil {
				return false
			}
			var dup error
			err = raw.Control(func(fd uintptr) { _, dup = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0) })
			return errors.Join(err, dup) == nil
		})
	},
}

// duplicatingSubject answers the fifth datagram twice.
var duplicatingSubject = subjects.Subject{
	Name:  "duplicating",
	About: "a test's server that sends datagrams twice",
	ServeUDP: func(size int, ready func(string) error) error {
		return serveTestUDP(ready, func(conn *net.UDPConn, answer int, p []byte, from *net.UDPAddr) error {
			_, err := conn.WriteToUDP(p, from)
			if answer == 5 {
				_, err = conn.WriteToUDP(p, from)
			}
			return err
		})
	},
}

// babblingSubject adds a byte to its fifth answer.
var babblingSubject = subjects.Subject{
	Name:  "babbling",
	About: "a test's server that sends more than it received",
	ServeEcho: func(size int, ready func(string) error) error {
		return serveTest(ready, func(conn net.Conn, answer int, p []byte) bool {
			if answer == 5 {
				p = append(p, 0)
			}
			_, err := conn.Write(p)
			return err == nil
		})
	},
	ServeUDP: func(size int, ready func(string) error) error {
		return serveTestUDP(ready, func(conn *net.UDPConn, answer int, p []byte, from *net.UDPAddr) error {
			if answer == 5 {
				p = append(p, 0)
			}
			_, err := conn.WriteToUDP(p, from)
			return err
		})
	},
}

// StallAt is the answer before which the subject "stalling" sleeps for Stall.
const (
	StallAt = 50
	Stall   = 100 * time.Millisecond
)

// stallingSubject keeps the answers of a connection waiting, once.
var stallingSubject = subjects.Subject{
	Name:  "stalling",
	About: "a test's server that sleeps once",
	ServeEcho: func(size int, ready func(string) error) error {
		return serveTest(ready, func(conn net.Conn, answer int, p []byte) bool {
			if answer == StallAt {
				time.Sleep(Stall)
			}
			_, err := conn.Write(p)
			return err == nil
		})
	},
}

// hastySubject closes a connection after its first answer.
var hastySubject = subjects.Subject{
	Name:  "hasty",
	About: "a test's server that closes connections",
	ServeEcho: func(size int, ready func(string) error) error {
		return serveTest(ready, func(conn net.Conn, answer int, p []byte) bool {
			conn.Write(p) //nolint:errcheck // it is closed anyway
			return false
		})
	},
}

func serveTest(ready func(string) error, reply func(conn net.Conn, answer int, p []byte) bool) error {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return err
	}
	if err := ready(listener.Addr().String()); err != nil {
		return err
	}
	for {
		conn, err := listener.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer conn.Close()
			buf := make([]byte, 4096)
			for i := 1; ; i++ {
				n, err := conn.Read(buf)
				if err != nil || !reply(conn, i, buf[:n]) {
					return
				}
			}
		}()
	}
}

func serveTestUDP(ready func(string) error, reply func(conn *net.UDPConn, answer int, p []byte, from *net.UDPAddr) error) error {
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return err
	}
	if err := ready(conn.LocalAddr().String()); err != nil {
		return err
	}
	buf := make([]byte, 4096)
	for i := 1; ; i++ {
		n, from, err := conn.ReadFromUDP(buf)
		if err != nil {
			return err
		}
		if err := reply(conn, i, buf[:n], from); err != nil {
			return err
		}
	}
}
