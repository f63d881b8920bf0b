package socket

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// For every family, every type and some protocols, New returns the result of socket(2).
func TestNewIsSocket2(t *testing.T) {
	agreed := 0
	for _, family := range familyNames {
		for _, typ := range typeNames {
			for _, protocol := range []Protocol{0, unix.IPPROTO_UDP, unix.IPPROTO_ICMP, 255, 4000} {
				fd, want := unix.Socket(int(family.value), int(typ.value)|unix.SOCK_CLOEXEC, int(protocol))
				s, err := New(family.value, typ.value, protocol)
				if want != nil {
					require.ErrorIs(t, err, want, "%v %v %v", family.name, typ.name, protocol)
					continue
				}
				unix.Close(fd)
				require.NoError(t, err, "%v %v %v", family.name, typ.name, protocol)
				agreed++
				require.NoError(t, s.Close())
			}
		}
	}
	require.Greater(t, agreed, 10)
	_, err := ParseFamily("inet7")
	require.ErrorContains(t, err, "appletalk")
}

func TestTypesHaveNoFlags(t *testing.T) {
	for _, flag := range []Type{unix.SOCK_NONBLOCK, unix.SOCK_CLOEXEC} {
		_, err := New(Unix, Stream|flag, 0)
		require.ErrorIs(t, err, unix.EINVAL)
		_, _, err = Pair(Unix, Stream|flag, 0)
		require.ErrorIs(t, err, unix.EINVAL)
	}
}

// only returns the one Config that a caller of a helper has passed, or the zero Config.
func only(cfg []Config) Config {
	if len(cfg) == 0 {
		return Config{}
	}
	return cfg[0]
}

func open(t *testing.T, family Family, typ Type, cfg ...Config) *Socket {
	t.Helper()
	s, err := only(cfg).New(family, typ, 0)
	require.NoError(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

func TestBind(t *testing.T) {
	nl := open(t, Netlink, Raw, Config{Bind: NetlinkAddr(0, 1)})
	port, groups := nl.LocalAddr().Netlink()
	require.NotZero(t, port)
	require.EqualValues(t, 1, groups)

	if s, err := (Config{Bind: PacketAddr(PacketInfo{Protocol: unix.ETH_P_LOOP, Interface: 1})}).New(Packet, Dgram, 0); err == nil {
		require.Equal(t, "lo", s.LocalAddr().Host())
		require.EqualValues(t, unix.ETH_P_LOOP, s.LocalAddr().Packet().Protocol)
		require.NoError(t, s.Close())
	} else {
		require.ErrorIs(t, err, unix.EPERM)
	}
	if s, err := (Config{Bind: VsockAddr(unix.VMADDR_CID_ANY, unix.VMADDR_PORT_ANY)}).New(Vsock, Stream, 0); err == nil {
		_, port := s.LocalAddr().Vsock()
		require.NotEqual(t, uint32(unix.VMADDR_PORT_ANY), port)
		require.NoError(t, s.Close())
	} else {
		require.ErrorIs(t, err, unix.EAFNOSUPPORT)
	}
	loopback, err := ParseAddr(Inet, "127.0.0.1")
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1", open(t, Inet, Dgram, Config{Bind: loopback}).LocalAddr().Host())

	for _, c := range []struct {
		errno unix.Errno
		cfg   Config
	}{
		{unix.EINVAL, Config{Bind: loopback, Port: 1}},
		{unix.EAFNOSUPPORT, Config{Bind: UnixAddr("@x")}},
		{unix.EINVAL, Config{GSO: -1}},
		{unix.EINVAL, Config{GSO: 65536}},
	} {
		_, err := c.cfg.New(Inet, Dgram, 0)
		require.ErrorIs(t, err, c.errno)
	}
}

// A netlink socket sends a request to the kernel and receives the answer from port 0.
func TestNetlinkExchange(t *testing.T) {
	s := open(t, Netlink, Raw)
	request := unix.NlMsghdr{Len: unix.SizeofNlMsghdr, Type: unix.NLMSG_NOOP, Flags: unix.NLM_F_REQUEST | unix.NLM_F_ACK, Seq: 7}
	b := []byte{byte(request.Len), 0, 0, 0, byte(request.Type), 0, byte(request.Flags), 0, byte(request.Seq), 0, 0, 0, 0, 0, 0, 0}
	n, err := s.SendTo(b, "0", "", 0)
	require.NoError(t, err)
	require.Equal(t, len(b), n)
	buf := make([]byte, 4096)
	n, from, err := s.RecvFrom(buf, 0)
	require.NoError(t, err)
	require.Equal(t, NetlinkAddr(0, 0), from)
	require.Greater(t, n, unix.SizeofNlMsghdr)
	require.Equal(t, byte(7), buf[8])
}

// An accepted socket has the properties of its listener. It has the timeouts if the
// kernel copies them.
func TestAcceptKeepsProperties(t *testing.T) {
	for _, c := range []struct {
		family   Family
		typ      Type
		at       Addr
		inherits bool
	}{
		{Inet, Stream, loopback(), true},
		{Unix, Stream, abstract(), false},
		{Unix, SeqPacket, abstract(), false},
	} {
		l := open(t, c.family, c.typ, Config{Bind: c.at})
		require.NoError(t, l.SetRecvTimeout(3*time.Second))
		require.NoError(t, l.SetSendTimeout(2*time.Second))
		require.NoError(t, l.Listen(1))
		client := open(t, c.family, c.typ)
		require.NoError(t, client.ConnectAddr(l.LocalAddr()))
		s, err := l.Accept()
		require.NoError(t, err)
		require.Equal(t, []any{c.family, c.typ}, []any{s.Family(), s.Type()})
		require.Equal(t, c.inherits, s.RecvTimeout() == 3*time.Second)
		require.Equal(t, c.inherits, s.SendTimeout() == 2*time.Second)
		require.Equal(t, client.LocalAddr(), s.RemoteAddr())
		require.NoError(t, s.Close())
	}
}
