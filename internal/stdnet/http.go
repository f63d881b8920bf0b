package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// An overlay makes the go command take files from other places: go help build, -overlay.
type overlay struct {
	Replace map[string]string
	work    string
}

// put adds a file with the given text to the overlay.
func (o *overlay) put(path string, text []byte) error {
	own := filepath.Join(o.work, fmt.Sprintf("%d_%s", len(o.Replace), filepath.Base(path)))
	o.Replace[path] = own
	return os.WriteFile(own, text, 0o644)
}

// write writes the list of the files, and returns its name.
func (o *overlay) write() (string, error) {
	list, err := json.Marshal(o)
	if err != nil {
		return "", err
	}
	path := filepath.Join(o.work, "overlay.json")
	return path, os.WriteFile(path, list, 0o644)
}

// buildHTTP compiles the tests of net/http over Weir. An overlay puts Weir into the
// standard library, as package weir/net, and makes net/http and httptest import it
// in net's place, their tests too. So every listener and every connection of
// net/http is Weir's, and no test is changed but for its import.
//
// With parked, every plain server of the tests is served by Weir's package httpd, which
// parks a connection that has been idle for a tenth of a millisecond.
func buildHTTP(goroot, work, binary string, race, parked bool) error {
	o := &overlay{make(map[string]string), work}
	if err := o.addWeir(goroot, race); err != nil {
		return err
	}
	importOfNet := regexp.MustCompile(`(?m)^\t"net"$`)
	for _, dir := range []string{"net/http", "net/http/httptest"} {
		files, err := filepath.Glob(filepath.Join(goroot, "src", dir, "*.go"))
		if err != nil {
			return err
		}
		for _, path := range files {
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			changed := importOfNet.ReplaceAll(text, []byte("\tnet \"weir/net\""))
			if parked && dir == "net/http" && filepath.Base(path) == "server.go" {
				changed = bytes.Replace(changed, []byte("\n\torigListener := l\n"), []byte(parkingServe), 1)
				changed = append(changed, parkingHook...)
			}
			if filepath.Base(path) == "main_test.go" {
				changed = bytes.Replace(changed, []byte("if stack == \"\" ||"), []byte(loopsStay), 1)
			}
			if !bytes.Equal(text, changed) {
				if err := o.put(path, changed); err != nil {
					return err
				}
			}
		}
	}
	if parked {
		if err := o.put(filepath.Join(goroot, "src/net/http/weir_test.go"), []byte(parkingTest)); err != nil {
			return err
		}
	}
	list, err := o.write()
	if err != nil {
		return err
	}
	args := []string{"test", "-c", "-vet=off", "-overlay", list, "-o", binary}
	if race {
		args = append(args, "-race")
	}
	cmd := exec.Command(filepath.Join(goroot, "bin", "go"), append(args, "net/http")...)
	cmd.Dir = filepath.Join(goroot, "src")
	// An overlay must not replace files of the module cache, which may have the
	// toolchain. The standard library needs no module.
	cmd.Env = append(os.Environ(), "GOTOOLCHAIN=local", "GOMODCACHE="+filepath.Join(work, "modules"))
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("building the tests of net/http: %w", err)
	}
	return nil
}

// loopsStay begins net/http's list of goroutines that may be left at the end: the
// default group of loops lasts as long as the program.
const loopsStay = `if stack == "" || strings.Contains(stack, "created by weir/loop.New") ||`

// parkingServe and parkingHook have Server.Serve serve another listener, and parkingTest
// makes it the one of package httpd.
const (
	parkingServe = `
	if WeirListener != nil {
		l = WeirListener(s, l)
	}
	origListener := l
`
	parkingHook = `
var WeirListener func(*Server, net.Listener) net.Listener
`
	parkingTest = `package http_test

import (
	"fmt"
	"net"
	"net/http"
	"weir/net/httpd"
)

func init() {
	http.WeirListener = func(s *http.Server, l net.Listener) net.Listener {
		if t := fmt.Sprintf("%T", l); t != "*net.TCPListener" && t != "*net.UnixListener" {
			return l
		}
		return httpd.NewListener(s, l)
	}
}
`
)

