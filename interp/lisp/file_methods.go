package lisp

import (
	"bytes"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

var fileMethods = methodSet{
	class: "file",
	intro: "An object is a file, pipe or terminal. select takes files and sockets. A method that fails returns nil and sets *lastsocketerror*.",
	methods: []definition{
		{"(constructor SELF PATH [MODE])", "opens a file. The modes are those of fopen(3): r, r+, w, w+, a, a+. Without MODE it is r. make-instance calls it, and the constructor of a child of file should call it. A fifo is opened without waiting for its other end.", entry{3, 3, constructFile}.with(1)},
		{"(destructor SELF)", "closes the file. destroy-instance calls it.", f1(closeObject)},
		{"(close FILE)", "closes the file and returns t. destroy-instance closes it, too.", f1(closeObject)},
		{"(fileno FILE)", "returns the number of the descriptor, or -1 if the file is closed.", f1(func(_ *Thread, o *Object) (Value, error) { return int64(o.fd()), nil })},
		{"(eof FILE)", "returns t if the end was reached and the input buffer is empty, or if the file is closed.", f1(fileEOF)},
		{"(fread FILE BINARY [LENGTH])", "reads into a binary and returns the number of bytes, or nil at the end. It takes the bytes of the input buffer first.", f3(fileFread).with(1)},
		{"(fwrite FILE BINARY [LENGTH])", "writes a binary, or its first LENGTH bytes, and returns the number of bytes.", f3(fileFwrite).with(1)},
		{"(read-char FILE)", "reads a character and returns its number, or EOF at the end.", f1(fileReadChar)},
		{"(read-string FILE)", "returns the text in the input buffer. If the buffer is empty, it returns the text that one read(2) gives, or nil at the end.", f1(fileReadString)},
		{"(read-line FILE)", "reads a line and returns it without the newline and a carriage return before that. At the end it returns nil. A line of more than 2^28 bytes is an error.", f1(fileReadLine)},
		{"(unread-char FILE)", "pushes back the character that read-char has returned last.", f1(func(_ *Thread, o *Object) (Value, error) { o.file.setBack(true); return nil, nil })},
		{"(char-in-buffer FILE [FLAG])", "returns t if a character is pushed back. If FLAG is true, it then pushes back the character that read-char has returned last.", entry{1, 2, fileCharInBuffer}},
		{"(clear-input FILE)", "empties the input buffer.", f1(func(_ *Thread, o *Object) (Value, error) { o.file.clear(); return nil, nil })},
		{"(write-char FILE N)", "writes the character with the number N, and returns N.", f2(fileWriteChar)},
		{"(write-string FILE STRING)", "writes a string, and returns it.", f2(func(t *Thread, o *Object, s string) (Value, error) { return fileWrite(t, o, s, s) })},
		{"(write-line FILE STRING)", "writes a string and a newline, and returns the string.", f2(func(t *Thread, o *Object, s string) (Value, error) { return fileWrite(t, o, s+"\n", s) })},
		{"(seek FILE OFFSET)", "sets the place of the next read or write to OFFSET bytes from the beginning. It returns t.", f2(fileSeek)},
	},
}

func closeObject(_ *Thread, o *Object) (Value, error) {
	o.close()
	return T, nil
}

func fileEOF(_ *Thread, o *Object) (Value, error) {
	s := o.file
	s.mu.Lock()
	defer s.mu.Unlock()
	return truth(s.closed || s.atEnd && len(s.input) == 0 && !s.back), nil
}

func fileFread(t *Thread, o *Object, b *Binary, v Value) (Value, error) {
	length, err := b.upTo(v)
	if err != nil {
		return nil, err
	}
	release, err := t.take(o.file)
	if err != nil {
		return t.failed(err)
	}
	defer release()
	n, err := b.fill(func(data []byte) (int, error) {
		if o.file.buffered() == 0 {
			return t.read(o.file, data[:length])
		}
		ahead, err := t.ahead(o.file, false)
		n := copy(data[:length], ahead)
		o.file.consume(n)
		return n, err
	})
	if err != nil {
		return t.failed(err)
	}
	return int64(n), nil
}

func fileFwrite(t *Thread, o *Object, b *Binary, v Value) (Value, error) {
	length, err := b.upTo(v)
	if err != nil {
		return nil, err
	}
	n, err := b.send(func(data []byte) (int, error) { return t.write(o.file, data[:length]) })
	if err != nil {
		if v, err := t.failed(err); err != nil || n == 0 {
			return v, err
		}
	}
	return int64(n), nil
}

func fileReadChar(t *Thread, o *Object) (Value, error) {
	release, err := t.take(o.file)
	if err != nil {
		return t.failed(err)
	}
	defer release()
	for more := false; ; more = true {
		ahead, err := t.ahead(o.file, more)
		if err == io.EOF && len(ahead) == 0 {
			return EOF, nil
		}
		if err != nil && err != io.EOF {
			return t.failed(err)
		}
		if !utf8.FullRune(ahead) && err != io.EOF {
			continue
		}
		c, size := utf8.DecodeRune(ahead)
		o.file.consume(size)
		if c == utf8.RuneError && size == 1 {
			return t.failed(&os.PathError{Op: "read-char", Err: unix.EILSEQ})
		}
		o.file.remember(c)
		return int64(c), nil
	}
}

func (s *fileStream) remember(c rune) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = c
}

