package lisp

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/seed-2334f180/weir/interp/builtins"
)

var systemChapter = chapter{
	title: "Programs and the system",
	definitions: append(helpChapter[:len(helpChapter):len(helpChapter)], []definition{
		{"(print VALUE)", "prints a value and a newline, and returns the value. The reader reads the printed text as an equal value.", f1(func(t *Thread, v Value) (Value, error) { return v, t.print(Print(v) + "\n") })},
		{"(princ VALUE)", "prints a value and returns it. It prints a string without quotes.", f1(func(t *Thread, v Value) (Value, error) { return v, t.print(textOf(v, false)) })},
		{"(prin1-to-string VALUE)", "returns the text that print prints, without the newline.", f1(func(_ *Thread, v Value) (Value, error) { return Print(v), nil })},
		{"(read-from-string S)", "reads the first form of a text and returns it without evaluating it.", f1(readFromString)},
		{"(eval VALUE)", "evaluates a form. The form sees no local variables.", f1(evalValue)},
		{"(macroexpand FORM)", "expands the macro that a form uses, until the form uses no macro, and returns the form.", f1(macroexpand)},
		{"(load PATH)", "evaluates the forms of a file and returns the last value. The file may have up to 16 MiB.", f1(load)},
		{"(require NAME)", "loads a file that has not been loaded by require: NAME is a path, or a symbol, for a file NAME.lisp. A path that is not absolute begins at the directory of the file that has the call. It returns t if it loaded the file.", f1(require)},
		{"(exit [STATUS])", "ends the program with a status from 0 to 255. In a thread it ends only the thread.", f1(exit).with(1)},
		{"(getenv NAME)", "returns a variable of the process's environment, or nil.", f1(getenv)},
		{"(delete-file PATH)", "removes a file, for example the path of a unix socket. It returns t, or nil if there is no such file.", f1(deleteFile)},
		{"(file-exists-p PATH)", "returns t if there is a file or directory at PATH.", f1(func(_ *Thread, path string) (Value, error) { _, err := os.Stat(path); return truth(err == nil), nil })},
	}...),
}

var timeChapter = chapter{
	title: "Time",
	definitions: []definition{
		{"(sleep MILLISECONDS)", "waits for a time. It returns nil.", f1(sleep)},
		{"(float-time)", "returns the seconds since 1970, as a float with microseconds.", entry{0, 0, func(*Thread, []Value) (Value, error) { return float64(time.Now().UnixMicro()) / 1e6, nil }}},
		{"(current-time-string)", "returns the date and time, as in Mon Jan  2 15:04:05 2006.", entry{0, 0, func(*Thread, []Value) (Value, error) { return time.Now().Format(time.ANSIC), nil }}},
		{"(format-time FORMAT [SECONDS [ZONE]])", "returns the time, or that of so many seconds since 1970, by a format as of strftime: %Y-%m-%d %H:%M:%S and %a %A %b %B %d %D %e %F %h %I %j %k %l %M %n %p %R %s %T %u %w %y %z %Z %%. The zone is the local one, or that of a name such as \"UTC\".", f3(formatTime).with(2)},
		{"(decode-time [SECONDS [ZONE]])", "returns the list (SECOND MINUTE HOUR DAY MONTH YEAR WEEKDAY OFFSET) of a time. Sunday is 0; the offset is that of the zone, in seconds.", f2(decodeTime).with(2)},
	},
}

var errorChapter = chapter{
	title: "Errors",
	intro: "An error ends what is evaluated, up to a catch-error or condition-case. One that nothing handles is printed with a backtrace: the file and line of each call in progress.",
	definitions: []definition{
		{"(error TEXT VALUE ...)", "raises an error. format makes the message of the arguments.", entry{1, -1, func(_ *Thread, args []Value) (Value, error) {
			message, err := format(args)
			if err != nil {
				return nil, err
			}
			return nil, &Error{Msg: message.(string)}
		}}},
		{"(signal CONDITION DATA)", "raises an error that condition-case handles by the symbol CONDITION.", f2(signal)},
		{"(error-backtrace)", "returns where the error was that this thread has handled last. It is a list of lists (FUNCTION FILE LINE), the innermost first. The first is the form that failed, and its FUNCTION is nil. Each other is a call in progress: FUNCTION was called at FILE and LINE.", entry{0, 0, errorBacktrace}},
		{"(throw TAG VALUE)", "ends the innermost catch of TAG, which returns VALUE.", f2(throw)},
	},
}

// print prints a text to the interpreter's standard output.
func (t *Thread) print(text string) error { return t.in.print(t.in.opts.Stdout, text) }

func readFromString(t *Thread, text string) (Value, error) {
	form, _, err := newReader(t.in, "", text).next()
	return form, err
}

func macroexpand(t *Thread, form Value) (Value, error) {
	for range maxNesting {
		l, ok := form.(*List)
		if !ok {
			return form, nil
		}
		s, ok := l.head.(*Symbol)
		if !ok {
			return form, nil
		}
		v, _ := t.global(s)
		m, ok := v.(*Macro)
		if !ok {
			return form, nil
		}
		var err error
		if form, err = m.expand(t, l.tail); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("more than %d expansions", maxNesting)
}

// require loads a file once. A thread that asks for a file that another is
// loading does not wait.
func require(t *Thread, v Value) (Value, error) {
	var path string
	switch v := v.(type) {
	case string:
		path = v
	case *Symbol:
		path = v.name + ".lisp"
	default:
		return nil, wanted("a path, or a file's name as a symbol", v)
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(t.directory, path)
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if _, known := t.in.required.LoadOrStore(path, true); known {
		return nil, nil
	}
	if _, err := load(t, path); err != nil {
		t.in.required.Delete(path)
		return nil, err
	}
	return T, nil
}

func getenv(_ *Thread, name string) (Value, error) {
	if v, ok := os.LookupEnv(name); ok {
		return v, nil
	}
	return nil, nil
}

// evalValue evaluates a form as if it were at top level.
func evalValue(t *Thread, form Value) (Value, error) {
	if err := t.enter(); err != nil {
		return nil, err
	}
	defer func() { t.depth-- }()
	return t.evalForm(form, nil)
}

// print writes a text as a whole: the output of other threads does not mix with it.
func (in *Interp) print(w io.Writer, text string) error {
	in.out.Lock()
	defer in.out.Unlock()
	_, err := io.WriteString(w, text)
	return err
}

func load(t *Thread, path string) (Value, error) {
	if err := t.enter(); err != nil {
		return nil, err
	}
	defer func() { t.depth-- }()
	return t.load(path)
}

// deleteFile removes a file, such as an old unix socket. It returns t if the file
// existed.
func deleteFile(_ *Thread, path string) (Value, error) {
	err := os.Remove(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return truth(err == nil), err
}

func exit(_ *Thread, v Value) (Value, error) {
	if v == nil {
		return nil, &Exit{}
	}
	code, err := within(v, 0, 255)
	if err != nil {
		return nil, err
	}
	return nil, &Exit{code}
}

func sleep(t *Thread, v Value) (Value, error) {
	d, err := milliseconds(v)
	if err != nil {
		return nil, err
	}
	if builtins.Sleep(t.ctx, d) != nil {
		return nil, t.check()
	}
	return nil, nil
}

// milliseconds converts a number of milliseconds to a Duration, rounded up to the
// nanosecond.
func milliseconds(v Value) (time.Duration, error) {
	f, err := toFloat(v)
	if err == nil {
		if d, ok := builtins.Duration(f.(float64), time.Millisecond); ok {
			return d, nil
		}
	}
	return 0, wanted("a number of milliseconds", v)
}
