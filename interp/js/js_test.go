package js

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/seed-2334f180/weir/internal/weirtest"
	"github.com/seed-2334f180/weir/internal/weirtest/machine"
	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) { weirtest.Main(m) }

// An output is what a program prints. Lines can be waited for.
type output struct {
	*os.File // the end to write to; it has a buffer, so that the loop does not wait for the test
	lines    *bufio.Reader
}

func newOutput(t *testing.T) *output {
	t.Helper()
	r, w, err := os.Pipe()
	require.NoError(t, err)
	t.Cleanup(func() { r.Close(); w.Close() })
	return &output{w, bufio.NewReader(r)}
}

// line returns the next line, without its end.
func (o *output) line(t *testing.T) string {
	t.Helper()
	got := make(chan string, 1)
	go func() {
		line, _ := o.lines.ReadString('\n')
		got <- strings.TrimSuffix(line, "\n")
	}()
	return weirtest.Take(t, got)
}

// run runs a program, and returns what it prints.
func run(t *testing.T, source string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), weirtest.Patience)
	defer cancel()
	var out bytes.Buffer
	err := Run(ctx, "test.js", source, Options{Stdout: &out, Stderr: &out, Args: args})
	return out.String(), err
}

// serve runs a server of testdata. It returns the server's port, what it prints, and a
// function that ends it.
func serve(t *testing.T, file string) (port string, out *output, stop func() error) {
	t.Helper()
	source, err := os.ReadFile("testdata/" + file)
	require.NoError(t, err)
	ctx, cancel := context.WithCancelCause(t.Context())
	out = newOutput(t)
	ended := make(chan error, 1)
	go func() {
		defer out.Close()
		ended <- Run(ctx, file, string(source), Options{Stdout: out, Stderr: out})
	}()
	stop = sync.OnceValue(func() error {
		cancel(errStopped)
		return weirtest.Take(t, ended)
	})
	t.Cleanup(func() { stop() })
	port, found := strings.CutPrefix(out.line(t), "listening ")
	require.True(t, found)
	return port, out, stop
}

var errStopped = errors.New("stopped")

// tool returns a command that is killed when it takes too long.
func tool(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		machine.Missing(t, "there is no %s", name)
	}
	ctx, cancel := context.WithTimeout(t.Context(), weirtest.Patience)
	t.Cleanup(cancel)
	return exec.CommandContext(ctx, path, args...)
}