func (s *fileStream) setBack(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.back = on && s.last >= 0 && !s.closed
}

func (s *fileStream) clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.input, s.back, s.last = nil, false, -1
}

func fileCharInBuffer(_ *Thread, args []Value) (Value, error) {
	o, err := arg[*Object](args[0])
	if err != nil {
		return nil, err
	}
	o.file.mu.Lock()
	was := o.file.back
	o.file.mu.Unlock()
	if len(args) == 2 {
		o.file.setBack(args[1] != nil)
	}
	return truth(was), nil
}

func fileReadString(t *Thread, o *Object) (Value, error) {
	release, err := t.take(o.file)
	if err != nil {
		return t.failed(err)
	}
	defer release()
	ahead, err := t.ahead(o.file, false)
	if err != nil {
		return t.failed(err)
	}
	o.file.consume(len(ahead))
	return string(ahead), nil
}

func fileReadLine(t *Thread, o *Object) (Value, error) {
	release, err := t.take(o.file)
	if err != nil {
		return t.failed(err)
	}
	defer release()
	for seen := 0; ; {
		ahead, err := t.ahead(o.file, seen > 0)
		if err != nil && err != io.EOF {
			return t.failed(err)
		}
		if i := bytes.IndexByte(ahead[seen:], '\n'); i >= 0 {
			o.file.consume(seen + i + 1)
			return strings.TrimSuffix(string(ahead[:seen+i]), "\r"), nil
		}
		if err == io.EOF {
			if len(ahead) == 0 {
				return nil, nil
			}
			o.file.consume(len(ahead))
			return string(ahead), nil
		}
		if seen = len(ahead); seen > maxBytes {
			return nil, errTooLong
		}
	}
}

func fileWriteChar(t *Thread, o *Object, v Value) (Value, error) {
	c, err := charToString(t, v)
	if err != nil {
		return nil, err
	}
	return fileWrite(t, o, c.(string), v)
}

func fileWrite(t *Thread, o *Object, text string, result Value) (Value, error) {
	if _, err := t.write(o.file, []byte(text)); err != nil {
		return t.failed(err)
	}
	return result, nil
}

func fileSeek(t *Thread, o *Object, offset int64) (Value, error) {
	if o.file.file == nil {
		return t.failed(errClosedFile)
	}
	if _, err := o.file.file.Seek(offset, io.SeekStart); err != nil {
		return t.failed(err)
	}
	o.file.mu.Lock()
	defer o.file.mu.Unlock()
	o.file.input, o.file.back, o.file.atEnd = nil, false, false
	return T, nil
}
