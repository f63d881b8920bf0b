package main

import (
	"bytes"
	"path"
	"sort"
	"strconv"
)

// A command is one that a client may send.
type command struct {
	name  string
	arity int // the number of arguments, with the name; a negative one is the least number
	flags []string
	// The index of the first and of the last argument that is a key, and the step
	// between keys. A negative index counts from the end.
	first, last, step int
	run               func(w *worker, args [][]byte)
}

// maxName is the length of the longest name, in bytes.
const maxName = 8

var commands = make(map[string]*command)

func init() {
	var (
		write = []string{"write", "denyoom", "fast"}
		free  = []string{"write", "fast"} // takes no memory
		read  = []string{"readonly", "fast"}
		fast  = []string{"fast"}
		admin = []string{"admin"}
	)
	for _, c := range []*command{
		{"command", -1, fast, 0, 0, 0, (*worker).command},
		{"config", -2, admin, 0, 0, 0, (*worker).config},
		{"dbsize", 1, read, 0, 0, 0, (*worker).dbsize},
		{"decr", 2, write, 1, 1, 1, (*worker).decr},
		{"decrby", 3, write, 1, 1, 1, (*worker).decrBy},
		{"del", -2, free, 1, -1, 1, (*worker).del},
		{"echo", 2, fast, 0, 0, 0, (*worker).echo},
		{"exists", -2, read, 1, -1, 1, (*worker).exists},
		{"expire", -3, free, 1, 1, 1, (*worker).expire},
		{"flushall", -1, free, 0, 0, 0, (*worker).flushAll},
		{"get", 2, read, 1, 1, 1, (*worker).get},
		{"incr", 2, write, 1, 1, 1, (*worker).incr},
		{"incrby", 3, write, 1, 1, 1, (*worker).incrBy},
		{"info", -1, fast, 0, 0, 0, (*worker).info},
		{"mget", -2, read, 1, -1, 1, (*worker).mget},
		{"mset", -3, write, 1, -1, 2, (*worker).mset},
		{"persist", 2, free, 1, 1, 1, (*worker).persist},
		{"pexpire", -3, free, 1, 1, 1, (*worker).pexpire},
		{"ping", -1, fast, 0, 0, 0, (*worker).ping},
		{"pttl", 2, read, 1, 1, 1, (*worker).pttl},
		{"quit", -1, fast, 0, 0, 0, (*worker).bye},
		{"select", 2, fast, 0, 0, 0, (*worker).selectDB},
		{"set", -3, write, 1, 1, 1, (*worker).set},
		{"ttl", 2, read, 1, 1, 1, (*worker).ttl},
	} {
		commands[c.name] = c
	}
}

func (w *worker) ping(args [][]byte) {
	switch len(args) {
	case 1:
		w.simple("PONG")
	case 2:
		w.bulk(args[1])
	default:
		w.wrongCount("ping")
	}
}

func (w *worker) echo(args [][]byte) { w.bulk(args[1]) }

func (w *worker) bye([][]byte) {
	w.simple("OK")
	w.quit = true
}

// selectDB is for clients that always select a database. There is only number 0.
func (w *worker) selectDB(args [][]byte) {
	switch n, ok := parseInt(args[1]); {
	case !ok:
		w.fail(errNotInteger)
	case n != 0:
		w.fail("ERR DB index is out of range")
	default:
		w.simple("OK")
	}
}

// command replies with the list of commands. To redis-cli, which asks for
// descriptions when it starts, it replies that there are none.
func (w *worker) command(args [][]byte) {
	if len(args) == 1 {
		w.array(len(commands))
		for _, name := range names() {
			w.describe(commands[name])
		}
		return
	}
	switch sub := string(bytes.ToLower(args[1])); {
	case sub == "count" && len(args) == 2:
		w.integer(int64(len(commands)))
	case sub == "docs":
		w.array(0)
	case sub == "info" && len(args) > 2:
		w.array(len(args) - 2)
		for _, name := range args[2:] {
			w.describe(commands[string(bytes.ToLower(name))])
		}
	case sub == "list" && len(args) == 2:
		w.array(len(commands))
		for _, name := range names() {
			w.bulkString(name)
		}
	default:
		w.subcommand("COMMAND", args[1])
	}
}

func (w *worker) subcommand(command string, sub []byte) {
	w.fail("ERR unknown subcommand or wrong number of arguments for '" +
		string(sub[:min(len(sub), 128)]) + "'. Try " + command + ".")
}

func names() (list []string) {
	for name := range commands {
		list = append(list, name)
	}
	sort.Strings(list)
	return list
}

func (w *worker) describe(c *command) {
	if c == nil {
		w.null()
		return
	}
	w.array(6)
	w.bulkString(c.name)
	w.integer(int64(c.arity))
	w.array(len(c.flags))
	for _, f := range c.flags {
		w.simple(f)
	}
	w.integer(int64(c.first))
	w.integer(int64(c.last))
	w.integer(int64(c.step))
}

// config replies with the settings, under Redis's names for them. They come from
// the command line and cannot be changed.
func (w *worker) config(args [][]byte) {
	if string(bytes.ToLower(args[1])) != "get" || len(args) == 2 {
		w.subcommand("CONFIG", args[1])
		return
	}
	opts := w.srv.options
	settings := [][2]string{
		{"appendonly", "no"},
		{"databases", "1"},
		{"io-threads", strconv.Itoa(opts.loops)},
		{"maxclients", strconv.Itoa(opts.max)},
		{"maxmemory", strconv.FormatInt(int64(opts.memory), 10)},
		{"maxmemory-policy", "noeviction"},
		{"proto-max-bulk-len", strconv.FormatInt(int64(opts.request), 10)},
		{"save", ""},
		{"timeout", strconv.Itoa(int(opts.idle.Seconds()))},
	}
	var found [][2]string
	for _, s := range settings {
		for _, pattern := range args[2:] {
			if match, err := path.Match(string(bytes.ToLower(pattern)), s[0]); err == nil && match {
				found = append(found, s)
				break
			}
		}
	}
	w.array(2 * len(found))
	for _, s := range found {
		w.bulkString(s[0])
		w.bulkString(s[1])
	}
}

func (w *worker) dbsize([][]byte) { w.integer(int64(w.db.size())) }

func (w *worker) flushAll(args [][]byte) {
	if len(args) > 2 || len(args) == 2 && !is(args[1], "sync") && !is(args[1], "async") {
		w.fail(errSyntax)
		return
	}
	w.db.clear()
	w.simple("OK")
}

// is reports whether an argument is a word, in any case. The word is in small letters.
func is(arg []byte, word string) bool {
	if len(arg) != len(word) {
		return false
	}
	for i, b := range arg {
		if lower(b) != word[i] {
			return false
		}
	}
	return true
}
