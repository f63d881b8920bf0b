package lua

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	glua "github.com/yuin/gopher-lua"
)

// pure is the directory of Debian's lua-socket for the files that are written in Lua.
const pure = "/usr/share/lua/5.1"

func needPure(t *testing.T) {
	t.Helper()
	if _, err := os.Stat(filepath.Join(pure, "socket/http.lua")); err != nil {
		if os.Getenv("CI") == "true" {
			require.NoError(t, err)
		}
		t.Skip("LuaSocket's files in Lua (Debian's lua-socket) are not installed")
	}
}

// pureScript makes a state that finds the files of pure.
func pureScript(t *testing.T) *script {
	t.Helper()
	needPure(t)
	return newScript(t, pure+"/?.lua")
}

// bothPrint runs a script here and on LuaSocket in C, each with a target of its own.
// Both must print the same.
func bothPrint(t *testing.T, text string, target func(t *testing.T) string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "script.lua")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o666))
	s := pureScript(t)
	s.SetGlobal("arg", s.CreateTable(1, 0))
	s.GetGlobal("arg").(*glua.LTable).Append(glua.LString(target(t)))
	got := s.runFile(t, file)
	want, err := oracle(t, file, target(t))
	require.NoError(t, err)
	require.Equal(t, want, got)
	return want
}

// LuaSocket's own socket.lua runs on this library's socket.core.
func TestScriptsWithLuaSocketsOwnFile(t *testing.T) {
	for _, name := range scripts(t) {
		t.Run(filepath.Base(name), func(t *testing.T) {
			needs(t, name)
			want, err := os.ReadFile(name + ".out")
			require.NoError(t, err)
			s := pureScript(t)
			require.NoError(t, s.DoString(`package.preload.socket = nil`))
			require.Equal(t, string(want), s.runFile(t, name+".lua"))
			require.Contains(t, s.run(t, `print(debug.getinfo(require "socket".bind, "S").source)`), pure)
		})
	}
}

func TestFiltersAndURLs(t *testing.T) {
	text, err := os.ReadFile("testdata/pure/pipeline.lua")
	require.NoError(t, err)
	require.Greater(t, len(bothPrint(t, string(text), func(*testing.T) string { return "" })), 1000)
}

func TestHTTP(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /hello", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", "none")
		fmt.Fprintf(w, "hello from %s", r.UserAgent()[:9])
	})
	mux.HandleFunc("GET /chunks", func(w http.ResponseWriter, _ *http.Request) {
		for i := range 20 {
			fmt.Fprintf(w, "chunk %d %s\n", i, strings.Repeat("x", 1000))
			w.(http.Flusher).Flush()
		}
	})
	mux.Handle("GET /moved", http.RedirectHandler("/hello", http.StatusFound))
	mux.HandleFunc("GET /close", func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		require.NoError(t, err)
		io.WriteString(conn, "HTTP/1.0 200 OK\r\n\r\nup to the end")
		conn.Close()
	})
	mux.HandleFunc("POST /echo", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		user, password, _ := r.BasicAuth()
		fmt.Fprintf(w, "%s:%s %d %s", user, password, len(body), body)
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	out := bothPrint(t, `
		local http, ltn12, say = require "socket.http", require "ltn12", require "say"
		local base = arg[1]
		local function get(path)
			local body, code, headers, status = http.request(base .. path)
			say(path, body, code, headers and headers["content-length"], status)
		end
		get "/hello"
		get "/chunks"
		get "/moved"
		get "/close"
		get "/nothing"
		say("post", http.request(base:gsub("//", "//user:pass@") .. "/echo", ("y"):rep(10000)))
		local out = {}
		say("generic", http.request {
			method = "POST", url = base .. "/echo", source = ltn12.source.string(("z"):rep(5000)),
			headers = { ["content-length"] = 5000, expect = "100-continue" }, sink = ltn12.sink.table(out),
		} == 1)
		say("body", table.concat(out))
		http.TIMEOUT = 5
		say("refused", http.request("http://127.0.0.1:1/"))
		say("no host", http.request("http:///"))
	`, func(*testing.T) string { return server.URL })
	require.Contains(t, out, "hello from")
}

