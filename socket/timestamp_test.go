package socket

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/seed-2334f180/weir/loop"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// longs returns integers of 64 bits as they are in memory.
func longs(all ...uint64) (b []byte) {
	for _, w := range all {
		b = binary.NativeEndian.AppendUint64(b, w)
	}
	return b
}

// A timestamp is seconds and a part, of which the option says the unit. SO_TIMESTAMPING
// has three: the software's first, and the hardware's last.
func TestTimestampsOfControls(t *testing.T) {
	for name, c := range map[string]struct {
		level, typ int
		data       []byte
		want       time.Time
	}{
		"microseconds":        {unix.SOL_SOCKET, unix.SO_TIMESTAMP, longs(7, 9), time.Unix(7, 9000)},
		"microseconds, new":   {unix.SOL_SOCKET, unix.SO_TIMESTAMP_NEW, longs(7, 9), time.Unix(7, 9000)},
		"nanoseconds":         {unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, longs(7, 9), time.Unix(7, 9)},
		"nanoseconds, new":    {unix.SOL_SOCKET, unix.SO_TIMESTAMPNS_NEW, longs(7, 9), time.Unix(7, 9)},
		"software":            {unix.SOL_SOCKET, unix.SO_TIMESTAMPING, longs(7, 9, 0, 0, 0, 0), time.Unix(7, 9)},
		"both":                {unix.SOL_SOCKET, unix.SO_TIMESTAMPING, longs(7, 9, 0, 0, 8, 10), time.Unix(7, 9)},
		"hardware":            {unix.SOL_SOCKET, unix.SO_TIMESTAMPING_NEW, longs(0, 0, 0, 0, 8, 10), time.Unix(8, 10)},
		"the epoch":           {unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, longs(0, 9), time.Unix(0, 9)},
		"too short":           {unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, longs(7), time.Time{}},
		"another level":       {unix.IPPROTO_IP, unix.SO_TIMESTAMPNS, longs(7, 9), time.Time{}},
		"another option":      {unix.SOL_SOCKET, unix.SO_RCVBUF, longs(7, 9), time.Time{}},
		"hardware, cut short": {unix.SOL_SOCKET, unix.SO_TIMESTAMPING, longs(0, 0, 0, 0, 8), time.Unix(0, 0)},
	} {
		control := append(cmsg(unix.SOL_SOCKET, unix.SO_RCVBUF, longs(1, 2)...), cmsg(c.level, c.typ, c.data...)...)
		m := Message{Control: control, ControlLen: len(control)}
		at, ok := m.Timestamp()
		require.Equal(t, !c.want.IsZero(), ok, name)
		require.True(t, c.want.Equal(at), "%s: %v", name, at)
	}
}

func TestCredentialsOfControls(t *testing.T) {
	data := binary.NativeEndian.AppendUint32(binary.NativeEndian.AppendUint32(binary.NativeEndian.AppendUint32(nil, 3), 4), 5)
	for name, c := range map[string]struct {
		level, typ int
		data       []byte
		ok         bool
	}{
		"credentials":    {unix.SOL_SOCKET, unix.SCM_CREDENTIALS, data, true},
		"too short":      {unix.SOL_SOCKET, unix.SCM_CREDENTIALS, data[:11], false},
		"another level":  {unix.IPPROTO_IP, unix.SCM_CREDENTIALS, data, false},
		"another option": {unix.SOL_SOCKET, unix.SCM_RIGHTS, data, false},
	} {
		control := cmsg(c.level, c.typ, c.data...)
		m := Message{Control: control, ControlLen: len(control)}
		cred, ok := m.Credentials()
		require.Equal(t, c.ok, ok, name)
		if ok {
			require.Equal(t, unix.Ucred{Pid: 3, Uid: 4, Gid: 5}, cred)
		}
	}
}

// The kernel reports room on TCP only after it has refused a write, and so its report is
// certain. Of other sockets it reports each packet that leaves.
func TestRoomOfTCPIsCertain(t *testing.T) {
	look := func(family Family) loop.Look {
		_, s := tcpPair(t) // the accepted one: the other has waited to connect
		if family == Unix {
			s, _ = inputPair(t, Stream)
		}
		settle(t, s) // an event of the wait in which a call has ended makes nothing certain
		h := &loop.Hook{To: idle{}}
		require.NoError(t, h.Hang(s.Registration(), loop.Writable))
		defer h.Unhang()
		settle(t, s)
		return s.Registration().Look(loop.Writable)
	}
	for family, want := range map[Family]loop.Look{Inet: loop.Ready, Unix: loop.Doubtful} {
		got := look(family)
		if family == Inet && got == loop.Doubtful { // one wait in 64 has the number that stands for no call
			got = look(family)
		}
		require.Equal(t, want, got, "%v", family)
	}
}

// idle is an observer that does nothing.
type idle struct{}

func (idle) Notify(*loop.Hook, loop.Notice) {}