// shortLinger replaces the time that connections linger before they are parked.
var shortLinger = regexp.MustCompile(`(shortestLinger|longestLinger)(\s*)= \d+ \* time.Millisecond`)

// addWeir puts the packages that Weir's net needs below weir in the standard
// library.
func (o *overlay) addWeir(goroot string, race bool) error {
	args := []string{"list", "-deps", "-json=ImportPath,Dir,GoFiles,Standard"}
	if race {
		args = append(args, "-race") // some files belong only to race builds
	}
	list := exec.Command("go", append(args, "./net", "./net/httpd")...)
	list.Stderr = os.Stderr
	out, err := list.Output()
	if err != nil {
		return fmt.Errorf("go list: %w", err)
	}
	const sys = "golang.org/x/sys/unix"
	rename := strings.NewReplacer(module+"/", "weir/", sys, "weir/sys/unix")
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct {
			ImportPath, Dir string
			GoFiles         []string
			Standard        bool
		}
		if err := d.Decode(&p); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if p.Standard {
			continue
		}
		for _, name := range p.GoFiles {
			text, err := os.ReadFile(filepath.Join(p.Dir, name))
			if err != nil {
				return err
			}
			if stub, ok := withoutAssembly[name]; ok && p.ImportPath == sys {
				text = []byte(stub)
			}
			text = shortLinger.ReplaceAll(text, []byte("${1}${2}= 100 * time.Microsecond"))
			path := filepath.Join(goroot, "src", filepath.FromSlash(rename.Replace(p.ImportPath)), name)
			if err := o.put(path, []byte(rename.Replace(string(text)))); err != nil {
				return err
			}
		}
	}
}

// withoutAssembly has substitutes for files of golang.org/x/sys/unix whose functions are
// in assembly, because an overlay cannot add assembly. They call package syscall.
var withoutAssembly = map[string]string{
	"syscall_unix_gc.go": `package unix

import "syscall"

func Syscall(trap, a1, a2, a3 uintptr) (r1, r2 uintptr, err syscall.Errno) {
	return syscall.Syscall(trap, a1, a2, a3)
}

func Syscall6(trap, a1, a2, a3, a4, a5, a6 uintptr) (r1, r2 uintptr, err syscall.Errno) {
	return syscall.Syscall6(trap, a1, a2, a3, a4, a5, a6)
}

func RawSyscall(trap, a1, a2, a3 uintptr) (r1, r2 uintptr, err syscall.Errno) {
	return syscall.RawSyscall(trap, a1, a2, a3)
}

func RawSyscall6(trap, a1, a2, a3, a4, a5, a6 uintptr) (r1, r2 uintptr, err syscall.Errno) {
	return syscall.RawSyscall6(trap, a1, a2, a3, a4, a5, a6)
}
`,
	"syscall_linux_gc.go": `package unix

import "syscall"

func SyscallNoError(trap, a1, a2, a3 uintptr) (r1, r2 uintptr) {
	r1, r2, _ = syscall.Syscall(trap, a1, a2, a3)
	return r1, r2
}

func RawSyscallNoError(trap, a1, a2, a3 uintptr) (r1, r2 uintptr) {
	r1, r2, _ = syscall.RawSyscall(trap, a1, a2, a3)
	return r1, r2
}
`,
	"syscall_linux_amd64_gc.go": `package unix

import (
	"syscall"
	"unsafe"
)

func gettimeofday(t *Timeval) (err syscall.Errno) {
	_, _, err = syscall.RawSyscall(syscall.SYS_GETTIMEOFDAY, uintptr(unsafe.Pointer(t)), 0, 0)
	return err
}
`,
}
