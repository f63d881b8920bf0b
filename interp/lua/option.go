package lua

import (
	"net/netip"
	"syscall"

	glua "github.com/yuin/gopher-lua"
)

// An option describes one option of setoption and getoption.
type option struct {
	level any    // nil: SOL_SOCKET
	name  string // of Setsockopt
	kind  optionKind
	of    objects
	way   access // whether a script can set it and get it
}

// An optionKind says which Lua values an option has.
type optionKind int

const (
	boolOption       optionKind = iota
	intOption                   // any other value counts as 0
	lingerOption                // {on, timeout}
	errorOption                 // a message, or nil
	stringOption                // a string
	interfaceOption             // an IPv4 address, or "*" for any
	membershipOption            // {multiaddr, interface}, the latter an IPv4 address or "*"
	member6Option               // {multiaddr, interface}, the latter a number or nil
)

type objects uint8

const (
	ofTCP objects = 1 << iota
	ofUDP
	ofUnixStream
	ofUnixDgram
)

var groupBits = map[string]objects{"tcp": ofTCP, "udp": ofUDP, "unixstream": ofUnixStream, "unixdgram": ofUnixDgram}

type access uint8

const (
	getAndSet access = iota
	getOnly
	setOnly
)

var options = map[string]option{
	"bindtodevice":         {nil, "SO_BINDTODEVICE", stringOption, ofTCP | ofUDP, getAndSet},
	"broadcast":            {nil, "SO_BROADCAST", boolOption, ofUDP, getAndSet},
	"dontroute":            {nil, "SO_DONTROUTE", boolOption, ofUDP, getAndSet},
	"error":                {nil, "SO_ERROR", errorOption, ofTCP | ofUDP, getOnly},
	"ip-add-membership":    {"ip", "IP_ADD_MEMBERSHIP", membershipOption, ofUDP, setOnly},
	"ip-drop-membership":   {"ip", "IP_DROP_MEMBERSHIP", membershipOption, ofUDP, setOnly},
	"ip-multicast-if":      {"ip", "IP_MULTICAST_IF", interfaceOption, ofUDP, getAndSet},
	"ip-multicast-loop":    {"ip", "IP_MULTICAST_LOOP", boolOption, ofUDP, getAndSet},
	"ip-multicast-ttl":     {"ip", "IP_MULTICAST_TTL", intOption, ofUDP, getAndSet},
	"ipv6-add-membership":  {"ipv6", "IPV6_ADD_MEMBERSHIP", member6Option, ofUDP, setOnly},
	"ipv6-drop-membership": {"ipv6", "IPV6_DROP_MEMBERSHIP", member6Option, ofUDP, setOnly},
	"ipv6-multicast-hops":  {"ipv6", "IPV6_MULTICAST_HOPS", intOption, ofUDP, getAndSet},
	"ipv6-multicast-loop":  {"ipv6", "IPV6_MULTICAST_LOOP", boolOption, ofUDP, getAndSet},
	"ipv6-unicast-hops":    {"ipv6", "IPV6_UNICAST_HOPS", intOption, ofUDP, getAndSet},
	"ipv6-v6only":          {"ipv6", "IPV6_V6ONLY", boolOption, ofTCP | ofUDP, getAndSet},
	"keepalive":            {nil, "SO_KEEPALIVE", boolOption, ofTCP | ofUnixStream, getAndSet},
	"linger":               {nil, "SO_LINGER", lingerOption, ofTCP | ofUnixStream, getAndSet},
	"recv-buffer-size":     {nil, "SO_RCVBUF", intOption, ofTCP | ofUDP, getAndSet},
	"reuseaddr":            {nil, "SO_REUSEADDR", boolOption, ofTCP | ofUDP | ofUnixStream | ofUnixDgram, getAndSet},
	"reuseport":            {nil, "SO_REUSEPORT", boolOption, ofTCP | ofUDP, getAndSet},
	"send-buffer-size":     {nil, "SO_SNDBUF", intOption, ofTCP | ofUDP, getAndSet},
	"tcp-defer-accept":     {"tcp", "TCP_DEFER_ACCEPT", intOption, ofTCP, getAndSet},
	"tcp-fastopen":         {"tcp", "TCP_FASTOPEN", intOption, ofTCP, getAndSet},
	"tcp-fastopen-connect": {"tcp", "TCP_FASTOPEN_CONNECT", intOption, ofTCP, getAndSet},
	"tcp-keepcnt":          {"tcp", "TCP_KEEPCNT", intOption, ofTCP, getAndSet},
	"tcp-keepidle":         {"tcp", "TCP_KEEPIDLE", intOption, ofTCP, getAndSet},
	"tcp-keepintvl":        {"tcp", "TCP_KEEPINTVL", intOption, ofTCP, getAndSet},
	"tcp-nodelay":          {"tcp", "TCP_NODELAY", boolOption, ofTCP, getAndSet},
	"tcp-user-timeout":     {"tcp", "TCP_USER_TIMEOUT", intOption, ofTCP, getAndSet},
}

