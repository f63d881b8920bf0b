package lua

import (
	"maps"
	"net/netip"
	"strconv"

	"github.com/seed-2334f180/weir/interp/builtins"
	"github.com/seed-2334f180/weir/socket"
	glua "github.com/yuin/gopher-lua"
)

// datagramSize is the default size of a receive, in bytes. mostDatagram is the
// largest size that a script can ask for.
const (
	datagramSize = 8192
	mostDatagram = 16 << 20
)

// dgramMethods returns the methods that udp and unix datagram objects share.
func dgramMethods(g *group) map[string]glua.LGFunction {
	return map[string]glua.LGFunction{
		"close":      g.close,
		"dirty":      g.isDirty,
		"getfd":      g.getfd,
		"gettimeout": g.gettimeout,
		"receive":    g.receiveMessage,
		"send":       g.sendMessage,
		"setfd":      g.setfd,
		"setoption":  g.setoption,
		"settimeout": g.settimeout,
	}
}

func udpMethods(g *group) map[string]glua.LGFunction {
	methods := dgramMethods(g)
	maps.Copy(methods, map[string]glua.LGFunction{
		"getfamily":   g.getfamily,
		"getoption":   g.getoption,
		"getpeername": g.getpeernameConnected,
		"getsockname": g.getsockname,
		"receivefrom": g.receiveFrom,
		"sendto":      g.sendTo,
		"setpeername": g.setPeerName,
		"setsockname": g.bind,
	})
	return methods
}

// dgramFailed is failed for datagrams. For an object without a descriptor it says
// "refused", as LuaSocket does.
func dgramFailed(L *glua.LState, err error) int {
	if err == errClosed {
		return fail(L, msgRefused)
	}
	return failed(L, err)
}

func (g *group) sendMessage(L *glua.LState) int {
	o := g.as(L, connected)
	data := L.CheckString(2)
	s, err := o.sendingMessage(L)
	if err == nil {
		_, err = s.Send(bytesOf(data), 0)
	}
	return o.sentMessage(L, data, err)
}

// sendTo is sendto(data, ip, port) of udp objects. It does not look up names.
func (g *group) sendTo(L *glua.LState) int {
	o := g.as(L, unconnected)
	data, ip, port := L.CheckString(2), L.CheckString(3), L.CheckString(4)
	to, problem := numericAddr(o.family, ip, port)
	if problem != "" {
		return fail(L, problem)
	}
	if o.h == nil && o.family == 0 {
		if err := o.create(to.Family()); err != nil {
			return failed(L, err)
		}
		o.family = to.Family()
	}
	return o.sendMessageTo(L, data, to)
}

func (o *object) sendMessageTo(L *glua.LState, data string, to socket.Addr) int {
	s, err := o.sendingMessage(L)
	if err == nil {
		_, err = s.SendToAddr(bytesOf(data), to, 0)
	}
	return o.sentMessage(L, data, err)
}

func (o *object) sendingMessage(L *glua.LState) (*socket.Socket, error) {
	if o.h == nil {
		return nil, errClosed
	}
	b := o.begin()
	return o.h.sending(L, b.first())
}

func (o *object) sentMessage(L *glua.LState, data string, err error) int {
	if err != nil {
		return dgramFailed(L, err)
	}
	L.Push(glua.LNumber(len(data)))
	return 1
}

// numericAddr parses a numeric address. Its errors have the C library's words, as
// LuaSocket's errors have.
func numericAddr(family socket.Family, ip, port string) (a socket.Addr, problem string) {
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return a, string(builtins.NoName)
	}
	if family != 0 && (family == socket.Inet) != addr.Is4() {
		return a, string(builtins.OtherFamily)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return a, string(builtins.NoName)
	}
	return socket.AddrFrom(netip.AddrPortFrom(addr, uint16(n))), ""
}

func (g *group) receiveMessage(L *glua.LState) int {
	o := g.of(L)
	buf := o.messageBuffer(L)
	n, _, err := o.recvMessage(L, buf, false)
	if err != nil && err != errClosed { // without a descriptor the result is an empty datagram, as in LuaSocket
		return dgramFailed(L, err)
	}
	L.Push(glua.LString(buf[:n]))
	return 1
}

// receiveFrom is receivefrom([size]) of udp objects.
func (g *group) receiveFrom(L *glua.LState) int {
	o := g.as(L, unconnected)
	buf := o.messageBuffer(L)
	n, from, err := o.recvMessage(L, buf, true)
	if err == errClosed {
		return fail(L, "ai_family not supported") // LuaSocket fails to name the missing sender
	}
	if err != nil {
		return failed(L, err)
	}
	L.Push(glua.LString(buf[:n]))
	L.Push(glua.LString(from.Host()))
	L.Push(glua.LNumber(from.Port()))
	return 3
}

// messageBuffer returns a buffer of the size that the second argument gives.
func (o *object) messageBuffer(L *glua.LState) []byte {
	size := float64(optNumber(L, 2, datagramSize))
	if !(size >= 0) {
		L.ArgError(2, "invalid size of a datagram")
	}
	if size <= blockSize {
		return o.m.block[:int(size)]
	}
	return make([]byte, int(min(size, mostDatagram)))
}

func (o *object) recvMessage(L *glua.LState, buf []byte, sender bool) (n int, from socket.Addr, err error) {
	if o.h == nil {
		return 0, from, errClosed
	}
	b := o.begin()
	s, err := o.h.receiving(L, b.first())
	if err != nil {
		return 0, from, err
	}
	if sender {
		return s.RecvFrom(buf, 0)
	}
	n, err = s.Recv(buf, 0)
	return n, from, err
}

// setPeerName is setpeername(address, port), or setpeername("*") for none.
func (g *group) setPeerName(L *glua.LState) int {
	o := g.of(L)
	address := L.CheckString(2)
	if address == "*" {
		if o.h != nil {
			disconnect(o.fd)
		}
		o.become(unconnected)
		return done(L)
	}
	port := L.CheckString(3)
	if err := o.connect(L, address, port); err != nil {
		return failed(L, err)
	}
	o.become(connected)
	return done(L)
}

func (g *group) getpeernameConnected(L *glua.LState) int {
	g.as(L, connected)
	return g.getpeername(L)
}