func TestPrograms(t *testing.T) {
	for name, c := range map[string]struct{ source, want string }{
		"nothing": {``, ""},
		"console": {`console.log('a', 1, true, null, undefined, {b: [2]}, () => 1, Buffer.from('hi')); console.error('e')`,
			"a 1 true null undefined {\"b\":[2]} [Function: (anonymous)] <Buffer 68 69>\ne\n"},
		"a script with an interpreter": {"#!/usr/bin/env weir-js\nconsole.log(1)", "1\n"},
		"arguments":                    {`console.log(process.argv.join())`, "weir-js,test.js,x,y\n"},
		"the order of timers": {`setTimeout((a) => console.log('later', a), 20, 'x'); setTimeout(() => console.log('soon'), -1);
			setImmediate(() => console.log('at once')); process.nextTick(() => console.log('tick')); console.log('now')`,
			"now\ntick\nsoon\nat once\nlater x\n"},
		"timers that are stopped": {`const t = setTimeout(() => console.log('never'), 1); clearTimeout(t); clearTimeout(t); clearTimeout();
			let n = 0; const i = setInterval(() => { console.log(++n); if (n === 3) clearInterval(i); }, 1)`, "1\n2\n3\n"},
		"a promise":                   {`(async () => { await new Promise((r) => setTimeout(r, 1)); console.log('waited'); })()`, "waited\n"},
		"a rejection that is handled": {`Promise.reject(new Error('x')).catch((e) => console.log(e.message))`, "x\n"},
		"buffers": {`const b = Buffer.concat([Buffer.from('h\u00e9'), Buffer.from('c3a9', 'hex'), Buffer.from('\xe9', 'latin1'), Buffer.from('YQ==', 'base64')]);
			console.log(b.length, b.toString(), b.toString('hex'), b.toString('base64', 0, 1), b.toString('latin1', 5, 6), b.equals(Buffer.from(b)), Buffer.byteLength('\u20ac'), Buffer.isBuffer(b), Buffer.alloc(2)[1])`,
			"7 h\u00e9\u00e9\uFFFDa 68c3a9c3a9e961 aA== \u00e9 true 3 true 0\n"},
		"emitters": {`const E = require('events'); const e = new E(); const f = (x) => console.log('f', x); e.on('a', f); e.once('a', (x) => console.log('once', x));
			console.log(e.emit('a', 1), e.emit('a', 2), e.off('a', f).emit('a', 3), e.listenerCount('a')); try { e.emit('error', new Error('alone')) } catch (x) { console.log(x.message) }`,
			"f 1\nonce 1\nf 2\ntrue true false 0\nalone\n"},
		"no such module": {`try { require('fs') } catch (e) { console.log(e.message) }`, "there is no module 'fs'\n"},
		"a connection": {`const net = require('node:net');
			const server = net.createServer((s) => { s.end('bye'); server.close(() => console.log('closed')); });
			server.listen(0, () => { const c = net.connect(server.address().port, () => console.log('connected', c.remotePort === server.address().port));
				c.setEncoding('utf8'); c.on('data', (d) => console.log(d)); c.on('end', () => console.log('end')); c.on('close', (bad) => console.log('close', bad)) })`,
			"connected true\nbye\nend\nclose false\nclosed\n"},
		"writes before the connect": {`const net = require('net');
			const server = net.createServer((s) => { s.setEncoding(); let all = ''; s.on('data', (d) => all += d); s.on('end', () => { console.log(all); server.close() }) });
			server.listen(0, '127.0.0.1', () => { const c = net.connect(server.address()); c.write('a'); c.write(Buffer.from('b'), () => console.log('written')); c.write('\xff', 'latin1'); c.end('c') })`,
			"written\nab\uFFFDc\n"},
		"a half-open server": {`const net = require('net');
			const server = net.createServer({ allowHalfOpen: true }, (s) => { s.on('end', () => setTimeout(() => s.end('late'), 5)); server.close() });
			server.listen(0, '127.0.0.1', () => { const c = net.connect(server.address().port, '127.0.0.1'); c.on('data', (d) => console.log(String(d))); c.end() })`,
			"late\n"},
		"a character in two pieces": {`const net = require('net'); const text = Buffer.from('\u20ac');
			const server = net.createServer((s) => { s.write(text.subarray(0, 2)); s.once('data', () => { s.end(Buffer.concat([text.subarray(2), text.subarray(0, 1)])); server.close() }) });
			server.listen(0, '127.0.0.1', () => { const c = net.connect(server.address().port); c.setEncoding('utf8'); setTimeout(() => c.write('go'), 20); c.on('data', (d) => console.log(d)) })`,
			"\u20ac\n\uFFFD\n"},
		"write returns false, then drain": {`const net = require('net'); const piece = Buffer.alloc(1 << 20).fill(97);
			const server = net.createServer((s) => { let n = 0; s.on('data', (d) => n += d.length); s.on('end', () => { console.log(n); server.close() }); s.pause(); setTimeout(() => s.resume(), 20) });
			server.listen(0, '127.0.0.1', () => { const c = net.connect(server.address().port, () => { let left = 12, full = 0;
				const more = () => { while (left-- > 0) if (!c.write(piece)) { full++; return }; c.end(); console.log(full) };
				c.on('drain', more); more() }) })`,
			"12\n12582912\n"},
		"pause": {`const net = require('net');
			const server = net.createServer((s) => { s.end('data'); server.close() });
			server.listen(0, '127.0.0.1', () => { const c = net.connect(server.address().port, () => { c.pause(); setTimeout(() => { console.log('resume'); c.resume() }, 20) });
				c.on('data', (d) => console.log(String(d))) })`,
			"resume\ndata\n"},
		"an idle timeout": {`const net = require('net');
			const server = net.createServer((s) => { s.setTimeout(5, () => { console.log('timeout'); s.destroy(); server.close() }) });
			server.listen(0, '127.0.0.1', () => net.connect(server.address().port).on('close', () => console.log('close')).on('error', () => {}))`,
			"timeout\nclose\n"},
		"a refused connect": {`require('net').connect(1, '127.0.0.1').on('error', (e) => console.log(e.code, e.syscall, e.message)).on('close', (bad) => console.log(bad))`,
			"ECONNREFUSED connect connect: Connection refused\ntrue\n"},
		"an unknown host": {`require('net').connect(1, 'no such host').on('error', (e) => console.log(e.code, e.message))`, "ENOTFOUND connect: Name or service not known\n"},
		"an address in use": {`const net = require('net'); const a = net.createServer(); a.listen(0, '127.0.0.1', () => {
				net.createServer().on('error', (e) => { console.log(e.code); a.close() }).listen(a.address().port, '127.0.0.1') })`,
			"EADDRINUSE\n"},
		"a connect that is given up": {`const c = require('net').connect(1, '127.0.0.1'); c.on('close', (bad) => console.log('close', bad)).destroy()`, "close false\n"},
		"destroy with an error":      {`const c = require('net').connect(1, '127.0.0.1'); c.on('error', (e) => console.log(e.message)).destroy(new Error('mine'))`, "mine\n"},
		"a write after the end": {`const net = require('net'); const server = net.createServer((s) => { s.on('error', () => {}); server.close() }).listen(0, '127.0.0.1', () => {
				const c = net.connect(server.address().port, () => { c.end(); console.log(c.write('x')) }); c.on('error', (e) => console.log(e.code, e.message)) })`,
			"false\nEPIPE write after end\n"},
		"more than the queue": {`const net = require('net'); const server = net.createServer((s) => { s.pause(); s.on('error', () => {}); server.close() }).listen(0, '127.0.0.1', () => {
				const c = net.connect(server.address().port, () => { for (let i = 0; i < 40; i++) c.write(Buffer.alloc(1 << 20)) });
				c.once('error', (e) => { console.log(e.code); process.exit() }) })`,
			"ENOBUFS\n"},
		"a wrong port": {`try { require('net').connect(65536) } catch (e) { console.log(e.name, e.message) }`, "RangeError port 65536: want 0 to 65535\n"},
		"a unix socket": {`const net = require('net'); const path = process.argv[2] + Math.random();
			const server = net.createServer((s) => s.end('unix')).listen(path, () => { console.log(server.address() === path);
				net.connect({ path }).on('data', (d) => { console.log(String(d)); server.close() }).on('error', (e) => console.log(e.code)) });
			server.on('close', () => net.connect(path).on('error', (e) => console.log(e.code)))`,
			"true\nunix\nENOENT\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args := []string{"x", "y"}
			if name == "a unix socket" {
				args[0] = t.TempDir() + "/s"
			}
			out, err := run(t, c.source, args...)
			require.NoError(t, err)
			require.Equal(t, c.want, out)
		})
	}
}

