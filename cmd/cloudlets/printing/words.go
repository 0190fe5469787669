package printing

import "time"

// Clock is a time as people at this computer read it.
func Clock(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05 MST") }

// Since is how long ago a time was, or "-" for none.
func Since(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return time.Since(t).Round(time.Second).String()
}

// Dash is a text for a table, in which "-" stands for an empty one.
func Dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