// checkOption returns the option that the second argument names. It raises an error
// when the object does not have the option, or not for this access.
func (g *group) checkOption(L *glua.LState, not access) option {
	name := L.CheckString(2)
	opt, ok := options[name]
	if !ok || opt.of&groupBits[g.name] == 0 || opt.way == not {
		L.ArgError(2, "unsupported option `"+name+"'")
	}
	return opt
}

func (g *group) setoption(L *glua.LState) int {
	o := g.of(L)
	opt := g.checkOption(L, getOnly)
	value := opt.value(L)
	s, err := o.socket()
	if err == nil {
		err = s.Setsockopt(opt.level, opt.name, value)
	}
	if err != nil {
		return fail(L, "setsockopt failed")
	}
	return done(L)
}

// value converts the third argument to the option's value.
func (opt option) value(L *glua.LState) any {
	switch opt.kind {
	case boolOption:
		return L.CheckBool(3)
	case lingerOption:
		t := L.CheckTable(3)
		on, ok := L.GetField(t, "on").(glua.LBool)
		if !ok {
			L.ArgError(3, "boolean 'on' field expected")
		}
		seconds, ok := toNumber(L.GetField(t, "timeout"))
		if !ok {
			L.ArgError(3, "number 'timeout' field expected")
		}
		return []int{truth(bool(on)), int(seconds)}
	case stringOption:
		return L.CheckString(3)
	case interfaceOption:
		return inetAddr(L, L.CheckString(3), "ip expected")
	case membershipOption:
		t := L.CheckTable(3)
		group := inetAddr(L, stringField(L, t, "multiaddr"), "invalid 'multiaddr' ip address")
		return []any{group, inetAddr(L, stringField(L, t, "interface"), "invalid 'interface' ip address")}
	case member6Option:
		t := L.CheckTable(3)
		group, err := netip.ParseAddr(stringField(L, t, "multiaddr"))
		if err != nil || !group.Is6() {
			L.ArgError(3, "invalid 'multiaddr' ip address")
		}
		index := L.GetField(t, "interface")
		n, ok := toNumber(index)
		if !ok && index != glua.LNil {
			L.ArgError(3, "number 'interface' field expected")
		}
		return []any{group, int(n)}
	}
	n, _ := toNumber(L.Get(3)) // any other value counts as 0, as in LuaSocket
	return int(n)
}

func truth(on bool) int {
	if on {
		return 1
	}
	return 0
}

func stringField(L *glua.LState, t *glua.LTable, name string) string {
	v := L.GetField(t, name)
	if v.Type() != glua.LTString && v.Type() != glua.LTNumber {
		L.ArgError(3, "string '"+name+"' field expected")
	}
	return v.String()
}

// inetAddr reads an IPv4 address. "*" stands for any.
func inetAddr(L *glua.LState, text, complaint string) netip.Addr {
	if text == "*" {
		return netip.IPv4Unspecified()
	}
	ip, err := netip.ParseAddr(text)
	if err != nil || !ip.Is4() {
		L.ArgError(3, complaint)
	}
	return ip
}

func (g *group) getoption(L *glua.LState) int {
	o := g.of(L)
	opt := g.checkOption(L, setOnly)
	s, err := o.socket()
	var v any
	if err == nil {
		v, err = s.Getsockopt(opt.level, opt.name)
	}
	if err != nil {
		return fail(L, "getsockopt failed")
	}
	L.Push(opt.result(L, v))
	return 1
}

// result converts a value of Getsockopt to a Lua value.
func (opt option) result(L *glua.LState, v any) glua.LValue {
	n := 0
	switch v := v.(type) {
	case bool:
		n = truth(v)
	case int:
		n = v
	case float64: // milliseconds
		n = int(v)
	case string:
		return glua.LString(v)
	case []int:
		return opt.structResult(L, v)
	}
	switch opt.kind {
	case boolOption:
		return glua.LBool(n != 0)
	case errorOption:
		if n == 0 {
			return glua.LNil
		}
		return glua.LString(errnoMessage(syscall.Errno(n)))
	}
	return glua.LNumber(n)
}

func (opt option) structResult(L *glua.LState, v []int) glua.LValue {
	if opt.kind == lingerOption && len(v) == 2 {
		t := L.CreateTable(0, 2)
		t.RawSetString("on", glua.LBool(v[0] != 0))
		t.RawSetString("timeout", glua.LNumber(v[1]))
		return t
	}
	bytes := make([]byte, 0, 4)
	for _, n := range v[:min(len(v), 4)] {
		bytes = append(bytes, byte(n))
	}
	ip, ok := netip.AddrFromSlice(bytes)
	if !ok {
		ip = netip.IPv4Unspecified()
	}
	return glua.LString(ip.String())
}
