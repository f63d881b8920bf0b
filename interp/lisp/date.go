package lisp

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// moment converts seconds since 1970 to a time in a zone. If seconds is nil it takes
// the present time; if zone is nil it takes the local zone.
func moment(seconds, zone Value) (time.Time, error) {
	at := time.Now()
	if seconds != nil {
		f, err := toFloat(seconds)
		if err != nil {
			return at, err
		}
		whole, fraction := math.Modf(f.(float64))
		if !(math.Abs(whole) < 1e11) {
			return at, wanted("a time in seconds since 1970", seconds)
		}
		at = time.Unix(int64(whole), int64(fraction*1e9))
	}
	if zone == nil {
		return at.Local(), nil
	}
	name, err := arg[string](zone)
	if err != nil {
		return at, err
	}
	if name == "" {
		return at, errors.New("a zone has a name")
	}
	place, err := time.LoadLocation(name)
	if err != nil {
		return at, err
	}
	return at.In(place), nil
}

// layouts are the directives of strftime that Go formats.
var layouts = map[byte]string{
	'a': "Mon", 'A': "Monday", 'b': "Jan", 'B': "January", 'h': "Jan", 'd': "02", 'D': "01/02/06", 'e': "_2", 'F': "2006-01-02",
	'H': "15", 'I': "03", 'j': "002", 'm': "01", 'M': "04", 'p': "PM", 'R': "15:04", 'S': "05", 'T': "15:04:05",
	'y': "06", 'Y': "2006", 'z': "-0700", 'Z': "MST",
}

func formatTime(_ *Thread, format string, seconds, zone Value) (Value, error) {
	at, err := moment(seconds, zone)
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' {
			b.WriteByte(format[i])
			continue
		}
		if i++; i == len(format) {
			return nil, errors.New("the format ends in a %")
		}
		switch c := format[i]; {
		case layouts[c] != "":
			b.WriteString(at.Format(layouts[c]))
		case c == 'k':
			fmt.Fprintf(&b, "%2d", at.Hour())
		case c == 'l':
			fmt.Fprintf(&b, "%2d", (at.Hour()+11)%12+1)
		case c == 's':
			b.WriteString(strconv.FormatInt(at.Unix(), 10))
		case c == 'u':
			b.WriteString(strconv.Itoa((int(at.Weekday())+6)%7 + 1))
		case c == 'w':
			b.WriteString(strconv.Itoa(int(at.Weekday())))
		case c == 'n':
			b.WriteByte('\n')
		case c == '%':
			b.WriteByte('%')
		default:
			return nil, wanted("a directive of strftime", "%"+string(rune(c)))
		}
	}
	return b.String(), nil
}

func decodeTime(_ *Thread, seconds, zone Value) (Value, error) {
	at, err := moment(seconds, zone)
	if err != nil {
		return nil, err
	}
	_, offset := at.Zone()
	return FromGo([]int{at.Second(), at.Minute(), at.Hour(), at.Day(), int(at.Month()), at.Year(), int(at.Weekday()), offset})
}
