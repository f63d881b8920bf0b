package main

import (
	"math"
	"time"
)

// This file has the commands that read and set when keys expire.

// longest is the longest lifetime of a key. The clock must not overflow.
const longest = 100 * 365 * 24 * time.Hour

// lifetime returns n units as a duration. ok is false if they are too many. All
// negative lifetimes mean the same; too many are more milliseconds than an integer
// can count.
func lifetime(n int64, unit time.Duration) (d time.Duration, ok bool) {
	most := int64(longest / unit)
	least := math.MinInt64 / int64(unit/time.Millisecond)
	return time.Duration(min(max(n, -most), most)) * unit, least <= n && n <= most
}

// expireOptions are the options of EXPIRE and PEXPIRE.
type expireOptions struct{ nx, xx, gt, lt bool }

// parse returns the error to reply, or "".
func (o *expireOptions) parse(args [][]byte) string {
	for _, arg := range args {
		switch {
		case is(arg, "nx"):
			o.nx = true
		case is(arg, "xx"):
			o.xx = true
		case is(arg, "gt"):
			o.gt = true
		case is(arg, "lt"):
			o.lt = true
		default:
			return "ERR Unsupported option " + string(arg)
		}
	}
	switch {
	case o.nx && (o.xx || o.gt || o.lt):
		return "ERR NX and XX, GT or LT options at the same time are not compatible"
	case o.gt && o.lt:
		return "ERR GT and LT options at the same time are not compatible"
	}
	return ""
}

// allow reports whether the options let a key expire at another time. A key that
// does not expire counts as one that expires later than any other.
func (o *expireOptions) allow(e *entry, expires time.Duration) bool {
	has := e.expires != 0
	switch {
	case o.nx && has, o.xx && !has:
		return false
	case o.gt:
		return has && expires > e.expires
	case o.lt:
		return !has || expires < e.expires
	}
	return true
}

func (w *worker) expire(args [][]byte) { w.expireAfter(args, "expire", time.Second) }

func (w *worker) pexpire(args [][]byte) { w.expireAfter(args, "pexpire", time.Millisecond) }

func (w *worker) expireAfter(args [][]byte, name string, unit time.Duration) {
	var o expireOptions
	if wrong := o.parse(args[3:]); wrong != "" {
		w.fail(wrong)
		return
	}
	n, ok := parseInt(args[2])
	if !ok {
		w.fail(errNotInteger)
		return
	}
	d, ok := lifetime(n, unit)
	if !ok {
		w.fail("ERR invalid expire time in '" + name + "' command")
		return
	}
	sh := w.db.lock(args[1])
	defer sh.mu.Unlock()
	e := w.db.lookup(sh, args[1])
	switch {
	case e == nil || !o.allow(e, w.db.clock()+d):
		w.integer(0)
		return
	case d <= 0: // it is gone at once
		w.db.remove(sh, e)
	default:
		w.db.expireIn(sh, e, d)
	}
	w.integer(1)
}

func (w *worker) ttl(args [][]byte) { w.rest(args[1], time.Second) }

func (w *worker) pttl(args [][]byte) { w.rest(args[1], time.Millisecond) }

// rest replies with the time until a key expires, in units: -1 for a key that does
// not expire, -2 for a missing key.
func (w *worker) rest(key []byte, unit time.Duration) {
	sh := w.db.lock(key)
	defer sh.mu.Unlock()
	switch e := w.db.lookup(sh, key); {
	case e == nil:
		w.integer(-2)
	case e.expires == 0:
		w.integer(-1)
	default:
		// Milliseconds are rounded up, for what is still there has time left;
		// to seconds they are rounded as in Redis, to the nearest.
		left := (e.expires - w.db.clock() + time.Millisecond - 1).Truncate(time.Millisecond)
		if unit == time.Second {
			left += unit / 2
		}
		w.integer(int64(max(left, 0) / unit))
	}
}

func (w *worker) persist(args [][]byte) {
	sh := w.db.lock(args[1])
	defer sh.mu.Unlock()
	e := w.db.lookup(sh, args[1])
	if e == nil || e.expires == 0 {
		w.integer(0)
		return
	}
	w.db.persist(e)
	w.integer(1)
}
