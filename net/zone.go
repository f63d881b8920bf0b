package net

import (
	"net"
	"strconv"
	"strings"
	"sync"
	"time"
)

// zoneText returns a zone in a form that package socket accepts. As in net, the name
// of an interface that does not exist counts as the number that it begins with, or
// as no zone.
func zoneText(zone string) string {
	if zone == "" || zones.known(zone) {
		return zone
	}
	digits := zone[:len(zone)-len(strings.TrimLeft(zone, "0123456789"))]
	const most = 0xFFFFFF // net turns a greater number into this one
	n := 0
	for _, d := range digits {
		if n = 10*n + int(d-'0'); n >= most {
			n = most
			break
		}
	}
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

// zones has the names of the network interfaces. It reads them again after a minute, and
// when it does not find a name.
var zones zoneNames

type zoneNames struct {
	mu    sync.RWMutex
	asked time.Time
	names map[string]bool
}

// known reports whether an interface has this name.
func (z *zoneNames) known(name string) bool {
	z.mu.RLock()
	known, fresh := z.names[name], time.Since(z.asked) < time.Minute
	z.mu.RUnlock()
	if known && fresh {
		return true
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	all, _ := net.Interfaces()
	z.asked, z.names = time.Now(), make(map[string]bool, len(all))
	for _, i := range all {
		z.names[i.Name] = true
	}
	return z.names[name]
}

// zoneName returns the name of an interface, or its index as text.
func zoneName(index uint32) string {
	if i, err := net.InterfaceByIndex(int(index)); err == nil {
		return i.Name
	}
	return strconv.Itoa(int(index))
}

// zoneIndex returns the index of a zone that zoneText returned.
func zoneIndex(zone string) uint32 {
	if zone == "" {
		return 0
	}
	if i, err := net.InterfaceByName(zone); err == nil {
		return uint32(i.Index)
	}
	n, _ := strconv.Atoi(zone)
	return uint32(n)
}