// A program that fails says where.
func TestFailures(t *testing.T) {
	for name, c := range map[string]struct {
		source string
		want   []string
	}{
		"an exception":       {"function f() {\n  null.x;\n}\nf();", []string{"TypeError: Cannot read property 'x' of", "at f (test.js:2:", "at test.js:4:"}},
		"in a callback":      {"\nsetTimeout(() => { throw new Error('bad') }, 1)", []string{"Error: bad", "at test.js:2:"}},
		"a rejection":        {"async function f() {\n throw new Error('bad') }\nf()", []string{"Uncaught (in promise) Error: bad", "at f (test.js:2:"}},
		"a plain rejection":  {"Promise.reject(5)", []string{"Uncaught (in promise) 5"}},
		"an event error":     {"require('net').connect(1, '127.0.0.1')", []string{"Error: connect: Connection refused"}},
		"a wrong syntax":     {"let = 1;\nx = = 1", []string{"SyntaxError", "test.js: Line 2:5"}},
		"endless recursion":  {"function f() { f() }\nf()", []string{"test.js"}},
		"a timer of nothing": {"setTimeout(5)", []string{"TypeError: a timer needs a function"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := run(t, c.source)
			var uncaught *Uncaught
			require.ErrorAs(t, err, &uncaught)
			for _, words := range c.want {
				require.Contains(t, err.Error(), words)
			}
		})
	}
}

func TestExit(t *testing.T) {
	out, err := run(t, `setInterval(() => {}, 1e6); require('net').createServer().listen(0, '127.0.0.1', () => { process.exit(3); console.log('never') })`)
	require.Equal(t, &Exit{3}, err)
	require.Empty(t, out)
	_, err = run(t, `setInterval(() => {}, 1e6); process.exit()`)
	require.NoError(t, err)
}

// The end of the context ends a program that computes, and one that waits.
func TestInterruption(t *testing.T) {
	for name, source := range map[string]string{
		"computing": `console.log('ready'); for (;;) ;`,
		"catching":  `console.log('ready'); for (;;) try { for (;;) ; } catch (e) {}`,
		"waiting":   `require('net').createServer().listen(0, '127.0.0.1', () => console.log('ready'))`,
		"in timers": `console.log('ready'); setInterval(() => {}, 1)`,
		"accepting": `const net = require('net'); const s = net.createServer((c) => console.log('ready')).listen(0, '127.0.0.1', () => net.connect(s.address().port))`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancelCause(t.Context())
			out := newOutput(t)
			ended := make(chan error, 1)
			go func() { ended <- Run(ctx, "test.js", source, Options{Stdout: out}) }()
			require.Equal(t, "ready", out.line(t))
			cancel(errStopped)
			require.ErrorIs(t, weirtest.Take(t, ended), errStopped)
		})
	}
}