// Coroutines make requests with socket.http, on a scheduler of a few lines. They yield
// between socket.http's protect and try.
func TestHTTPInCoroutines(t *testing.T) {
	const clients = 10
	arrived := make(chan struct{}, clients)
	all := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-all // wait for all requests, so that no answer comes before the last request
		io.WriteString(w, "answer to "+r.URL.Path)
	}))
	defer server.Close()
	go func() {
		for range clients {
			<-arrived
		}
		close(all)
	}()
	s := pureScript(t)
	s.SetGlobal("base", glua.LString(server.URL))
	s.SetGlobal("clients", glua.LNumber(clients))
	out := s.run(t, `
		local socket, http, ltn12 = require "socket", require "socket.http", require "ltn12"
		local methods = {}
		local function create()
			local s = socket.tcp()
			s:settimeout(0)
			return setmetatable({ s = s }, { __index = function(_, name)
				return methods[name] or function(self, ...) return self.s[name](self.s, ...) end
			end })
		end
		function methods:settimeout() return 1 end
		function methods:connect(host, port)
			local ok, problem = self.s:connect(host, port)
			if problem == "timeout" then coroutine.yield("write", self.s) ok = 1 end
			return ok, problem
		end
		function methods:send(data, i, j)
			local sent, problem, last = self.s:send(data, i, j)
			while problem == "timeout" do
				coroutine.yield("write", self.s)
				sent, problem, last = self.s:send(data, last + 1, j)
			end
			return sent, problem, last
		end
		function methods:receive(pattern, part)
			local data, problem
			repeat
				data, problem, part = self.s:receive(pattern, part)
				if problem ~= "timeout" then return data, problem, part end
				coroutine.yield("read", self.s)
			until false
		end
		local reading, writing, answers = {}, {}, {}
		local function step(co)
			local ok, kind, s = coroutine.resume(co)
			assert(ok, kind)
			if kind == "read" then reading[s] = co elseif kind == "write" then writing[s] = co end
		end
		for i = 1, clients do
			step(coroutine.create(function()
				local out = {}
				local ok, code = http.request { url = base .. "/" .. i, sink = ltn12.sink.table(out), create = create }
				answers[i] = tostring(code) .. " " .. table.concat(out)
			end))
		end
		while next(reading) or next(writing) do
			local r, w = {}, {}
			for s in pairs(reading) do r[#r + 1] = s end
			for s in pairs(writing) do w[#w + 1] = s end
			r, w = socket.select(r, w, 10)
			assert(#r + #w > 0, "timeout")
			for _, s in ipairs(w) do local co = writing[s] writing[s] = nil step(co) end
			for _, s in ipairs(r) do local co = reading[s] reading[s] = nil step(co) end
		end
		for _, a in ipairs(answers) do print(a) end
	`)
	var want []string
	for i := range clients {
		want = append(want, fmt.Sprintf("200 answer to /%d\n", i+1))
	}
	require.Equal(t, strings.Join(want, ""), out)
}

// A dialogue is a server that answers each line, and records it.
type dialogue struct {
	net.Listener
	mu    sync.Mutex
	lines []string
	wg    sync.WaitGroup
}

func newDialogue(t *testing.T, serve func(d *dialogue, c net.Conn, in *bufio.Reader)) *dialogue {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	d := &dialogue{Listener: l}
	d.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.SetDeadline(time.Now().Add(patience))
			serve(d, c, bufio.NewReader(c))
			c.Close()
		}
	})
	t.Cleanup(func() { l.Close(); d.wg.Wait() })
	return d
}

func (d *dialogue) heard(line string) {
	d.mu.Lock()
	d.lines = append(d.lines, line)
	d.mu.Unlock()
}

func (d *dialogue) all() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.lines)
}

func serveSMTP(d *dialogue, c net.Conn, in *bufio.Reader) {
	io.WriteString(c, "220 test ready\r\n")
	data := false
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		d.heard(line)
		switch {
		case data && line != ".\r\n":
			continue
		case data:
			data = false
			io.WriteString(c, "250 queued\r\n")
		case strings.HasPrefix(line, "EHLO"):
			io.WriteString(c, "250-test\r\n250-AUTH PLAIN\r\n250 SIZE\r\n")
		case strings.HasPrefix(line, "DATA"):
			data = true
			io.WriteString(c, "354 go on\r\n")
		case strings.HasPrefix(line, "RCPT TO:<refused"):
			io.WriteString(c, "550 not here\r\n")
		case strings.HasPrefix(line, "QUIT"):
			io.WriteString(c, "221 bye\r\n")
			return
		default:
			io.WriteString(c, "250 ok\r\n")
		}
	}
}

// boundary matches the boundary that smtp.lua makes of the clock. smtp.lua uses a
// format that gopher-lua lacks.
var boundary = regexp.MustCompile(`\d{10,}==(\d+|%!u\(int64=\d+\))`)

