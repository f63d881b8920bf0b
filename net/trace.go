package net

import (
	"context"
	"net"
	"net/http/httptrace"
	"net/netip"
	"reflect"
)

// A trace is the set of hooks that a program has put into a context by package
// net/http/httptrace. It is nil if there are none.
type trace httptrace.ClientTrace

func traceOf(ctx context.Context) *trace { return (*trace)(httptrace.ContextClientTrace(ctx)) }

func (t *trace) connectStart(network string, to net.Addr) {
	if t != nil && t.ConnectStart != nil {
		t.ConnectStart(network, addrText(to))
	}
}

func (t *trace) connectDone(network string, to net.Addr, err error) {
	if t != nil && t.ConnectDone != nil {
		t.ConnectDone(network, addrText(to), err)
	}
}

func (t *trace) dnsStart(host string) {
	if t != nil && t.DNSStart != nil {
		t.DNSStart(httptrace.DNSStartInfo{Host: host})
	}
}

func (t *trace) dnsDone(found []netip.Addr, err error) {
	if t == nil || t.DNSDone == nil {
		return
	}
	info := httptrace.DNSDoneInfo{Err: err}
	for _, ip := range found {
		info.Addrs = append(info.Addrs, net.IPAddr{IP: ip.AsSlice(), Zone: ip.Zone()})
	}
	t.DNSDone(info)
}

// untraced hides the hooks from the resolver. The resolver would call them for each
// look-up, and for its own connections to name servers.
type untraced struct{ context.Context }

func (c untraced) Value(key any) any {
	if t := reflect.TypeOf(key); t != nil && t.PkgPath() == "internal/nettrace" && t.Name() == "TraceKey" {
		return nil
	}
	return c.Context.Value(key)
}