// The echo server serves many clients of nc at a time, and a large input.
func TestEchoServer(t *testing.T) {
	port, _, stop := serve(t, "echo.js")
	var clients sync.WaitGroup
	for i := range 8 {
		text := strings.Repeat("line "+string(rune('a'+i))+"\n", 300_000>>i) // more than the kernel buffers
		nc := tool(t, "nc", "-N", "127.0.0.1", port)
		nc.Stdin = strings.NewReader(text)
		clients.Go(func() {
			got, err := nc.Output()
			if err != nil || string(got) != text {
				t.Errorf("client %d: %v, %d of %d bytes came back", i, err, len(got), len(text))
			}
		})
	}
	clients.Wait()
	require.ErrorIs(t, stop(), errStopped)
}

func TestHTTPServer(t *testing.T) {
	port, _, _ := serve(t, "http.js")
	base := "http://127.0.0.1:" + port
	for _, c := range []struct {
		want string
		args []string
	}{
		{"hello from weir\n 200", []string{base + "/"}},
		{"no such page\n 404", []string{base + "/none"}},
		{"6\n 200", []string{"-d", "1,2,3", base + "/sum"}},
		{"hello from weir\n 200hello from weir\n 200", []string{base + "/", base + "/"}}, // one connection
		{"hello from weir\n 200", []string{"-0", base + "/"}},
	} {
		out, err := tool(t, "curl", append([]string{"-sS", "-w", " %{http_code}"}, c.args...)...).CombinedOutput()
		require.NoError(t, err, "%s", out)
		require.Equal(t, c.want, string(out))
	}
	pipelined := tool(t, "nc", "127.0.0.1", port)
	pipelined.Stdin = strings.NewReader("GET / HTTP/1.1\r\n\r\nPOST /sum HTTP/1.1\r\nContent-Length: 3\r\n\r\n4,5GET /time HTTP/1.1\r\nConnection: close\r\n\r\n")
	out, err := pipelined.Output()
	require.NoError(t, err)
	require.Equal(t, 3, strings.Count(string(out), "HTTP/1.1 200 OK\r\n"), "%s", out)
	require.Contains(t, string(out), "\r\n\r\n9\n")
}

// A member is a client of the chat.
type member struct {
	io.WriteCloser
	*output
	t *testing.T
}

func newMember(t *testing.T, port, name string) *member {
	nc := tool(t, "nc", "-N", "127.0.0.1", port)
	in, err := nc.StdinPipe()
	require.NoError(t, err)
	out, err := nc.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, nc.Start())
	t.Cleanup(func() { in.Close(); nc.Wait() })
	m := &member{in, &output{lines: bufio.NewReader(out)}, t}
	m.hears("name?")
	m.says(name)
	return m
}

func (m *member) says(line string)  { io.WriteString(m.WriteCloser, line+"\n") }
func (m *member) hears(line string) { require.Equal(m.t, line, m.line(m.t)) }

// leaves ends the input of nc, which then closes the connection.
func (m *member) leaves() { m.WriteCloser.Close() }

func TestChatServer(t *testing.T) {
	port, out, _ := serve(t, "chat.js")
	ann := newMember(t, port, "ann")
	require.Equal(t, "members 1", out.line(t))
	bob := newMember(t, port, "bob")
	require.Equal(t, "members 2", out.line(t))
	ann.hears("* bob joins")
	other := newMember(t, port, "bob")
	other.hears("that name is taken")
	other.leaves()
	ann.says("hello, b\u00f6b")
	bob.hears("ann: hello, b\u00f6b")
	bob.says("hi")
	ann.hears("bob: hi")
	bob.says("/quit")
	bob.hears("bye")
	bob.leaves()
	ann.hears("* bob leaves")
	require.Equal(t, "members 1", out.line(t))
	ann.says("/stop")
	ann.hears("the server ends")
	ann.leaves()
	require.Equal(t, []string{"members 0", "closed"}, []string{out.line(t), out.line(t)})
	require.Empty(t, out.line(t), "the program has ended")
}

// Three hundred connections of one program to itself leave nothing behind.
func TestManyConnections(t *testing.T) {
	out, err := run(t, `
		const net = require('net');
		let done = 0;
		const server = net.createServer((s) => s.pipe(s)).listen(0, '127.0.0.1', () => {
			const next = (left) => {
				const c = net.connect(server.address().port, '127.0.0.1', () => c.end('x' + left));
				let all = '';
				c.on('data', (d) => all += d);
				c.on('close', () => {
					if (all !== 'x' + left) throw new Error(all);
					if (++done === 300) server.close(() => console.log(done));
					else if (left > 1) next(left - 1);
				});
			};
			for (let i = 0; i < 50; i++) next(6);
		});`)
	require.NoError(t, err)
	require.Equal(t, "300\n", out)
}
