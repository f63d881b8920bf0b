package main

import "strconv"

// This file has the forms of a reply in RESP, version 2. Each method appends one to
// the replies that leave together.

func (w *worker) simple(s string) {
	w.out = append(w.out, '+')
	w.out = append(w.out, s...)
	w.crlf()
}

// fail replies with an error. The first word of the text is the error's kind.
func (w *worker) fail(s string) {
	w.out = append(w.out, '-')
	w.out = append(w.out, printable([]byte(s))...)
	w.crlf()
}

func (w *worker) integer(n int64) { w.number(':', n) }

func (w *worker) array(n int) { w.number('*', int64(n)) }

func (w *worker) bulk(p []byte) {
	w.number('$', int64(len(p)))
	w.out = append(w.out, p...)
	w.crlf()
}

func (w *worker) bulkString(s string) {
	w.number('$', int64(len(s)))
	w.out = append(w.out, s...)
	w.crlf()
}

func (w *worker) null() { w.out = append(w.out, "$-1\r\n"...) }

func (w *worker) number(kind byte, n int64) {
	w.out = append(w.out, kind)
	w.out = strconv.AppendInt(w.out, n, 10)
	w.crlf()
}

func (w *worker) crlf() { w.out = append(w.out, '\r', '\n') }

// bulkSize returns how many bytes bulk appends for a value of n bytes.
func bulkSize(n int) int { return len("$\r\n\r\n") + len(strconv.Itoa(n)) + n }
