package lua

import (
	"fmt"
	"strings"
	"time"

	glua "github.com/yuin/gopher-lua"
)

// date is os.date, with the directives of C99's strftime in the locale "C".
func date(L *glua.LState) int {
	layout := optString(L, 1, "%c")
	t := time.Now()
	if L.Get(2) != glua.LNil {
		t = time.Unix(int64(checkNumber(L, 2)), 0)
	}
	layout, utc := strings.CutPrefix(layout, "!")
	if utc {
		t = t.UTC()
	}
	if strings.HasPrefix(layout, "*t") {
		L.Push(dateTable(L, t))
		return 1
	}
	L.Push(glua.LString(strftime(t, layout)))
	return 1
}

func dateTable(L *glua.LState, t time.Time) *glua.LTable {
	fields := L.CreateTable(0, 9)
	for name, value := range map[string]int{
		"year": t.Year(), "month": int(t.Month()), "day": t.Day(),
		"hour": t.Hour(), "min": t.Minute(), "sec": t.Second(),
		"wday": int(t.Weekday()) + 1, "yday": t.YearDay(),
	} {
		fields.RawSetString(name, glua.LNumber(value))
	}
	fields.RawSetString("isdst", glua.LBool(t.IsDST()))
	return fields
}

// goLayouts are the directives that Go's package time can format.
var goLayouts = map[byte]string{
	'a': "Mon", 'A': "Monday", 'b': "Jan", 'B': "January", 'c': "Mon Jan _2 15:04:05 2006",
	'd': "02", 'D': "01/02/06", 'e': "_2", 'F': "2006-01-02", 'h': "Jan", 'H': "15", 'I': "03",
	'm': "01", 'M': "04", 'p': "PM", 'r': "03:04:05 PM", 'R': "15:04", 'S': "05", 'T': "15:04:05",
	'x': "01/02/06", 'X': "15:04:05", 'y': "06", 'Y': "2006", 'z': "-0700", 'Z': "MST",
}

func strftime(t time.Time, layout string) string {
	var out strings.Builder
	for i := 0; i < len(layout); i++ {
		if layout[i] != '%' || i+1 == len(layout) {
			out.WriteByte(layout[i])
			continue
		}
		i++
		if text, ok := goLayouts[layout[i]]; ok {
			out.WriteString(t.Format(text))
		} else {
			out.WriteString(dateField(t, layout[i]))
		}
	}
	return out.String()
}

// dateField formats the directives that goLayouts lacks: numbers of weeks and days,
// and directives that are no dates.
func dateField(t time.Time, directive byte) string {
	isoYear, isoWeek := t.ISOWeek()
	weekday, yearDay := int(t.Weekday()), t.YearDay()
	fromMonday := (weekday + 6) % 7
	switch directive {
	case 'C':
		return fmt.Sprintf("%02d", t.Year()/100)
	case 'g':
		return fmt.Sprintf("%02d", isoYear%100)
	case 'G':
		return fmt.Sprint(isoYear)
	case 'j':
		return fmt.Sprintf("%03d", yearDay)
	case 'n':
		return "\n"
	case 's':
		return fmt.Sprint(t.Unix())
	case 't':
		return "\t"
	case 'u':
		return fmt.Sprint(fromMonday + 1)
	case 'U':
		return fmt.Sprintf("%02d", (yearDay+6-weekday)/7)
	case 'V':
		return fmt.Sprintf("%02d", isoWeek)
	case 'w':
		return fmt.Sprint(weekday)
	case 'W':
		return fmt.Sprintf("%02d", (yearDay+6-fromMonday)/7)
	case '%':
		return "%"
	}
	return "%" + string(directive)
}
