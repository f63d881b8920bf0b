package main

import (
	"math"
	"strconv"
	"time"
)

// This file has the commands that read and write values.

func (w *worker) get(args [][]byte) {
	sh := w.db.lock(args[1])
	defer sh.mu.Unlock()
	if e := w.db.lookup(sh, args[1]); e != nil {
		w.bulk(e.value)
	} else {
		w.null()
	}
}

// setOptions are the options of SET.
type setOptions struct {
	nx, xx, keep, get bool
	ttl               time.Duration // 0 is none
}

// parse returns the error to reply, or "".
func (o *setOptions) parse(args [][]byte) string {
	var expire []byte
	var unit time.Duration
	for i := 0; i < len(args); i++ {
		switch arg := args[i]; {
		case is(arg, "nx") && !o.xx:
			o.nx = true
		case is(arg, "xx") && !o.nx:
			o.xx = true
		case is(arg, "get"):
			o.get = true
		case is(arg, "keepttl") && unit == 0:
			o.keep = true
		case is(arg, "ex") && unit != time.Millisecond && !o.keep && i+1 < len(args):
			i++
			expire, unit = args[i], time.Second
		case is(arg, "px") && unit != time.Second && !o.keep && i+1 < len(args):
			i++
			expire, unit = args[i], time.Millisecond
		default:
			return errSyntax
		}
	}
	if unit == 0 {
		return ""
	}
	n, ok := parseInt(expire)
	if !ok {
		return errNotInteger
	}
	if o.ttl, ok = lifetime(n, unit); !ok || n <= 0 {
		return "ERR invalid expire time in 'set' command"
	}
	return ""
}

func (w *worker) set(args [][]byte) {
	key, value := args[1], args[2]
	var o setOptions
	if wrong := o.parse(args[3:]); wrong != "" {
		w.fail(wrong)
		return
	}
	sh := w.db.lock(key)
	defer sh.mu.Unlock()
	e := w.db.lookup(sh, key)
	refused := o.nx && e != nil || o.xx && e == nil
	if !refused && !w.db.reserve(w.db.growth(e, key, value)) {
		w.fail(errMemory)
		return
	}
	switch {
	case o.get && e != nil:
		w.bulk(e.value)
	case o.get || refused:
		w.null()
	default:
		w.simple("OK")
	}
	if refused {
		return
	}
	e = w.db.put(sh, e, key, value)
	switch {
	case o.ttl > 0:
		w.db.expireIn(sh, e, o.ttl)
	case !o.keep:
		w.db.persist(e)
	}
}

func (w *worker) mget(args [][]byte) {
	keys := args[1:]
	set := w.db.setOf(keys, 1)
	w.db.lockAll(set)
	defer w.db.unlockAll(set)
	begin := len(w.out)
	w.array(len(keys))
	for _, key := range keys {
		e := w.db.find(key)
		switch {
		case e == nil:
			w.null()
		case len(w.out)-begin+bulkSize(len(e.value)) > w.maxReply:
			w.out = w.out[:begin]
			w.fail(errReply)
			return
		default:
			w.bulk(e.value)
		}
	}
}

func (w *worker) mset(args [][]byte) {
	pairs := args[1:]
	if len(pairs)%2 != 0 {
		w.wrongCount("mset")
		return
	}
	set := w.db.setOf(pairs, 2)
	w.db.lockAll(set)
	defer w.db.unlockAll(set)
	// All or nothing. At first, a key that occurs twice counts twice.
	var most, actual int64
	for i := 0; i < len(pairs); i += 2 {
		if n := w.db.growth(w.db.find(pairs[i]), pairs[i], pairs[i+1]); n > 0 {
			most += n
		}
	}
	if !w.db.reserve(most) {
		w.fail(errMemory)
		return
	}
	for i := 0; i < len(pairs); i += 2 {
		key, value := pairs[i], pairs[i+1]
		sh := &w.db.shards[w.db.index(key)]
		e := w.db.lookup(sh, key)
		actual += w.db.growth(e, key, value)
		w.db.persist(w.db.put(sh, e, key, value))
	}
	w.db.reserve(actual - most)
	w.simple("OK")
}

func (w *worker) del(args [][]byte) {
	w.count(args[1:], func(sh *shard, e *entry) { w.db.remove(sh, e) })
}

func (w *worker) exists(args [][]byte) {
	w.count(args[1:], func(*shard, *entry) {})
}

// count replies with how many of the keys exist, and calls f with each of them. A
// key that is named twice counts twice.
func (w *worker) count(keys [][]byte, f func(*shard, *entry)) {
	set := w.db.setOf(keys, 1)
	w.db.lockAll(set)
	defer w.db.unlockAll(set)
	n := int64(0)
	for _, key := range keys {
		sh := &w.db.shards[w.db.index(key)]
		if e := w.db.lookup(sh, key); e != nil {
			n++
			f(sh, e)
		}
	}
	w.integer(n)
}

func (w *worker) incr(args [][]byte) { w.add(args[1], 1) }

func (w *worker) decr(args [][]byte) { w.add(args[1], -1) }

func (w *worker) incrBy(args [][]byte) {
	if n, ok := parseInt(args[2]); ok {
		w.add(args[1], n)
	} else {
		w.fail(errNotInteger)
	}
}

func (w *worker) decrBy(args [][]byte) {
	switch n, ok := parseInt(args[2]); {
	case !ok:
		w.fail(errNotInteger)
	case n == math.MinInt64: // which has no negative
		w.fail("ERR decrement would overflow")
	default:
		w.add(args[1], -n)
	}
}

func (w *worker) add(key []byte, delta int64) {
	sh := w.db.lock(key)
	defer sh.mu.Unlock()
	e := w.db.lookup(sh, key)
	var n int64
	if e != nil {
		var ok bool
		if n, ok = parseInt(e.value); !ok {
			w.fail(errNotInteger)
			return
		}
	}
	sum := n + delta
	if delta > 0 && sum < n || delta < 0 && sum > n {
		w.fail("ERR increment or decrement would overflow")
		return
	}
	var buf [maxDigits]byte
	value := strconv.AppendInt(buf[:0], sum, 10)
	if !w.db.reserve(w.db.growth(e, key, value)) {
		w.fail(errMemory)
		return
	}
	w.db.put(sh, e, key, value)
	w.integer(sum)
}