func TestSMTP(t *testing.T) {
	var servers []*dialogue
	bothPrint(t, `
		local smtp, mime, ltn12, say = require "socket.smtp", require "mime", require "ltn12", require "say"
		local message = smtp.message {
			headers = { to = "<to@example.org>", subject = "test", date = "none" },
			body = { preamble = "Preamble.",
				{ headers = { ["content-type"] = "text/plain" }, body = mime.eol(0, "first\n.dot\n..dots\n") },
				{ headers = { ["content-transfer-encoding"] = "base64" },
				  body = ltn12.source.chain(ltn12.source.string(("\1\2\3\4"):rep(500)),
					ltn12.filter.chain(mime.encode("base64"), mime.wrap())) } } }
		say("send", smtp.send { from = "<from@example.org>", rcpt = { "<to@example.org>", "<cc@example.org>" },
			source = message, server = "127.0.0.1", port = arg[1], domain = "client.example", user = "user", password = "pass" })
		say("refused", smtp.send { from = "<from@example.org>", rcpt = "<refused@example.org>", source = ltn12.source.empty(),
			server = "127.0.0.1", port = arg[1], domain = "client.example" })
	`, func(t *testing.T) string {
		servers = append(servers, newDialogue(t, serveSMTP))
		_, port, err := net.SplitHostPort(servers[len(servers)-1].Addr().String())
		require.NoError(t, err)
		return port
	})
	require.Len(t, servers, 2)
	got, want := servers[0].all(), servers[1].all()
	for _, lines := range [][]string{got, want} {
		for i, line := range lines {
			lines[i] = boundary.ReplaceAllString(line, "boundary")
			if strings.HasPrefix(line, "X-Mailer:") { // the versions differ
				lines[i] = ""
			}
		}
		slices.Sort(lines) // headers have the random order of a table
	}
	require.Equal(t, want, got)
	require.Contains(t, got, "...dots\r\n")
	require.Contains(t, got, "AUTH PLAIN AHVzZXIAcGFzcw==\r\n")
}

func serveFTP(d *dialogue, c net.Conn, in *bufio.Reader) {
	io.WriteString(c, "220 test ready\r\n")
	var passive net.Listener
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimSpace(line)
		d.heard(line) // record the line before the client continues
		command, _, _ := strings.Cut(line, " ")
		switch strings.ToUpper(command) {
		case "USER":
			io.WriteString(c, "331 password\r\n")
		case "PASS":
			io.WriteString(c, "230 welcome\r\n")
		case "EPSV":
			if passive, err = net.Listen("tcp4", "127.0.0.1:0"); err != nil {
				return
			}
			fmt.Fprintf(c, "229 Entering Extended Passive Mode (|||%d|)\r\n", passive.Addr().(*net.TCPAddr).Port)
		case "RETR", "STOR":
			io.WriteString(c, "150 coming\r\n")
			data, err := passive.Accept()
			passive.Close()
			if err != nil {
				return
			}
			data.SetDeadline(time.Now().Add(patience))
			if command == "RETR" {
				io.WriteString(data, strings.Repeat("contents\n", 1000))
			} else {
				stored, _ := io.ReadAll(data)
				d.heard(fmt.Sprintf("%d bytes", len(stored)))
			}
			data.Close()
			io.WriteString(c, "226 done\r\n")
		case "QUIT":
			io.WriteString(c, "221 bye\r\n")
			return
		default:
			io.WriteString(c, "200 ok\r\n")
		}
	}
}

func TestFTP(t *testing.T) {
	var servers []*dialogue
	bothPrint(t, `
		local ftp, say = require "socket.ftp", require "say"
		local base = "ftp://user:pass@127.0.0.1:" .. arg[1]
		local got, problem = ftp.get(base .. "/dir/file;type=i")
		say("get", got and #got, problem)
		say("put", ftp.put(base .. "/dir/new;type=a", ("text\n"):rep(3000)))
	`, func(t *testing.T) string {
		servers = append(servers, newDialogue(t, serveFTP))
		_, port, err := net.SplitHostPort(servers[len(servers)-1].Addr().String())
		require.NoError(t, err)
		return port
	})
	require.Equal(t, servers[1].all(), servers[0].all())
	require.Contains(t, servers[0].all(), "15000 bytes")
}

// Copas is a scheduler for LuaSocket, and runs unmodified. Lua 5.1 with LuaSocket in C
// printed the output that the test wants.
func TestCopas(t *testing.T) {
	if _, err := os.Stat(filepath.Join(pure, "copas.lua")); err != nil {
		if os.Getenv("CI") == "true" {
			require.NoError(t, err)
		}
		t.Skip("copas (Debian's lua-copas) is not installed")
	}
	want, err := os.ReadFile("testdata/copas/copas.out")
	require.NoError(t, err)
	for _, inContext := range []bool{false, true} {
		s := pureScript(t)
		if inContext {
			s.SetContext(t.Context())
		}
		require.Equal(t, string(want), s.runFile(t, "testdata/copas/copas.lua"))
	}
}
